//! What a server may answer that a test with real ones cannot make it answer.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use swarm_core::discovery::KV_PATH_DEFAULT;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::*;
use crate::http::client::ClientConfig;
use crate::http::testing::TestPlatform;
use crate::platform::{BoxIo, Platform as _};
use crate::tls::authority::Role;
use crate::tls::testing::{Ca, Folder};
use crate::tls::{ClientTls, ServerTls};

const EXISTS: i32 = 3;
const GET: i32 = 4;
const MULTI: i32 = 14;

/// What a server does with one connection.
#[derive(Clone)]
enum Turn {
    /// Says that this session has ended.
    Ended(i64),
    /// Takes the session, then answers these kinds of questions, and closes.
    Serves(i64, Vec<(i32, Answer)>),
}

#[derive(Clone)]
enum Answer {
    /// An error code.
    Code(i32),
    /// A node's status: its mzxid.
    Stat(i64),
    /// A record that was changed last at this mzxid.
    Record(i64),
    /// A transaction that only compared.
    Compared,
    /// No message at all.
    Bytes(&'static [u8]),
    Silence,
}

fn zookeeper(turns: Vec<Turn>) -> Arc<ZooKeeper> {
    let platform = TestPlatform::new();
    let client = Client::new(platform.clone(), ClientConfig::default());
    between(&platform, None, client, turns)
}

/// A store behind `client`, and a server that speaks TLS if it has some.
fn between(
    platform: &Arc<TestPlatform>,
    tls: Option<Arc<ServerTls>>,
    client: Client,
    turns: Vec<Turn>,
) -> Arc<ZooKeeper> {
    let server = TestPlatform::address("zk");
    let mut connections = platform.bind(&server);
    platform.spawn(
        "server",
        Box::pin(async move {
            let turn_at_handshakes = Semaphore::new(1);
            for turn in turns {
                let Some((mut io, _)) = connections.recv().await else {
                    return;
                };
                if let Some(tls) = &tls {
                    match tls.accept(io, &turn_at_handshakes).await {
                        Ok((shaken, _)) => io = shaken,
                        Err(_) => continue,
                    }
                }
                let _ = serve(io, turn).await;
            }
        }),
    );
    let config = ZooKeeperConfig {
        servers: vec![server],
        user: None,
        layout: KeyLayout::new("", KV_PATH_DEFAULT).unwrap(),
        operation: Duration::from_secs(1),
    };
    ZooKeeper::new(platform.clone(), client, config)
}

async fn serve(mut io: BoxIo, turn: Turn) -> std::io::Result<()> {
    let mut hello = receive(&mut io).await?;
    let (_version, _seen, _timeout) = (hello.get_i32(), hello.get_i64(), hello.get_i32());
    let session = hello.get_i64();
    let (welcomed, answers) = match turn {
        Turn::Ended(expected) => {
            assert_eq!(session, expected, "resumed");
            (0, Vec::new())
        }
        Turn::Serves(given, answers) => {
            assert_eq!(session, 0, "a new session");
            (given, answers)
        }
    };
    let mut welcome = BytesMut::new();
    welcome.put_i32(0);
    welcome.put_i32(6_000);
    welcome.put_i64(welcomed);
    put_bytes(&mut welcome, &[7; 16]);
    send(&mut io, &welcome).await?;
    for (kind, answer) in answers {
        let mut question = receive(&mut io).await?;
        let xid = question.get_i32();
        assert_eq!(question.get_i32(), kind, "the kind of question");
        let (code, body) = match answer {
            Answer::Code(code) => (code, BytesMut::new()),
            Answer::Stat(mzxid) => (0, stat(mzxid)),
            Answer::Record(mzxid) => {
                let mut body = BytesMut::new();
                put_bytes(&mut body, b"{}");
                body.extend_from_slice(&stat(mzxid));
                (0, body)
            }
            Answer::Compared => (
                0,
                BytesMut::from(
                    &[
                        0, 0, 0, 13, 0, 0, 0, 0, 0, 255, 255, 255, 255, 1, 0, 0, 0, 0,
                    ][..],
                ),
            ),
            Answer::Bytes(bytes) => {
                io.write_all(bytes).await?;
                continue;
            }
            Answer::Silence => return std::future::pending().await,
        };
        let mut reply = BytesMut::new();
        reply.put_i32(xid);
        reply.put_i64(100);
        reply.put_i32(code);
        reply.extend_from_slice(&body);
        send(&mut io, &reply).await?;
    }
    Ok(())
}

fn stat(mzxid: i64) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_i64(1);
    body.put_i64(mzxid);
    body.put_bytes(0, 52);
    body
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(i32::try_from(bytes.len()).unwrap());
    out.put_slice(bytes);
}

async fn send(io: &mut BoxIo, message: &[u8]) -> std::io::Result<()> {
    io.write_i32(i32::try_from(message.len()).unwrap()).await?;
    io.write_all(message).await
}

async fn receive(io: &mut BoxIo) -> std::io::Result<Bytes> {
    let length = io.read_i32().await?;
    let mut message = vec![0; usize::try_from(length).unwrap()];
    io.read_exact(&mut message).await?;
    Ok(message.into())
}

/// A read of the lease that finds it at `mzxid`.
fn read(mzxid: i64) -> Vec<(i32, Answer)> {
    vec![
        (EXISTS, Answer::Stat(1)),
        (EXISTS, Answer::Stat(mzxid)),
        (GET, Answer::Record(mzxid)),
    ]
}

