//! Times and sizes as Docker writes them for people.

use super::engine::NANO;
use crate::time::Wall;

const SECOND: u64 = 1_000_000_000;

/// A time span in nanoseconds as Docker words it (spec/classic.md section 4.4).
#[must_use]
pub fn duration(nanos: u64) -> String {
    let mut out = String::new();
    push_duration(&mut out, nanos);
    out
}

/// Appends what [`duration`] gives.
pub(super) fn push_duration(out: &mut String, nanos: u64) {
    let seconds = nanos / SECOND;
    let wording = Wording::of(seconds);
    // Lists say this of every container: without the machinery of formats.
    if let Some(count) = seconds.checked_div(wording.each) {
        push_number(out, count);
    }
    out.push_str(wording.words);
}

/// The next longer time span, in nanoseconds, that is worded differently.
pub(super) fn next_duration(nanos: u64) -> u64 {
    let seconds = nanos / SECOND;
    let Wording { below, each, .. } = Wording::of(seconds);
    let next = match seconds.checked_div(*each) {
        Some(count) => each.saturating_mul(count + 1).min(*below),
        None => *below,
    };
    next.saturating_mul(SECOND)
}

/// How Docker words time spans.
struct Wording {
    /// All spans shorter than so many seconds that no wording before it is for.
    below: u64,
    /// The seconds of what it counts; 0 if it gives no number.
    each: u64,
    words: &'static str,
}

impl Wording {
    fn of(seconds: u64) -> &'static Self {
        let found = WORDINGS.iter().find(|one| seconds < one.below);
        found.unwrap_or(&YEARS)
    }

    const fn new(below: u64, each: u64, words: &'static str) -> Self {
        Self { below, each, words }
    }
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const WORDINGS: [Wording; 10] = [
    Wording::new(1, 0, "Less than a second"),
    Wording::new(2, 0, "1 second"),
    Wording::new(MINUTE, 1, " seconds"),
    Wording::new(2 * MINUTE, 0, "About a minute"),
    Wording::new(HOUR, MINUTE, " minutes"),
    Wording::new(2 * HOUR, 0, "About an hour"),
    Wording::new(2 * DAY, HOUR, " hours"),
    Wording::new(14 * DAY, DAY, " days"),
    Wording::new(90 * DAY, 7 * DAY, " weeks"),
    Wording::new(730 * DAY, 30 * DAY, " months"),
];
const YEARS: Wording = Wording::new(u64::MAX, 365 * DAY, " years");

fn push_number(out: &mut String, number: u64) {
    if number > 9 {
        push_number(out, number / 10);
    }
    let digit = u32::try_from(number % 10).ok();
    out.extend(digit.and_then(|digit| char::from_digit(digit, 10)));
}

/// Billionths of a CPU in CPUs: an integer, as classic Swarm shows it; a fraction only where there is one.
#[must_use]
pub fn cpus(nano: u64) -> String {
    let (whole, rest) = (nano / NANO, nano % NANO);
    if rest == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{rest:09}");
    text.trim_end_matches('0').to_owned()
}

/// A number of bytes with four significant digits and binary units, for instance `2.053 GiB`
/// (spec/classic.md section 3.5).
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "four digits are shown; a double holds fifteen"
    )]
    let mut value = count as f64 / 1024.0;
    let mut unit = "KiB";
    for next in UNITS.iter().skip(1) {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{} {unit}", four_digits(value))
}

/// Go's `%.4g` for values from 1 to below 1024: at most four significant digits, no trailing zeros.
fn four_digits(value: f64) -> String {
    let decimals = match value {
        v if v < 9.9995 => 3,
        v if v < 99.995 => 2,
        v if v < 999.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Reads an RFC 3339 time as engines write it. `None` for anything else and for Docker's zero time (year 1), which
/// stands for "never".
#[must_use]
pub fn parse_time(text: &str) -> Option<Wall> {
    let field = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let is = |at: usize, wanted: &[u8]| text.as_bytes().get(at).is_some_and(|b| wanted.contains(b));
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    let marks = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
    let sane = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !marks || !sane {
        return None;
    }
    let (nanos, zone) = fraction(text.get(19..)?)?;
    let days = days_from_civil(year, month, day);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - zone_seconds(zone)?;
    let seconds = u64::try_from(seconds).ok()?;
    Some(Wall(seconds.checked_mul(SECOND)?.checked_add(nanos)?))
}

/// Splits `.123456789Z` into nanoseconds and the zone.
fn fraction(rest: &str) -> Option<(u64, &str)> {
    let Some(after) = rest.strip_prefix('.') else {
        return Some((0, rest));
    };
    let end = after
        .bytes()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(after.len());
    let (digits, zone) = after.split_at_checked(end)?;
    let nanos = digits
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    (!digits.is_empty()).then_some((nanos, zone))
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let (sign, rest) = match zone.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, zone.strip_prefix('+')?),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str| -> Option<i64> { text.parse::<u8>().ok().map(i64::from) };
    Some(sign * (number(hours)? * 3_600 + number(minutes)? * 60))
}

/// Civil date to days since 1970 after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_like_dockers() {
        // spec/classic.md section 4.4
        for (seconds, text) in [
            (0, "Less than a second"),
            (5, "5 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3_600, "About an hour"),
            (7_200, "2 hours"),
            (47 * 3_600, "47 hours"),
            (48 * 3_600, "2 days"),
            (14 * 86_400, "2 weeks"),
            (90 * 86_400, "3 months"),
            (730 * 86_400, "2 years"),
        ] {
            assert_eq!(duration(seconds * SECOND), text);
        }
    }

    #[test]
    fn sizes_have_four_significant_digits() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (20 << 20, "20 MiB"),
            (2_204_391_964, "2.053 GiB"),
            (1 << 30, "1 GiB"),
            ((1 << 30) - 1, "1024 MiB"),
            (1536, "1.5 KiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn times_of_engines_are_understood() {
        for (text, wall) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            (
                "2024-02-29T23:59:30.000000005Z",
                Some(1_709_251_170_000_000_005),
            ),
            (
                "2024-03-01T01:59:30.5+02:00",
                Some(1_709_251_170_500_000_000),
            ),
            ("2024-02-29T21:59:30-02:00", Some(1_709_251_170_000_000_000)),
            ("0001-01-01T00:00:00Z", None),
            ("2024-02-29", None),
            ("2024-02-29T23:59:30", None),
            ("2024-02-29T23:59:30.Z", None),
            ("2024-13-29T23:59:30Z", None),
        ] {
            assert_eq!(parse_time(text).map(|wall| wall.0), wall, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_wording_lasts_until_the_next_one(
            nanos in prop_oneof![
                0..3 * MINUTE * SECOND,
                0..3 * HOUR * SECOND,
                0..1000 * DAY * SECOND,
                any::<u64>(),
            ],
        ) {
            let next = next_duration(nanos);
            prop_assert_eq!(duration(next - 1), duration(nanos));
            if next < u64::MAX {
                prop_assert!(next > nanos);
                prop_assert_ne!(duration(next), duration(nanos));
            }
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _ = parse_time(&text);
        }

        #[test]
        fn times_round_trip(wall in 0_u64..4_000_000_000_000_000_000) {
            prop_assert_eq!(parse_time(&Wall(wall).rfc3339_nanos()), Some(Wall(wall)));
        }
    }
}
