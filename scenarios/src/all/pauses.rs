//! Processes and machines that stand still.

use swarm_core::testbed::Mark;

use super::Scripts;
use super::lines::{LAPSED, LOST, TAKEN};
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

pub(super) fn tell() -> Scripts {
    let pause = |name: &str| Scenario::named(name).family("pauses");
    vec![
        pause("pause_longer_than_the_lease")
            .story("The primary is stopped for 10 s and then goes on: another one has taken over, and it notices before it does anything.")
            .clients(2, 3)
            .at(2.secs())
            .pause(primary())
            .lasting(10.secs())
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(stops_within(1, 2_050.ms()))
            .expect(logs(Who::FirstPrimary, LOST))
            .expect(logs(Who::FirstPrimary, TAKEN))
            .expect(reaches(Mark::TakenOver))
            .expect(old_primary_is_replica()),
        pause("pause_shorter_than_the_lease")
            .story("The primary is stopped for a second, half its lease: it goes on as if nothing had happened.")
            .at(2.secs())
            .pause(primary())
            .lasting(1.secs())
            .expect(meets("pause/primary"))
            .expect(slowest_takes(800.ms()))
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(never_logs(Who::Anybody, LAPSED)),
        pause("pause_of_a_replica")
            .story("A replica is stopped for 10 s, and when it goes on it does not mistake its own sleep for the primary's silence.")
            .at(2.secs())
            .pause(replica())
            .lasting(10.secs())
            .expect(meets("pause/replica"))
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        pause("pause_of_all_managers")
            .story("All managers are stopped for 5 s and go on together: the one that held the lease may go on with it, or a replica has waited long enough; never both.")
            .at(2.secs())
            .pause(manager(1))
            .lasting(5.secs())
            .pause(manager(2))
            .lasting(5.secs())
            .pause(manager(3))
            .lasting(5.secs())
            .expect(nobody_acts_for(2.secs()))
            .expect(acts_within(3, 4.secs())),
        pause("short_pauses_all_over")
            .story("The primary is stopped for 400 ms ten times: as long as it renews in between nothing changes.")
            .at(1.secs())
            .pause(primary())
            .lasting(400.ms())
            .at(2.secs())
            .pause(primary())
            .lasting(400.ms())
            .at(3.secs())
            .pause(primary())
            .lasting(400.ms())
            .at(4.secs())
            .pause(primary())
            .lasting(400.ms())
            .at(5.secs())
            .pause(primary())
            .lasting(400.ms())
            .expect(meets("pause/primary"))
            .expect(slowest_takes(300.ms()))
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        pause("frozen_virtual_machine")
            .story("The primary's virtual machine is frozen together with its clock for 10 s: for an instant two believe in themselves, and the check before each change stops those of the old one.")
            .clients(1, 3)
            .pace(10.ms())
            .at(2.secs())
            .freeze(primary())
            .lasting(10.secs())
            .expect(terms(2))
            .expect(epochs_increase())
            .expect(two_believe_for_at_most(12.secs()))
            .expect(logs(Who::FirstPrimary, LOST))
            .expect(old_primary_is_replica()),
        pause("frozen_replica")
            .story("A replica's virtual machine is frozen together with its clock: nothing changes.")
            .at(2.secs())
            .freeze(replica())
            .lasting(6.secs())
            .expect(meets("freeze/replica"))
            .expect(keeps_its_epoch()),
        pause("starved_primary")
            .story("The primary gets a turn on the processor only every 100 ms for 10 s: that is enough to renew.")
            .at(2.secs())
            .starve(primary(), 100.ms())
            .lasting(10.secs())
            .expect(meets("slow/primary"))
            .expect(slowest_takes(90.ms()))
            .expect(keeps_its_epoch())
            .expect(dispatches_at_least(10)),
    ]
}
