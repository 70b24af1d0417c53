//! A store that is away, or changes its leader.

use swarm_core::testbed::Mark;
use swarm_sim::plan::{Op, RefuseWhich};

use super::Scripts;
use super::lines::{CONFIRMED, LAPSED};
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

fn outage(name: &str) -> Script {
    Scenario::named(name).family("the store is away")
}

pub(super) fn tell() -> Scripts {
    let mut scripts = whole();
    scripts.extend(leaders());
    scripts
}

fn whole() -> Scripts {
    vec![
        outage("store_outage_short")
            .story("The only server of the store is away for a second: nothing changes.")
            .at(2.secs())
            .kill(store(1))
            .lasting(1.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(never_logs(Who::Anybody, LAPSED)),
        outage("store_outage_long")
            .story("The only server of the store is away for 20 s: changes wait, then the same primary goes on in the same epoch.")
            .clients(2, 2)
            .at(2.secs())
            .kill(store(1))
            .lasting(20.secs())
            .expect(keeps_its_epoch())
            .expect(stops_within(1, 2_060.ms()))
            .expect(nobody_acts_for(17.secs()))
            .expect(acts_within(1, 3.secs()))
            .expect(reaches(Mark::LapsedAndResumed))
            .expect(logs(Who::FirstPrimary, LAPSED))
            .expect(logs(Who::FirstPrimary, CONFIRMED))
            .expect(serves_again_within(1, 4.secs())),
        outage("store_hangs")
            .story("The only server of the store is stopped for 20 s: connections stay open and nothing is answered.")
            .clients(2, 2)
            .at(2.secs())
            .pause(store(1))
            .lasting(20.secs())
            .expect(keeps_its_epoch())
            .expect(stops_within(1, 2_060.ms()))
            .expect(nobody_acts_for(17.secs()))
            .expect(acts_within(1, 3.secs())),
        outage("store_refuses_everything")
            .story("The store answers every request with an error for 10 s: as if it were away.")
            .at(2.secs())
            .store_refuses(RefuseWhich::All)
            .lasting(10.secs())
            .expect(stops_within(1, 2_060.ms()))
            .expect(acts_within(1, 3.secs())),
        outage("store_away_at_the_start_of_managers")
            .story("All managers restart while the store is away: they wait for it, and one of them acts soon after it is back.")
            .at(1.secs())
            .kill(store(1))
            .lasting(8.secs())
            .at(2.secs())
            .terminate(manager(1))
            .lasting(1.secs())
            .terminate(manager(2))
            .lasting(1.secs())
            .terminate(manager(3))
            .lasting(1.secs())
            .expect(terms(2))
            .expect(starts_at_least(6))
            .expect(acts_within(1, 5.secs())),
        outage("outages_in_a_row")
            .story("The store is away three times for 5 s, ten seconds apart: one epoch all along.")
            .at(2.secs())
            .kill(store(1))
            .lasting(5.secs())
            .at(17.secs())
            .kill(store(1))
            .lasting(5.secs())
            .at(32.secs())
            .kill(store(1))
            .lasting(5.secs())
            .expect(keeps_its_epoch())
            .expect(nobody_acts_for(2_900.ms()))
            .expect(reaches(Mark::LapsedAndResumed)),
    ]
}

fn leaders() -> Scripts {
    vec![
        outage("store_leader_lost")
            .story("The leader of three servers of the store dies and another one is elected: no change of primary.")
            .stores(3)
            .at(2.secs())
            .kill(store_leader())
            .lasting(8.secs())
            .expect(keeps_its_epoch()),
        outage("store_leader_paused")
            .story("The leader of three servers of the store is stopped for 8 s.")
            .stores(3)
            .at(2.secs())
            .pause(store_leader())
            .lasting(8.secs())
            .expect(terms_at_least(1))
            .expect(meets("pause")),
        outage("store_without_a_leader")
            .story("The store cannot elect a leader for 10 s: one epoch all along.")
            .stores(3)
            .at(2.secs())
            .op(Op::NoStoreLeader)
            .lasting(10.secs())
            .expect(keeps_its_epoch())
            .expect(stops_within(1, 2_060.ms()))
            .expect(acts_within(1, 3.secs()))
            .expect(reaches(Mark::LapsedAndResumed)),
        outage("store_leader_handed_over")
            .story("Another server of the store becomes the leader five times: nothing changes.")
            .stores(3)
            .at(1.secs())
            .op(Op::NewStoreLeader)
            .at(2.secs())
            .op(Op::NewStoreLeader)
            .at(3.secs())
            .op(Op::NewStoreLeader)
            .at(4.secs())
            .op(Op::NewStoreLeader)
            .at(5.secs())
            .op(Op::NewStoreLeader)
            .expect(keeps_its_epoch())
            .expect(no_request_failed())
            .expect(never_without_primary_for(0.ms())),
        outage("store_and_primary_lost_together")
            .story("The store's only server and the primary lose their power together, the store comes back first: a replica takes over.")
            .at(2.secs())
            .power_loss(store(1))
            .lasting(4.secs())
            .power_loss(primary())
            .lasting(15.secs())
            .expect(terms(2))
            .expect(epochs_increase())
            .expect(acts_within(1, 6.secs())),
    ]
}
