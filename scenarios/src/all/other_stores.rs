//! The same over etcd and ZooKeeper, three members each. A member of etcd answers for the leader and tells of changes in
//! streams that stay open; one of ZooKeeper answers from what it has heard of, and drops everybody with each new leader.

use swarm_core::testbed::Mark;
use swarm_sim::plan::{Op, RefuseWhich};

use super::Scripts;
use super::lines::{ACQUIRED, CONFIRMED, LAPSED, LOST, TAKEN, TROUBLE};
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

/// Begins a scenario of this name.
type Over = fn(&str) -> Script;

fn etcd(name: &str) -> Script {
    of(&format!("etcd_{name}")).family("over etcd").etcd()
}

fn zookeeper(name: &str) -> Script {
    of(&format!("zookeeper_{name}"))
        .family("over ZooKeeper")
        .zookeeper()
}

fn of(name: &str) -> Script {
    Scenario::named(name).stores(3).clients(2, 2)
}

pub(super) fn tell() -> Scripts {
    let over: [Over; 2] = [etcd, zookeeper];
    let tales = [managers, members, writes, watches, data];
    let all = over
        .into_iter()
        .flat_map(|over| tales.map(|tale| tale(over)));
    all.flatten()
        .chain(of_etcd())
        .chain(of_zookeeper())
        .collect()
}

/// Cuts the primary off from all members.
fn without_store(script: Script, lasting: std::time::Duration) -> Script {
    (1..=3).fold(script, |script, n| {
        script.cut(primary(), store(n)).lasting(lasting)
    })
}

fn managers(over: Over) -> Scripts {
    let cut = over("primary_cut_off_from_the_store")
        .story("The primary reaches no member for 8 s: it stops before a replica starts.")
        .clock_error_ppm(19_000)
        .at(2.secs());
    vec![
        over("clean_stop")
            .story("The primary gets SIGTERM: it gives the lease back and a replica acts within a few round trips.")
            .at(1.secs())
            .terminate(primary())
            .lasting(4.secs())
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(epochs_increase())
            .expect(logs_within(Who::FirstPrimary, LOST, 1, 100.ms()))
            .expect(logs_within(Who::LastPrimary, ACQUIRED, 1, 150.ms()))
            .expect(never_without_primary_for(130.ms()))
            .expect(old_primary_is_replica()),
        over("primary_killed")
            .story("The primary's process dies of kill -9: its guard gives the lease back.")
            .at(2.secs())
            .kill(primary())
            .lasting(3.secs())
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(logs_within(Who::LastPrimary, ACQUIRED, 1, 150.ms()))
            .expect(old_primary_is_replica()),
        over("primary_loses_power")
            .story("The primary's machine loses its power: a replica takes over when the lease has run out.")
            .clock_error_ppm(19_000)
            .at(2.secs())
            .power_loss(primary())
            .lasting(5.secs())
            .expect(took_over_within_budget())
            .expect(took_over_within(1, 3.secs()))
            .expect(terms(2))
            .expect(old_primary_is_replica()),
        without_store(cut, 8.secs())
            .expect(took_over_within_budget())
            .expect(stops_within(1, 2_060.ms()))
            .expect(terms(2))
            .expect(logs(Who::FirstPrimary, LAPSED))
            .expect(logs(Who::FirstPrimary, TAKEN))
            .expect(old_primary_is_replica()),
        over("creates_across_failovers")
            .story("Clients create as fast as they can while the primary steps down, is killed and loses its power: what was acknowledged exists once.")
            .clients(1, 6)
            .pace(20.ms())
            .at(2.secs())
            .step_down(primary())
            .at(5.secs())
            .kill(primary())
            .lasting(3.secs())
            .at(10.secs())
            .power_loss(primary())
            .lasting(4.secs())
            .expect(took_over_within_budget())
            .expect(terms(4))
            .expect(epochs_increase())
            .expect(dispatches_at_least(100)),
    ]
}

