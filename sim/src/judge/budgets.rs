//! What a plan promises: how long failovers may take, how long nothing is promised.

use std::time::Duration;

use swarm_core::election::lease::{
    CLOCK_RATE_ERROR_PER_MILLE, beat_interval, operation_timeout, takeover_wait,
};

use crate::plan::{Family, Host, Op, Plan};

/// After a reply that got lost nobody tries again for longer than this, beyond what the lease says.
const LOST_REPLY_BACK_OFF: Duration = Duration::from_millis(2_050);

/// The bounds that follow from a plan's knobs (DESIGN section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Loss of a host, partition, frozen process: `W·(1+ρ)` + two swaps + 100 ms.
    pub host_loss: Duration,
    /// Clean stop, step-down, crash of the process: notice + swaps + 100 ms.
    pub clean: Duration,
    /// How long two managers may believe in themselves outside the model: one lease, on the slowest clock there is;
    /// what a frozen host does not notice comes on top.
    pub overlap: Duration,
}

impl Budgets {
    /// The bounds for `plan`.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let lease = Duration::from_millis(plan.knobs.lease_ms);
        let exchange = Duration::from_micros(plan.knobs.latency_max_us) * 2
            + Duration::from_millis(plan.knobs.tick_ms) * 2;
        let drift = |time: Duration| time * (1_000 + CLOCK_RATE_ERROR_PER_MILLE) / 1_000;
        Self {
            host_loss: drift(takeover_wait(lease)) + exchange * 2 + Duration::from_millis(100),
            // The guard reads and swaps, the successor hears of it and swaps.
            clean: exchange * 5 + Duration::from_millis(100),
            overlap: lease * 1_000_000 / slowest_rate(plan) + exchange + frozen(plan),
        }
    }

    /// What a failover caused by `op` may take; `None` if `op` causes none.
    #[must_use]
    pub fn for_op(&self, op: &Op) -> Option<Duration> {
        let concerns_primary = matches!(op.hosts().first(), Some(Host::Primary));
        if !concerns_primary {
            return None;
        }
        match op.family() {
            Family::Operator => Some(self.clean),
            Family::Process if matches!(op, Op::Kill { guard: true, .. }) => Some(self.clean),
            Family::Process | Family::Link => Some(self.host_loss),
            Family::Pause => matches!(op, Op::Pause { .. }).then_some(self.host_loss),
            Family::Path
            | Family::Clock
            | Family::StoreLeader
            | Family::StoreReads
            | Family::StoreWrites
            | Family::StoreData
            | Family::Engine => None,
        }
    }
}

/// How much the slowest clock of a run shows in a million of true time.
fn slowest_rate(plan: &Plan) -> u32 {
    let slow = plan.faults.iter().filter_map(|fault| {
        let Op::Rate { ppm, .. } = fault.op else {
            return None;
        };
        Some(ppm.min(0).unsigned_abs())
    });
    let slow = slow.max().unwrap_or(0).max(plan.knobs.clock_error_ppm);
    1_000_000_u32
        .saturating_sub(slow.max(CLOCK_RATE_ERROR_PER_MILLE * 1_000))
        .max(1)
}

/// How long hosts are frozen, all together.
fn frozen(plan: &Plan) -> Duration {
    let faults = plan.faults.iter();
    let frozen = faults.filter(|fault| matches!(fault.op, Op::Freeze { .. }));
    Duration::from_millis(frozen.map(|fault| fault.lasts_ms).sum())
}

/// How long claims may take to use up the replies that are still to be lost: each costs its answer's time, a back-off,
/// and as long as a holder gets to come back.
pub(super) fn lingering(plan: &Plan) -> Duration {
    let lease = Duration::from_millis(plan.knobs.lease_ms);
    let each = operation_timeout(lease) * 2 + beat_interval(lease) + LOST_REPLY_BACK_OFF;
    let lost = plan.faults.iter().map(|fault| {
        if let Op::LostReplies { count, .. } = fault.op {
            count
        } else {
            0
        }
    });
    each.saturating_mul(u32::try_from(lost.sum::<u64>()).unwrap_or(u32::MAX))
}
