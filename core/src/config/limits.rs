//! What a manager allows its clients, its engines and other managers: the flags under "Limits".
//!
//! Here are the limits that a large or slow cluster may need to move. Those that only keep out what nobody sends by intent
//! are constants where they are kept.

use std::fmt::Display;
use std::time::Duration;

use super::error::ConfigError;
use super::{defaults, duration, integer};
use crate::duration::GoDuration;
use crate::size::ByteSize;

/// The flags as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLimits {
    /// `--max-connections`.
    pub connections: String,
    /// `--max-client-connections`.
    pub client_connections: String,
    /// `--max-handshakes`.
    pub handshakes: String,
    /// `--max-head-size`.
    pub head_size: String,
    /// `--max-body-size`.
    pub body_size: String,
    /// `--head-timeout`.
    pub head_timeout: String,
    /// `--handshake-timeout`.
    pub handshake_timeout: String,
    /// `--body-timeout`.
    pub body_timeout: String,
    /// `--idle-timeout`.
    pub idle_timeout: String,
    /// `--max-held-requests`.
    pub held_requests: String,
    /// `--max-kept-size`.
    pub kept_size: String,
    /// `--max-outgoing-connections`.
    pub outgoing_connections: String,
    /// `--connect-timeout`.
    pub connect_timeout: String,
    /// `--answer-timeout`.
    pub answer_timeout: String,
    /// `--work-timeout`.
    pub work_timeout: String,
    /// `--max-answer-size`.
    pub answer_size: String,
    /// `--max-engine-starts`.
    pub engine_starts: String,
    /// `--stop-timeout`.
    pub stop_timeout: String,
}

/// What a manager allows. The default is what it allows without flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections of clients and other managers, upgraded ones included.
    pub connections: usize,
    /// How many of them one client may have, told by its address; another manager is a client, too.
    pub client_connections: usize,
    /// TLS handshakes under way; others wait for their turn.
    pub handshakes: usize,
    /// Bytes of a request line and headers.
    pub head_size: usize,
    /// Bytes of a request body that is read to be understood, such as that of a create.
    pub body_size: usize,
    /// How long a request head may take from its first byte.
    pub head_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a request body that is read to be understood may take.
    pub body_timeout: Duration,
    /// How long a connection may stay open without a request, at least `head_timeout`.
    pub idle_timeout: Duration,
    /// Requests that wait for a primary.
    pub held_requests: usize,
    /// Bytes of request bodies that are kept to be sent again, over all requests.
    pub kept_size: usize,
    /// Open connections to each engine and to each manager, upgraded ones included.
    pub outgoing_connections: usize,
    /// How long connecting to an engine or a manager may take.
    pub connect_timeout: Duration,
    /// How long an engine may take to begin its answer to a request that only looks.
    pub answer_timeout: Duration,
    /// The same for a request that changes something and does not wait for a container.
    pub work_timeout: Duration,
    /// Bytes of an engine's answer that is read whole, such as a list.
    pub answer_size: usize,
    /// Engines that are taken in at the same time.
    pub engine_starts: usize,
    /// How long a stopping manager waits for requests that are under way.
    pub stop_timeout: Duration,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            connections: defaults::MAX_CONNECTIONS.to_owned(),
            client_connections: defaults::MAX_CLIENT_CONNECTIONS.to_owned(),
            handshakes: defaults::MAX_HANDSHAKES.to_owned(),
            head_size: defaults::MAX_HEAD_SIZE.to_owned(),
            body_size: defaults::MAX_BODY_SIZE.to_owned(),
            head_timeout: defaults::HEAD_TIMEOUT.to_owned(),
            handshake_timeout: defaults::HANDSHAKE_TIMEOUT.to_owned(),
            body_timeout: defaults::BODY_TIMEOUT.to_owned(),
            idle_timeout: defaults::IDLE_TIMEOUT.to_owned(),
            held_requests: defaults::MAX_HELD_REQUESTS.to_owned(),
            kept_size: defaults::MAX_KEPT_SIZE.to_owned(),
            outgoing_connections: defaults::MAX_OUTGOING_CONNECTIONS.to_owned(),
            connect_timeout: defaults::CONNECT_TIMEOUT.to_owned(),
            answer_timeout: defaults::ANSWER_TIMEOUT.to_owned(),
            work_timeout: defaults::WORK_TIMEOUT.to_owned(),
            answer_size: defaults::MAX_ANSWER_SIZE.to_owned(),
            engine_starts: defaults::MAX_ENGINE_STARTS.to_owned(),
            stop_timeout: defaults::STOP_TIMEOUT.to_owned(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            client_connections: 1_000,
            handshakes: 256,
            head_size: 64 << 10,
            body_size: 4 << 20,
            head_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(120),
            held_requests: 1_024,
            kept_size: 64 << 20,
            outgoing_connections: 512,
            connect_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(60),
            work_timeout: Duration::from_secs(600),
            answer_size: 64 << 20,
            engine_starts: 128,
            stop_timeout: Duration::from_secs(10),
        }
    }
}

