//! Where the planted bugs of failsafe are hunted: a primary that is cut off from the store alone.

use crate::plan::{Fault, Host, How, Knobs, Op, Plan, Tier, Topology, Way};

/// In the lab: three managers, one server of the store, nothing drawn but the run's own randomness.
fn cluster(seed: u64, faults: impl IntoIterator<Item = (u64, u64, Op)>) -> Plan {
    let mut plan = Plan {
        tier: Tier::Lab,
        seed,
        topology: Topology {
            stores: 1,
            ..Topology::default()
        },
        knobs: Knobs {
            failsafe: true,
            clock_error_ppm: 19_900,
            ..Knobs::default()
        },
        faults: Fault::numbered(faults),
        ..Plan::default()
    };
    plan.phases.recovery_ms = 20_000;
    plan
}

fn cut(to: Host, way: Way) -> Op {
    Op::Cut {
        from: Host::Primary,
        to,
        way,
        how: How::Hold,
    }
}

const STORE: Host = Host::Store(1);

/// A manager that was dropped from the record sees the store; primary and members do not, or have promised.
pub(super) fn a_stranger_sees_the_store(seed: u64) -> Plan {
    let troubles = [
        (0, 45_000, cut(Host::Replica, Way::Both)),
        (14_000, 20_000, cut(STORE, Way::Both)),
    ];
    cluster(seed, troubles)
}

/// A manager comes back, and the swap that lists it is carried out without an answer.
pub(super) fn a_newcomer_is_listed_unheard(seed: u64) -> Plan {
    // Managers greet each other once a second, about a whole number of seconds after the first one acted.
    let at = 13_900 + seed % 10 * 50;
    let troubles = [
        (0, 13_500, cut(Host::Replica, Way::Both)),
        (at, 15_000, cut(STORE, Way::Back)),
    ];
    cluster(seed, troubles)
}

/// The primary meets its members again after its lease has ended, and nobody hears the store.
pub(super) fn the_members_come_back(seed: u64) -> Plan {
    let lost = Op::Isolate {
        host: Host::Primary,
        way: Way::Both,
    };
    let troubles = [(1_000, 20_000, Op::NoStoreLeader), (8_000, 3_500, lost)];
    cluster(seed, troubles)
}

/// The primary lives by promises and is cut off from those who gave them; they see the store.
pub(super) fn the_primary_is_lost_in_the_outage(seed: u64) -> Plan {
    let lost = Op::Isolate {
        host: Host::Primary,
        way: Way::Both,
    };
    let troubles = [(1_000, 20_000, cut(STORE, Way::Both)), (8_000, 6_000, lost)];
    cluster(seed, troubles)
}

/// What the primary asked arrives when its members have claimed the lease and do not know with what success.
pub(super) fn questions_arrive_late(seed: u64) -> Plan {
    let lost = Op::Isolate {
        host: Host::Primary,
        way: Way::Both,
    };
    let troubles = [
        (1_000, 20_000, cut(STORE, Way::Both)),
        (4_000, 4_500, lost),
        (4_500, 10_000, Op::SlowWrites { ms: 4_000 }),
    ];
    cluster(seed, troubles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::run;
    use crate::trace::Keep;

    #[test]
    fn without_the_bugs_nothing_is_wrong_there() {
        for ground in [
            a_stranger_sees_the_store,
            a_newcomer_is_listed_unheard,
            the_members_come_back,
            the_primary_is_lost_in_the_outage,
            questions_arrive_late,
        ] {
            for seed in 0..20 {
                let run = run(&ground(seed), Keep::Hash, None);
                assert_eq!(run.violation, None, "seed {seed}");
            }
        }
    }
}
