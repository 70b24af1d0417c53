//! A store that forgets, and records overwritten by others. No promise of a single primary is made here: for at most
//! one lease two may believe in themselves. That changes of the old epoch stop is promised, and checked.

use swarm_core::testbed::Mark;
use swarm_sim::plan::Op;

use super::Scripts;
use super::lines::TROUBLE;
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

pub(super) fn tell() -> Scripts {
    let data = |name: &str| {
        Scenario::named(name)
            .family("the store's data")
            .clients(2, 3)
            .recovery(20.secs())
    };
    vec![
        data("store_wiped")
            .story("The store comes back empty: everybody waits for a lease, then one acts in a higher epoch.")
            .at(2.secs())
            .op(Op::Wipe)
            .expect(epochs_increase())
            .expect(reaches(Mark::RecordVanished))
            .expect(logs_within(Who::Anybody, TROUBLE, 1, 2.secs())),
        data("store_rolled_back")
            .story("The store comes back as it was a minute ago, before the last change of primary: the old record is not believed.")
            .at(4.secs())
            .step_down(primary())
            .at(8.secs())
            .rollback(6.secs())
            .expect(terms_at_least(3))
            .expect(reaches(Mark::RecordWentBack))
            .expect(logs_within(Who::Anybody, TROUBLE, 2, 2.secs())),
        data("store_moved")
            .story("The store's content moves to a new one in which every version is small again.")
            .at(4.secs())
            .op(Op::Renumber)
            .expect(terms_at_least(1))
            .expect(serves_within(1, 8.secs())),
        data("record_deleted")
            .story("An operator deletes the lease record under a live primary.")
            .at(2.secs())
            .op(Op::DeleteRecord)
            .expect(epochs_increase())
            .expect(reaches(Mark::RecordVanished))
            .expect(logs_within(Who::Anybody, TROUBLE, 1, 2.secs()))
            .expect(serves_within(1, 8.secs())),
        data("record_scribbled_over")
            .story("Somebody writes something that is no record over the lease record.")
            .at(2.secs())
            .op(Op::Scribble)
            .expect(epochs_increase())
            .expect(reaches(Mark::RecordMalformed))
            .expect(logs_within(Who::Anybody, TROUBLE, 1, 2.secs()))
            .expect(serves_within(1, 8.secs())),
        data("usurper")
            .story("Somebody who is no manager writes a record of a higher epoch over the lease record and is never heard of again.")
            .at(2.secs())
            .op(Op::Usurp)
            .lasting(3.secs())
            .expect(epochs_increase())
            .expect(stops_within(1, 700.ms()))
            .expect(reaches(Mark::TakenOver))
            .expect(serves_within(1, 8.secs())),
        data("store_wiped_while_the_primary_has_no_power")
            .story("The primary's power fails and the store comes back empty in the same instant.")
            .at(2.secs())
            .power_loss(primary())
            .lasting(10.secs())
            .op(Op::Wipe)
            .expect(terms(2))
            .expect(epochs_increase())
            .expect(reaches(Mark::RecordVanished)),
    ]
}
