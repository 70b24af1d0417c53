//! What goes wrong, over in-memory connections. What goes right is compared with a real ZooKeeper by the integration
//! tests. Time is tokio's paused clock.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::faults::{Ambiguous, AmbiguousAnswer, Outage, Refusal, Refuse, Watches, Which};
use super::jute::{self, Code};
use super::{Cluster, Options};
use crate::tokio_host::TokioHost;
use crate::{Host, Service};

const CREATE: i32 = 1;
const EXISTS: i32 = 3;
const CHECK_ROOT: i32 = 14;
const PING: i32 = 11;

/// A cluster of three and the clock it runs on.
struct Bench {
    host: Arc<TokioHost>,
    cluster: Arc<Cluster>,
}

/// One connection to a server.
struct Client {
    stream: DuplexStream,
    session: i64,
    password: Bytes,
}

impl Bench {
    fn new() -> Self {
        let host = Arc::new(TokioHost::new());
        let options = Options {
            servers: 3,
            ..Options::default()
        };
        let cluster = Cluster::new(Arc::clone(&host) as Arc<dyn Host>, options);
        Self { host, cluster }
    }

    async fn client(&self, server: usize) -> Client {
        self.resume(server, 0, &Bytes::from_static(&[0; 16]))
            .await
            .unwrap()
    }

    /// `None` when the server closes the connection.
    async fn resume(&self, server: usize, session: i64, password: &Bytes) -> Option<Client> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let server = self.cluster.server(server);
        self.host.spawn(server.serve(Box::new(far)));
        let mut client = Client {
            stream: near,
            session,
            password: password.clone(),
        };
        let mut hello = BytesMut::new();
        hello.put_i32(0);
        hello.put_i64(0);
        hello.put_i32(4_000);
        hello.put_i64(session);
        put(&mut hello, password);
        hello.put_u8(0);
        client.send(&hello).await;
        let mut welcome = client.receive().await?;
        welcome.advance(8);
        client.session = welcome.get_i64();
        welcome.advance(4);
        client.password = welcome.split_to(16);
        Some(client)
    }

    /// The code of the next answer, if one comes in time.
    async fn soon(&self, millis: u64, client: &mut Client) -> Option<Option<i32>> {
        tokio::select! {
            biased;
            code = client.code() => Some(code),
            () = self.pass(millis) => None,
        }
    }

    async fn pass(&self, millis: u64) {
        self.host.sleep(Duration::from_millis(millis)).await;
    }
}

impl Client {
    async fn send(&mut self, body: &[u8]) {
        let mut message = BytesMut::new();
        put(&mut message, body);
        // Whether it arrives shows in what comes back.
        self.stream.write_all(&message).await.ok();
    }

    /// `None` at the end of the connection.
    async fn receive(&mut self) -> Option<Bytes> {
        let length = self.stream.read_i32().await.ok()?;
        let mut message = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut message).await.ok()?;
        Some(message.into())
    }

    async fn tell(&mut self, kind: i32, path: &str) {
        let mut body = BytesMut::new();
        body.put_i32(7);
        body.put_i32(kind);
        match kind {
            CREATE => {
                put(&mut body, path.as_bytes());
                put(&mut body, b"");
                body.put_i32(0);
                // It goes with the session.
                body.put_i32(1);
            }
            CHECK_ROOT => {
                for (kind, is_end) in [(13, 0), (-1, 1)] {
                    body.put_i32(kind);
                    body.put_u8(is_end);
                    body.put_i32(-1);
                    if is_end == 0 {
                        put(&mut body, b"/");
                        body.put_i32(-1);
                    }
                }
            }
            PING => {}
            _ => {
                put(&mut body, path.as_bytes());
                body.put_u8(1);
            }
        }
        self.send(&body).await;
    }

    /// The code of the next answer; that of an event is its kind and 1,000.
    async fn code(&mut self) -> Option<i32> {
        let mut answer = self.receive().await?;
        let (xid, _zxid, code) = (answer.get_i32(), answer.get_i64(), answer.get_i32());
        Some(if xid == -1 {
            1_000 + answer.get_i32()
        } else {
            code
        })
    }

    async fn ask(&mut self, kind: i32, path: &str) -> Option<i32> {
        self.tell(kind, path).await;
        self.code().await
    }
}

