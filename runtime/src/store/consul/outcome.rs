//! Which answer of Consul means what for a write (HA.md section 2.6).

use super::super::StoreError;

/// How a write that did not succeed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The version was another one.
    Conflict,
    /// Certainly not done.
    NotApplied,
    /// May have been done.
    Unknown,
}

/// What a transaction says of an operation whose version was another one.
const STALE: &str = "index is stale";

/// Texts of a 500 that a server gives before anything enters its log.
const BEFORE_THE_LOG: [&str; 8] = [
    "rpc error getting client",
    "No cluster leader",
    "timed out enqueuing operation",
    "node is not the leader",
    "leadership transfer in progress",
    "Raft leader not found in server lookup mapping",
    "No known Consul servers",
    "invalid session",
];

pub(super) fn of_failed_write(error: &StoreError, maybe_sent: bool) -> Failed {
    match error {
        StoreError::Unreachable { .. } if !maybe_sent => Failed::NotApplied,
        StoreError::Unreachable { .. } | StoreError::Garbage { .. } => Failed::Unknown,
        StoreError::Refused {
            status, message, ..
        } => of_status(*status, message),
    }
}

fn of_status(status: i32, message: &str) -> Failed {
    match status {
        409 if message.contains(STALE) => Failed::Conflict,
        // A transaction that was rolled back for another reason, such as missing rights.
        // The request itself, its size, its token or its rate was refused.
        400..=499 => Failed::NotApplied,
        500 if BEFORE_THE_LOG.iter().any(|text| message.contains(text)) => Failed::NotApplied,
        503 => Failed::NotApplied,
        _ => Failed::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_consul_answers() {
        for (status, message, expected) in [
            (500, "rpc error making call: EOF", Failed::Unknown),
            (
                500,
                "rpc error getting client: failed to get conn: dial tcp 1.2.3.4: i/o timeout",
                Failed::NotApplied,
            ),
            (500, "No cluster leader", Failed::NotApplied),
            (500, "leadership lost while committing log", Failed::Unknown),
            (
                500,
                "snapshot restored while committing log",
                Failed::Unknown,
            ),
            (500, "timed out enqueuing operation", Failed::NotApplied),
            (500, "something new", Failed::Unknown),
            (429, "RPC rate limit exceeded", Failed::NotApplied),
            (403, "Permission denied", Failed::NotApplied),
            (403, "ACL not found", Failed::NotApplied),
            (
                409,
                "failed to set key \"nodes/docker/swarm/lease\", index is stale",
                Failed::Conflict,
            ),
            (409, "Permission denied", Failed::NotApplied),
            (503, "retry later", Failed::NotApplied),
            (502, "bad gateway", Failed::Unknown),
        ] {
            assert_eq!(of_status(status, message), expected, "{status} {message}");
        }
    }

    #[test]
    fn a_request_that_never_left_was_not_applied() {
        let error = StoreError::Unreachable {
            servers: "a:1".into(),
            cause: "refused".into(),
        };
        assert_eq!(of_failed_write(&error, false), Failed::NotApplied);
        assert_eq!(of_failed_write(&error, true), Failed::Unknown);
    }
}
