//! Which answer of ZooKeeper means what for a write (HA.md section 8).

use swarm_core::election::SwapOutcome;

use super::super::StoreError;
use super::session::Failure;

/// How a write ended that was neither done nor refused for its version.
pub(super) fn of_failed_write(failure: &Failure) -> SwapOutcome {
    match failure {
        Failure::NotSent(_) => SwapOutcome::NotApplied,
        Failure::Lost(StoreError::Refused { status, .. }) if is_certain(*status) => {
            SwapOutcome::NotApplied
        }
        Failure::Lost(
            StoreError::Refused { .. }
            | StoreError::Unreachable { .. }
            | StoreError::Garbage { .. },
        ) => SwapOutcome::Unknown,
    }
}

/// What the leader finds wrong with a request before it proposes it: its form, its rights, the quota, the load. What is
/// said of the session or of a server's own trouble is said of requests on their way, too.
fn is_certain(code: i32) -> bool {
    matches!(
        code,
        -5 | -6 | -8 | -102 | -108 | -114 | -115 | -119 | -125 | -127
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_zookeeper_answers() {
        let refused = |status| StoreError::Refused {
            servers: "z:1".into(),
            status,
            message: "no".into(),
        };
        for (code, certainly_not) in [
            (-102, true),
            (-114, true),
            (-125, true),
            (-127, true),
            (-1, false),
            (-4, false),
            (-7, false),
            (-112, false),
            (-118, false),
            (-999, false),
        ] {
            let expected = if certainly_not {
                SwapOutcome::NotApplied
            } else {
                SwapOutcome::Unknown
            };
            let found = of_failed_write(&Failure::Lost(refused(code)));
            assert_eq!(found, expected, "{code}");
        }
    }

    #[test]
    fn a_request_that_never_left_was_not_applied() {
        let error = StoreError::Unreachable {
            servers: "z:1".into(),
            cause: "refused".into(),
        };
        let found = [Failure::NotSent(error.clone()), Failure::Lost(error)];
        assert_eq!(
            found.each_ref().map(of_failed_write),
            [SwapOutcome::NotApplied, SwapOutcome::Unknown]
        );
    }
}
