//! What broke in classic Swarm's high availability, row by row of the table of its defects: each happens here, and does
//! no harm. `README.md` says which rows are elsewhere.

use swarm_core::testbed::Mark;
use swarm_sim::plan::{Op, RefuseWhich};

use super::Scripts;
use super::lines::{ACQUIRED, ELECTED, LOST, TROUBLE};
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

fn issue(name: &str) -> Script {
    Scenario::named(name).family("classic: high availability")
}

pub(super) fn tell() -> Scripts {
    let mut scripts = leases();
    scripts.extend(stores());
    scripts.extend(proxies());
    scripts.extend(clusters());
    scripts
}

fn leases() -> Scripts {
    vec![
        issue("ha6_01_clean_stop_was_a_crash")
            .story("Classic ran no handler on SIGTERM and its replicas waited 23 s; here the next one acts at once, also when five managers stop in turn.")
            .managers(5)
            .at(1.secs())
            .terminate(primary())
            .lasting(12.secs())
            .at(3.secs())
            .terminate(primary())
            .lasting(12.secs())
            .at(5.secs())
            .terminate(primary())
            .lasting(12.secs())
            .expect(took_over_within_budget())
            .expect(terms(4))
            .expect(never_without_primary_for(150.ms())),
        issue("ha6_02_two_primaries_for_312_seconds")
            .story("Classic, cut off from its store, went on as primary for 312 s; here it has stopped before another one starts, and stays stopped.")
            .clients(2, 2)
            .at(2.secs())
            .cut(primary(), store(1))
            .lasting(60.secs())
            .expect(took_over_within_budget())
            .expect(stops_within(1, 2_060.ms()))
            .expect(terms(2))
            .expect(old_primary_is_replica()),
        issue("ha6_03_hung_store_was_not_noticed")
            .story("Classic went on as primary while its store hung for 45 s; here changes wait, and the same primary goes on afterwards.")
            .clients(2, 2)
            .at(2.secs())
            .pause(store(1))
            .lasting(45.secs())
            .expect(keeps_its_epoch())
            .expect(stops_within(1, 2_060.ms()))
            .expect(nobody_acts_for(42.secs()))
            .expect(acts_within(1, 4.secs())),
        issue("ha6_04_lock_that_is_never_lost")
            .story("With ZooKeeper classic never heard that its lock was lost (CS#2654); here a primary that slept learns it from its own next renewal.")
            .at(2.secs())
            .pause(primary())
            .lasting(5.secs())
            .expect(took_over_within_budget())
            .expect(reaches(Mark::TakenOver))
            .expect(logs(Who::FirstPrimary, LOST))
            .expect(old_primary_is_replica()),
        issue("ha6_05_short_ttl_never_elects")
            .story("Classic with a time to live below 20 s elected nobody (CS#2153); here half a second is enough.")
            .lease(500.ms())
            .faults_for(20.secs())
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(no_request_failed()),
        issue("ha6_06_forty_seconds_of_failover")
            .story("A host loss cost classic 40 s (CS#1227); here it costs less than 3 s with the lease that is the default.")
            .clients(2, 2)
            .at(2.secs())
            .power_loss(primary())
            .lasting(40.secs())
            .expect(took_over_within(1, 3.secs()))
            .expect(serves_within(1, 6.secs()))
            .expect(terms(2)),
    ]
}

fn stores() -> Scripts {
    let bursts = (0..10).fold(
        issue("cs2138_flapping_after_store_errors")
            .story("Each error of the store made classic lose and win its leadership again (CS#2138); here ten bursts of errors change nothing."),
        |script, n| {
            script
                .at((1_000 + 2_000 * n).ms())
                .store_refuses(RefuseWhich::All)
                .lasting(600.ms())
        },
    );
    vec![
        issue("ha6_07_nobody_leads_after_a_store_failure")
            .story("After a failure of the store nobody led in classic until it was restarted (CS#1782); here the same primary goes on by itself.")
            .at(2.secs())
            .kill(store(1))
            .lasting(30.secs())
            .expect(keeps_its_epoch())
            .expect(acts_within(1, 3.secs()))
            .expect(reaches(Mark::LapsedAndResumed))
            .expect(serves_again_within(1, 5.secs())),
        bursts
            .expect(keeps_its_epoch())
            .expect(never_without_primary_for(0.ms()))
            .expect(logs_times(Who::Anybody, ACQUIRED, 1))
            .expect(never_logs(Who::FirstPrimary, LOST)),
        issue("ha6_10_dead_primary_is_remembered")
            .story("A replica of classic kept the address of a dead primary when the key was gone; here it says that the record vanished and goes to the next primary.")
            .at(2.secs())
            .power_loss(primary())
            .lasting(12.secs())
            .op(Op::DeleteRecord)
            .expect(terms(2))
            .expect(logs(Who::Anybody, TROUBLE))
            .expect(reaches(Mark::RecordVanished))
            .expect(serves_within(1, 8.secs()))
            .expect(old_primary_is_replica()),
        issue("ha6_20_idle_for_half_an_hour")
            .story("After half an hour without work classic's session was invalid (CS#1025); here a drill after 31 idle minutes goes as ever.")
            .managers(2)
            .engines(1)
            .clients(0, 0)
            .tick(10.ms())
            .faults_for(31.mins())
            .drill(Op::Terminate { host: primary() })
            .expect(terms(2))
            .expect(took_over_within_budget()),
    ]
}

