//! Clocks that err.

use super::Scripts;
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

const DAY: i64 = 86_400;

pub(super) fn tell() -> Scripts {
    let clock = |name: &str| Scenario::named(name).family("clocks");
    vec![
        clock("fast_replicas_slow_primary")
            .story("The primary's clock is 2 % slow, the replicas' are 2 % fast, the worst the bound allows, and the primary is cut off from the store: it still stops first.")
            .at(1.secs())
            .clock_rate(primary(), -20_000)
            .lasting(20.secs())
            .clock_rate(replica(), 20_000)
            .lasting(20.secs())
            .clock_rate(second_replica(), 20_000)
            .lasting(20.secs())
            .at(6.secs())
            .cut(primary(), store(1))
            .lasting(8.secs())
            .expect(took_over_within_budget())
            .expect(terms(2)),
        clock("slow_replicas_fast_primary")
            .story("The other way around: the primary is 2 % fast, the replicas are 2 % slow, and its power fails: the takeover is late, within the budget.")
            .at(1.secs())
            .clock_rate(primary(), 20_000)
            .lasting(20.secs())
            .clock_rate(replica(), -20_000)
            .lasting(20.secs())
            .clock_rate(second_replica(), -20_000)
            .lasting(20.secs())
            .at(6.secs())
            .power_loss(primary())
            .lasting(8.secs())
            .expect(took_over_within_budget())
            .expect(terms(2)),
        clock("wall_clock_steps")
            .story("Calendars jump by a day, forth and back, on the primary and on a replica: nothing changes but the times in the log.")
            .at(1.secs())
            .wall_step(primary(), DAY)
            .at(3.secs())
            .wall_step(replica(), -DAY)
            .at(5.secs())
            .wall_step(primary(), -2 * DAY)
            .at(7.secs())
            .wall_step(replica(), 2 * DAY)
            .expect(keeps_its_epoch())
            .expect(no_request_failed())
            .expect(same_terms_without(&["wall-step"])),
        clock("wall_clock_steps_around_a_failover")
            .story("Calendars jump by a day around the loss of the primary's power: the roles are the same as without.")
            .at(1.secs())
            .wall_step(primary(), DAY)
            .wall_step(replica(), -DAY)
            .wall_step(second_replica(), DAY)
            .at(3.secs())
            .power_loss(primary())
            .lasting(5.secs())
            .at(4.secs())
            .wall_step(replica(), -DAY)
            .at(9.secs())
            .wall_step(primary(), -DAY)
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(same_terms_without(&["wall-step"])),
        clock("clock_jumps_forward")
            .story("The primary's monotonic clock jumps by 5 s, which no sane kernel does: it thinks its lease is over, and renews.")
            .at(2.secs())
            .clock_jump(primary(), 5.secs())
            .expect(keeps_its_epoch())
            .expect(acts_again_soon()),
        clock("replicas_clock_jumps_forward")
            .story("A replica's monotonic clock jumps by 5 s: it thinks that it has waited long enough, and a renewal that it had not seen makes its claim fail.")
            .at(2.secs())
            .clock_jump(replica(), 5.secs())
            .expect(terms_at_least(1)),
    ]
}

fn acts_again_soon() -> Expect {
    never_without_primary_for(1.secs())
}
