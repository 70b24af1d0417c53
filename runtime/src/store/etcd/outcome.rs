//! Which answer of etcd means what for a write (HA.md section 8).

use swarm_core::election::SwapOutcome;

use super::super::StoreError;

/// How a write ended that brought no answer of its own.
pub(super) fn of_failed_write(error: &StoreError, maybe_sent: bool) -> SwapOutcome {
    let certainly_not = match error {
        StoreError::Unreachable { .. } => !maybe_sent,
        StoreError::Garbage { .. } => false,
        StoreError::Refused { status, .. } => is_certain(*status),
    };
    if certainly_not {
        SwapOutcome::NotApplied
    } else {
        SwapOutcome::Unknown
    }
}

/// The gateway turns gRPC codes into statuses: what is wrong with a request, its user, its rights, its size or the
/// space left is found before anything is done. `Unavailable` (503) and `DeadlineExceeded` (504) are also said of
/// proposals that were already on their way, and `Canceled` (408) of calls that were given up.
fn is_certain(status: i32) -> bool {
    matches!(status, 400..=499) && status != 408
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_etcd_answers() {
        for (status, message, certainly_not) in [
            (400, "etcdserver: user name is empty", true),
            (401, "etcdserver: invalid auth token", true),
            (403, "etcdserver: permission denied", true),
            (429, "etcdserver: mvcc: database space exceeded", true),
            (429, "etcdserver: too many requests", true),
            (408, "context canceled", false),
            (500, "etcdserver: something new", false),
            (503, "etcdserver: leader changed", false),
            (503, "etcdserver: no leader", false),
            (504, "etcdserver: request timed out", false),
        ] {
            let error = StoreError::Refused {
                servers: "e:1".into(),
                status,
                message: message.into(),
            };
            let expected = if certainly_not {
                SwapOutcome::NotApplied
            } else {
                SwapOutcome::Unknown
            };
            assert_eq!(
                of_failed_write(&error, true),
                expected,
                "{status} {message}"
            );
        }
    }

    #[test]
    fn a_request_that_never_left_was_not_applied() {
        let error = StoreError::Unreachable {
            servers: "e:1".into(),
            cause: "refused".into(),
        };
        assert_eq!(of_failed_write(&error, false), SwapOutcome::NotApplied);
        assert_eq!(of_failed_write(&error, true), SwapOutcome::Unknown);
    }
}
