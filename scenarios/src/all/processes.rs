//! Processes that die and machines that lose their power.

use super::Scripts;
use super::lines::{ACQUIRED, ELECTED};
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

pub(super) fn tell() -> Scripts {
    let process = |name: &str| Scenario::named(name).family("crashes");
    vec![
        process("primary_loses_power")
            .story("The primary's machine loses its power: a replica takes over when the lease has run out, and the machine comes back as a replica.")
            .clock_error_ppm(19_000)
            .at(2.secs())
            .power_loss(primary())
            .lasting(5.secs())
            .expect(took_over_within_budget())
            .expect(took_over_within(1, 3.secs()))
            .expect(terms(2))
            .expect(nobody_acts_for(100.ms()))
            .expect(logs(Who::LastPrimary, ACQUIRED))
            .expect(old_primary_is_replica()),
        process("process_crash")
            .story("The primary's process dies of kill -9: its guard gives the lease back, which makes it as short as a clean stop.")
            .at(2.secs())
            .kill(primary())
            .lasting(3.secs())
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(logs_within(Who::LastPrimary, ACQUIRED, 1, 150.ms()))
            .expect(old_primary_is_replica()),
        process("process_crash_with_its_guard")
            .story("The primary's process and its guard die together, as in a container that is killed: what is left is the wait.")
            .at(2.secs())
            .kill_with_guard(primary())
            .lasting(4.secs())
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(nobody_acts_for(1_500.ms()))
            .expect(old_primary_is_replica()),
        process("crash_and_quick_restart")
            .story("The primary's process and its guard die and it is back after 200 ms: it is a new manager and waits like everybody else.")
            .at(2.secs())
            .kill_with_guard(primary())
            .lasting(200.ms())
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(starts_at_least(4)),
        process("replica_crash")
            .story("A replica's process dies: nobody notices.")
            .at(2.secs())
            .kill(replica())
            .lasting(3.secs())
            .expect(meets("kill/replica"))
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(starts_at_least(4)),
        process("all_managers_restart_at_once")
            .story("All managers lose their power in the same instant and come back together: one of them acts once the old lease has run out.")
            .at(2.secs())
            .power_loss(manager(1))
            .lasting(3.secs())
            .power_loss(manager(2))
            .lasting(3.secs())
            .power_loss(manager(3))
            .lasting(3.secs())
            .expect(terms(2))
            .expect(epochs_increase())
            .expect(starts_at_least(6))
            .expect(acts_within(3, 3.secs()))
            .expect(serves_again_within(3, 6.secs())),
        process("everything_restarts_at_once")
            .story("The whole room loses its power, the store included, and comes back together.")
            .at(2.secs())
            .power_loss(manager(1))
            .lasting(3.secs())
            .power_loss(manager(2))
            .lasting(3.secs())
            .power_loss(manager(3))
            .lasting(3.secs())
            .power_loss(store(1))
            .lasting(3.secs())
            .power_loss(engine(1))
            .lasting(3.secs())
            .power_loss(engine(2))
            .lasting(3.secs())
            .expect(terms(2))
            .expect(epochs_increase())
            .expect(starts_at_least(6))
            .expect(acts_within(4, 5.secs())),
        process("successor_dies_too")
            .story("The primary loses its power, and the moment another one acts that one loses its power too: the last one takes over.")
            .at(2.secs())
            .power_loss(primary())
            .lasting(10.secs())
            .at(4_400.ms())
            .power_loss(primary())
            .lasting(10.secs())
            .expect(took_over_within_budget())
            .expect(terms(3))
            .expect(epochs_increase())
            .expect(logs(Who::LastPrimary, ELECTED)),
    ]
}
