//! What becomes of containers whose engine fails. Each engine has to be down for a moment only.

use swarm_core::cluster::{Cluster, MOVE_LABEL};
use swarm_core::election::Authority;
use swarm_core::watch;

use super::*;
use crate::election::ElectionView;
use swarm_models::engine::{ContainerInfo, Phase};

const POLICY: &str = "reschedule:on-node-failure";

/// The election as a rig's manager sees it.
struct Elections(watch::Sender<ElectionView>);

impl Elections {
    fn start(rig: &Rig, grace: Duration) -> Self {
        let elections = Self(watch::Sender::new(ElectionView::default()));
        rig.api.reschedule(Some(elections.0.subscribe()), grace);
        elections
    }

    fn win(&self, epoch: u64) {
        let until = Mono(u64::MAX);
        self.0
            .send_modify(|view| view.authority = Some(Authority { epoch, until }));
    }

    fn lose(&self) {
        self.0.send_modify(|view| view.authority = None);
    }
}

impl Rig {
    /// A manager that acts, with `count` engines.
    async fn rescheduling(count: usize) -> (Self, Elections) {
        let rig = Self::new(count).await;
        let elections = Elections::start(&rig, Duration::from_millis(100));
        elections.win(7);
        (rig, elections)
    }

    /// Creates a container with the policy on `node-0` and starts it.
    async fn with_policy(&self, name: &str, mut body: Value) -> String {
        body["Image"] = "alpine".into();
        body["Cmd"] = json!(["top"]);
        body["Env"] = json!([POLICY, "constraint:node==~node-0"]);
        let id = format!("{name:0>64}");
        let target = format!("/v1.41/containers/create?name={name}");
        let headers = [("test-id", id.as_str())];
        let reply = self
            .send("POST", &target, &headers, &body.to_string())
            .await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let id = reply.json()["Id"].as_str().unwrap().to_owned();
        let started = self
            .ask("POST", &format!("/v1.41/containers/{id}/start"))
            .await;
        assert_eq!(started.status, 204, "{started:?}");
        id
    }

    async fn give_back(&self, number: usize) {
        self.doubles[number].set_faults(|faults| faults.stopped = false);
        let address = &self.addresses[number];
        self.engines.refresh_all(address);
        self.until("the engine is back", |cluster| {
            cluster
                .engine(address)
                .is_some_and(swarm_core::cluster::Engine::is_healthy)
        })
        .await;
    }

    async fn runs_elsewhere(&self, name: &str, old: &str) -> String {
        let moved = |cluster: &Cluster| {
            let found = cluster.container(name).ok();
            found.is_some_and(|(_, one)| &*one.id != old && one.is_running())
        };
        self.until("it runs elsewhere", moved).await;
        let cluster = self.api.fleet.cluster().read();
        cluster.container(name).unwrap().1.id.to_string()
    }

    fn on(&self, number: usize, id: &str) -> Option<ContainerInfo> {
        let mut all = self.doubles[number].containers().into_iter();
        all.find(|container| container.id == id)
    }

    fn creates(&self) -> usize {
        let doubles = self.doubles.iter();
        doubles.map(|double| double.creates().len()).sum()
    }

    /// Long enough for everything that is going to happen.
    async fn a_while(&self) {
        sleep(&*self.platform, Duration::from_millis(600)).await;
    }
}

#[tokio::test]
async fn a_container_with_the_policy_moves_and_runs_under_its_name_and_ids() {
    let (rig, _elections) = Rig::rescheduling(3).await;
    let body = json!({"Labels": {"own": "x"}, "HostConfig": {"CpuShares": 2}});
    let old = rig.with_policy("web", body).await;
    rig.run("stays").await;
    rig.fail(0).await;
    let new = rig.runs_elsewhere("web", &old).await;
    let inspect = rig.ask("GET", "/v1.41/containers/web/json").await.json();
    assert_eq!(inspect["Id"], new.as_str());
    assert_ne!(inspect["Node"]["Name"], "node-0");
    assert_eq!(inspect["HostConfig"]["CpuShares"], 512);
    // spec/classic.md section 10.5, E11
    assert_eq!(inspect["Config"]["Hostname"], new[..12]);
    let labels = &inspect["Config"]["Labels"];
    assert_eq!(labels["own"], "x");
    assert_eq!(labels[SWARM_ID_LABEL], format!("{:0>64}", "web"));
    assert_eq!(labels["com.docker.swarm.epoch"], "7");
    assert_eq!(
        labels["com.docker.swarm.reschedule-policies"],
        "[\"on-node-failure\"]"
    );
    assert!(labels[MOVE_LABEL].as_str().unwrap().contains(&old));
    // What was left behind is not shown any more, and its name is the new one's.
    let names = rig.names("all=1").await;
    assert_eq!(
        names.iter().filter(|name| name.ends_with("/web")).count(),
        1
    );
    assert_eq!(rig.creates(), 3);
    rig.close().await;
}