impl RawLimits {
    /// Each within its range.
    pub(super) fn check(&self) -> Result<Limits, ConfigError> {
        let limits = Limits {
            connections: count("--max-connections", &self.connections, 1, 1_000_000)?,
            client_connections: count(
                "--max-client-connections",
                &self.client_connections,
                1,
                1_000_000,
            )?,
            handshakes: count("--max-handshakes", &self.handshakes, 1, 100_000)?,
            // The HTTP library takes no less.
            head_size: size("--max-head-size", &self.head_size, 8 * KIB, MIB)?,
            body_size: size("--max-body-size", &self.body_size, 64 * KIB, GIB)?,
            head_timeout: time("--head-timeout", &self.head_timeout, 100, HOUR)?,
            handshake_timeout: time("--handshake-timeout", &self.handshake_timeout, 100, HOUR)?,
            body_timeout: time("--body-timeout", &self.body_timeout, 100, HOUR)?,
            idle_timeout: time("--idle-timeout", &self.idle_timeout, 100, 24 * HOUR)?,
            held_requests: count("--max-held-requests", &self.held_requests, 0, 1_000_000)?,
            kept_size: size("--max-kept-size", &self.kept_size, MIB, 64 * GIB)?,
            // An engine needs some for what is asked of it at a time, besides the stream of its events.
            outgoing_connections: count(
                "--max-outgoing-connections",
                &self.outgoing_connections,
                16,
                65_536,
            )?,
            connect_timeout: time("--connect-timeout", &self.connect_timeout, 10, MINUTE)?,
            answer_timeout: time("--answer-timeout", &self.answer_timeout, 1_000, HOUR)?,
            work_timeout: time("--work-timeout", &self.work_timeout, 1_000, 24 * HOUR)?,
            answer_size: size("--max-answer-size", &self.answer_size, MIB, 4 * GIB)?,
            engine_starts: count("--max-engine-starts", &self.engine_starts, 1, 100_000)?,
            stop_timeout: time("--stop-timeout", &self.stop_timeout, 0, HOUR)?,
        };
        // Who is idle and who is slow is told from the same connection.
        if limits.idle_timeout < limits.head_timeout {
            return Err(ConfigError::IdleTimeout);
        }
        Ok(limits)
    }
}

fn count(flag: &'static str, text: &str, least: u32, most: u32) -> Result<usize, ConfigError> {
    let number = integer(text).ok_or_else(|| ConfigError::Number {
        flag,
        value: text.to_owned(),
        kind: "whole number",
    })?;
    let number = between(flag, number, i64::from(least), i64::from(most))?;
    usize::try_from(number).map_err(|_| out_of_range(flag, least, most))
}

fn size(flag: &'static str, text: &str, least: u64, most: u64) -> Result<usize, ConfigError> {
    let size: ByteSize = text
        .parse()
        .map_err(|cause| ConfigError::Size { flag, cause })?;
    let (least, most) = (ByteSize::from_bytes(least), ByteSize::from_bytes(most));
    let size = between(flag, size, least, most)?;
    usize::try_from(size.bytes()).map_err(|_| out_of_range(flag, least, most))
}

/// The bounds are milliseconds.
fn time(flag: &'static str, text: &str, least: u64, most: u64) -> Result<Duration, ConfigError> {
    let [least, most] = [least, most].map(|ms| GoDuration::from(Duration::from_millis(ms)));
    let time = between(flag, duration(flag, text)?, least, most)?;
    time.to_duration()
        .ok_or_else(|| out_of_range(flag, least, most))
}

