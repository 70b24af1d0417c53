//! What a server may answer that no good etcd does; what good ones do is in the store contract of the integration tests.

use std::time::Duration;

use swarm_core::discovery::{KV_PATH_DEFAULT, KeyLayout, Secret};
use swarm_models::Service as _;
use swarm_models::etcd::{Cluster, Options};
use swarm_models::tokio_host::TokioHost;
use swarm_models::trouble::Watches;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::http::client::ClientConfig;
use crate::http::testing::TestPlatform;
use crate::platform::Platform as _;

/// A store whose server answers with these bodies, one after the other, each on a connection of its own.
fn answering(answers: Vec<(u16, &'static str)>, user: Option<&str>) -> Arc<Etcd> {
    let platform = TestPlatform::new();
    let server = TestPlatform::address("etcd");
    let mut connections = platform.bind(&server);
    platform.spawn(
        "server",
        Box::pin(async move {
            for (status, body) in answers {
                let Some((mut io, _)) = connections.recv().await else {
                    return;
                };
                let _request = io.read(&mut [0; 4096]).await;
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = io.write_all(answer.as_bytes()).await;
                let _ = io.shutdown().await;
            }
        }),
    );
    store_at(platform, server, user)
}

fn store_at(platform: SharedPlatform, server: HostPort, user: Option<&str>) -> Arc<Etcd> {
    let config = EtcdConfig {
        servers: vec![server],
        user: user.map(|name| StoreUser {
            name: name.to_owned(),
            password: Secret::new("p"),
        }),
        layout: KeyLayout::new("", KV_PATH_DEFAULT).unwrap(),
        operation: Duration::from_secs(1),
    };
    let client = Client::new(platform.clone(), ClientConfig::default());
    Etcd::new(platform, client, config)
}

/// A store whose server is the double, and the double.
fn modelled() -> (Arc<Etcd>, Arc<Cluster>) {
    let platform = TestPlatform::new();
    let server = TestPlatform::address("etcd");
    let mut connections = platform.bind(&server);
    let cluster = Cluster::new(Arc::new(TokioHost::new()), Options::default());
    let (member, host) = (cluster.server(0), platform.clone());
    platform.spawn(
        "server",
        Box::pin(async move {
            while let Some((io, _)) = connections.recv().await {
                host.spawn("connection", member.serve(Box::new(io)));
            }
        }),
    );
    (store_at(platform, server, None), cluster)
}

async fn verify(status: u16, body: &'static str) -> String {
    let found = answering(vec![(status, body)], None).verify_lease().await;
    found.unwrap_err().to_string()
}

#[tokio::test(start_paused = true)]
async fn errors_say_what_the_server_said() {
    for (status, body, expected) in [
        (200, "<html>", "cannot be understood"),
        (200, r#"{"kvs":[{"key":"?"}]}"#, "cannot be understood"),
        (
            403,
            r#"{"error":"etcdserver: permission denied","code":7}"#,
            "403: etcdserver: permission denied",
        ),
        (404, "404 page not found\n", "--enable-grpc-gateway=false"),
        (502, "bad gateway", "502: bad gateway"),
    ] {
        let error = verify(status, body).await;
        assert!(
            error.contains(expected) && error.contains("etcd:80"),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_token_costs_a_login() {
    let token = r#"{"token":"t"}"#;
    let stale = r#"{"error":"etcdserver: invalid auth token","code":16}"#;
    let answers = vec![(200, token), (401, stale), (200, token), (200, "{}")];
    let store = answering(answers, Some("u"));
    assert_eq!(store.verify_lease().await, Ok(Reading::Absent));
    // Twice in a row is the server's own trouble.
    let answers = vec![(200, token), (401, stale), (200, token), (401, stale)];
    let error = answering(answers, Some("u")).verify_lease().await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("invalid auth token")
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_no_watch_starts_anew() {
    for message in [
        "<html>",
        "{}",
        r#"{"result":{"canceled":true,"cancel_reason":"no leader"}}"#,
        r#"{"error":{"http_code":503,"message":"etcdserver: no leader"}}"#,
        "",
    ] {
        let store = answering(vec![(200, message)], None);
        let mut cursor = Cursor(7);
        store.watch_lease(&mut cursor).await.unwrap_err();
        assert_eq!(cursor, Cursor::default(), "{message}");
    }
    let compacted = r#"{"result":{"canceled":true,"compact_revision":"9"}}"#;
    let now = r#"{"header":{"revision":"12"}}"#;
    let store = answering(vec![(200, compacted), (200, now)], None);
    let mut cursor = Cursor(7);
    assert_eq!(store.watch_lease(&mut cursor).await, Ok(Reading::Absent));
    assert_eq!(cursor, Cursor(12));
}

/// How often a watch was opened.
fn watches_of(cluster: &Cluster) -> u64 {
    let requests = cluster.requests();
    requests.get(gateway::WATCH).copied().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_missed_a_change_is_given_up() {
    let (store, cluster) = modelled();
    let key = store.layout.lease().to_owned();
    let mut cursor = Cursor::default();
    assert_eq!(store.watch_lease(&mut cursor).await, Ok(Reading::Absent));
    // As where the machine at the other end has lost its power, and another one answers reads.
    cluster.faults(|faults| faults.watches = Watches::Dropped);
    cluster.put(&key, "missed");
    let seen = store.watch_lease(&mut cursor).await.unwrap();
    assert_eq!(seen.version(), Some(Version(cluster.revision())));
    assert_eq!(watches_of(&cluster), 1);
    cluster.faults(|faults| faults.watches = Watches::Working);
    cluster.put(&key, "told");
    let seen = store.watch_lease(&mut cursor).await.unwrap();
    assert_eq!(seen.version(), Some(Version(cluster.revision())));
    assert_eq!(watches_of(&cluster), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_nothing_to_tell_is_kept() {
    let (store, cluster) = modelled();
    let mut cursor = Cursor::default();
    for _ in 0..4 {
        assert_eq!(store.watch_lease(&mut cursor).await, Ok(Reading::Absent));
        // Somebody else's key: a read shows a later revision, and nothing that was missed.
        cluster.put("elsewhere", "x");
    }
    cluster.put(store.layout.lease(), "told");
    let seen = store.watch_lease(&mut cursor).await.unwrap();
    assert_eq!(seen.version(), Some(Version(cluster.revision())));
    assert_eq!(watches_of(&cluster), 1);
}
