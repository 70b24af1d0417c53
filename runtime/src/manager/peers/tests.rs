//! Managers that greet each other, with a lease record written by hand.
#![expect(
    clippy::disallowed_methods,
    reason = "these managers are sockets of the test itself"
)]

use swarm_core::discovery::{KV_PATH_DEFAULT, KeyLayout};
use swarm_core::election::{ElectionConfig, Fence, Record};
use swarm_models::consul::{Cluster, Options};
use swarm_models::tokio_host::{StopHandle, TokioHost, serve_tcp};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::http::client::ClientConfig;
use crate::platform::TokioPlatform;
use crate::store::consul::{Consul, ConsulConfig};

const LEASE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_member_that_hangs_does_not_keep_a_manager_from_greeting_the_others() {
    let mut listeners = [
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    ];
    listeners.sort_by_key(|listener| listener.local_addr().unwrap().port());
    let [hangs, leads] = listeners;
    let members = [&hangs, &leads].map(address);
    let (_peers, _stop) = beside(&record(&members)).await;

    let (mut hanging, _) = hangs.accept().await.unwrap();
    assert!(
        head(&mut hanging)
            .await
            .contains("x-swarm-member: 127.0.0.1:4")
    );
    let (mut leader, _) = leads.accept().await.unwrap();
    let greeting = head(&mut leader).await;
    assert!(greeting.contains("x-swarm-cluster: cafe"), "{greeting}");
    let mut byte = [0];
    let given_up = hanging.try_read(&mut byte);
    assert!(
        given_up.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
        "the leader had to wait until the other member was given up"
    );
}

#[tokio::test]
async fn certificates_say_whose_headers_are_believed() {
    let (peers, _stop) = beside(&record(&["b:4000".parse().unwrap()])).await;
    let mut views = peers.elector.view();
    views.wait_for(|view| view.cluster.is_some()).await.unwrap();
    let peer = |identity| Peer {
        address: "10.0.0.9:40000".into(),
        identity,
    };
    let mut greeting = HeaderMap::new();
    greeting.insert(MEMBER_HEADER, HeaderValue::from_static("d:4000"));
    greeting.insert(CLUSTER_HEADER, HeaderValue::from_static("cafe"));

    peers.heard(&greeting, &peer(Identity::Other));
    assert!(!peers.is_peer(&peer(Identity::Unproven)));
    peers.heard(&greeting, &peer(Identity::Manager));
    // Somebody else on the same machine, who has shown that he is no manager.
    assert!(!peers.is_peer(&peer(Identity::Other)));
    assert!(peers.is_peer(&peer(Identity::Unproven)));
    let elsewhere = Peer {
        address: "10.0.0.8:40000".into(),
        identity: Identity::Manager,
    };
    assert!(peers.is_peer(&elsewhere));
}

#[tokio::test]
async fn only_managers_are_promised_anything() {
    let record = Record {
        failsafe: true,
        ..record(&["127.0.0.1:4".parse().unwrap(), "b:4000".parse().unwrap()])
    };
    let (peers, _stop) = beside(&record).await;
    let mut views = peers.elector.view();
    views.wait_for(|view| view.cluster.is_some()).await.unwrap();
    let ask = async |text: &str, identity| {
        let peer = Peer {
            address: "10.0.0.9:40000".into(),
            identity,
        };
        let answer = peers.promise(body::full(text.to_owned()), &peer).await;
        let status = answer.status().as_u16();
        let bytes = collect_limited(answer.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    };
    let question = r#"{"cluster":"cafe","member":"127.0.0.1:4","instance":"b0","epoch":1,"version":1,"lease_ms":60000}"#;
    let granted = (200, r#"{"promised_by":"127.0.0.1:4","epoch":1}"#.to_owned());
    assert_eq!(ask(question, Identity::Other).await.0, 403);
    assert_eq!(ask(question, Identity::Manager).await, granted);
    assert_eq!(ask(question, Identity::Unproven).await, granted);
    let meant_for_another = question.replace("127.0.0.1:4", "b:4000");
    let (status, why) = ask(&meant_for_another, Identity::Manager).await;
    assert!(status == 409 && why.contains("another member"), "{why}");
    for hostile in ["", "{}", &question[1..], &" ".repeat(10_000)] {
        assert_eq!(ask(hostile, Identity::Manager).await.0, 400, "{hostile}");
    }
}

/// A manager beside a store that holds `record`, as long as the handle lives.
async fn beside(record: &Record) -> (Arc<Peers>, StopHandle) {
    let cluster = Cluster::new(Arc::new(TokioHost::new()), Options::default());
    cluster.put("nodes/docker/swarm/lease", record.to_bytes());
    let (store, stop) = serve_tcp("127.0.0.1:0", Arc::new(cluster.server(0)))
        .await
        .unwrap();
    (start(store.to_string().parse().unwrap()), stop)
}

fn start(store: HostPort) -> Arc<Peers> {
    let platform: SharedPlatform = Arc::new(TokioPlatform::new().unwrap());
    let client = Client::new(platform.clone(), ClientConfig::default());
    let config = ConsulConfig {
        servers: vec![store],
        token: None,
        layout: KeyLayout::new("nodes", KV_PATH_DEFAULT).unwrap(),
        operation: Duration::from_secs(5),
    };
    let store = Consul::new(platform.clone(), client.clone(), config);
    let config = ElectionConfig {
        advertise: "127.0.0.1:4".parse().unwrap(),
        instance: "c0".to_owned(),
        lease: LEASE,
        fence: Fence::Verify,
        failsafe: false,
    };
    let elector = Elector::start(&platform, store, &client, config);
    Peers::start(&platform, client, elector)
}

fn record(members: &[HostPort]) -> Record {
    Record {
        cluster: "cafe".to_owned(),
        epoch: 1,
        holder: members.last().unwrap().clone(),
        instance: "b0".to_owned(),
        nonce: "1".to_owned(),
        beat: 1,
        lease_ms: 60_000,
        released: false,
        failsafe: false,
        members: members.to_vec(),
    }
}

fn address(listener: &TcpListener) -> HostPort {
    listener.local_addr().unwrap().to_string().parse().unwrap()
}

/// The head of a request.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn as_many_members_as_there_is_room_for_stay_members() {
    let mut known = Known::default();
    let member = |number: usize| HostPort::new(&format!("m{number}"), 4000).unwrap();
    let heard = |second: u64| Heard {
        from: None,
        at: Mono::ZERO + Duration::from_secs(second),
    };
    for second in 0..60 {
        for number in 0..MEMBERS_MAX {
            known.note(member(number), heard(second));
        }
        known.note(member(MEMBERS_MAX), heard(second));
    }
    assert_eq!(known.heard.len(), MEMBERS_MAX);
    assert!(!known.heard.contains_key(&member(MEMBERS_MAX)));
    known.note(member(MEMBERS_MAX), heard(100));
    assert_eq!(known.heard.len(), 1);
}