#[tokio::test]
async fn a_primary_that_comes_after_the_failure_moves_what_it_finds() {
    // spec/classic.md section 10.1, H4
    let rig = Rig::new(3).await;
    let elections = Elections::start(&rig, Duration::from_millis(100));
    let old = rig.with_policy("web", json!({})).await;
    rig.fail(0).await;
    rig.a_while().await;
    assert_eq!(rig.creates(), 1);
    elections.win(8);
    rig.runs_elsewhere("web", &old).await;
    rig.close().await;
}

#[tokio::test]
async fn a_primary_that_is_none_any_more_stops_at_the_next_step_and_the_next_one_goes_on() {
    // spec/classic.md section 10.1, H5
    let (rig, elections) = Rig::rescheduling(2).await;
    let old = rig.with_policy("web", json!({})).await;
    let target = &rig.doubles[1];
    // Slow enough to lose the lease between the creation and the start.
    target.set_faults(|faults| faults.latency = Duration::from_millis(150));
    let lose = async {
        while target.creates().is_empty() {
            sleep(&*rig.platform, Duration::from_millis(5)).await;
        }
        rig.gate.open.store(false, Ordering::SeqCst);
        elections.lose();
    };
    let (_, ()) = tokio::join!(rig.fail(0), lose);
    rig.until("the new one is seen", |cluster| {
        cluster
            .container("web")
            .is_ok_and(|(_, one)| *one.id != *old)
    })
    .await;
    rig.a_while().await;
    assert_eq!(target.containers()[0].phase, Phase::Created);
    rig.gate.open.store(true, Ordering::SeqCst);
    elections.win(8);
    rig.runs_elsewhere("web", &old).await;
    assert_eq!(rig.creates(), 2);
    rig.close().await;
}

#[tokio::test]
async fn an_engine_that_discovery_no_longer_lists_moves_nothing() {
    // spec/classic.md section 10.2, D1
    let (rig, _elections) = Rig::rescheduling(2).await;
    let old = rig.with_policy("web", json!({})).await;
    rig.engines.remove(&rig.addresses[0]);
    rig.until("it has left", |cluster| cluster.engines().len() == 1)
        .await;
    rig.a_while().await;
    assert_eq!(rig.creates(), 1);
    assert_eq!(rig.on(0, &old).unwrap().phase, Phase::Running);
    rig.close().await;
}

#[tokio::test]
async fn one_daemon_at_two_addresses_loses_and_moves_nothing() {
    // spec/classic.md section 10.5, E1
    let (mut rig, _elections) = Rig::rescheduling(2).await;
    let old = rig.with_policy("web", json!({})).await;
    let double = rig.doubles[0].clone();
    let (second, stop) = serve_tcp("127.0.0.1:0", double).await.unwrap();
    let second: HostPort = second.to_string().parse().unwrap();
    rig.engines.add(&second);
    rig.until("the second address is refused", |cluster| {
        let engine = cluster.engine(&second);
        engine.is_some_and(|engine| engine.error.is_some())
    })
    .await;
    // The first address goes away, the daemon does not.
    rig.stops.remove(0).stop().await;
    let first = rig.addresses[0].clone();
    rig.until("the first address fails", |cluster| {
        cluster
            .engine(&first)
            .is_some_and(|engine| !engine.is_healthy())
    })
    .await;
    rig.a_while().await;
    assert_eq!(rig.creates(), 1);
    assert_eq!(rig.on(0, &old).unwrap().phase, Phase::Running);
    stop.stop().await;
    rig.close().await;
}

#[tokio::test]
async fn a_move_that_fails_is_tried_again() {
    // spec/classic.md section 10.5, E10
    let (rig, _elections) = Rig::rescheduling(2).await;
    let old = rig.with_policy("web", json!({})).await;
    rig.doubles[1].set_faults(|faults| {
        let full = (500, "no space left on device".to_owned());
        faults.fail_creates.insert(1, full);
    });
    rig.fail(0).await;
    rig.runs_elsewhere("web", &old).await;
    rig.close().await;
}

