use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use swarm_core::address::{HostPort, ListenAddress};
use swarm_core::config::{Limits, ListenerTls};
use swarm_core::time::Wall;
use swarm_core::tls::TlsConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::Semaphore;

use super::authority::Role;
use super::testing::{Ca, Folder};
use super::*;
use crate::http::body::{self, collect_limited};
use crate::http::client::ClientConfig;
use crate::http::server::ServerConfig;
use crate::http::testing::TestPlatform;
use crate::http::{Body, Client, Handler, Peer, Server};
use crate::platform::{BoxFuture, BoxIo, Platform, sleep};

mod protocols;
mod revoked;

const HOST: &str = "10.0.0.1";

/// A folder with one CA, `ca`, that signed a manager, an engine and a client.
fn house() -> (Folder, SharedPlatform) {
    let (folder, platform) = (Folder::new(), TestPlatform::new());
    let ca = Ca::new(&folder, "ca", platform.wall());
    ca.issue(Role::Manager, "manager", HOST);
    ca.issue(Role::Engine, "engine", HOST);
    ca.issue(Role::Client, "client", "me");
    (folder, platform)
}

fn address() -> HostPort {
    TestPlatform::address(HOST)
}

/// What both sides say of a handshake. The client's side also reads a byte: with TLS 1.3 it hears only then that it is
/// not wanted.
async fn meet(client: &ClientTls, server: &ServerTls) -> (io::Result<BoxIo>, io::Result<Identity>) {
    meet_at(&address(), client, server).await
}

async fn meet_at(
    to: &HostPort,
    client: &ClientTls,
    server: &ServerTls,
) -> (io::Result<BoxIo>, io::Result<Identity>) {
    let (near, far) = duplex(16 * 1024);
    let dialled = async {
        let mut io = client.connect(to, Box::new(near)).await?;
        io.read_u8().await?;
        Ok(io)
    };
    let accepted = async {
        let (mut io, identity) = server.accept(Box::new(far), &Semaphore::new(1)).await?;
        io.write_all(b"!").await?;
        io.flush().await?;
        Ok(identity)
    };
    tokio::join!(dialled, accepted)
}

fn told<T>(outcome: io::Result<T>) -> String {
    outcome.err().unwrap().to_string()
}

#[tokio::test(start_paused = true)]
async fn managers_are_told_from_clients_by_their_certificate() {
    let (folder, platform) = house();
    let server = ServerTls::new(&platform, &folder.listens("ca", "manager")).unwrap();
    assert!(server.knows_managers());
    for (name, identity) in [("manager", Identity::Manager), ("client", Identity::Other)] {
        let client = ClientTls::new(&platform, &folder.opens("ca", name)).unwrap();
        let (dialled, accepted) = meet(&client, &server).await;
        dialled.unwrap();
        assert_eq!(accepted.unwrap(), identity);
    }
}