fn between<T: PartialOrd + Display>(
    flag: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<T, ConfigError> {
    if value < least || value > most {
        return Err(out_of_range(flag, least, most));
    }
    Ok(value)
}

fn out_of_range(flag: &'static str, least: impl Display, most: impl Display) -> ConfigError {
    ConfigError::Range {
        flag,
        least: least.to_string(),
        most: most.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Field = fn(&mut RawLimits) -> &mut String;

    /// Each flag, a value too small, one too large, and one that it takes.
    const FLAGS: [(&str, Field, [&str; 3]); 18] = [
        (
            "--max-connections",
            |raw| &mut raw.connections,
            ["0", "1000001", "1"],
        ),
        (
            "--max-client-connections",
            |raw| &mut raw.client_connections,
            ["0", "1000001", "1"],
        ),
        (
            "--max-handshakes",
            |raw| &mut raw.handshakes,
            ["0", "100001", "9"],
        ),
        (
            "--max-head-size",
            |raw| &mut raw.head_size,
            ["8191", "1025k", "8k"],
        ),
        (
            "--max-body-size",
            |raw| &mut raw.body_size,
            ["65535", "1025m", "1g"],
        ),
        (
            "--head-timeout",
            |raw| &mut raw.head_timeout,
            ["99ms", "1h1s", "1s"],
        ),
        (
            "--handshake-timeout",
            |raw| &mut raw.handshake_timeout,
            ["-1s", "1h1s", "1s"],
        ),
        (
            "--body-timeout",
            |raw| &mut raw.body_timeout,
            ["99ms", "1h1s", "1s"],
        ),
        (
            "--idle-timeout",
            |raw| &mut raw.idle_timeout,
            ["99ms", "24h1s", "24h"],
        ),
        (
            "--max-held-requests",
            |raw| &mut raw.held_requests,
            ["-1", "1000001", "0"],
        ),
        (
            "--max-kept-size",
            |raw| &mut raw.kept_size,
            ["1023k", "65g", "1m"],
        ),
        (
            "--max-outgoing-connections",
            |raw| &mut raw.outgoing_connections,
            ["15", "65537", "16"],
        ),
        (
            "--connect-timeout",
            |raw| &mut raw.connect_timeout,
            ["9ms", "61s", "1m"],
        ),
        (
            "--answer-timeout",
            |raw| &mut raw.answer_timeout,
            ["999ms", "61m", "1h"],
        ),
        (
            "--work-timeout",
            |raw| &mut raw.work_timeout,
            ["0", "25h", "1s"],
        ),
        (
            "--max-answer-size",
            |raw| &mut raw.answer_size,
            ["1023k", "5g", "4g"],
        ),
        (
            "--max-engine-starts",
            |raw| &mut raw.engine_starts,
            ["0", "100001", "1"],
        ),
        (
            "--stop-timeout",
            |raw| &mut raw.stop_timeout,
            ["-1s", "61m", "0"],
        ),
    ];

    #[test]
    fn without_flags_the_defaults_hold() {
        assert_eq!(RawLimits::default().check(), Ok(Limits::default()));
    }

    #[test]
    fn each_limit_has_a_range_and_is_refused_by_name() {
        for (flag, field, [small, large, fits]) in FLAGS {
            let with = |text: &str| {
                let mut raw = RawLimits::default();
                text.clone_into(field(&mut raw));
                raw.check().map_err(|error| error.to_string())
            };
            for text in [small, large] {
                let told = with(text).unwrap_err();
                let begin = format!("{flag} should be from ");
                assert!(told.starts_with(&begin), "{flag} {text}: {told}");
            }
            let told = with("many").unwrap_err();
            assert!(told.starts_with(&format!("invalid {flag}: ")), "{told}");
            assert_ne!(with(fits), Ok(Limits::default()), "{flag}");
            assert!(with(fits).is_ok(), "{flag} {fits}");
        }
    }

    #[test]
    fn ranges_are_told_in_the_units_of_the_flag() {
        let told = |mut raw: RawLimits, field: Field, text: &str| {
            text.clone_into(field(&mut raw));
            raw.check().unwrap_err().to_string()
        };
        assert_eq!(
            told(RawLimits::default(), |raw| &mut raw.head_size, "1g"),
            "--max-head-size should be from 8KiB to 1MiB"
        );
        assert_eq!(
            told(RawLimits::default(), |raw| &mut raw.stop_timeout, "2h"),
            "--stop-timeout should be from 0s to 1h0m0s"
        );
        assert_eq!(
            told(RawLimits::default(), |raw| &mut raw.head_size, "big"),
            "invalid --max-head-size: \"big\" is not a size: write a whole number and a unit, such as 64KiB, 4MiB or 1GiB"
        );
    }

    #[test]
    fn a_head_may_not_take_longer_than_an_idle_connection_lives() {
        let raw = RawLimits {
            idle_timeout: "9s".to_owned(),
            ..RawLimits::default()
        };
        let told = raw.check().unwrap_err().to_string();
        assert_eq!(told, "--idle-timeout should be at least --head-timeout");
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC{0,12}", at in 0..FLAGS.len()) {
            let mut raw = RawLimits::default();
            text.clone_into((FLAGS[at].1)(&mut raw));
            let _ = raw.check();
        }
    }
}
