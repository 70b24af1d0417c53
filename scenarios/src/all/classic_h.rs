//! Defects of classic Swarm's leadership, H1 to H16 of its list. `README.md` says which are elsewhere.

use swarm_core::testbed::Mark;
use swarm_sim::plan::Op;

use super::Scripts;
use super::lines::{ELECTED, LOST, TAKEN};
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

fn defect(name: &str) -> Script {
    Scenario::named(name).family("classic: leadership")
}

pub(super) fn tell() -> Scripts {
    let mut scripts = acting();
    scripts.extend(serving());
    scripts.extend(starting());
    scripts
}

fn acting() -> Scripts {
    vec![
        defect("h01_stop_without_resigning")
            .story("H1: a planned restart costs no failed request at the managers that run.")
            .clients(3, 3)
            .at(2.secs())
            .step_down(primary())
            .then_after(500.ms())
            .terminate(second_replica())
            .lasting(3.secs())
            .expect(terms(2))
            .expect(took_over_within_budget())
            .expect(never_without_primary_for(130.ms())),
        defect("h02_lost_lock_keeps_acting")
            .story("H2: a manager that lost the lease does not go on as primary, although the last primary it knew was itself: it is isolated from the store only, and its clients go on asking.")
            .clients(3, 3)
            .pace(25.ms())
            .at(2.secs())
            .reject(primary(), store(1))
            .lasting(10.secs())
            .expect(took_over_within_budget())
            .expect(stops_within(1, 2_060.ms()))
            .expect(terms(2))
            .expect(logs(Who::FirstPrimary, LOST))
            .expect(old_primary_is_replica()),
        defect("h03_partitioned_primary_and_new_one_both_act")
            .story("H3: a primary cut off together with its clients and engines does not act beside the new one.")
            .engines(2)
            .clients(3, 3)
            .pace(25.ms())
            .at(2.secs())
            .split([
                vec![primary(), engine(1), engine(2)],
                vec![replica(), second_replica(), store(1)],
            ])
            .lasting(8.secs())
            .expect(stops_within(1, 2_060.ms()))
            .expect(terms(2))
            .expect(logs(Who::FirstPrimary, TAKEN)),
        defect("h05_work_of_an_ex_primary")
            .story("H5: an engine answers slowly when the primary steps down: what has been sent is relayed, what has not is left to the next primary.")
            .clients(1, 3)
            .pace(25.ms())
            .at(2.secs())
            .delay(primary(), engine(1), 700.ms())
            .lasting(5.secs())
            .then_after(1.secs())
            .step_down(primary())
            .expect(terms(2))
            .expect(took_over_within(2, 250.ms()))
            .expect(dispatches_at_least(20)),
        defect("h06_empty_primary_while_there_is_one")
            .story("H6: after each change every manager names the same primary; none is without one.")
            .managers(5)
            .at(2.secs())
            .step_down(primary())
            .at(6.secs())
            .kill(primary())
            .lasting(3.secs())
            .expect(terms(3))
            .expect(logs_times(Who::LastPrimary, ELECTED, 3)),
    ]
}

fn serving() -> Scripts {
    vec![
        defect("h07_no_reachable_primary")
            .story("H7: without a primary requests wait for the next one, and are then done: none fails while the primary's host is lost.")
            .clients(3, 0)
            .at(2.secs())
            .kill_with_guard(primary())
            .lasting(8.secs())
            .expect(took_over_within_budget())
            .expect(slowest_takes(1_500.ms()))
            .expect(answered_within(5.secs()))
            .expect(never_reaches(Mark::GivenUp)),
        defect("h08_tunnels_to_the_old_primary")
            .story("H8: tunnels, event streams and uploads through every manager when the primary changes three times: tunnels end, streams resume.")
            .clients(1, 1)
            .streams(2)
            .attachers(3)
            .uploaders(2)
            .at(3.secs())
            .step_down(primary())
            .at(7.secs())
            .power_loss(primary())
            .lasting(6.secs())
            .at(16.secs())
            .step_down(primary())
            .expect(terms(4))
            .expect(reaches(Mark::StreamResumed)),
        defect("h09_no_hop_counter")
            .story("H9: two replicas that learn of the next primary late do not send requests around.")
            .clients(3, 3)
            .pace(25.ms())
            .at(1.secs())
            .late_watches(2.secs())
            .lasting(12.secs())
            .at(3.secs())
            .step_down(primary())
            .at(8.secs())
            .step_down(primary())
            .expect(terms(3))
            .expect(reaches(Mark::Misdirected)),
        defect("h11_fixed_sleeps_of_ten_seconds")
            .story("H11: after an outage of the store of 5 s somebody acts within two seconds, not after a fixed sleep.")
            .at(2.secs())
            .kill(store(1))
            .lasting(5.secs())
            .expect(keeps_its_epoch())
            .expect(acts_within(1, 2_100.ms())),
    ]
}

fn starting() -> Scripts {
    vec![
        defect("h13_resigning_twice")
            .story("H13: a primary is told twice to step down and then to end: it resigns once, and nothing crashes.")
            .at(2.secs())
            .step_down(manager(1))
            .step_down(manager(2))
            .step_down(manager(3))
            .then_after(20.ms())
            .step_down(manager(1))
            .step_down(manager(2))
            .step_down(manager(3))
            .then_after(10.ms())
            .terminate(manager(1))
            .lasting(3.secs())
            .expect(terms_at_least(2))
            .expect(epochs_increase()),
        defect("h14_leadership_lost_by_those_who_never_led")
            .story("H14: \"Cluster leadership lost\" is said once by each replica, as in the document, and never again while the store fails and recovers.")
            .at(2.secs())
            .kill(store(1))
            .lasting(6.secs())
            .at(14.secs())
            .store_refuses(swarm_sim::plan::RefuseWhich::All)
            .lasting(2.secs())
            .expect(keeps_its_epoch())
            .expect(logs_times(Who::Anybody, LOST, 2)),
        defect("h16_start_up_race")
            .story("H16: a replica restarts again and again under load: at no instant does it serve as a primary that it is not.")
            .clients(3, 3)
            .pace(25.ms())
            .at(1.secs())
            .kill(replica())
            .lasting(500.ms())
            .at(3.secs())
            .kill(replica())
            .lasting(50.ms())
            .at(5.secs())
            .kill(second_replica())
            .lasting(10.ms())
            .at(7.secs())
            .op(Op::StepDown { host: primary() })
            .kill(replica())
            .lasting(100.ms())
            .expect(terms_at_least(2))
            .expect(starts_at_least(7)),
    ]
}