fn members(over: Over) -> Scripts {
    vec![
        over("leader_lost")
            .story("The leader of the members dies and another one is elected: no change of primary.")
            .at(2.secs())
            .kill(store_leader())
            .lasting(8.secs())
            .expect(keeps_its_epoch()),
        over("leader_loses_power")
            .story("The leader's machine loses its power for 60 s, and the primary loses its own meanwhile, five times: no failover waits for a stream that nobody is at the other end of.")
            .at(2.secs())
            .power_loss(store_leader())
            .lasting(60.secs())
            .at(20.secs())
            .power_loss(primary())
            .lasting(4.secs())
            .then_after(8_100.ms())
            .power_loss(primary())
            .lasting(4.secs())
            .then_after(8_200.ms())
            .power_loss(primary())
            .lasting(4.secs())
            .then_after(8_300.ms())
            .power_loss(primary())
            .lasting(4.secs())
            .then_after(8_400.ms())
            .power_loss(primary())
            .lasting(4.secs())
            .expect(terms_at_least(6))
            .expect(epochs_increase())
            .expect(took_over_within(2, 2_700.ms()))
            .expect(took_over_within(3, 2_700.ms()))
            .expect(took_over_within(4, 2_700.ms()))
            .expect(took_over_within(5, 2_700.ms()))
            .expect(took_over_within(6, 2_700.ms())),
        over("without_a_leader")
            .story("The members cannot elect a leader for 10 s: one epoch all along.")
            .at(2.secs())
            .op(Op::NoStoreLeader)
            .lasting(10.secs())
            .expect(keeps_its_epoch())
            .expect(stops_within(1, 2_060.ms()))
            .expect(acts_within(1, 3.secs()))
            .expect(reaches(Mark::LapsedAndResumed))
            .expect(logs(Who::FirstPrimary, LAPSED))
            .expect(logs(Who::FirstPrimary, CONFIRMED)),
        over("leader_handed_over")
            .story("Another member becomes the leader three times: nothing changes.")
            .at(1.secs())
            .op(Op::NewStoreLeader)
            .at(3.secs())
            .op(Op::NewStoreLeader)
            .at(5.secs())
            .op(Op::NewStoreLeader)
            .expect(keeps_its_epoch())
            .expect(no_request_failed())
            .expect(never_without_primary_for(0.ms())),
        over("member_cut_off_from_the_others")
            .story("A member does not hear the others for 12 s and has no leader: whoever is at it goes to another one.")
            .at(2.secs())
            .split([vec![store(2)], vec![store(1), store(3)]])
            .lasting(12.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        over("hangs")
            .story("The only member is stopped for 20 s: connections stay open and nothing is answered.")
            .stores(1)
            .at(2.secs())
            .pause(store(1))
            .lasting(20.secs())
            .expect(keeps_its_epoch())
            .expect(stops_within(1, 2_060.ms()))
            .expect(nobody_acts_for(17.secs()))
            .expect(acts_within(1, 3.secs())),
        over("away")
            .story("The only member is away for 20 s: changes wait, then the same primary goes on in the same epoch.")
            .stores(1)
            .at(2.secs())
            .kill(store(1))
            .lasting(20.secs())
            .expect(keeps_its_epoch())
            .expect(nobody_acts_for(17.secs()))
            .expect(acts_within(1, 3.secs()))
            .expect(serves_again_within(1, 4.secs())),
    ]
}

fn writes(over: Over) -> Scripts {
    let writes = |name: &str| over(name).clients(1, 0);
    vec![
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
        writes("refuses_writes")
            .story("The members refuse writes for 8 s and answer reads: changes stop when the lease has run out, and the same primary goes on.")
            .clients(1, 2)
            .at(2.secs())
            .store_refuses(RefuseWhich::Writes)
            .lasting(8.secs())
            .expect(stops_within(1, 2_060.ms()))
            .expect(nobody_acts_for(5.secs()))
            .expect(acts_within(1, 3.secs()))
            .expect(logs(Who::FirstPrimary, LAPSED)),
    ]
}

fn watches(over: Over) -> Scripts {
    vec![
        over("deaf_watches")
            .story("Watches do not notice changes while the primary's power fails and comes back: a takeover does not need them.")
            .at(1.secs())
            .op(Op::DeafWatches)
            .lasting(20.secs())
            .at(3.secs())
            .power_loss(primary())
            .lasting(8.secs())
            .expect(terms(2))
            .expect(took_over_within(2, 10.secs())),
        over("stuck_watches")
            .story("Watches tell nothing for 25 s while the primary's power fails: others ask anew.")
            .at(1.secs())
            .op(Op::StuckWatches)
            .lasting(25.secs())
            .at(3.secs())
            .power_loss(primary())
            .lasting(20.secs())
            .expect(terms(2))
            .expect(took_over_within(2, 15.secs())),
        over("late_watches")
            .story("Watches notice changes 1.5 s late while the primary's power fails.")
            .at(1.secs())
            .late_watches(1_500.ms())
            .lasting(15.secs())
            .at(5.secs())
            .power_loss(primary())
            .lasting(8.secs())
            .expect(terms(2))
            .expect(took_over_within(2, 6.secs())),
    ]
}

fn data(over: Over) -> Scripts {
    let data = |name: &str| over(name).recovery(20.secs());
    vec![
        data("wiped")
            .story("The members come back empty: everybody waits for a lease, then one acts in a higher epoch.")
            .at(2.secs())
            .op(Op::Wipe)
            .expect(epochs_increase())
            .expect(reaches(Mark::RecordVanished))
            .expect(logs_within(Who::Anybody, TROUBLE, 1, 2.secs())),
        data("restored")
            .story("The members come back with what they held before the last change of primary: the old record is not believed.")
            .at(4.secs())
            .step_down(primary())
            .at(8.secs())
            .rollback(6.secs())
            .expect(terms_at_least(3))
            .expect(reaches(Mark::RecordWentBack))
            .expect(logs_within(Who::Anybody, TROUBLE, 2, 2.secs())),
        data("agents_lease_ends")
            .story("An agent cannot reach any member and its lease runs out: the engine leaves the cluster, and is in again when the agent is.")
            .agents()
            .clients(2, 0)
            .at(4.secs())
            .cut(engine(1), store(1))
            .lasting(40.secs())
            .cut(engine(1), store(2))
            .lasting(40.secs())
            .cut(engine(1), store(3))
            .lasting(40.secs())
            .expect(keeps_its_epoch())
            .expect(logs(Who::FirstPrimary, "Removed Engine"))
            .expect(logs_within(Who::FirstPrimary, "Registered Engine e1", 3, 45.secs())),
        data("moved_with_agents")
            .story("The content moves to new members in which every revision is small and no lease is known: agents make new ones.")
            .agents()
            .at(4.secs())
            .op(Op::Renumber)
            .expect(terms_at_least(1))
            .expect(serves_within(1, 8.secs())),
    ]
}

fn of_etcd() -> Scripts {
    vec![
        etcd("reply_lost_after_renewal")
            .clients(1, 0)
            .story("The answers to three renewals that were applied are lost, and watches do not show them: the primary recognises its own record and goes on.")
            .at(1.secs())
            .op(Op::DeafWatches)
            .lasting(5.secs())
            .at(2.secs())
            .replies_lost(3)
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(reaches(Mark::OwnSwapRecognised))
            .expect(never_logs(Who::FirstPrimary, LOST)),
    ]
}

fn of_zookeeper() -> Scripts {
    vec![
        zookeeper("reply_lost_after_renewal")
            .story("The answers to three renewals that were applied are lost with their connections: whoever connects again reads its own record and goes on.")
            .clients(1, 0)
            .at(2.secs())
            .replies_lost(3)
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(never_logs(Who::FirstPrimary, LOST)),
        zookeeper("members_lag_behind")
            .story("All members but the leader show what was 1.5 s ago, while the primary steps down and another loses its power: nobody believes an old record, and nobody acts twice.")
            .at(1.secs())
            .op(Op::StaleReads { ms: 1_500 })
            .lasting(25.secs())
            .at(3.secs())
            .step_down(primary())
            .at(8.secs())
            .power_loss(primary())
            .lasting(6.secs())
            .expect(terms(3))
            .expect(epochs_increase()),
        zookeeper("a_member_shows_older_data_than_the_last")
            .story("One member is 1.5 s behind, and members die one after the other: who comes to another one sees older data for a while.")
            .at(1.secs())
            .op(Op::RegressingReads { ms: 1_500 })
            .lasting(20.secs())
            .at(3.secs())
            .kill(store(1))
            .lasting(3.secs())
            .at(9.secs())
            .kill(store(3))
            .lasting(3.secs())
            .expect(keeps_its_epoch()),
    ]
}