fn proxies() -> Scripts {
    let stale = (0..6).fold(
        issue("ha6_13_managers_with_stale_views")
            .story("Two managers of classic with stale views forwarded to each other without end; here a misdirected request is answered, not forwarded, while reads are stale and the primary changes six times.")
            .clients(3, 3)
            .pace(25.ms())
            .at(1.secs())
            .stale_reads(800.ms())
            .lasting(20.secs()),
        |script, n| {
            script
                .at((2_000 + 3_000 * n).ms())
                .step_down(primary())
        },
    );
    vec![
        issue("ha6_09_replica_that_names_itself")
            .story("Classic's role and primary came from two watchers that disagreed (CS#1491); here one notice says both, in the same order everywhere.")
            .at(2.secs())
            .pause(primary())
            .lasting(6.secs())
            .expect(terms(2))
            .expect(logs_times(Who::FirstPrimary, ELECTED, 2))
            .expect(logs_times(Who::LastPrimary, ELECTED, 2))
            .expect(logs_times(Who::LastPrimary, ACQUIRED, 1))
            .expect(old_primary_is_replica()),
        issue("ha6_11_requests_that_wait_for_ever")
            .story("A replica of classic without a primary held requests for ever; here they wait for two seconds and are refused.")
            .clients(3, 3)
            .primary_wait(2.secs())
            .at(2.secs())
            .isolate(store(1))
            .lasting(12.secs())
            .expect(keeps_its_epoch())
            .expect(reaches(Mark::GivenUp))
            .expect(refused_at_least(3))
            .expect(serves_again_within(1, 5.secs())),
        issue("ha6_12_connections_glued_to_the_old_primary")
            .story("Classic glued a client's connection to the first primary it was sent to; here clients that keep one connection are served by each next primary.")
            .clients(6, 3)
            .pace(25.ms())
            .at(2.secs())
            .step_down(primary())
            .at(6.secs())
            .step_down(primary())
            .expect(terms(3))
            .expect(no_request_failed())
            .expect(done_at_least(1_000)),
        stale
            .expect(terms_at_least(5))
            .expect(epochs_increase())
            .expect(reaches(Mark::Misdirected)),
        issue("ha6_14_dial_without_a_limit")
            .story("Classic dialled the primary for each request and waited without a limit; here clients of a replica that does not reach the primary are answered in time and served when it does again.")
            .clients(6, 3)
            .primary_wait(3.secs())
            .at(2.secs())
            .cut(primary(), replica())
            .lasting(6.secs())
            .cut(primary(), second_replica())
            .lasting(6.secs())
            .expect(keeps_its_epoch())
            .expect(serves_again_within(1, 2.secs())),
    ]
}

fn clusters() -> Scripts {
    vec![
        issue("ha6_16_split_brain_makes_copies")
            .story("A stale primary of classic made copies of containers and removed others (CS#1812); here both halves of a split have engines and clients, and nothing is done twice.")
            .engines(4)
            .clients(3, 3)
            .pace(25.ms())
            .at(2.secs())
            .split([
                vec![primary(), engine(1), engine(2)],
                vec![replica(), second_replica(), store(1), engine(3), engine(4)],
            ])
            .lasting(10.secs())
            .expect(terms(2))
            .expect(stops_within(1, 2_060.ms()))
            .expect(dispatches_at_least(50))
            .expect(old_primary_is_replica()),
        issue("ha6_17_engine_and_primary_die_together")
            .story("When an engine and the primary died together classic's next primary never heard of it (CS#2092); here it sees the engine fail and come back.")
            .engines(3)
            .clients(2, 3)
            .refresh(1.secs())
            .at(2.secs())
            .power_loss(primary())
            .lasting(12.secs())
            .kill(engine(1))
            .lasting(8.secs())
            .expect(took_over_within_budget())
            .expect(terms(2))
            .expect(serves_again_within(2, 3.secs())),
    ]
}