fn verified(mzxid: i64) -> Vec<(i32, Answer)> {
    let barrier = (MULTI, Answer::Compared);
    [barrier].into_iter().chain(read(mzxid)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_read_counts_only_behind_a_write() {
    let store = zookeeper(vec![Turn::Serves(1, verified(9))]);
    let found = store.verify_lease().await.unwrap();
    assert_eq!(found.version(), Some(Version(9)));
}

#[tokio::test(start_paused = true)]
async fn a_record_without_a_number_is_garbage() {
    for mzxid in [0, -1] {
        let store = zookeeper(vec![Turn::Serves(1, verified(mzxid))]);
        let error = store.verify_lease().await.unwrap_err();
        assert!(matches!(error, StoreError::Garbage { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lags_is_not_believed() {
    let turns = [read(9), read(7), verified(9), read(9)].concat();
    let store = zookeeper(vec![Turn::Serves(1, turns)]);
    for _ in 0..3 {
        let mut cursor = Cursor::default();
        let seen = store.watch_lease(&mut cursor).await.unwrap();
        assert_eq!(seen.version(), Some(Version(9)));
        assert_eq!(cursor, Cursor(100));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_ended_is_replaced() {
    let store = zookeeper(vec![
        Turn::Serves(5, verified(9)),
        Turn::Ended(5),
        Turn::Serves(6, verified(11)),
    ]);
    for version in [9, 11] {
        let found = store.verify_lease().await.unwrap();
        assert_eq!(found.version(), Some(Version(version)));
    }
}

#[tokio::test(start_paused = true)]
async fn errors_say_what_the_server_said() {
    for (answer, expected) in [
        (Answer::Code(-102), "answered -102: not authorized"),
        (Answer::Code(-999), "answered -999: an error of ZooKeeper"),
        (Answer::Bytes(b"HTTP/1.1 400"), "not a message of ZooKeeper"),
        (
            Answer::Bytes(&[0, 0, 0, 2, 0, 0]),
            "not a message of ZooKeeper",
        ),
        (Answer::Silence, "timed out"),
    ] {
        let answers = [(MULTI, answer)].into_iter().chain(read(9)).collect();
        let store = zookeeper(vec![Turn::Serves(1, answers)]);
        let error = store.verify_lease().await.unwrap_err().to_string();
        assert!(
            error.contains(expected) && error.contains("zk:80"),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_may_have_been_done() {
    let record = Record {
        cluster: "c".into(),
        epoch: 1,
        holder: "127.0.0.1:4000".parse().unwrap(),
        instance: "i".into(),
        nonce: "n".into(),
        beat: 0,
        lease_ms: 2_000,
        released: false,
        failsafe: false,
        members: Vec::new(),
    };
    for (answer, expected) in [
        (Answer::Silence, SwapOutcome::Unknown),
        (Answer::Bytes(b"HTTP"), SwapOutcome::Unknown),
        (Answer::Code(-112), SwapOutcome::Unknown),
        (Answer::Code(-102), SwapOutcome::NotApplied),
    ] {
        let store = zookeeper(vec![Turn::Serves(1, vec![(MULTI, answer)])]);
        assert_eq!(store.swap_lease(None, &record).await, expected);
    }
    let store = zookeeper(Vec::new());
    let outcome = store.swap_lease(None, &record).await;
    assert_eq!(outcome, SwapOutcome::NotApplied);
}

#[tokio::test(start_paused = true)]
async fn with_tls_only_the_server_that_is_meant_is_spoken_to() {
    let platform = TestPlatform::new();
    let shared: SharedPlatform = platform.clone();
    let folder = Folder::new();
    let ca = Ca::new(&folder, "ca", platform.wall());
    ca.issue(Role::Engine, "zk", "zk");
    ca.issue(Role::Engine, "other", "elsewhere");
    ca.issue(Role::Client, "swarm", "swarm");
    Ca::new(&folder, "strange", platform.wall()).issue(Role::Engine, "stranger", "zk");
    let opens = ClientTls::new(&shared, &folder.opens("ca", "swarm")).unwrap();
    let exists = Answer::Code(jute::Code::NO_NODE.0);
    let ask = async |shown: &str| {
        let listens = ServerTls::new(&shared, &folder.listens("ca", shown)).unwrap();
        let config = ClientConfig::default();
        let client = Client::with_tls(shared.clone(), config, Some(opens.clone()));
        let turns = vec![Turn::Serves(7, vec![(EXISTS, exists.clone())])];
        let store = between(&platform, Some(listens), client, turns);
        let deadline = store.deadline();
        let found = store.session.stat(deadline, "/x").await;
        found.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(ask("zk").await, Ok(()));
    for (shown, reason) in [("other", "not valid for"), ("stranger", "TLS")] {
        let error = ask(shown).await.unwrap_err();
        assert!(error.contains(reason), "{shown}: {error}");
    }
    // A server that speaks no TLS gets nothing but the beginning of a handshake, which it takes for a long message.
    let client = Client::with_tls(shared.clone(), ClientConfig::default(), Some(opens.clone()));
    let plain = between(&platform, None, client, vec![Turn::Serves(7, Vec::new())]);
    let error = plain.verify_lease().await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
}
