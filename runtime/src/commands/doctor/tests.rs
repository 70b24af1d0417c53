use std::collections::BTreeSet;
use std::sync::Arc;

use swarm_core::config::{RawDiscovery, RawManage};
use swarm_core::time::Wall;
use swarm_models::consul::faults::{Outage, Refusal, Refuse, Which};
use swarm_models::consul::{Cluster, Options as StoreOptions};
use swarm_models::engine::{Engine, Options};
use swarm_models::tokio_host::{StopHandle, TokioHost, serve_tcp};

use super::findings::{Finding, Verdict};
use super::*;
use crate::platform::TokioPlatform;

const TOKEN: &str = "secret";

/// A store of three servers and two engines that are registered there.
struct Bench {
    platform: SharedPlatform,
    store: Arc<Cluster>,
    servers: Vec<String>,
    engines: Vec<Arc<Engine>>,
    _stops: Vec<StopHandle>,
}

impl Bench {
    async fn new() -> Self {
        let platform: SharedPlatform = Arc::new(TokioPlatform::new().unwrap());
        let host = Arc::new(TokioHost::new());
        let options = StoreOptions {
            servers: 3,
            tokens: Some(BTreeSet::from([TOKEN.to_owned()])),
            ..StoreOptions::default()
        };
        let store = Cluster::new(host.clone(), options);
        let (mut servers, mut stops) = (Vec::new(), Vec::new());
        for number in 0..3 {
            let server = Arc::new(store.server(number));
            let (address, stop) = serve_tcp("127.0.0.1:0", server).await.unwrap();
            servers.push(address.to_string());
            stops.push(stop);
        }
        let mut bench = Self {
            platform,
            store,
            servers,
            engines: Vec::new(),
            _stops: stops,
        };
        for name in ["e1", "e2"] {
            let options = Options {
                clock: bench.platform.wall(),
                ..Options::new(name)
            };
            bench.engine(&host, options).await;
        }
        bench
    }

    async fn engine(&mut self, host: &Arc<TokioHost>, options: Options) {
        let engine = Engine::new(host.clone(), options);
        let served = serve_tcp("127.0.0.1:0", engine.clone()).await;
        let (address, stop) = served.unwrap();
        self.engines.push(engine);
        self._stops.push(stop);
        let stored = self.open();
        let address = address.to_string().parse().unwrap();
        let day = std::time::Duration::from_secs(24 * 3_600);
        stored.register(&address, day).await.unwrap();
    }

    fn open(&self) -> Arc<dyn crate::store::Store> {
        let config = self.config(&self.discovery(), Some(TOKEN));
        let opened = crate::commands::store::open(&self.platform, &config.discovery);
        opened.unwrap().store
    }

    fn discovery(&self) -> String {
        format!("consul://{}/nodes", self.servers.join(","))
    }

    fn config(&self, discovery: &str, token: Option<&str>) -> Manage {
        Manage::try_from(RawManage {
            replication: discovery.starts_with("consul"),
            // Nobody listens at this port.
            advertise: Some("127.0.0.1:1".to_owned()),
            discovery: RawDiscovery {
                arguments: vec![discovery.to_owned()],
                consul_http_token: token.map(str::to_owned),
                ..RawDiscovery::default()
            },
            ..RawManage::default()
        })
        .unwrap()
    }

    async fn examine(&self, token: Option<&str>) -> Findings {
        let config = self.config(&self.discovery(), token);
        examine(&self.platform, &config, Some(20_000)).await
    }
}

/// The finding whose text has this part.
#[track_caller]
fn found<'a>(findings: &'a Findings, part: &str) -> &'a Finding {
    let all = findings.all();
    let found = all.iter().find(|finding| finding.text.contains(part));
    found.unwrap_or_else(|| panic!("{part}: {}", findings.text()))
}

#[tokio::test]
async fn where_all_is_well_nothing_fails() {
    let bench = Bench::new().await;
    let findings = bench.examine(Some(TOKEN)).await;
    assert_eq!(findings.failures(), 0, "{}", findings.text());
    for part in [
        bench.servers[0].as_str(),
        &bench.servers[2],
        "nobody writes there without credentials",
        "no manager has been primary",
        "no manager runs there yet",
        "all 2 answer",
        "may open 20000 files",
    ] {
        assert_eq!(found(&findings, part).verdict, Verdict::Ok, "{part}");
    }
    // The one warning is that of an address that leads to this machine only.
    let warnings = findings.all().iter();
    let warnings: Vec<_> = warnings
        .filter(|finding| finding.verdict == Verdict::Warning)
        .map(|finding| finding.area)
        .collect();
    assert_eq!(warnings, [Area::Configuration]);
}

