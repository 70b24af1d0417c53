//! Writes that are slow, refused, or whose outcome nobody learns.

use swarm_core::testbed::Mark;
use swarm_sim::plan::{Op, RefuseWhich};

use super::Scripts;
use super::lines::{LAPSED, LOST};
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

fn writes(name: &str) -> Script {
    Scenario::named(name)
        .family("writes to the store")
        .clients(1, 0)
}

pub(super) fn tell() -> Scripts {
    let mut scripts = lost();
    scripts.extend(slow());
    scripts
}

/// The writes of the election are the only ones: the engines stand in the store from the start.
fn lost() -> Scripts {
    vec![
        writes("reply_lost_after_renewal")
            .story("The answers to three renewals that were applied are lost, and the watch does not show them: the primary recognises its own record and goes on.")
            .at(1.secs())
            .op(Op::DeafWatches)
            .lasting(5.secs())
            .at(2.secs())
            .replies_lost(3)
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(reaches(Mark::OwnSwapRecognised))
            .expect(never_logs(Who::FirstPrimary, LOST)),
        writes("renewal_lost")
            .story("Three renewals are lost before they are applied: the next one is in time.")
            .at(2.secs())
            .writes_lost(3)
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(never_logs(Who::FirstPrimary, LOST)),
        writes("reply_lost_after_acquisition")
            .story("The primary's power fails and the answer to the successor's claim is lost though it was applied: the successor recognises its own record.")
            .at(2.secs())
            .power_loss(primary())
            .lasting(8.secs())
            .at(3.secs())
            .replies_lost(1)
            .expect(terms(2))
            .expect(took_over_within(1, 5.secs()))
            .expect(reaches(Mark::ClaimResumed)),
        writes("acquisition_lost")
            .story("The primary's power fails and the successor's claim is lost before it is applied: it claims again.")
            .at(2.secs())
            .power_loss(primary())
            .lasting(8.secs())
            .at(3.secs())
            .writes_lost(1)
            .expect(terms(2))
            .expect(took_over_within(1, 5.secs())),
        writes("reply_lost_after_release")
            .story("The primary steps down and the answer to its release is lost though it was applied: a replica takes over all the same.")
            .at(2.secs())
            .replies_lost(1)
            .step_down(primary())
            .expect(terms(2))
            .expect(took_over_within(2, 3.secs()))
            .expect(old_primary_is_replica()),
        writes("release_lost")
            .story("The primary steps down and its release is lost before it is applied: it is sent again.")
            .at(2.secs())
            .writes_lost(1)
            .step_down(primary())
            .expect(terms(2))
            .expect(took_over_within(2, 3.secs()))
            .expect(old_primary_is_replica()),
        writes("many_replies_lost")
            .story("The answers to eight writes are lost though they were applied, during which an operator tells the primary to step down.")
            .at(2.secs())
            .replies_lost(8)
            .at(3.secs())
            .step_down(primary())
            .expect(terms_at_least(2))
            .expect(epochs_increase()),
    ]
}

fn slow() -> Scripts {
    vec![
        writes("refused_writes_only")
            .story("The store refuses writes for 8 s and answers reads: changes stop when the lease has run out, and the same primary goes on.")
            .clients(1, 2)
            .at(2.secs())
            .store_refuses(RefuseWhich::Writes)
            .lasting(8.secs())
            .expect(stops_within(1, 2_060.ms()))
            .expect(nobody_acts_for(5.secs()))
            .expect(acts_within(1, 3.secs()))
            .expect(logs(Who::FirstPrimary, LAPSED)),
        writes("refused_writes_for_a_second")
            .story("The store refuses writes for a second: nothing changes.")
            .at(2.secs())
            .store_refuses(RefuseWhich::Writes)
            .lasting(1.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        writes("slow_store")
            .story("Each write takes 300 ms to be applied, as on a slow disk, for 10 s: the primary renews early enough.")
            .at(2.secs())
            .slow_writes(300.ms())
            .lasting(10.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        writes("too_slow_store")
            .story("Each write takes 3 s, longer than the lease, for 12 s: nobody may act, and nobody is wrong about it.")
            .at(2.secs())
            .slow_writes(3.secs())
            .lasting(12.secs())
            .expect(stops_within(1, 2_060.ms()))
            .expect(nobody_acts_for(1.secs()))
            .expect(acts_within(1, 4.secs())),
        writes("slow_replies")
            .story("Each write is answered 300 ms late for 10 s: the lease counts from when a renewal was sent, which is early enough.")
            .at(2.secs())
            .slow_replies(300.ms())
            .lasting(10.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        writes("too_slow_replies")
            .story("Each write is answered 3 s late for 10 s: answers come when what they grant is over, and count for nothing.")
            .at(2.secs())
            .slow_replies(3.secs())
            .lasting(10.secs())
            .expect(terms_at_least(1))
            .expect(acts_within(1, 5.secs())),
    ]
}
