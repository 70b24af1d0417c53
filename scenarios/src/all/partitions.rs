//! Networks that part in every shape.

use swarm_core::testbed::Mark;
use swarm_sim::plan::Way;

use super::Scripts;
use super::lines::{LAPSED, TAKEN};
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

fn partition(name: &str) -> Script {
    Scenario::named(name).family("partitions")
}

pub(super) fn tell() -> Scripts {
    let mut scripts = of_the_store();
    scripts.extend(of_others());
    scripts.extend(in_halves());
    scripts
}

fn of_the_store() -> Scripts {
    let cut = |name: &str| {
        partition(name)
            .clock_error_ppm(19_000)
            .clients(2, 2)
            .at(2.secs())
    };
    vec![
        cut("primary_cut_off_from_the_store")
            .story("The primary does not reach the store for 8 s: it stops before a replica starts.")
            .cut(primary(), store(1))
            .lasting(8.secs())
            .expect(took_over_within_budget())
            .expect(stops_within(1, 2_060.ms()))
            .expect(terms(2))
            .expect(logs(Who::FirstPrimary, LAPSED))
            .expect(logs(Who::FirstPrimary, TAKEN))
            .expect(old_primary_is_replica()),
        cut("primary_rejected_by_the_store")
            .story("A firewall rejects what the primary sends to the store: the same, only that it knows at once.")
            .reject(primary(), store(1))
            .lasting(8.secs())
            .expect(took_over_within_budget())
            .expect(stops_within(1, 2_060.ms()))
            .expect(terms(2))
            .expect(old_primary_is_replica()),
        cut("replica_cut_off_from_the_store")
            .story("A replica does not reach the store for 8 s: when it does again it does not mistake its own deafness for the primary's silence.")
            .cut(replica(), store(1))
            .lasting(8.secs())
            .expect(meets("cut/replica"))
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        cut("primary_does_not_hear_the_store")
            .story("The primary's renewals arrive and their answers do not: replicas see a live primary that does not know it may act, until it gives up.")
            .cut_way(primary(), store(1), Way::Back)
            .lasting(8.secs())
            .expect(stops_within(1, 2_060.ms())),
        cut("store_does_not_hear_the_primary")
            .story("The primary hears the store and is not heard: as if it were cut off.")
            .cut_way(primary(), store(1), Way::Forth)
            .lasting(8.secs())
            .expect(stops_within(1, 2_060.ms()))
            .expect(terms(2))
            .expect(took_over_within(1, 2_500.ms())),
        partition("replica_that_missed_an_engine_takes_over")
            .story("The only replica does not hear the engine for 3 s, and is made primary meanwhile: clients are not told that containers do not exist that the last primary acknowledged.")
            .managers(2)
            .stores(1)
            .engines(1)
            .clients(1, 4)
            .at(1.secs())
            .cut(replica(), engine(1))
            .lasting(3.secs())
            .then_after(1_500.ms())
            .step_down(primary())
            .expect(terms(2)),
        partition("creates_arrive_after_their_repetition")
            .story("The network keeps creates that the primary sent to the engine until the next primary has repeated them: what the late creates make is removed again, and nothing that was acknowledged.")
            .stores(1)
            .engines(1)
            .clients(0, 12)
            .at(1.secs())
            .hold_requests(primary(), engine(1), "POST /containers/create", 12)
            .lasting(6.secs())
            .then_after(300.ms())
            .cut(primary(), store(1))
            .lasting(3.secs())
            .expect(reaches(Mark::DoubleRemoved))
            .expect(old_primary_is_replica()),
        networks_arrive_late(),
        partition("lease_ends_while_changes_wait_for_a_connection")
            .story("Changes that were let through wait for connections to an engine that crashed and cannot be reached; meanwhile the lease ends. When the connections stand, nothing is written on them.")
            .stores(1)
            .engines(1)
            .clients(0, 12)
            .pace(20.ms())
            .lease(1.secs())
            .fence_by_lease()
            .latency(1.ms(), 2.ms())
            .at(1.secs())
            .kill(engine(1))
            .lasting(300.ms())
            .then_after(6.ms())
            .cut(primary(), engine(1))
            .lasting(1_694.ms())
            .then_after(244.ms())
            .cut(primary(), store(1))
            .lasting(4.secs())
            .expect(reaches(Mark::DispatchStopped))
            .expect(old_primary_is_replica()),
        cut("short_cut_from_the_store")
            .story("The primary does not reach the store for a second: nothing changes.")
            .cut(primary(), store(1))
            .lasting(1.secs())
            .expect(meets("cut/primary"))
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
    ]
}

