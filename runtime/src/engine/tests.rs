//! Engines over an in-memory network, with time that moves only when nothing else can.

use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use swarm_core::cluster::EngineState;
use swarm_core::config::Limits;

use super::stream::{EVENT_BYTES, Lines};
use super::*;
use crate::http::client::ClientConfig;
use crate::http::testing::TestPlatform;
use crate::platform::{Platform, sleep};

mod double;
mod fake;

use fake::{Fake, Manner};

struct World {
    platform: Arc<TestPlatform>,
    client: Client,
    engines: Engines,
}

impl World {
    fn new() -> Self {
        Self::limited(&Limits::default())
    }

    fn limited(limits: &Limits) -> Self {
        let platform = TestPlatform::new();
        let shared: SharedPlatform = Arc::clone(&platform) as SharedPlatform;
        let client = Client::new(Arc::clone(&shared), ClientConfig::default());
        Self {
            platform,
            client: client.clone(),
            engines: Engines::new(shared, client, EngineOptions::default(), limits),
        }
    }

    /// An engine with containers `c0` and `c1`, running and looked after.
    async fn with_engine() -> (Self, Arc<Fake>) {
        let world = Self::new();
        let fake = world.engine("engine-1", "A").await;
        world.engines.add(&fake.address);
        world.pass(1).await;
        assert_eq!(world.state(&fake), EngineState::Healthy);
        fake.asked();
        (world, fake)
    }

    async fn engine(&self, host: &str, id: &str) -> Arc<Fake> {
        let fake = Fake::new(&self.platform, host, id);
        fake.set("c0", Some("running"));
        fake.set("c1", Some("running"));
        fake.start().await;
        fake
    }

    async fn pass(&self, seconds: u64) {
        sleep(&*self.platform, Duration::from_secs(seconds)).await;
    }

    fn state(&self, fake: &Fake) -> EngineState {
        self.engines
            .cluster()
            .read()
            .engine(&fake.address)
            .unwrap()
            .state
    }

    fn error(&self, fake: &Fake) -> String {
        let view = self.engines.cluster().read();
        view.engine(&fake.address)
            .unwrap()
            .error
            .clone()
            .unwrap_or_default()
    }

    /// The containers as `id:phase`.
    fn containers(&self, fake: &Fake) -> Vec<String> {
        let view = self.engines.cluster().read();
        let engine = view.engine(&fake.address).unwrap();
        engine
            .containers()
            .map(|container| format!("{}:{}", container.id, container.state.phase))
            .collect()
    }
}

/// What a subscription has now.
async fn drain(world: &World, subscription: &mut Subscription) -> Vec<String> {
    let mut told = Vec::new();
    let soon = Duration::from_millis(1);
    while let Ok(event) = timeout(&*world.platform, soon, subscription.next()).await {
        let event = &event.unwrap().event;
        told.push(format!("{} {}", event.action, event.id).trim().to_owned());
    }
    told
}

#[tokio::test(start_paused = true)]
async fn the_view_follows_an_engine() {
    let (world, fake) = World::with_engine().await;
    assert_eq!(world.containers(&fake), ["c0:running", "c1:running"]);
    {
        let view = world.engines.cluster().read();
        let engine = view.engine(&fake.address).unwrap();
        assert_eq!(engine.name(), "node-A");
        let found = (
            engine.images().len(),
            engine.networks().len(),
            engine.volumes().len(),
        );
        assert_eq!(found, (1, 1, 1));
    }
    fake.set("c0", Some("exited"));
    fake.tell("die", "c0").await;
    fake.set("c1", None);
    fake.tell("destroy", "c1").await;
    fake.set("c2", Some("running"));
    fake.tell("create", "c2").await;
    sleep(&*world.platform, Duration::from_millis(1)).await;
    assert_eq!(world.containers(&fake), ["c0:exited", "c2:running"]);
}

