//! A store that is away while the record is failsafe: the primary goes on by promises, or stops in time.

use swarm_core::testbed::Mark;
use swarm_sim::plan::Op;

use super::Scripts;
use super::lines::{LAPSED, OUTLIVED, OUTLIVES};
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

fn failsafe(name: &str) -> Script {
    Scenario::named(name).family("failsafe").failsafe()
}

pub(super) fn tell() -> Scripts {
    vec![
        failsafe("failsafe_outlives_the_store")
            .story("The only server of the store is away for a hundred seconds while clients work through all managers: nobody notices.")
            .clients(2, 4)
            .warm_up(5.secs())
            .at(2.secs())
            .kill(store(1))
            .lasting(100.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(no_request_failed())
            .expect(reaches(Mark::FailsafeBegan))
            .expect(reaches(Mark::OpenedByPromises))
            .expect(logs(Who::FirstPrimary, OUTLIVES))
            .expect(logs(Who::FirstPrimary, OUTLIVED))
            .expect(never_logs(Who::Anybody, LAPSED)),
        failsafe("failsafe_store_hangs")
            .story("The only server of the store is stopped for 30 s: connections stay open and nothing is answered.")
            .clients(2, 2)
            .warm_up(5.secs())
            .at(2.secs())
            .pause(store(1))
            .lasting(30.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(reaches(Mark::OpenedByPromises)),
        failsafe("failsafe_member_lost_in_the_outage")
            .story("The store is away for 30 s, and one member loses its power meanwhile: the primary stops in time, and goes on when the store answers.")
            .warm_up(5.secs())
            .at(2.secs())
            .kill(store(1))
            .lasting(30.secs())
            .at(10.secs())
            .power_loss(replica())
            .lasting(30.secs())
            .expect(keeps_its_epoch())
            .expect(reaches(Mark::FailsafeBegan))
            .expect(reaches(Mark::LapsedAndResumed))
            .expect(logs(Who::FirstPrimary, LAPSED))
            .expect(stops_within(2, 2_060.ms()))
            .expect(nobody_acts_for(15.secs())),
        failsafe("failsafe_primary_lost_in_the_outage")
            .story("The store is away for 20 s and the primary is killed meanwhile: nobody can act before the store is back, then a member does.")
            .warm_up(5.secs())
            .at(2.secs())
            .kill(store(1))
            .lasting(20.secs())
            .at(10.secs())
            .kill(primary())
            .lasting(30.secs())
            .expect(terms(2))
            .expect(epochs_increase())
            .expect(reaches(Mark::FailsafeBegan))
            .expect(nobody_acts_for(11.secs()))
            .expect(acts_within(1, 6.secs())),
        failsafe("failsafe_primary_alone_cut_off_from_the_store")
            .story("Only the primary is cut off from the store, for 30 s: the others see it and keep their promises.")
            .warm_up(5.secs())
            .at(2.secs())
            .cut(primary(), store(1))
            .lasting(30.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(reaches(Mark::FailsafeBegan)),
        failsafe("failsafe_stranger_sees_the_store")
            .story("A member is cut off from the primary until the record drops it; then the primary loses the store, which the dropped one sees: it leaves the lease alone.")
            .warm_up(5.secs())
            .at(0.secs())
            .cut(primary(), replica())
            .lasting(50.secs())
            .at(16.secs())
            .cut(primary(), store(1))
            .lasting(20.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(reaches(Mark::NotListed)),
        failsafe("failsafe_without_store_leader")
            .story("Three servers of the store have no leader for 30 s: they answer, and can confirm nothing.")
            .stores(3)
            .warm_up(5.secs())
            .at(2.secs())
            .op(Op::NoStoreLeader)
            .lasting(30.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(reaches(Mark::FailsafeBegan)),
    ]
}
