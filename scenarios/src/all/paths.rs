//! Networks that are slow, come and go, or give a few bytes at a time.

use super::Scripts;
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

pub(super) fn tell() -> Scripts {
    let path = |name: &str| Scenario::named(name).family("network paths");
    vec![
        path("slow_link_to_the_store")
            .story("Messages between the primary and the store take 150 ms for 10 s: it renews early enough.")
            .at(1.secs())
            .delay(primary(), store(1), 150.ms())
            .lasting(10.secs())
            .expect(slowest_takes(200.ms()))
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        path("far_away_store")
            .story("The store is 200 ms away from everybody all the time, as on another continent: no change of primary, and a host loss is still over within its budget.")
            .latency(100.ms(), 200.ms())
            .lease(5.secs())
            .at(1.secs())
            .power_loss(primary())
            .lasting(8.secs())
            .expect(terms(2))
            .expect(took_over_within_budget()),
        path("flapping_link_between_managers")
            .story("The link between the primary and a replica comes and goes every 300 ms for 10 s.")
            .clients(3, 3)
            .at(1.secs())
            .flap(primary(), replica(), 300.ms())
            .lasting(10.secs())
            .expect(keeps_its_epoch())
            .expect(dispatches_at_least(30)),
        path("chopped_streams")
            .story("The primary's sockets take and give 3 bytes at a time for 10 s: everything is slower and right.")
            .clients(3, 3)
            .at(1.secs())
            .chop(primary(), 3)
            .lasting(10.secs())
            .expect(meets("chop/primary"))
            .expect(keeps_its_epoch())
            .expect(no_request_failed())
            .expect(dispatches_at_least(30)),
        path("chopped_failover")
            .story("A replica's sockets take and give a byte at a time while it takes over.")
            .at(1.secs())
            .chop(replica(), 1)
            .lasting(10.secs())
            .chop(second_replica(), 1)
            .lasting(10.secs())
            .at(3.secs())
            .step_down(primary())
            .expect(terms(2))
            .expect(took_over_within(3, 300.ms())),
        path("slow_link_to_an_engine")
            .story("Messages between the primary and an engine take 800 ms for 8 s: requests to it take longer.")
            .clients(1, 3)
            .at(1.secs())
            .delay(primary(), engine(1), 800.ms())
            .lasting(8.secs())
            .expect(slowest_takes(1_500.ms()))
            .expect(keeps_its_epoch()),
    ]
}
