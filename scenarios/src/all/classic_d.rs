//! Defects of classic Swarm's discovery, D1 to D14 of its list, as far as they can happen here.

use swarm_core::testbed::Mark;
use swarm_sim::plan::Op;

use super::Scripts;
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

pub(super) fn tell() -> Scripts {
    let defect = |name: &str| {
        Scenario::named(name)
            .family("classic: discovery")
            .clients(1, 2)
            .recovery(20.secs())
    };
    vec![
        defect("d01_registration_lost_is_no_failure")
            .story("D1: the engines' registrations vanish from the store while the engines live: they stay, and creates go on.")
            .agents()
            .at(4.secs())
            .op(Op::Wipe)
            .expect(serves_within(1, 8.secs()))
            .expect(dispatches_at_least(20)),
        defect("d02_registered_and_dead")
            .story("D2: an engine is registered by its agent and dead: requests for it end, the others are served.")
            .agents()
            .refresh(1.secs())
            .at(4.secs())
            .pause(engine(1))
            .lasting(8.secs())
            .expect(keeps_its_epoch())
            .expect(serves_within(1, 5.secs())),
        defect("d03_empty_listing")
            .story("D3: the store comes back empty, the list of engines with it: no engine is dropped at once, and managers say why.")
            .agents()
            .at(4.secs())
            .op(Op::Wipe)
            .expect(reaches(Mark::RecordVanished))
            .expect(logs(Who::Anybody, "Discovery: "))
            .expect(serves_within(1, 8.secs())),
        defect("d07_restarted_agent")
            .story("D7: an engine's host restarts within a second, its agent with it: the engine is in again.")
            .agents()
            .refresh(1.secs())
            .at(4.secs())
            .kill(engine(1))
            .lasting(1.secs())
            .expect(keeps_its_epoch())
            .expect(serves_again_within(1, 3.secs())),
        defect("d09_ttl_below_the_stores_minimum")
            .story("D9: a time to live far below what the store's sessions allow works for elections and for agents.")
            .agents()
            .lease(700.ms())
            .at(4.secs())
            .power_loss(primary())
            .lasting(5.secs())
            .expect(took_over_within_budget())
            .expect(terms(2)),
        defect("d10_single_endpoint")
            .story("D10: each server of the store dies once, one after the other: managers and the list of engines live on.")
            .stores(3)
            .at(2.secs())
            .kill(store(1))
            .lasting(4.secs())
            .at(9.secs())
            .kill(store(2))
            .lasting(4.secs())
            .at(16.secs())
            .kill(store(3))
            .lasting(4.secs())
            .expect(terms_at_least(1))
            .expect(serves_again_within(3, 3.secs())),
    ]
}
