use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use swarm_core::config::{RawDiscovery, RawJoin};
use swarm_core::election::{Reading, Record, SwapOutcome, Version};
use tokio::io::AsyncWriteExt;

use super::*;
use crate::http::testing::{TestPlatform, read_head};
use crate::platform::Platform;
use crate::store::Cursor;

/// A store that only takes registrations, and notes when.
struct Registry {
    platform: Arc<TestPlatform>,
    calls: Mutex<Vec<(u64, &'static str)>>,
    /// What the next registrations answer; then all succeed.
    failures: Mutex<Vec<StoreError>>,
}

impl Registry {
    fn note(&self, call: &'static str) {
        let seconds = self.platform.mono().0 / 1_000_000_000;
        self.calls.lock().unwrap().push((seconds, call));
    }

    fn calls(&self) -> Vec<(u64, &'static str)> {
        self.calls.lock().unwrap().clone()
    }
}

fn unused() -> StoreError {
    StoreError::Unreachable {
        servers: "none".to_owned(),
        cause: "not used by an agent".to_owned(),
    }
}

#[async_trait]
impl Store for Registry {
    async fn watch_lease(&self, _: &mut Cursor) -> Result<Reading, StoreError> {
        Err(unused())
    }

    async fn swap_lease(&self, _: Option<Version>, _: &Record) -> SwapOutcome {
        SwapOutcome::NotApplied
    }

    async fn verify_lease(&self) -> Result<Reading, StoreError> {
        Err(unused())
    }

    async fn check_write(&self) -> Result<(), StoreError> {
        Err(unused())
    }

    async fn announce_primary(&self, _: &HostPort) -> Result<(), StoreError> {
        Err(unused())
    }

    async fn classic_primary(&self) -> Result<Option<String>, StoreError> {
        Err(unused())
    }

    async fn watch_engines(&self, _: &mut Cursor) -> Result<Vec<String>, StoreError> {
        Err(unused())
    }

    async fn watch_drained(&self, _: &mut Cursor) -> Result<BTreeSet<String>, StoreError> {
        Err(unused())
    }

    async fn set_drained(&self, _: &str, _: &str, _: bool) -> Result<(), StoreError> {
        Err(unused())
    }

    async fn register(&self, engine: &HostPort, ttl: Duration) -> Result<(), StoreError> {
        assert_eq!(engine, &TestPlatform::address("engine"));
        assert_eq!(ttl, Duration::from_secs(180));
        self.note("register");
        self.failures.lock().unwrap().pop().map_or(Ok(()), Err)
    }

    async fn deregister(&self, engine: &HostPort) -> Result<(), StoreError> {
        assert_eq!(engine, &TestPlatform::address("engine"));
        self.note("deregister");
        Ok(())
    }
}

struct Bench {
    platform: Arc<TestPlatform>,
    registry: Arc<Registry>,
}

impl Bench {
    fn new(failures: Vec<StoreError>) -> Self {
        let platform = TestPlatform::new();
        let registry = Arc::new(Registry {
            platform: platform.clone(),
            calls: Mutex::default(),
            failures: Mutex::new(failures),
        });
        Self { platform, registry }
    }

    /// Runs an agent for so many seconds.
    async fn run(&self, seconds: u64, change: impl FnOnce(&mut RawJoin)) -> Result<(), AgentError> {
        let mut raw = RawJoin {
            advertise: Some("engine:80".to_owned()),
            no_check: true,
            discovery: RawDiscovery {
                arguments: vec!["consul://c:8500/nodes".to_owned()],
                ..RawDiscovery::default()
            },
            ..RawJoin::default()
        };
        change(&mut raw);
        let config = Join::try_from(raw).unwrap();
        let agent = Agent::new(self.platform.clone(), self.registry.clone(), config);
        agent
            .run(sleep(self.platform.as_ref(), Duration::from_secs(seconds)))
            .await
    }

    /// An engine that answers so many pings and is gone then.
    fn start_engine(&self, pings: usize) {
        let mut incoming = self.platform.bind(&TestPlatform::address("engine"));
        self.platform.spawn(
            "engine",
            Box::pin(async move {
                for _ in 0..pings {
                    let (mut io, _) = incoming.recv().await.unwrap();
                    let head = read_head(&mut io).await;
                    assert!(head.starts_with("GET /_ping HTTP/1.1\r\n"), "{head}");
                    io.write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                    )
                    .await
                    .unwrap();
                }
            }),
        );
    }
}

fn refused(status: i32) -> StoreError {
    StoreError::Refused {
        servers: "c:8500".to_owned(),
        status,
        message: "Permission denied".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn registers_every_heartbeat_and_deregisters_at_the_end() {
    let bench = Bench::new(Vec::new());
    bench.run(150, |_| ()).await.unwrap();
    assert_eq!(
        bench.registry.calls(),
        [
            (0, "register"),
            (60, "register"),
            (120, "register"),
            (150, "deregister")
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_close_to_the_time_limit_is_shortened() {
    let bench = Bench::new(Vec::new());
    bench
        .run(130, |raw| raw.heartbeat = "179s".to_owned())
        .await
        .unwrap();
    let times: Vec<u64> = bench.registry.calls().iter().map(|call| call.0).collect();
    assert_eq!(times, [0, 60, 120, 130]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_tried_again_soon() {
    let bench = Bench::new(vec![unused(), refused(500), unused()]);
    bench.run(20, |_| ()).await.unwrap();
    let calls = bench.registry.calls();
    let registers = calls.iter().filter(|call| call.1 == "register").count();
    assert_eq!(registers, 4);
    assert!(calls[3].0 <= 7, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn missing_rights_at_the_start_end_the_agent() {
    let bench = Bench::new(vec![refused(403)]);
    let error = bench.run(20, |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("Permission denied"), "{error}");
    assert_eq!(bench.registry.calls(), [(0, "register")]);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_at_the_start_ends_the_agent() {
    let bench = Bench::new(Vec::new());
    let error = bench.run(30, |raw| raw.no_check = false).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("engine:80 does not answer"), "{error}");
    assert!(error.contains("--no-check"), "{error}");
    assert_eq!(bench.registry.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_stops_later_is_registered_again_when_it_answers() {
    let bench = Bench::new(Vec::new());
    bench.start_engine(1);
    let restart = async {
        sleep(bench.platform.as_ref(), Duration::from_secs(130)).await;
        bench.start_engine(2);
    };
    let (ended, ()) = tokio::join!(bench.run(200, |raw| raw.no_check = false), restart);
    ended.unwrap();
    let calls = bench.registry.calls();
    let registered: Vec<u64> = calls
        .iter()
        .filter(|(_, call)| *call == "register")
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(registered[0], 0);
    assert!((130..=190).contains(&registered[1]), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn the_start_is_delayed_at_random() {
    let bench = Bench::new(Vec::new());
    bench
        .run(600, |raw| raw.delay = "5m".to_owned())
        .await
        .unwrap();
    let first = bench.registry.calls()[0];
    assert_eq!(first.1, "register");
    assert!((1..300).contains(&first.0), "{first:?}");
}
