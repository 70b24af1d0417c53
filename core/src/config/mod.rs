//! Configuration: raw texts from the command line in, typed values or the first error out.
//!
//! The order of the checks and their wording are those of classic Swarm (spec/classic.md sections 1.3 to 1.5), except
//! where its section 10 calls them a defect. Nothing here reads the environment or a file.

mod certs;
mod client;
mod discovery;
mod error;
mod join;
mod limits;
mod list;
mod listen;
mod manage;
mod placement;
mod tls;

pub use certs::{Certs, RawCerts};
pub use client::{Client, Dev, Endpoint, EngineOrder, RawClient, RawDev, RawEngine};
pub use discovery::{DiscoveryConfig, RawDiscovery};
pub use error::{ConfigError, Warning};
pub use join::{Join, RawJoin};
pub use limits::{Limits, RawLimits};
pub use list::{List, RawList};
pub use listen::{LISTEN_DEFAULT, ListenError, listen_address};
pub use manage::{Engines, Manage, RawManage, Replication};
pub use placement::{Filter, Strategy};
pub use tls::{ListenerTls, ManageTls, RawClientTls, RawTls, RawTlsFiles};

use std::time::Duration;

use crate::duration::GoDuration;

/// Defaults, in the form the command line shows them.
pub mod defaults {
    /// `--heartbeat` of `manage` and `join`.
    pub const HEARTBEAT: &str = "60s";
    /// `--ttl` of `join`.
    pub const TTL: &str = "180s";
    /// `--delay` of `join`.
    pub const DELAY: &str = "0s";
    /// `--timeout` of `list`, `status`, `step-down` and `engine`.
    pub const TIMEOUT: &str = "10s";
    /// `--replication-ttl`. Classic Swarm's was 20 s, which its store locks doubled.
    pub const REPLICATION_TTL: &str = "2s";
    /// `--primary-wait`.
    pub const PRIMARY_WAIT: &str = "30s";
    /// `--fence`.
    pub const FENCE: &str = "verify";
    /// `--engine-refresh-min-interval`.
    pub const ENGINE_REFRESH_MIN: &str = "30s";
    /// `--engine-refresh-max-interval`.
    pub const ENGINE_REFRESH_MAX: &str = "60s";
    /// `--engine-failure-retry`.
    pub const ENGINE_FAILURE_RETRY: &str = "3";
    /// `--strategy`.
    pub const STRATEGY: &str = "spread";
    /// `--cluster-driver`.
    pub const CLUSTER_DRIVER: &str = "swarm";
    /// `--max-connections`.
    pub const MAX_CONNECTIONS: &str = "10000";
    /// `--max-client-connections`.
    pub const MAX_CLIENT_CONNECTIONS: &str = "1000";
    /// `--max-handshakes`.
    pub const MAX_HANDSHAKES: &str = "256";
    /// `--max-head-size`.
    pub const MAX_HEAD_SIZE: &str = "64KiB";
    /// `--max-body-size`.
    pub const MAX_BODY_SIZE: &str = "4MiB";
    /// `--head-timeout`.
    pub const HEAD_TIMEOUT: &str = "10s";
    /// `--handshake-timeout`.
    pub const HANDSHAKE_TIMEOUT: &str = "5s";
    /// `--body-timeout`.
    pub const BODY_TIMEOUT: &str = "60s";
    /// `--idle-timeout`.
    pub const IDLE_TIMEOUT: &str = "120s";
    /// `--max-held-requests`.
    pub const MAX_HELD_REQUESTS: &str = "1024";
    /// `--max-kept-size`.
    pub const MAX_KEPT_SIZE: &str = "64MiB";
    /// `--max-outgoing-connections`.
    pub const MAX_OUTGOING_CONNECTIONS: &str = "512";
    /// `--connect-timeout`.
    pub const CONNECT_TIMEOUT: &str = "2s";
    /// `--answer-timeout`.
    pub const ANSWER_TIMEOUT: &str = "60s";
    /// `--work-timeout`.
    pub const WORK_TIMEOUT: &str = "10m";
    /// `--max-answer-size`.
    pub const MAX_ANSWER_SIZE: &str = "64MiB";
    /// `--max-engine-starts`.
    pub const MAX_ENGINE_STARTS: &str = "128";
    /// `--stop-timeout`.
    pub const STOP_TIMEOUT: &str = "10s";
    /// `--managers` of `dev`.
    pub const DEV_MANAGERS: &str = "3";
    /// `--engines` of `dev`.
    pub const DEV_ENGINES: &str = "3";
    /// `--dir` of `certs`.
    pub const CERTS_DIR: &str = "certs";
    /// `--client` of `certs`.
    pub const CERTS_CLIENT: &str = "client";
}

/// Reads a duration flag.
fn duration(flag: &'static str, text: &str) -> Result<GoDuration, ConfigError> {
    text.parse()
        .map_err(|cause| ConfigError::Duration { flag, cause })
}

/// Reads a duration flag that must be more than nothing.
fn positive(
    flag: &'static str,
    text: &str,
    otherwise: ConfigError,
) -> Result<Duration, ConfigError> {
    duration(flag, text)?
        .to_duration()
        .filter(|duration| !duration.is_zero())
        .ok_or(otherwise)
}

/// Reads `--heartbeat`.
fn heartbeat(text: &str) -> Result<Duration, ConfigError> {
    duration("--heartbeat", text)?
        .to_duration()
        .filter(|heartbeat| *heartbeat >= Duration::from_secs(1))
        .ok_or(ConfigError::HeartbeatTooShort)
}

/// Reads a whole number as Go's flag package does: decimal, or with a `0x`, `0o`, `0b` or `0` prefix.
fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_have_gos_prefixes() {
        for (text, value) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("-3", Some(-3)),
            ("+3", Some(3)),
            ("0x1f", Some(31)),
            ("-0X10", Some(-16)),
            ("017", Some(15)),
            ("0o17", Some(15)),
            ("0b101", Some(5)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("--1", None),
            ("-+1", None),
            ("0x", None),
            ("08", None),
            ("1.5", None),
            ("3 ", None),
        ] {
            assert_eq!(integer(text), value, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_integer_round_trips(value: i64) {
            prop_assert_eq!(integer(&value.to_string()), Some(value));
        }

        #[test]
        fn reading_integers_never_panics(text in "[-+]{0,2}0?[xob]?\\PC{0,8}") {
            let _ = integer(&text);
        }
    }
}
