//! Times as Docker writes and reads them.

use std::time::Duration;

use swarm_core::time::{Wall, nanos};

/// What Docker shows for a time that never was.
pub(super) const NEVER: &str = "0001-01-01T00:00:00Z";

/// RFC 3339 with nanoseconds, or [`NEVER`] for zero.
pub(super) fn rfc3339(at: Wall) -> String {
    if at == Wall(0) {
        NEVER.to_owned()
    } else {
        at.rfc3339_nanos()
    }
}

/// Reads `seconds` or `seconds.fraction` since 1970, the form of `since` and `until` on the wire.
pub(super) fn parse_timestamp(text: &str) -> Option<Wall> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let fraction: u64 = digits.parse().ok()?;
    Some(Wall(
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(fraction),
    ))
}

/// The time from `earlier` to `later`; zero if it is negative.
pub(super) fn between(earlier: Wall, later: Wall) -> Duration {
    Duration::from_nanos(later.0.saturating_sub(earlier.0))
}

/// A time `after` another one.
pub(super) fn later(at: Wall, after: Duration) -> Wall {
    Wall(at.0.saturating_add(nanos(after)))
}

/// A duration in the words of `docker ps`.
pub(super) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    // Docker rounds hours to the nearest and truncates everything else.
    let hours = (seconds + 1_800) / 3_600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 14 => format!("{} days", hours / 24),
        () if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn timestamps_keep_their_nanoseconds() {
        assert_eq!(parse_timestamp("12"), Some(Wall(12_000_000_000)));
        assert_eq!(parse_timestamp("12.5"), Some(Wall(12_500_000_000)));
        assert_eq!(parse_timestamp("1.000000001"), Some(Wall(1_000_000_001)));
        assert_eq!(parse_timestamp("-3"), Some(Wall(0)));
        assert_eq!(parse_timestamp("yesterday"), None);
        assert_eq!(parse_timestamp("1.x"), None);
    }

    #[test]
    fn durations_read_as_in_docker_ps() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (3_599, "59 minutes"),
            (3_600, "About an hour"),
            (7_200, "2 hours"),
            (86_400 * 3, "3 days"),
            (86_400 * 30, "4 weeks"),
            (86_400 * 90, "3 months"),
            (86_400 * 800, "2 years"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), text, "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn any_timestamp_is_read_or_refused(text in "\\PC{0,24}") {
            let _ = parse_timestamp(&text);
        }

        #[test]
        fn a_printed_timestamp_reads_back(at in 0..u64::from(u32::MAX) * 1_000_000_000) {
            let wall = Wall(at);
            let text = format!("{}.{:09}", wall.seconds(), wall.subsec_nanos());
            prop_assert_eq!(parse_timestamp(&text), Some(wall));
        }
    }
}
