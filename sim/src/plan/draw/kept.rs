//! Which requests the network of a random plan keeps.

use swarm_core::rng::Random;

use super::pick;
use crate::plan::{Fault, Host, Op, Plan};

/// Changes that arrive late.
const KEPT: [&str; 5] = [
    "POST /containers/create",
    "POST /containers/create",
    "POST /containers/{}/start",
    "DELETE /containers/{}",
    "POST /networks/create",
];

/// In some plans the network keeps requests of the primary. Of their own stream: plans that were drawn before there were
/// such faults keep all others.
pub(super) fn draw(plan: &Plan, random: &mut Random) -> Vec<Fault> {
    let faults = if random.chance(400) {
        random.between(1, 3)
    } else {
        0
    };
    let taken = plan.faults.iter().map(|fault| fault.id).max().unwrap_or(0);
    let ids = (taken + 1..).take(usize::try_from(faults).unwrap_or(0));
    let mut kept = |id| {
        let lasts_ms = random.between(200, 10_000);
        let to = random.between(1, u64::from(plan.topology.engines.max(1)));
        Fault {
            id,
            at_ms: random.below(plan.phases.faults_ms.saturating_sub(lasts_ms).max(1)),
            lasts_ms,
            op: Op::HoldRequests {
                from: Host::Primary,
                to: Host::Engine(u8::try_from(to).unwrap_or(1)),
                request: pick(random, &KEPT, KEPT[0]).to_owned(),
                count: u8::try_from(random.between(1, 4)).unwrap_or(1),
            },
        }
    };
    ids.map(&mut kept).collect()
}