#[tokio::test]
async fn an_engine_that_answers_at_the_last_moment_keeps_its_containers() {
    // spec/classic.md section 10.5, E10
    let rig = Rig::new(2).await;
    let elections = Elections::start(&rig, Duration::ZERO);
    let old = rig.with_policy("web", json!({})).await;
    rig.fail(0).await;
    rig.doubles[0].set_faults(|faults| faults.stopped = false);
    // Acts before the engine is known to be back.
    elections.win(7);
    rig.a_while().await;
    assert_eq!(rig.creates(), 1);
    assert_eq!(rig.on(0, &old).unwrap().phase, Phase::Running);
    rig.close().await;
}

#[tokio::test]
async fn what_belongs_together_moves_together_in_order() {
    // spec/classic.md section 10.5, E11
    let (rig, _elections) = Rig::rescheduling(3).await;
    let db = rig.with_policy("db", json!({})).await;
    let host = json!({"HostConfig": {"Links": ["db:store"], "VolumesFrom": ["db"], "NetworkMode": "default"}});
    let app = rig.with_policy("app", host).await;
    let side = json!({"HostConfig": {"NetworkMode": "container:app"}});
    let side = rig.with_policy("side", side).await;
    rig.fail(0).await;
    rig.runs_elsewhere("db", &db).await;
    let new_app = rig.runs_elsewhere("app", &app).await;
    rig.runs_elsewhere("side", &side).await;
    let inspect = |name| {
        let target = format!("/v1.41/containers/{name}/json");
        let rig = &rig;
        async move { rig.ask("GET", &target).await.json() }
    };
    let (db, app, side) = (
        inspect("db").await,
        inspect("app").await,
        inspect("side").await,
    );
    assert_eq!(app["Node"]["Name"], db["Node"]["Name"]);
    assert_eq!(side["Node"]["Name"], db["Node"]["Name"]);
    let mode = side["HostConfig"]["NetworkMode"].as_str().unwrap();
    let known = [format!("container:{new_app}"), "container:app".to_owned()];
    assert!(known.contains(&mode.to_owned()), "{mode}");
    rig.close().await;
}

#[tokio::test]
async fn a_container_of_several_networks_joins_all_of_them() {
    // spec/classic.md section 10.5, E11
    let (rig, _elections) = Rig::rescheduling(2).await;
    for name in ["front", "back"] {
        for address in &rig.addresses {
            let network = json!({"Name": name, "Driver": "bridge"}).to_string();
            let create = request("POST", "/v1.41/networks/create", &[], &network);
            rig.client.send(address, create).await.unwrap();
        }
    }
    rig.until("the networks are in the view", |cluster| {
        let has = |engine: &swarm_core::cluster::Engine, name| {
            let mut networks = engine.networks();
            networks.any(|network| network.name == name)
        };
        cluster
            .engines()
            .all(|engine| has(engine, "front") && has(engine, "back"))
    })
    .await;
    let old = rig
        .with_policy("web", json!({"HostConfig": {"NetworkMode": "front"}}))
        .await;
    let body = json!({"Container": old, "EndpointConfig": {"Aliases": ["www"]}}).to_string();
    let join = request("POST", "/v1.41/networks/back/connect", &[], &body);
    rig.client.send(&rig.addresses[0], join).await.unwrap();
    rig.until("the view knows both networks", |cluster| {
        cluster
            .container("web")
            .is_ok_and(|(_, one)| one.networks.len() == 2)
    })
    .await;
    rig.fail(0).await;
    rig.runs_elsewhere("web", &old).await;
    let inspect = rig.ask("GET", "/v1.41/containers/web/json").await.json();
    let networks = inspect["NetworkSettings"]["Networks"].as_object().unwrap();
    let names: Vec<_> = networks.keys().collect();
    assert_eq!(names, ["back", "front"]);
    rig.close().await;
}

