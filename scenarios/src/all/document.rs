//! The user's own document, "High availability in Docker Swarm", in simulated time.

use super::Scripts;
use super::lines::{ACQUIRED, ELECTED, LOST};
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

pub(super) fn tell() -> Scripts {
    let document = |name: &str| {
        Scenario::named(name)
            .family("the document")
            .clients(3, 0)
            .engines(3)
            .pace(200.ms())
    };
    // The second manager is started a second after the first, the third two seconds after the second; that is why the
    // document's logs say 38 and 36 seconds.
    let started = |name: &str| {
        document(name)
            .at(500.ms())
            .terminate(replica())
            .lasting(500.ms())
            .at(500.ms())
            .terminate(second_replica())
            .lasting(2_500.ms())
            .at(39_500.ms())
    };
    vec![
        started("document_failover")
            .story("The document: manager-1 is primary, two replicas join, manager-1 is stopped with Ctrl-C, manager-2 or manager-3 takes the lead.")
            .terminate(primary())
            .lasting(5.secs())
            .expect(terms(2))
            .expect(epochs_increase())
            .expect(took_over_within(3, 120.ms()))
            .expect(old_primary_is_replica())
            .expect(logs_times(Who::Anybody, LOST, 6))
            .expect(logs_within(Who::LastPrimary, ACQUIRED, 3, 120.ms()))
            .expect(logs_within(Who::FirstPrimary, LOST, 3, 120.ms()))
            .expect(logs_times(Who::LastPrimary, ELECTED, 3)),
        started("document_failover_by_kill")
            .story("The document again, with kill -9 instead of Ctrl-C: the guard of manager-1 gives the lease back.")
            .kill(primary())
            .lasting(5.secs())
            .expect(terms(2))
            .expect(took_over_within(3, 130.ms()))
            .expect(old_primary_is_replica())
            .expect(logs_within(Who::LastPrimary, ACQUIRED, 3, 130.ms()))
            .expect(logs_times(Who::LastPrimary, ELECTED, 3)),
        document("document_setup")
            .story("The document before the failover: one primary, two replicas, everybody knows who leads, docker works at each of them.")
            .faults_for(10.secs())
            .expect(keeps_its_epoch())
            .expect(no_request_failed())
            .expect(logs_times(Who::FirstPrimary, ACQUIRED, 1))
            .expect(logs_times(Who::Anybody, ELECTED, 3))
            .expect(never_without_primary_for(0.ms())),
    ]
}