#[tokio::test(start_paused = true)]
async fn of_the_connections_of_the_first_look_only_the_event_stream_stays() {
    let (world, fake) = World::with_engine().await;
    let stats = world.client.stats(&fake.address);
    assert!(stats.opened > 2, "{stats:?}");
    assert_eq!((stats.idle, stats.open), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn events_reach_subscribers_with_their_engine_after_the_view_shows_them() {
    let (world, fake) = World::with_engine().await;
    let mut subscription = world.engines.subscribe(None);
    assert_eq!(world.engines.subscribers(), 1);
    fake.set("c0", Some("exited"));
    fake.tell("die", "c0").await;
    let event = subscription.next().await.unwrap();
    assert_eq!(world.containers(&fake)[0], "c0:exited");
    assert_eq!(event.address, fake.address);
    assert!(event.event.raw.contains(r#""from":"alpine node:node-A""#));
    assert!(
        event.event.raw.ends_with(
            r#""node":{"Name":"node-A","Id":"A","Addr":"engine-1:2375","Ip":"engine-1"}}"#
        )
    );
    drop(subscription);
    let mut replayed = world.engines.subscribe(Some(Wall(0)));
    assert_eq!(
        drain(&world, &mut replayed).await,
        ["engine_connect", "die c0"]
    );
    let mut later = world.engines.subscribe(Some(Wall(event.event.time.0 + 1)));
    let told = drain(&world, &mut later).await;
    assert!(!told.contains(&"die c0".to_owned()), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_stops_and_starts_loses_nothing_and_its_gap_is_told() {
    let (world, fake) = World::with_engine().await;
    let mut subscription = world.engines.subscribe(None);
    fake.stop().await;
    world.pass(10).await;
    assert_eq!(world.state(&fake), EngineState::Unhealthy);
    assert!(
        world.error(&fake).contains("connection refused"),
        "{}",
        world.error(&fake)
    );
    assert_eq!(world.containers(&fake).len(), 2);
    fake.set("c1", Some("exited"));
    fake.tell("die", "c1").await;
    fake.start().await;
    world.pass(61).await;
    assert_eq!(world.state(&fake), EngineState::Healthy);
    assert_eq!(world.error(&fake), "");
    assert_eq!(world.containers(&fake), ["c0:running", "c1:exited"]);
    let told = drain(&world, &mut subscription).await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.contains(&"engine_disconnect".to_owned()));
    assert!(told.contains(&"engine_reconnect".to_owned()));
    assert!(told.contains(&"die c1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_closes_is_resumed() {
    let (world, fake) = World::with_engine().await;
    let mut subscription = world.engines.subscribe(None);
    fake.tell("exec_die", "c0").await;
    world.pass(1).await;
    fake.close_streams();
    fake.tell("exec_die", "c1").await;
    world.pass(3).await;
    fake.tell("exec_start: x", "c1").await;
    assert_eq!(
        drain(&world, &mut subscription).await,
        ["exec_die c0", "exec_die c1", "exec_start: x c1"]
    );
    assert_eq!(world.state(&fake), EngineState::Healthy);
}

#[tokio::test(start_paused = true)]
async fn how_long_a_list_may_be_can_be_changed() {
    let reason = async |answer_size| {
        let world = World::limited(&Limits {
            answer_size,
            ..Limits::default()
        });
        let fake = world.engine("engine-1", "A").await;
        fake.manner("/containers/json", Manner::Endless);
        world.engines.add(&fake.address);
        world.pass(45).await;
        world.error(&fake)
    };
    for (size, text) in [
        (1 << 20, "longer than the 1048576 bytes"),
        (2 << 20, "longer than the 2097152 bytes"),
    ] {
        let error = reason(size).await;
        assert!(error.contains(text), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn how_many_engines_are_taken_in_together_can_be_changed() {
    let asked = async |engine_starts| {
        let world = World::limited(&Limits {
            engine_starts,
            ..Limits::default()
        });
        let mut fakes = Vec::new();
        for number in 0..3 {
            let fake = world.engine(&format!("engine-{number}"), "A").await;
            fake.manner("/_ping", Manner::Hang);
            world.engines.add(&fake.address);
            fakes.push(fake);
        }
        world.pass(1).await;
        fakes.iter().filter(|fake| !fake.asked().is_empty()).count()
    };
    assert_eq!(asked(3).await, 3);
    assert_eq!(asked(1).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_hostile_engine_is_shown_with_the_reason_and_taken_in_when_it_behaves() {
    for (path, manner, reason) in [
        ("/_ping", Manner::Hang, "ping: no answer within 5s"),
        (
            "/info",
            Manner::Say("not json"),
            "/info of engine engine-1:2375 cannot be read",
        ),
        ("/info", Manner::Say("{}"), "cannot get resources"),
        ("/version", Manner::Hang, "no answer within 10s"),
        (
            "/containers/json",
            Manner::Say(r#"{"message":1}"#),
            "list containers: invalid type",
        ),
        (
            "/containers/json",
            Manner::Say(r#"[{"Id":7}]"#),
            "list containers: invalid type",
        ),
        (
            "/containers/json",
            Manner::Status(301),
            "answered 301: not well",
        ),
        (
            "/containers/json",
            Manner::Status(500),
            "answered 500: not well",
        ),
        (
            "/containers/json",
            Manner::Endless,
            "longer than the 67108864 bytes",
        ),
        ("/events", Manner::Status(500), "GET /events: answered 500"),
        ("/events", Manner::Hang, "GET /events: timed out after 10s"),
    ] {
        let world = World::new();
        let fake = world.engine("engine-1", "A").await;
        fake.manner(path, manner.clone());
        world.engines.add(&fake.address);
        world.pass(45).await;
        assert_eq!(
            world.state(&fake),
            EngineState::Pending,
            "{path} {manner:?}"
        );
        let error = world.error(&fake);
        assert!(error.contains(reason), "{path} {manner:?}: {error}");
        fake.behave();
        world.pass(61).await;
        assert_eq!(
            world.state(&fake),
            EngineState::Healthy,
            "{path} {manner:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_container_that_cannot_be_read_does_not_hide_the_others() {
    for manner in [
        Manner::Say("{"),
        Manner::Status(500),
        Manner::Hang,
        Manner::Endless,
    ] {
        let world = World::new();
        let fake = world.engine("engine-1", "A").await;
        fake.manner("/containers/c0/json", manner);
        world.engines.add(&fake.address);
        world.pass(11).await;
        assert_eq!(world.state(&fake), EngineState::Healthy);
        assert_eq!(world.containers(&fake), ["c1:running"]);
        fake.behave();
        world.pass(61).await;
        assert_eq!(world.containers(&fake).len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_on_the_event_stream_leads_to_a_new_look() {
    let (world, fake) = World::with_engine().await;
    world.pass(2).await;
    let long = format!("{{\"x\":\"{}\"}}\n", "y".repeat(EVENT_BYTES + 5));
    for garbage in ["no event\n", "{}\n", "\u{0}\n", long.as_str()] {
        fake.asked();
        fake.write(garbage).await;
        world.pass(2).await;
        let asked = fake.asked();
        assert!(asked.contains(&"/containers/json".to_owned()), "{asked:?}");
        assert!(!asked.contains(&"/events".to_owned()), "{asked:?}");
    }
    fake.set("c0", Some("exited"));
    fake.tell("die", "c0").await;
    world.pass(0).await;
    sleep(&*world.platform, Duration::from_millis(1)).await;
    assert_eq!(world.containers(&fake)[0], "c0:exited");
}

#[tokio::test(start_paused = true)]
async fn a_reinstalled_engine_is_taken_in_as_a_new_one() {
    let (world, fake) = World::with_engine().await;
    let mut subscription = world.engines.subscribe(None);
    fake.stop().await;
    world.pass(5).await;
    fake.become_another("B");
    fake.set("c0", None);
    fake.start().await;
    world.pass(61).await;
    assert_eq!(world.state(&fake), EngineState::Healthy);
    assert_eq!(world.containers(&fake), ["c1:running"]);
    assert_eq!(
        world
            .engines
            .cluster()
            .read()
            .engine(&fake.address)
            .unwrap()
            .id(),
        "B"
    );
    assert_eq!(
        drain(&world, &mut subscription).await,
        ["engine_disconnect", "engine_disconnect", "engine_connect"]
    );
}

#[tokio::test(start_paused = true)]
async fn one_daemon_under_two_addresses_is_one_engine_and_loses_nothing() {
    let (world, first) = World::with_engine().await;
    let second = world.engine("engine-2", "A").await;
    world.engines.add(&second.address);
    world.pass(120).await;
    assert_eq!(world.state(&first), EngineState::Healthy);
    assert_eq!(world.containers(&first).len(), 2);
    assert_eq!(world.state(&second), EngineState::Pending);
    assert!(
        world
            .error(&second)
            .starts_with("ID duplicated. A shared by this node engine-2")
    );
    world.engines.remove(&first.address);
    world.pass(61).await;
    assert_eq!(world.state(&second), EngineState::Healthy);
}

#[tokio::test(start_paused = true)]
async fn engines_come_and_go_with_discovery() {
    let (world, fake) = World::with_engine().await;
    let mut subscription = world.engines.subscribe(None);
    assert!(!world.engines.add(&fake.address));
    assert!(world.engines.remove(&fake.address));
    assert!(!world.engines.remove(&fake.address));
    // Back before the old one has left.
    assert!(world.engines.add(&fake.address));
    world.pass(5).await;
    assert_eq!(world.state(&fake), EngineState::Healthy);
    assert_eq!(world.containers(&fake).len(), 2);
    assert_eq!(
        drain(&world, &mut subscription).await,
        ["engine_disconnect", "engine_connect"]
    );
    world.engines.remove(&fake.address);
    world.pass(1).await;
    assert!(
        world
            .engines
            .cluster()
            .read()
            .engine(&fake.address)
            .is_none()
    );
    fake.asked();
    world.pass(600).await;
    assert!(fake.asked().is_empty());
    assert_eq!(world.engines.client().stats(&fake.address).open, 0);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_never_answered_can_be_removed() {
    let world = World::new();
    let address = HostPort::new("nowhere", 2375).unwrap();
    world.engines.add(&address);
    world.pass(30).await;
    assert!(world.engines.remove(&address));
    world.pass(1).await;
    assert!(world.engines.cluster().read().engine(&address).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_first_look_is_over_when_every_engine_was_looked_at_or_has_failed() {
    let world = World::new();
    let fake = world.engine("engine-1", "A").await;
    let nowhere = HostPort::new("nowhere", 2375).unwrap();
    world.engines.add(&fake.address);
    world.engines.add(&nowhere);
    world.pass(30).await;
    let mut look = world.engines.first_look();
    let still =
        std::future::poll_fn(|context| Poll::Ready(look.as_mut().poll(context).is_pending()));
    assert!(still.await, "discovery may list more");
    world.engines.listed();
    look.await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs_does_not_hold_up_the_first_look_for_ever() {
    let world = World::new();
    let fake = world.engine("engine-1", "A").await;
    fake.manner("/info", Manner::Hang);
    let before = world.platform.mono();
    world.engines.limit_first_look();
    world.engines.add(&fake.address);
    world.engines.listed();
    world.engines.first_look().await;
    let took = world.platform.mono().since(before);
    assert!(
        took >= Duration::from_secs(1) && took <= Duration::from_secs(11),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_waited_for_shows_in_the_view() {
    let (world, fake) = World::with_engine().await;
    fake.set("c9", Some("running"));
    world.engines.refresh_container(&fake.address, "c9").await;
    assert_eq!(world.containers(&fake).len(), 3);
    fake.set("c9", None);
    world.engines.refresh_container(&fake.address, "c9").await;
    assert_eq!(world.containers(&fake).len(), 2);
    let before = world.platform.mono();
    world.engines.refresh(&fake.address, Part::Images).await;
    fake.manner("/containers/c0/json", Manner::Hang);
    world.engines.refresh_container(&fake.address, "c0").await;
    assert!(world.platform.mono().since(before) <= Duration::from_secs(10));
    let unknown = HostPort::new("nowhere", 2375).unwrap();
    let before = world.platform.mono();
    world.engines.refresh_container(&unknown, "c0").await;
    assert_eq!(world.platform.mono(), before);
}

#[tokio::test(start_paused = true)]
async fn requests_of_clients_that_fail_lead_to_a_quick_look() {
    let (world, fake) = World::with_engine().await;
    world.pass(5).await;
    fake.asked();
    let error: SendError = SendError::Timeout {
        to: fake.address.clone(),
        after: Duration::from_secs(1),
    };
    world.engines.report(&fake.address, Err(&error));
    sleep(&*world.platform, Duration::from_millis(20)).await;
    assert!(fake.asked().contains(&"/_ping".to_owned()));
    let vetoed: SendError<NotPrimary> = SendError::Vetoed(NotPrimary);
    world.pass(5).await;
    fake.asked();
    world.engines.report(&fake.address, Err(&vetoed));
    sleep(&*world.platform, Duration::from_millis(20)).await;
    assert!(fake.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_of_a_client_that_succeeds_brings_an_engine_back_at_once() {
    let (world, fake) = World::with_engine().await;
    fake.stop().await;
    world.pass(600).await;
    assert_eq!(world.state(&fake), EngineState::Unhealthy);
    fake.start().await;
    world.engines.report::<NotPrimary>(&fake.address, Ok(()));
    world.pass(1).await;
    assert_eq!(world.state(&fake), EngineState::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_is_told_and_costs_bounded_memory() {
    let log = EventLog::default();
    let mut slow = log.subscribe(None);
    let address = HostPort::new("engine-1", 2375).unwrap();
    for number in 0..10_050 {
        log.push(
            address.clone(),
            swarm_core::engine::Event::of_manager("x", Wall(number)),
            swarm_core::time::Mono(number),
        );
    }
    assert_eq!(
        slow.next().await.unwrap_err(),
        SubscriptionError::Lagged { missed: 50 }
    );
    let mut replay = log.subscribe(Some(Wall(10_040)));
    assert_eq!(replay.next().await.unwrap().event.time, Wall(10_040));
    drop(log);
    for _ in 0..9 {
        replay.next().await.unwrap();
    }
    assert_eq!(replay.next().await.unwrap_err(), SubscriptionError::Closed);
}

proptest! {
    #[test]
    fn lines_come_out_whole_however_they_arrive(
        lines in prop::collection::vec("[a-z]{1,20}", 0..20),
        cuts in prop::collection::vec(1_usize..40, 1..40),
    ) {
        let text: String = lines.iter().map(|line| line.clone() + "\r\n").collect();
        let (mut rest, mut out, mut splitter) = (text.as_bytes(), Vec::new(), Lines::default());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at(rest.len().min(*cut));
            splitter.push(now);
            rest = later;
            while let Some(line) = splitter.next() {
                out.push(line.unwrap().trim().to_owned());
            }
        }
        prop_assert_eq!(out, lines);
    }

    #[test]
    fn splitting_never_panics_and_keeps_little(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..50)) {
        let mut splitter = Lines::default();
        for piece in pieces {
            splitter.push(&piece);
            while splitter.next().is_some() {}
        }
    }
}