fn put(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(i32::try_from(bytes.len()).unwrap());
    out.put_slice(bytes);
}

const NO_NODE: Option<i32> = Some(Code::NO_NODE.0);
const OK: Option<i32> = Some(0);

#[tokio::test(start_paused = true)]
async fn who_lags_shows_the_past_until_its_own_session_writes() {
    let bench = Bench::new();
    let lag = Duration::from_secs(2);
    bench.cluster.faults(|faults| faults.lag = lag);
    let (mut one, mut other) = (bench.client(0).await, bench.client(1).await);
    bench.pass(3_000).await;
    assert_eq!(one.ask(CREATE, "/a").await, OK);
    assert_eq!(one.ask(EXISTS, "/a").await, OK, "the leader is its own");
    assert_eq!(other.ask(EXISTS, "/a").await, NO_NODE);
    assert_eq!(
        other.ask(CHECK_ROOT, "").await,
        Some(1_001),
        "it was watched"
    );
    assert_eq!(other.code().await, OK);
    assert_eq!(other.ask(EXISTS, "/a").await, OK);
}

#[tokio::test(start_paused = true)]
async fn a_silent_session_ends_with_what_it_owns() {
    let bench = Bench::new();
    let mut one = bench.client(1).await;
    assert_eq!(one.ask(CREATE, "/a").await, OK);
    for _ in 0..5 {
        bench.pass(3_000).await;
        assert_eq!(one.ask(PING, "").await, OK);
    }
    let (session, password) = (one.session, one.password.clone());
    drop(one);
    bench.pass(3_000).await;
    let resumed = bench.resume(2, session, &password).await.unwrap();
    assert_eq!(resumed.session, session);
    drop(resumed);
    assert!(bench.cluster.get("/a").is_some());
    bench.pass(6_001).await;
    assert!(bench.cluster.get("/a").is_none());
    let resumed = bench.resume(2, session, &password).await.unwrap();
    assert_eq!(resumed.session, 0, "it has ended");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stands_still_ends_no_session_and_the_next_one_waits_anew() {
    let bench = Bench::new();
    let mut one = bench.client(1).await;
    assert_eq!(one.ask(CREATE, "/a").await, OK);
    bench
        .cluster
        .server(0)
        .faults(|faults| faults.outage = Outage::Hung);
    bench.pass(60_000).await;
    assert!(bench.cluster.get("/a").is_some());
    bench.cluster.set_leader(Some(2));
    assert_eq!(one.code().await, None, "every connection is cut");
    bench.pass(3_000).await;
    assert!(bench.cluster.get("/a").is_some());
    bench.pass(3_001).await;
    assert!(bench.cluster.get("/a").is_none());
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_reads_on_for_a_while_and_writes_nothing() {
    let bench = Bench::new();
    let mut other = bench.client(1).await;
    bench
        .cluster
        .server(1)
        .faults(|faults| faults.cut_off = true);
    bench.cluster.put("/a", "");
    assert_eq!(other.ask(EXISTS, "/a").await, NO_NODE);
    other.tell(CREATE, "/b").await;
    bench.pass(9_900).await;
    assert_eq!(bench.soon(1, &mut other).await, None, "nobody is told");
    assert_eq!(other.code().await, None);
    assert!(bench.cluster.get("/b").is_none());
    let password = Bytes::from_static(&[0; 16]);
    assert!(bench.resume(1, 0, &password).await.is_none());
    bench
        .cluster
        .server(1)
        .faults(|faults| faults.cut_off = false);
    assert_eq!(bench.client(1).await.ask(EXISTS, "/a").await, OK);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_at_one_server() {
    let bench = Bench::new();
    let mut one = bench.client(1).await;
    let resumed = bench.resume(2, one.session, &one.password).await;
    assert_eq!(one.ask(CREATE, "/a").await, Some(Code::SESSION_MOVED.0));
    assert_eq!(resumed.unwrap().ask(CREATE, "/a").await, OK);
}

#[tokio::test(start_paused = true)]
async fn outcomes_stay_unknown() {
    let bench = Bench::new();
    for (applied, answer) in [
        (true, AmbiguousAnswer::Cut),
        (false, AmbiguousAnswer::Silence),
    ] {
        let mut one = bench.client(1).await;
        bench.cluster.lose_replies(Ambiguous {
            skip: 1,
            count: 1,
            applied,
            answer,
        });
        // What changes nothing is not counted.
        assert_eq!(one.ask(CHECK_ROOT, "").await, OK);
        let name = format!("/{applied}");
        assert_eq!(one.ask(CREATE, &format!("{name}-before")).await, OK);
        one.tell(CREATE, &name).await;
        let told = match answer {
            AmbiguousAnswer::Cut => Some(None),
            AmbiguousAnswer::Silence => None,
        };
        assert_eq!(bench.soon(3_000, &mut one).await, told);
        assert_eq!(bench.cluster.get(&name).is_some(), applied);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_turned_down() {
    let bench = Bench::new();
    let mut one = bench.client(1).await;
    let refuse = Refuse {
        which: Which::Writes,
        with: Refusal::Throttled,
    };
    bench.cluster.faults(|faults| faults.refuse = Some(refuse));
    assert_eq!(one.ask(CREATE, "/a").await, Some(Code::THROTTLED.0));
    assert_eq!(one.ask(EXISTS, "/a").await, NO_NODE);
    assert_eq!(one.ask(PING, "").await, OK);
}

#[tokio::test(start_paused = true)]
async fn watches_come_late_or_never() {
    let bench = Bench::new();
    let (mut one, mut other) = (bench.client(0).await, bench.client(1).await);
    for (watches, told) in [
        (Watches::Working, true),
        (Watches::Late(Duration::from_millis(500)), true),
        (Watches::Dropped, false),
    ] {
        let path = format!("/{watches:?}").replace(['(', ')'], "");
        bench.cluster.faults(|faults| faults.watches = watches);
        assert_eq!(other.ask(EXISTS, &path).await, NO_NODE);
        let began = bench.host.mono();
        assert_eq!(one.ask(CREATE, &path).await, OK);
        let event = bench.soon(1_000, &mut other).await;
        assert_eq!(event.is_some(), told, "{watches:?}");
        if let Watches::Late(by) = watches {
            assert_eq!(bench.host.mono(), began + by);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn content_goes_back_away_and_elsewhere() {
    let bench = Bench::new();
    bench.cluster.put("/a/b", "old");
    let then = bench.cluster.snapshot();
    bench.cluster.put("/a/b", "new");
    let mut one = bench.client(1).await;
    bench.cluster.rollback(&then);
    assert_eq!(one.code().await, None, "every connection is cut");
    assert_eq!(bench.cluster.get("/a/b").unwrap().data, "old");
    let before = bench.cluster.zxid();
    bench.cluster.renumber();
    assert!(bench.cluster.zxid() < before);
    assert_eq!(bench.cluster.get("/a/b").unwrap().data, "old");
    bench.cluster.wipe();
    assert!(bench.cluster.get("/a").is_none());
    assert_eq!(bench.client(1).await.ask(CREATE, "/a").await, OK);
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(prop_oneof![Just(0), Just(1), Just(14), Just(255), any::<u8>()], 0..120)) {
        let bytes = Bytes::from(bytes);
        let _ = jute::take_message(&mut BytesMut::from(bytes.as_ref()));
        let _ = jute::read_hello(bytes.clone());
        let _ = jute::read_request(bytes, 1);
    }
}
