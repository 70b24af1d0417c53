//! What operators do on purpose: stops, step-downs, rolling restarts.

use swarm_sim::plan::Op;

use super::Scripts;
use super::lines::{ACQUIRED, LOST, STEPPING};
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

fn operator(name: &str) -> Script {
    Scenario::named(name).family("operators")
}

pub(super) fn tell() -> Scripts {
    let mut scripts = stops();
    scripts.extend(rolling());
    scripts
}

fn stops() -> Scripts {
    vec![
        operator("clean_stop")
            .story("The primary gets SIGTERM: it gives the lease back and a replica acts within a few round trips.")
            .at(1.secs())
            .terminate(primary())
            .lasting(4.secs())
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(epochs_increase())
            .expect(logs_within(Who::FirstPrimary, LOST, 1, 100.ms()))
            .expect(logs_within(Who::LastPrimary, ACQUIRED, 1, 150.ms()))
            .expect(never_without_primary_for(130.ms()))
            .expect(old_primary_is_replica()),
        operator("clean_stop_of_a_replica")
            .story("A replica gets SIGTERM: nobody notices.")
            .at(1.secs())
            .terminate(replica())
            .lasting(4.secs())
            .expect(meets("terminate/replica"))
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        operator("step_down_under_load")
            .story("An operator tells the primary to step down while six clients work: nothing fails, and it does not come back at once.")
            .clients(3, 3)
            .pace(10.ms())
            .at(1.secs())
            .op(Op::StepDown { host: primary() })
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(no_request_failed())
            .expect(dispatches_at_least(100))
            .expect(answered_within(1.secs()))
            .expect(logs_within(Who::FirstPrimary, STEPPING, 1, 50.ms()))
            .expect(old_primary_is_replica()),
        operator("step_down_with_a_dead_replica")
            .story("An operator tells the primary to step down while the replica that is first in line has no power: the other one takes over.")
            .at(1.secs())
            .power_loss(replica())
            .lasting(6.secs())
            .at(4.secs())
            .op(Op::StepDown { host: primary() })
            .expect(took_over_within(2, 250.ms()))
            .expect(terms(2)),
        operator("step_down_of_a_replica")
            .story("An operator tells a replica to step down: nothing changes.")
            .at(1.secs())
            .op(Op::StepDown { host: replica() })
            .expect(meets("step-down/replica"))
            .expect(keeps_its_epoch())
            .expect(no_request_failed())
            .expect(never_without_primary_for(0.ms())),
        operator("sigterm_during_a_store_outage")
            .story("The primary gets SIGTERM while the store is away: it cannot give the lease back, so the next primary waits until it has run out.")
            .at(1.secs())
            .kill(store(1))
            .lasting(6.secs())
            .at(2.secs())
            .terminate(primary())
            .lasting(8.secs())
            .expect(terms(2))
            .expect(nobody_acts_for(4.secs()))
            .expect(acts_within(1, 4.secs()))
            .expect(old_primary_is_replica()),
    ]
}

fn rolling() -> Scripts {
    let restart = (0..3).fold(
        operator("rolling_restart")
            .story("All three managers are restarted one after the other under load, the next one when the last one is back."),
        |script, n| {
            script
                .at((1 + 4 * u64::from(n)).secs())
                .terminate(manager(n + 1))
                .lasting(2.secs())
        },
    );
    let upgrade = operator("rolling_upgrade")
        .story("The replicas are replaced first, then the primary steps down and is replaced: one change of primary, no failure for clients at managers that run.")
        .at(1.secs())
        .terminate(replica())
        .lasting(3.secs())
        .at(5.secs())
        .terminate(second_replica())
        .lasting(3.secs())
        .at(10.secs())
        .op(Op::StepDown { host: primary() })
        .at(11.secs())
        .terminate(second_replica())
        .lasting(3.secs());
    let ten = (0..10).fold(
        operator("ten_failovers_in_a_row")
            .story("The primary steps down ten times in 30 seconds, a client asks all the time: eleven terms, nothing fails.")
            .clients(3, 1),
        |script, n| {
            script
                .at((1 + 3 * n).secs())
                .op(Op::StepDown { host: primary() })
        },
    );
    let crashes = (0..5).fold(
        operator("five_crashes_in_a_row")
            .story("The process of the primary dies five times, six seconds apart: each time its guard gives the lease back.")
            .clients(3, 1),
        |script, n| {
            script
                .at((1 + 6 * n).secs())
                .kill(primary())
                .lasting(3.secs())
        },
    );
    vec![
        restart
            .expect(terms_at_least(2))
            .expect(epochs_increase())
            .expect(starts_at_least(6))
            .expect(never_without_primary_for(150.ms()))
            .expect(dispatches_at_least(30)),
        upgrade
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(starts_at_least(6))
            .expect(never_without_primary_for(130.ms())),
        ten.expect(took_over_within_budget())
            .expect(terms(11))
            .expect(epochs_increase())
            .expect(no_request_failed())
            .expect(never_without_primary_for(200.ms())),
        crashes
            .expect(took_over_within_budget())
            .expect(terms(6))
            .expect(epochs_increase())
            .expect(starts_at_least(8)),
    ]
}
