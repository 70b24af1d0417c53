//! What clients and engines notice.

use swarm_core::testbed::Mark;
use swarm_sim::plan::{Host, Op, Way};

use super::Scripts;
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

fn clients(name: &str) -> Script {
    Scenario::named(name).family("clients and engines")
}

pub(super) fn tell() -> Scripts {
    let mut scripts = streams();
    scripts.extend(engines());
    scripts
}

fn streams() -> Scripts {
    vec![
        clients("event_stream_across_failovers")
            .story("Clients follow events at every manager while containers come and go and the primary steps down three times: no gap and no duplicate.")
            .clients(0, 3)
            .streams(3)
            .at(2.secs())
            .step_down(primary())
            .at(6.secs())
            .step_down(primary())
            .at(10.secs())
            .step_down(primary())
            .expect(terms(4))
            .expect(reaches(Mark::StreamResumed))
            .expect(dispatches_at_least(50)),
        clients("event_stream_across_a_host_loss")
            .story("Clients follow events at every manager while the primary loses its power.")
            .clients(0, 3)
            .streams(3)
            .at(2.secs())
            .power_loss(primary())
            .lasting(6.secs())
            .expect(took_over_within_budget())
            .expect(reaches(Mark::StreamResumed)),
        clients("event_streams_of_an_engine_break")
            .story("An engine's event streams break off three times while containers come and go: nothing is missed.")
            .clients(1, 3)
            .streams(2)
            .at(2.secs())
            .cut_events(engine(1))
            .at(4.secs())
            .cut_events(engine(1))
            .at(6.secs())
            .cut_events(engine(2))
            .expect(keeps_its_epoch())
            .expect(no_request_failed()),
        clients("answers_are_rejected")
            .story("A firewall rejects what the primary sends to its clients for 3 s: they connect, ask and hear nothing; afterwards they are served again, on new connections.")
            .managers(1)
            .clients(2, 1)
            .at(2.secs())
            .reject_way(Host::Client(1), primary(), Way::Back)
            .lasting(3.secs())
            .reject_way(Host::Client(2), primary(), Way::Back)
            .lasting(3.secs())
            .expect(keeps_its_epoch())
            .expect(serves_again_within(1, 1.secs())),
        clients("networks_and_volumes_across_failovers")
            .story("Clients make networks and volumes at every manager, look at them and remove them while the primary steps down twice and is killed: each network is made once.")
            .clients(0, 1)
            .keepers(3)
            .pace(20.ms())
            .at(2.secs())
            .step_down(primary())
            .at(5.secs())
            .kill(primary())
            .lasting(2.secs())
            .at(9.secs())
            .step_down(primary())
            .expect(terms(4))
            .expect(dispatches_at_least(100)),
        clients("short_commands_run_once")
            .story("Sixteen clients run commands that end within seconds while the primary and its guard are killed three times: when the next one serves, what the last one started may have ended, and is not started again.")
            .stores(1)
            .engines(1)
            .clients(0, 16)
            .latency(0.ms(), 20.ms())
            .pace(20.ms())
            .at(2.secs())
            .kill_with_guard(primary())
            .lasting(3.secs())
            .at(8.secs())
            .kill_with_guard(primary())
            .lasting(3.secs())
            .at(14.secs())
            .kill_with_guard(primary())
            .lasting(3.secs())
            .expect(terms(4)),
        clients("attach_across_a_failover")
            .story("Clients are attached through every manager when the primary steps down: their tunnels end and are not left hanging.")
            .clients(0, 1)
            .attachers(3)
            .at(3.secs())
            .step_down(primary())
            .expect(took_over_within_budget())
            .expect(terms(2)),
        clients("upload_across_a_failover")
            .story("Clients upload archives through every manager when the primary loses its power: what is acknowledged is there.")
            .clients(1, 0)
            .uploaders(3)
            .at(3.secs())
            .power_loss(primary())
            .lasting(6.secs())
            .expect(took_over_within_budget())
            .expect(terms(2)),
        clients("keyed_creates_across_host_losses")
            .story("Six clients create containers as fast as they can while the primary loses its power twice: none exists twice.")
            .clients(0, 6)
            .pace(10.ms())
            .at(2.secs())
            .power_loss(primary())
            .lasting(6.secs())
            .at(12.secs())
            .power_loss(primary())
            .lasting(6.secs())
            .expect(took_over_within_budget())
            .expect(terms(3))
            .expect(dispatches_at_least(100))
            .expect(slowest_takes(1_500.ms())),
        clients("readers_at_replicas_see_nothing_of_a_clean_stop")
            .story("Clients read at the second and third manager while the first one, the primary, is stopped.")
            .clients(3, 0)
            .pace(25.ms())
            .at(2.secs())
            .step_down(primary())
            .expect(no_request_failed())
            .expect(answered_within(500.ms()))
            .expect(done_at_least(500)),
        clients("no_primary_for_longer_than_clients_wait")
            .story("The store is away for 15 s and requests are held for at most 2 s: then they are refused, which says that nothing was done.")
            .clients(2, 2)
            .primary_wait(2.secs())
            .at(2.secs())
            .kill(store(1))
            .lasting(15.secs())
            .expect(keeps_its_epoch())
            .expect(refused_at_least(1))
            .expect(reaches(Mark::GivenUp))
            .expect(serves_again_within(1, 5.secs())),
    ]
}

fn engines() -> Scripts {
    vec![
        clients("engine_crashes_under_what_is_done_once")
            .story("The engine crashes three times while it carries out kills and execs: their clients are told that the outcome is unknown, and nothing is done twice.")
            .engines(1)
            .clients(0, 12)
            .pace(20.ms())
            .latency(5.ms(), 10.ms())
            .at(1.secs())
            .kill(engine(1))
            .lasting(300.ms())
            .then_after(3.secs())
            .kill(engine(1))
            .lasting(300.ms())
            .then_after(3.secs())
            .kill(engine(1))
            .lasting(300.ms())
            .expect(keeps_its_epoch())
            .expect(told_unknown()),
        clients("engine_killed_and_back_during_create")
            .story("Engines are killed one after the other while clients create containers and come back: nothing is done twice, nothing acknowledged is lost.")
            .clients(1, 4)
            .pace(10.ms())
            .refresh(1.secs())
            .at(2.secs())
            .kill(engine(1))
            .lasting(3.secs())
            .at(7.secs())
            .kill(engine(2))
            .lasting(3.secs())
            .expect(keeps_its_epoch())
            .expect(dispatches_at_least(50))
            .expect(serves_again_within(2, 3.secs())),
        clients("engine_paused_during_create")
            .story("An engine is stopped for 6 s while clients create containers on it.")
            .clients(1, 4)
            .pace(10.ms())
            .at(2.secs())
            .pause(engine(1))
            .lasting(6.secs())
            .expect(keeps_its_epoch())
            .expect(dispatches_at_least(20)),
        clients("engine_loses_power_with_the_primary")
            .story("The primary and an engine lose their power together, as when a rack does: the other engine works on under the next primary.")
            .clients(3, 3)
            .refresh(1.secs())
            .at(2.secs())
            .power_loss(primary())
            .lasting(8.secs())
            .power_loss(engine(1))
            .lasting(8.secs())
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(serves_within(1, 8.secs())),
        clients("agents_register_engines")
            .story("Engines are registered by agents, the primary steps down: creates go on.")
            .agents()
            .clients(1, 2)
            .at(3.secs())
            .op(Op::StepDown { host: primary() })
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(dispatches_at_least(20)),
    ]
}
