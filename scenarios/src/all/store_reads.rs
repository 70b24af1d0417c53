//! Reads that show the past, and watches that do not work.

use swarm_sim::plan::{Op, RefuseWhich};

use super::Scripts;
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

pub(super) fn tell() -> Scripts {
    let reads = |name: &str| Scenario::named(name).family("reads from the store");
    vec![
        reads("stale_reads")
            .story("Plain reads show the store as it was 3 s ago, and the primary loses its power meanwhile: somebody takes over later, nobody too early.")
            .at(1.secs())
            .stale_reads(3.secs())
            .lasting(15.secs())
            .at(5.secs())
            .power_loss(primary())
            .lasting(14.secs())
            .expect(terms(2))
            .expect(epochs_increase())
            .expect(took_over_within(2, 8.secs())),
        reads("stale_reads_in_calm_weather")
            .story("Plain reads show the store as it was 5 s ago, longer than a lease: nobody takes over from a primary that lives.")
            .at(1.secs())
            .stale_reads(5.secs())
            .lasting(15.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        reads("regressing_reads")
            .story("Plain reads show the present and the past of 3 s ago by turns while the primary steps down twice.")
            .at(1.secs())
            .regressing_reads(3.secs())
            .lasting(15.secs())
            .at(4.secs())
            .step_down(primary())
            .at(10.secs())
            .step_down(primary())
            .expect(terms(3))
            .expect(epochs_increase()),
        reads("slow_reads")
            .story("Each read takes a second for 10 s: changes of containers take longer, the primary stays.")
            .at(1.secs())
            .slow_reads(1.secs())
            .lasting(10.secs())
            .expect(slowest_takes(900.ms()))
            .expect(keeps_its_epoch()),
        reads("refused_reads_only")
            .story("The store refuses reads for 8 s and takes writes: the primary renews and stays.")
            .at(1.secs())
            .store_refuses(RefuseWhich::Reads)
            .lasting(8.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        reads("deaf_watches")
            .story("Blocking queries do not notice changes while the primary's power fails and comes back: a takeover does not need them.")
            .at(1.secs())
            .op(Op::DeafWatches)
            .lasting(20.secs())
            .at(3.secs())
            .power_loss(primary())
            .lasting(8.secs())
            .expect(terms(2))
            .expect(took_over_within(2, 10.secs())),
        reads("deaf_watches_and_a_clean_stop")
            .story("Blocking queries do not notice that the primary has given the lease back: others find out by themselves.")
            .at(1.secs())
            .op(Op::DeafWatches)
            .lasting(20.secs())
            .at(3.secs())
            .terminate(primary())
            .lasting(8.secs())
            .expect(terms(2))
            .expect(took_over_within(2, 8.secs())),
        reads("late_watches")
            .story("Blocking queries notice changes 1.5 s late while the primary's power fails.")
            .at(1.secs())
            .late_watches(1_500.ms())
            .lasting(15.secs())
            .at(5.secs())
            .power_loss(primary())
            .lasting(8.secs())
            .expect(terms(2))
            .expect(took_over_within(2, 6.secs())),
        reads("stuck_watches")
            .story("Blocking queries never return for 25 s while the primary's power fails: others ask anew.")
            .at(1.secs())
            .op(Op::StuckWatches)
            .lasting(25.secs())
            .at(3.secs())
            .power_loss(primary())
            .lasting(20.secs())
            .expect(terms(2))
            .expect(took_over_within(2, 15.secs())),
    ]
}
