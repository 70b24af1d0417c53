//! Containers that leave an engine that failed, and those that must not.

use swarm_core::testbed::Mark;

use super::Scripts;
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

/// Three engines; containers with the policy move after 5 s.
fn moving(name: &str) -> Script {
    Scenario::named(name)
        .family("rescheduling")
        .engines(3)
        .clients(1, 0)
        .movers(3)
        .refresh(1.secs())
        .grace(5.secs())
        .recovery(40.secs())
}

/// What a move says in the log.
const MOVED: &str = "Rescheduled container";

pub(super) fn tell() -> Scripts {
    let mut scripts = moves();
    scripts.extend(stays());
    scripts
}

fn moves() -> Scripts {
    vec![
        moving("reschedule_after_engine_power_loss")
            .story("An engine's machine loses its power for 25 s: its containers run elsewhere, once each, and what comes back with it gives way.")
            .at(2.secs())
            .power_loss(engine(1))
            .lasting(25.secs())
            .expect(keeps_its_epoch())
            .expect(logs(Who::FirstPrimary, MOVED))
            .expect(reaches(Mark::RescheduledRuns))
            .expect(reaches(Mark::FormerRetired)),
        moving("reschedule_after_primary_and_engine_die_together")
            .story("H4: the primary and an engine lose their power together: the next primary moves what was on the engine, though it never heard it fail.")
            .at(2.secs())
            .power_loss(primary())
            .lasting(30.secs())
            .power_loss(engine(1))
            .lasting(25.secs())
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(logs(Who::LastPrimary, MOVED))
            .expect(reaches(Mark::RescheduledRuns)),
        moving("failovers_in_the_middle_of_moves")
            .story("H5: containers are being moved over slow links while the primary steps down again and again: each runs once in the end.")
            .at(2.secs())
            .kill(engine(1))
            .lasting(60.secs())
            .at(4.secs())
            .delay(primary(), engine(2), 700.ms())
            .lasting(40.secs())
            .delay(replica(), engine(2), 700.ms())
            .lasting(40.secs())
            .delay(primary(), engine(3), 500.ms())
            .lasting(40.secs())
            .delay(replica(), engine(3), 500.ms())
            .lasting(40.secs())
            .at(13.secs())
            .step_down(primary())
            .at(22.secs())
            .step_down(primary())
            .at(31.secs())
            .step_down(primary())
            .recovery(70.secs())
            .expect(terms(4))
            .expect(reaches(Mark::Rescheduled))
            .expect(reaches(Mark::RescheduledRuns)),
        moving("engine_returns_after_its_containers_were_moved")
            .story("An engine is cut off for 25 s and goes on: its containers are moved and live twice. When it is back the newer ones stay, the older ones are stopped and kept.")
            .at(2.secs())
            .isolate(engine(1))
            .lasting(25.secs())
            .expect(keeps_its_epoch())
            .expect(reaches(Mark::FormerRetired))
            .expect(logs(Who::FirstPrimary, "A container was moved while its engine did not answer")),
        moving("reschedule_by_the_next_primary_alone")
            .story("An engine fails, and then the primary loses the store: the next primary moves the containers, the old one nothing.")
            .at(2.secs())
            .kill(engine(1))
            .lasting(30.secs())
            .at(3.secs())
            .cut(primary(), store(1))
            .lasting(25.secs())
            .expect(terms(2))
            .expect(logs(Who::LastPrimary, MOVED))
            .expect(reaches(Mark::RescheduledRuns)),
        moving("registration_ends_with_the_machine")
            .story("An engine's machine loses its power, its agent with it: the registration ends before the grace period does, and the containers are moved all the same.")
            .agents()
            .grace(45.secs())
            .at(2.secs())
            .power_loss(engine(1))
            .lasting(75.secs())
            .recovery(70.secs())
            .expect(keeps_its_epoch())
            .expect(logs(Who::FirstPrimary, "is not listed any more and does not answer"))
            .expect(logs(Who::FirstPrimary, MOVED))
            .expect(reaches(Mark::RescheduledRuns)),
        moving("engine_lost_while_it_is_given_containers")
            .story("An engine dies while containers with the policy and others are created on it as fast as clients can.")
            .clients(1, 3)
            .pace(25.ms())
            .warm_up(1.secs())
            .recovery(25.secs())
            .at(100.ms())
            .kill(engine(1))
            .lasting(20.secs())
            .expect(keeps_its_epoch())
            .expect(reaches(Mark::Rescheduled))
            .expect(dispatches_at_least(50)),
    ]
}

fn stays() -> Scripts {
    vec![
        moving("engine_flaps_shorter_than_the_grace")
            .story("E10: an engine is away three times, each time for less than the grace period: nothing is moved.")
            .grace(10.secs())
            .at(2.secs())
            .kill(engine(1))
            .lasting(8.secs())
            .at(15.secs())
            .kill(engine(1))
            .lasting(8.secs())
            .at(28.secs())
            .kill(engine(1))
            .lasting(8.secs())
            .expect(keeps_its_epoch())
            .expect(logs(Who::FirstPrimary, "Flagging engine as unhealthy"))
            .expect(never_reaches(Mark::Rescheduled)),
        moving("registration_lost_moves_nothing")
            .story("D1: an agent cannot reach the store and its registration ends; the engine lives on: it leaves the cluster, and nothing is moved.")
            .agents()
            .at(4.secs())
            .cut(engine(1), store(1))
            .lasting(60.secs())
            .expect(keeps_its_epoch())
            .expect(logs(Who::FirstPrimary, "Removed Engine"))
            .expect(never_reaches(Mark::Rescheduled)),
        moving("most_engines_down_moves_nothing")
            .story("Two of three engines are away for 15 s: it is likelier the manager that is cut off, and nothing is moved.")
            .at(2.secs())
            .kill(engine(1))
            .lasting(15.secs())
            .kill(engine(2))
            .lasting(15.secs())
            .expect(keeps_its_epoch())
            .expect(logs(Who::FirstPrimary, "engines do not answer"))
            .expect(never_reaches(Mark::Rescheduled)),
        moving("drain_survives_failovers")
            .story("E12: an engine is drained, and then the primary loses its power and the next one steps down: the engine gets nothing new, what it has stays.")
            .clients(1, 3)
            .at(2.secs())
            .drain(engine(1))
            .at(5.secs())
            .power_loss(primary())
            .lasting(8.secs())
            .at(20.secs())
            .step_down(primary())
            .expect(terms(3))
            .expect(logs(Who::Anybody, "is drained as an operator asked"))
            .expect(never_reaches(Mark::Rescheduled))
            .expect(dispatches_at_least(50)),
    ]
}