#[tokio::test]
async fn a_former_copy_on_an_engine_that_returns_is_stopped_and_kept() {
    // spec/classic.md section 10.5, E1
    let (rig, _elections) = Rig::rescheduling(2).await;
    let old = rig.with_policy("web", json!({})).await;
    rig.fail(0).await;
    let new = rig.runs_elsewhere("web", &old).await;
    rig.give_back(0).await;
    let kept = format!("web-moved-{}", &old[..12]);
    rig.until("the old one has given way", |cluster| {
        cluster
            .container(&old)
            .is_ok_and(|(_, one)| !one.is_running() && one.name() == kept)
    })
    .await;
    assert_eq!(rig.on(1, &new).unwrap().phase, Phase::Running);
    let inspect = rig.ask("GET", "/v1.41/containers/web/json").await.json();
    assert_eq!(inspect["Id"], new.as_str());
    assert_eq!(rig.creates(), 2);
    rig.close().await;
}

#[tokio::test]
async fn a_former_copy_that_never_ran_is_removed() {
    let (rig, _elections) = Rig::rescheduling(2).await;
    let body = json!({"Image": "alpine", "Env": [POLICY, "constraint:node==~node-0"]}).to_string();
    let target = "/v1.41/containers/create?name=web";
    let reply = rig.send("POST", target, &[("test-id", "k")], &body).await;
    let old = reply.json()["Id"].as_str().unwrap().to_owned();
    rig.fail(0).await;
    rig.until("it is made elsewhere", |cluster| {
        cluster
            .container("web")
            .is_ok_and(|(_, one)| *one.id != *old)
    })
    .await;
    rig.a_while().await;
    assert_eq!(rig.doubles[1].containers()[0].phase, Phase::Created);
    rig.give_back(0).await;
    rig.until("the old one is gone", |cluster| {
        cluster.container(&old).is_err()
    })
    .await;
    assert!(rig.on(0, &old).is_none());
    rig.close().await;
}

#[tokio::test]
async fn containers_with_a_swarm_id_that_a_client_made_up_are_no_copies() {
    // spec/classic.md section 10.5, E17
    let (rig, _elections) = Rig::rescheduling(2).await;
    for (number, address) in rig.addresses.iter().enumerate() {
        let body = json!({"Image": "alpine", "Cmd": ["top"], "Labels": {SWARM_ID_LABEL: "same",
            "com.docker.swarm.reschedule-policies": "[\"on-node-failure\"]"}});
        let target = format!("/v1.41/containers/create?name=c{number}");
        let create = request("POST", &target, &[], &body.to_string());
        rig.client.send(address, create).await.unwrap();
        let start = request(
            "POST",
            &format!("/v1.41/containers/c{number}/start"),
            &[],
            "",
        );
        rig.client.send(address, start).await.unwrap();
    }
    rig.until("both are in the view", |cluster| {
        let runs = |name| {
            cluster
                .container(name)
                .is_ok_and(|(_, one)| one.is_running())
        };
        runs("c0") && runs("c1")
    })
    .await;
    let old = rig.doubles[0].containers()[0].id.clone();
    let other = rig.doubles[1].containers()[0].id.clone();
    rig.fail(0).await;
    rig.runs_elsewhere("c0", &old).await;
    rig.give_back(0).await;
    rig.until("the former copy has given way", |cluster| {
        cluster
            .container(&old)
            .is_ok_and(|(_, one)| !one.is_running())
    })
    .await;
    rig.a_while().await;
    let other = rig.on(1, &other).unwrap();
    assert_eq!((other.phase, other.name.as_str()), (Phase::Running, "c1"));
    rig.close().await;
}

#[tokio::test]
async fn a_name_of_an_engine_that_is_down_is_not_given_away_before_it_is_moved() {
    // spec/classic.md section 10.5, E20
    let rig = Rig::new(2).await;
    rig.with_policy("web", json!({})).await;
    rig.fail(0).await;
    let body = json!({"Image": "alpine"}).to_string();
    let target = "/v1.41/containers/create?name=web";
    let reply = rig.send("POST", target, &[("test-id", "x")], &body).await;
    assert_eq!(reply.status, 409, "{reply:?}");
    rig.close().await;
}

#[tokio::test]
async fn what_was_moved_and_then_removed_is_not_made_again() {
    let (rig, _elections) = Rig::rescheduling(2).await;
    let old = rig.with_policy("web", json!({})).await;
    rig.fail(0).await;
    rig.runs_elsewhere("web", &old).await;
    let reply = rig.ask("DELETE", "/v1.41/containers/web?force=1").await;
    assert_eq!(reply.status, 204, "{reply:?}");
    rig.a_while().await;
    assert_eq!(rig.creates(), 2);
    rig.close().await;
}