#[tokio::test(start_paused = true)]
async fn the_certificate_of_an_engine_does_not_pass_as_a_primary() {
    let (folder, platform) = house();
    let config = folder.opens("ca", "manager");
    let to_peers = ClientTls::to_managers(&platform, &config).unwrap();
    let engine = ServerTls::new(&platform, &folder.listens("ca", "engine")).unwrap();
    let error = told(meet(&to_peers, &engine).await.0);
    assert!(error.contains("not that of a manager"), "{error}");
    // It is refused for what it is, not for anything else about it.
    let to_engines = ClientTls::new(&platform, &config).unwrap();
    meet(&to_engines, &engine).await.0.unwrap();
    let manager = ServerTls::new(&platform, &folder.listens("ca", "manager")).unwrap();
    meet(&to_peers, &manager).await.0.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ca_of_managers_alone_tells_them_apart_too() {
    let (folder, platform) = (Folder::new(), TestPlatform::new() as SharedPlatform);
    let now = platform.wall();
    // Engine certificates here accept and connect, and nothing in them says who they are.
    let [fleet, managers] = ["fleet", "managers"].map(|name| Ca::new(&folder, name, now));
    fleet.issue(Role::Client, "client", "me");
    fleet.issue(Role::Engine, "engine", HOST);
    managers.issue(Role::Engine, "manager", HOST);
    managers.issue(Role::Client, "manager-opens", HOST);
    let listener = ListenerTls {
        managers: Some(folder.ca("managers")),
        ..folder.listens("fleet", "manager")
    };
    let server = ServerTls::new(&platform, &listener).unwrap();
    for (name, identity) in [
        ("manager-opens", Identity::Manager),
        ("client", Identity::Other),
    ] {
        let client = ClientTls::to_managers(&platform, &folder.opens("managers", name)).unwrap();
        let (dialled, accepted) = meet(&client, &server).await;
        dialled.unwrap();
        assert_eq!(accepted.unwrap(), identity);
    }
    let to_peers = folder.opens("managers", "manager-opens");
    let to_peers = ClientTls::to_managers(&platform, &to_peers).unwrap();
    let impostor = ServerTls::new(&platform, &folder.listens("managers", "engine")).unwrap();
    let error = told(meet(&to_peers, &impostor).await.0);
    assert!(error.contains("not signed by the trusted CA"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn names_and_cas_are_checked_on_both_sides() {
    let (folder, platform) = house();
    let stranger = Ca::new(&folder, "stranger", platform.wall());
    stranger.issue(Role::Client, "strange-client", "me");
    Ca::new(&folder, "unused", platform.wall());
    let server = ServerTls::new(&platform, &folder.listens("ca", "manager")).unwrap();
    let meet_with = async |config: TlsConfig| {
        let client = ClientTls::new(&platform, &config).unwrap();
        meet(&client, &server).await
    };
    let (dialled, _) = meet_with(folder.opens("stranger", "client")).await;
    let error = told(dialled);
    assert!(error.contains("not signed by the trusted CA"), "{error}");
    let (dialled, accepted) = meet_with(folder.opens("ca", "strange-client")).await;
    assert!(dialled.is_err());
    assert!(accepted.is_err());
    let nobody = TlsConfig {
        identity: None,
        ..folder.opens("ca", "client")
    };
    let (dialled, accepted) = meet_with(nobody).await;
    assert!(dialled.is_err());
    assert!(told(accepted).contains("peer sent no certificates"));
    let elsewhere = ServerTls::new(&platform, &folder.listens("ca", "elsewhere"));
    assert!(elsewhere.is_err());
    let ca = Ca::new(&folder, "ca", platform.wall());
    ca.issue(Role::Engine, "elsewhere", "10.0.0.2");
    let elsewhere = ServerTls::new(&platform, &folder.listens("ca", "elsewhere")).unwrap();
    let client = ClientTls::new(&platform, &folder.opens("ca", "strange-client")).unwrap();
    let error = told(meet(&client, &elsewhere).await.0);
    assert!(error.contains("not valid for name"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn without_verification_anybody_is_believed() {
    let (folder, platform) = house();
    let stranger = Ca::new(&folder, "stranger", platform.wall());
    stranger.issue(Role::Engine, "stranger", "elsewhere");
    let listener = ListenerTls {
        clients: None,
        ..folder.listens("ca", "stranger")
    };
    let server = ServerTls::new(&platform, &listener).unwrap();
    let client = ClientTls::new(&platform, &TlsConfig::default()).unwrap();
    let (dialled, accepted) = meet(&client, &server).await;
    dialled.unwrap();
    assert_eq!(accepted.unwrap(), Identity::Unproven);
}

#[tokio::test(start_paused = true)]
async fn an_expired_certificate_is_refused() {
    let (folder, platform) = house();
    let long_ago = Wall(platform.wall().0 - 400 * 24 * 3600 * 1_000_000_000);
    let ca = Ca::new(&folder, "old", long_ago);
    ca.issue(Role::Engine, "old", HOST);
    let server = ServerTls::new(&platform, &folder.listens("old", "old")).unwrap();
    let client = ClientTls::new(&platform, &folder.opens("old", "client")).unwrap();
    let error = told(meet(&client, &server).await.0);
    assert!(error.contains("expired"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn ipv6_addresses_are_checked_without_brackets() {
    let (folder, platform) = house();
    let ca = Ca::new(&folder, "ca", platform.wall());
    ca.issue(Role::Manager, "six", "fd00::1");
    ca.issue(Role::Client, "client", "me");
    let server = ServerTls::new(&platform, &folder.listens("ca", "six")).unwrap();
    let client = ClientTls::new(&platform, &folder.opens("ca", "client")).unwrap();
    for (to, good) in [("[fd00::1]:4000", true), ("[fd00::2]:4000", false)] {
        let (dialled, _) = meet_at(&to.parse().unwrap(), &client, &server).await;
        assert_eq!(dialled.is_ok(), good, "{to}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_direction_ends_with_an_alert_and_leaves_the_other_open() {
    let (folder, platform) = house();
    let server = ServerTls::new(&platform, &folder.listens("ca", "manager")).unwrap();
    let client = ClientTls::new(&platform, &folder.opens("ca", "client")).unwrap();
    let (near, far) = duplex(16 * 1024);
    let dialled = async {
        let mut io = client.connect(&address(), Box::new(near)).await?;
        io.write_all(b"input").await?;
        io.shutdown().await?;
        let mut output = String::new();
        io.read_to_string(&mut output).await?;
        io::Result::Ok(output)
    };
    let accepted = async {
        let (mut io, _) = server.accept(Box::new(far), &Semaphore::new(1)).await?;
        let mut input = String::new();
        // Without the alert this would be an error: the end might be an attacker's.
        io.read_to_string(&mut input).await?;
        io.write_all(b"output").await?;
        io.shutdown().await?;
        io::Result::Ok(input)
    };
    let (output, input) = tokio::join!(dialled, accepted);
    assert_eq!(
        (input.unwrap().as_str(), output.unwrap().as_str()),
        ("input", "output")
    );
}

#[tokio::test(start_paused = true)]
async fn plain_http_gets_the_answer_go_gives() {
    let (folder, platform) = house();
    let server = ServerTls::new(&platform, &folder.listens("ca", "manager")).unwrap();
    let (mut near, far) = duplex(1_000);
    near.write_all(b"GET /_ping HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    assert!(
        server
            .accept(Box::new(far), &Semaphore::new(1))
            .await
            .is_err()
    );
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 400 "), "{answer}");
    assert!(answer.contains("Client sent an HTTP request to an HTTPS server."));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (folder, platform) = house();
    let error = |config: &TlsConfig| ClientTls::new(&platform, config).err().unwrap().to_string();
    let config = folder.opens("nowhere", "client");
    let found = error(&config);
    assert!(
        found.starts_with("cannot read --tlscacert ") && found.contains("nowhere.ca.pem"),
        "{found}"
    );
    folder.write("empty.ca.pem", "nothing in here\n");
    let found = error(&folder.opens("empty", "client"));
    assert!(found.contains("--tlscacert") && found.contains("no usable certificate"));
    let mut mixed = folder.opens("ca", "client");
    mixed.identity = Some(folder.identity("engine"));
    if let Some(identity) = &mut mixed.identity {
        identity.key = folder.identity("client").key;
    }
    let found = error(&mixed);
    assert!(found.contains("cannot be used together"), "{found}");
    let key = std::fs::read_to_string(folder.identity("client").key.path).unwrap();
    folder.write(
        "client.key.pem",
        &key.replace("PRIVATE", "ENCRYPTED PRIVATE"),
    );
    let found = error(&folder.opens("ca", "client"));
    assert!(
        found.contains("--tlskey") && found.contains("encrypted"),
        "{found}"
    );
}

#[tokio::test(start_paused = true)]
async fn changed_files_serve_new_connections_and_broken_ones_change_nothing() {
    let (folder, platform) = house();
    let server = ServerTls::new(&platform, &folder.listens("ca", "manager")).unwrap();
    let client = ClientTls::new(&platform, &folder.opens("ca", "client")).unwrap();
    let mut keeper = Keeper::new(&platform);
    keeper.add_server(&server);
    keeper.add_client(&client);
    let mut open = meet(&client, &server).await.0.unwrap();
    assert!(!keeper.reload());

    let successor = Ca::new(&folder, "ca", platform.wall());
    // The CA is new and the certificates are not yet: both sides are wrong about each other.
    assert!(keeper.reload());
    assert!(meet(&client, &server).await.0.is_err());
    successor.issue(Role::Manager, "manager", HOST);
    successor.issue(Role::Client, "client", "me");
    assert!(keeper.reload());
    meet(&client, &server).await.0.unwrap();

    folder.write("manager.pem", "no certificate\n");
    folder.write("ca.ca.pem", "no certificate\n");
    assert!(!keeper.reload());
    meet(&client, &server).await.0.unwrap();
    // The first connection has seen all of it: its other end is gone for a reason of this test's own.
    assert_eq!(
        open.read_u8().await.unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_at_every_ten_seconds() {
    let (folder, platform) = house();
    let server = ServerTls::new(&platform, &folder.listens("ca", "manager")).unwrap();
    let mut keeper = Keeper::new(&platform);
    keeper.add_server(&server);
    let keeper = Arc::new(keeper);
    keeper.start();
    let before = keeper.certificates();
    let ca = Ca::new(&folder, "ca", platform.wall());
    let names = [HOST.to_owned()];
    let short = ca.authority.issue_for(Role::Manager, "short", &names, 10);
    folder.put("manager", &short.unwrap());
    sleep(platform.as_ref(), Duration::from_secs(11)).await;
    let after = keeper.certificates();
    assert!(after.first().unwrap().ends < before.first().unwrap().ends);
}

#[tokio::test(start_paused = true)]
async fn a_keeper_tells_which_certificate_ends_first() {
    let (folder, platform) = house();
    let ca = Ca::new(&folder, "ca", platform.wall());
    let names = [HOST.to_owned()];
    let short = ca.authority.issue_for(Role::Client, "short", &names, 10);
    folder.put("short", &short.unwrap());
    let server = ServerTls::new(&platform, &folder.listens("ca", "manager")).unwrap();
    let client = ClientTls::new(&platform, &folder.opens("ca", "short")).unwrap();
    let mut keeper = Keeper::new(&platform);
    keeper.add_server(&server);
    keeper.add_client(&client);
    assert_eq!(keeper.certificates().len(), 2);
    let first = keeper.first_to_end().unwrap();
    assert_eq!(first.file, folder.identity("short").cert);
    let now = platform.wall();
    // To the day: certificates here end at midnight.
    assert!([9, 10].contains(&first.days_left(now)));
    let later = Wall(first.ends.0 + 1_000_000_000);
    assert_eq!(first.days_left(later), -1);
}

#[tokio::test(start_paused = true)]
async fn certificates_are_told_of_in_their_last_two_weeks_and_after() {
    let (folder, platform) = house();
    let ca = Ca::new(&folder, "ca", platform.wall());
    let names = [HOST.to_owned()];
    for (days, told) in [(16, ""), (13, " ends at 2023-"), (0, " ended at 2023-")] {
        let issued = ca.authority.issue_for(Role::Manager, "m", &names, days);
        folder.put("manager", &issued.unwrap());
        let server = ServerTls::new(&platform, &folder.listens("ca", "manager")).unwrap();
        let mut keeper = Keeper::new(&platform);
        keeper.add_server(&server);
        let warnings = keeper.ends_to_tell().concat();
        assert_eq!(warnings.is_empty(), told.is_empty(), "{days}: {warnings}");
        assert!(warnings.contains(told), "{days}: {warnings}");
    }
}

/// Answers with who asks.
struct WhoAsks;

impl Handler for WhoAsks {
    fn handle(
        self: Arc<Self>,
        _request: Request<Body>,
        peer: Peer,
    ) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move { Response::new(body::full(format!("{:?}", peer.identity))) })
    }
}

async fn listening(folder: &Folder, platform: &Arc<TestPlatform>, config: ServerConfig) -> Server {
    let shared: SharedPlatform = platform.clone();
    let tls = ServerTls::new(&shared, &folder.listens("ca", "manager")).unwrap();
    let on = ListenAddress::Tcp {
        host: HOST.to_owned(),
        port: 80,
    };
    let listener = platform.listen(&on).await.unwrap();
    let server = Server::new(shared, config, Arc::new(WhoAsks));
    server.serve_tls(listener, tls);
    server
}

#[tokio::test(start_paused = true)]
async fn requests_go_over_tls() {
    let (folder, _) = house();
    let platform = TestPlatform::new();
    let _server = listening(&folder, &platform, ServerConfig::default()).await;
    let shared: SharedPlatform = platform.clone();
    let tls = ClientTls::new(&shared, &folder.opens("ca", "manager")).unwrap();
    let client = Client::with_tls(shared.clone(), ClientConfig::default(), Some(tls));
    for _ in 0..2 {
        let request = Request::new(body::empty());
        let answer = client.send(&address(), request).await.unwrap();
        let text = collect_limited(answer.into_body(), 100).await.unwrap();
        assert_eq!(text, "Manager");
    }
    assert_eq!(client.stats(&address()).opened, 1);
    let plain = Client::new(shared, ClientConfig::default());
    let answer = plain.send(&address(), Request::new(body::empty())).await;
    assert_eq!(answer.unwrap().status(), 400);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_begins_no_handshake_is_left_after_five_seconds() {
    let (folder, _) = house();
    let platform = TestPlatform::new();
    let server = listening(&folder, &platform, ServerConfig::default()).await;
    let mut silent = platform.connect(&address()).await.unwrap();
    let start = platform.mono();
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(platform.mono().since(start), Duration::from_secs(5));
    // The room for the next one is taken before it comes.
    assert_eq!(server.open_connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn handshakes_wait_for_their_turn_and_silence_takes_nobodys() {
    let (folder, _) = house();
    let platform = TestPlatform::new();
    let config = ServerConfig::from(&Limits {
        handshakes: 1,
        handshake_timeout: Duration::from_secs(9),
        ..Limits::default()
    });
    let _server = listening(&folder, &platform, config).await;
    let shared: SharedPlatform = platform.clone();
    let opens = folder.opens("ca", "manager");
    let ask = async || {
        let tls = ClientTls::new(&shared, &opens).unwrap();
        let config = ClientConfig {
            handshake_timeout: Duration::from_secs(60),
            ..ClientConfig::default()
        };
        let client = Client::with_tls(shared.clone(), config, Some(tls));
        let start = platform.mono();
        let answer = client.send(&address(), Request::new(body::empty())).await;
        answer.unwrap();
        platform.mono().since(start)
    };
    let _silent = platform.connect(&address()).await.unwrap();
    assert!(ask().await < Duration::from_secs(1));
    let mut dawdles = platform.connect(&address()).await.unwrap();
    dawdles.write_all(&[22, 3]).await.unwrap();
    sleep(platform.as_ref(), Duration::from_secs(1)).await;
    let waited = ask().await;
    assert!(
        waited > Duration::from_secs(7) && waited < Duration::from_secs(9),
        "{waited:?}"
    );
}