/// Three rounds, because one client in five leaves the network that it made, which refuses the late one.
fn networks_arrive_late() -> Script {
    let script = partition("networks_arrive_after_their_repetition")
        .story("The same with networks, one at a time: what the late create makes is removed again when the client has removed what its repetition made.")
        .stores(1)
        .engines(1)
        .clients(0, 0)
        .keepers(4)
        .at(1.secs());
    let rounds = (0..3).fold(script, |script, _| {
        script
            .hold_requests(primary(), engine(1), "POST /networks/create", 1)
            .lasting(6.secs())
            .then_after(300.ms())
            .cut(primary(), store(1))
            .lasting(3.secs())
            .then_after(9.secs())
    });
    rounds.expect(reaches(Mark::DoubleRemoved))
}

fn of_others() -> Scripts {
    vec![
        partition("primary_isolated")
            .story("The primary is cut off from everybody for 8 s.")
            .at(2.secs())
            .isolate(primary())
            .lasting(8.secs())
            .expect(took_over_within_budget())
            .expect(stops_within(1, 2_060.ms()))
            .expect(terms(2))
            .expect(old_primary_is_replica()),
        partition("primary_cut_off_from_a_replica")
            .story("A replica does not reach the primary for 8 s, both reach the store: the primary stays, and the replica's clients wait.")
            .clients(3, 3)
            .at(2.secs())
            .cut(primary(), replica())
            .lasting(8.secs())
            .expect(slowest_takes(4.secs()))
            .expect(keeps_its_epoch())
            .expect(serves_again_within(1, 2.secs())),
        partition("replicas_cut_off_from_each_other")
            .story("The replicas do not reach each other for 8 s: nobody notices.")
            .clients(3, 3)
            .at(2.secs())
            .cut(replica(), second_replica())
            .lasting(8.secs())
            .expect(meets("cut/replica"))
            .expect(keeps_its_epoch())
            .expect(no_request_failed()),
        partition("primary_cut_off_from_an_engine")
            .story("The primary does not reach an engine for 8 s: the engine is missed, the primary stays.")
            .clients(2, 2)
            .at(2.secs())
            .cut(primary(), engine(1))
            .lasting(8.secs())
            .expect(meets("cut/primary"))
            .expect(keeps_its_epoch())
            .expect(serves_within(1, 4.secs())),
        partition("client_cut_off")
            .story("A client does not reach its manager for 5 s: everybody else works on.")
            .clients(2, 2)
            .at(2.secs())
            .isolate(client(1))
            .lasting(5.secs())
            .expect(keeps_its_epoch())
            .expect(serves_within(1, 1.secs())),
        partition("replica_that_is_not_heard")
            .story("Nobody hears what a replica says for 6 s, and it hears everybody: nothing changes.")
            .at(2.secs())
            .isolate_way(replica(), Way::Forth)
            .lasting(6.secs())
            .expect(keeps_its_epoch()),
        partition("primary_that_is_deaf")
            .story("The primary hears nobody for 8 s and is heard by everybody.")
            .at(2.secs())
            .isolate_way(primary(), Way::Back)
            .lasting(8.secs())
            .expect(stops_within(1, 2_060.ms())),
    ]
}

fn in_halves() -> Scripts {
    vec![
        partition("halves_primary_without_the_store")
            .story("The network falls into halves for 8 s, the primary on the side without the store: the other side takes over.")
            .clients(3, 3)
            .at(2.secs())
            .split([
                vec![primary(), engine(1)],
                vec![replica(), second_replica(), store(1), engine(2)],
            ])
            .lasting(8.secs())
            .expect(took_over_within(1, 2_500.ms()))
            .expect(stops_within(1, 2_060.ms()))
            .expect(terms(2))
            .expect(old_primary_is_replica()),
        partition("halves_primary_with_the_store")
            .story("The network falls into halves for 8 s, the primary on the side of the store: nothing changes there.")
            .clients(3, 3)
            .at(2.secs())
            .split([
                vec![primary(), store(1), engine(1)],
                vec![replica(), second_replica(), engine(2)],
            ])
            .lasting(8.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms())),
        partition("store_alone")
            .story("The store is alone for 8 s: nobody may act, and the same primary goes on afterwards.")
            .clients(3, 1)
            .at(2.secs())
            .isolate(store(1))
            .lasting(8.secs())
            .expect(keeps_its_epoch())
            .expect(stops_within(1, 2_060.ms()))
            .expect(nobody_acts_for(5.secs()))
            .expect(acts_within(1, 3.secs()))
            .expect(reaches(Mark::LapsedAndResumed)),
        partition("majority_of_the_store_with_the_replicas")
            .story("The network falls apart: two servers of the store with the replicas, one with the primary.")
            .stores(3)
            .at(2.secs())
            .split([
                vec![primary(), store(1)],
                vec![replica(), second_replica(), store(2), store(3)],
            ])
            .lasting(10.secs())
            .expect(stops_within(1, 2_060.ms())),
    ]
}
