//! Clusters of other sizes, and other leases.

use super::Scripts;
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

pub(super) fn tell() -> Scripts {
    let size = |name: &str| Scenario::named(name).family("sizes");
    vec![
        size("one_manager")
            .story("A single manager loses its power and comes back: it is the next primary once its own old lease has run out.")
            .managers(1)
            .clients(1, 1)
            .at(2.secs())
            .power_loss(primary())
            .lasting(3.secs())
            .expect(terms(2))
            .expect(epochs_increase())
            .expect(last_primary_is(Who::FirstPrimary))
            .expect(acts_within(1, 3.secs())),
        size("one_manager_without_its_store")
            .story("A single manager loses its store for 5 s.")
            .managers(1)
            .at(2.secs())
            .kill(store(1))
            .lasting(5.secs())
            .expect(keeps_its_epoch())
            .expect(nobody_acts_for(2_500.ms())),
        size("two_managers")
            .story("Of two managers the primary loses its power: the other one takes over; no majority of managers is needed.")
            .managers(2)
            .at(2.secs())
            .power_loss(primary())
            .lasting(6.secs())
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(old_primary_is_replica()),
        size("two_managers_apart")
            .story("Two managers do not reach each other for 10 s, both reach the store: the primary stays.")
            .managers(2)
            .at(2.secs())
            .cut(manager(1), manager(2))
            .lasting(10.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        size("seven_managers")
            .story("Of seven managers the primary loses its power, then the next one steps down: one successor each time.")
            .managers(7)
            .engines(1)
            .clients(7, 1)
            .pace(200.ms())
            .at(2.secs())
            .power_loss(primary())
            .lasting(12.secs())
            .at(8.secs())
            .step_down(primary())
            .expect(took_over_within_budget())
            .expect(terms(3))
            .expect(epochs_increase())
            .expect(old_primary_is_replica()),
        size("short_lease")
            .story("With a lease of 500 ms, the shortest allowed, a host loss is over in less than a second, and calm weather changes nothing.")
            .lease(500.ms())
            .at(5.secs())
            .power_loss(primary())
            .lasting(5.secs())
            .expect(took_over_within_budget())
            .expect(took_over_within(1, 1.secs()))
            .expect(terms(2)),
        size("long_lease")
            .story("With a lease of 10 s a clean stop is as short as ever.")
            .lease(10.secs())
            .at(2.secs())
            .terminate(primary())
            .lasting(3.secs())
            .expect(took_over_within_budget())
            .expect(terms(2)),
        size("three_store_servers")
            .story("Three servers of the store, one of them dies, the primary's power fails, the server comes back.")
            .stores(3)
            .at(1.secs())
            .kill(store(3))
            .lasting(10.secs())
            .at(3.secs())
            .power_loss(primary())
            .lasting(5.secs())
            .expect(terms(2)),
    ]
}