#[tokio::test]
async fn a_store_where_anybody_may_write_is_told_of() {
    let bench = Bench::new().await;
    bench.store.set_tokens(None);
    let findings = bench.examine(None).await;
    assert_eq!(findings.failures(), 0, "{}", findings.text());
    let warning = found(&findings, "anybody who reaches the store may write there");
    assert_eq!(warning.verdict, Verdict::Warning);
}

#[tokio::test]
async fn missing_rights_are_named_with_the_option_and_the_keys() {
    let bench = Bench::new().await;
    let findings = bench.examine(Some("wrong")).await;
    let failure = found(&findings, "--discovery-opt consul.token");
    assert_eq!(failure.verdict, Verdict::Failure);
    assert!(
        failure.text.ends_with("below nodes/docker/swarm/"),
        "{}",
        failure.text
    );
}

#[tokio::test]
async fn one_server_less_is_a_warning_and_none_a_failure() {
    let bench = Bench::new().await;
    let down = |number: usize| {
        bench
            .store
            .server(number)
            .faults(|faults| faults.outage = Outage::Down);
    };
    down(1);
    let findings = bench.examine(Some(TOKEN)).await;
    assert_eq!(findings.failures(), 0, "{}", findings.text());
    assert_eq!(
        found(&findings, &bench.servers[1]).verdict,
        Verdict::Warning
    );
    for server in 0..3 {
        let no_leader = Refuse {
            which: Which::All,
            with: Refusal::NoLeader,
        };
        bench
            .store
            .server(server)
            .faults(|faults| faults.refuse = Some(no_leader));
    }
    let findings = bench.examine(Some(TOKEN)).await;
    assert_eq!(
        found(&findings, "No cluster leader").verdict,
        Verdict::Failure
    );
    assert_eq!(
        found(&findings, "cannot be listed").verdict,
        Verdict::Failure
    );
}

#[tokio::test]
async fn engines_that_cannot_be_used_are_named() {
    let mut bench = Bench::new().await;
    let copy = Options {
        clock: Wall(bench.platform.wall().0 + 3_600_000_000_000),
        ..Options::new("e1")
    };
    bench.engine(&Arc::new(TokioHost::new()), copy).await;
    bench.engines[1].set_faults(|faults| faults.garbage = true);
    let findings = bench.examine(Some(TOKEN)).await;
    assert_eq!(findings.failures(), 0, "{}", findings.text());
    for part in [
        "cannot be used",
        "have the same ID",
        "unsynchronized systime",
    ] {
        assert_eq!(found(&findings, part).verdict, Verdict::Warning);
    }
    assert_eq!(found(&findings, "2 of 3 can be used").verdict, Verdict::Ok);
    for engine in &bench.engines {
        engine.set_faults(|faults| faults.stopped = true);
    }
    let findings = bench.examine(Some(TOKEN)).await;
    let failure = found(&findings, "none of 3 can be used");
    assert_eq!(failure.verdict, Verdict::Failure);
}

#[tokio::test]
async fn a_list_needs_no_store_and_its_size_is_compared_with_the_files() {
    let bench = Bench::new().await;
    let config = bench.config("nodes://127.0.0.1:[1:3]", None);
    let findings = examine(&bench.platform, &config, Some(2_005)).await;
    let files = found(
        &findings,
        "may open 2005 files here, and needs up to 2006 for 3 engines",
    );
    assert_eq!(files.verdict, Verdict::Warning);
    assert!(
        findings
            .all()
            .iter()
            .all(|finding| finding.area != Area::Store)
    );
    let json: serde_json::Value = serde_json::from_str(&findings.json().unwrap()).unwrap();
    assert_eq!(json["failures"], 1);
    assert_eq!(json["findings"][0]["area"], "engines");
    assert_eq!(json["findings"][0]["verdict"], "warning");
}
