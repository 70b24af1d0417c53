//! Durations as Go writes them: what every `--…-interval`, `--ttl` and `--timeout` takes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A signed duration with Go's grammar and text form (spec/classic.md, "Conventions").
///
/// Negative values exist so that a flag can be refused by name instead of by a parse error. The range is that of
/// Go: plus or minus 292 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration {
    nanos: i64,
}

/// Why a text is not a duration, in the words of Go's `time.ParseDuration`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a duration at all, or out of range.
    #[error("time: invalid duration {}", quote(.0))]
    Invalid(String),
    /// A number without a unit; only `0` may stand alone.
    #[error("time: missing unit in duration {}", quote(.0))]
    MissingUnit(String),
    /// A unit other than `ns us µs ms s m h`.
    #[error("time: unknown unit {} in duration {}", quote(.unit), quote(.text))]
    UnknownUnit {
        /// The unit that was given.
        unit: String,
        /// The whole text.
        text: String,
    },
}

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The magnitude of `i64::MIN`.
const MAGNITUDE_MAX: u64 = 1 << 63;

impl GoDuration {
    /// No time at all.
    pub const ZERO: Self = Self { nanos: 0 };

    /// A duration of so many nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// A duration of so many seconds, saturating after 292 years.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self {
            nanos: seconds.saturating_mul(1_000_000_000),
        }
    }

    /// The length in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.nanos
    }

    /// The same length for the rest of the program; `None` when negative.
    #[must_use]
    pub fn to_duration(self) -> Option<Duration> {
        u64::try_from(self.nanos).ok().map(Duration::from_nanos)
    }
}

impl From<Duration> for GoDuration {
    /// Saturates after 292 years.
    fn from(duration: Duration) -> Self {
        Self {
            nanos: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX),
        }
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (negative, unsigned) = match text.as_bytes() {
            [b'-', ..] => (true, &text[1..]),
            [b'+', ..] => (false, &text[1..]),
            _ => (false, text),
        };
        if unsigned == "0" {
            return Ok(Self::ZERO);
        }
        let magnitude = magnitude(unsigned).map_err(|problem| problem.of(text))?;
        let nanos = match (negative, i64::try_from(magnitude)) {
            (true, Ok(nanos)) => Some(-nanos),
            (true, Err(_)) if magnitude == MAGNITUDE_MAX => Some(i64::MIN),
            (false, Ok(nanos)) => Some(nanos),
            (true | false, Err(_)) => None,
        };
        nanos
            .map(Self::from_nanos)
            .ok_or_else(|| DurationError::Invalid(text.to_owned()))
    }
}

impl fmt::Display for GoDuration {
    /// Go's `Duration.String`: `1m30s`, `1.5s`, `500ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.nanos.unsigned_abs();
        if length == 0 {
            return f.write_str("0s");
        }
        if self.nanos < 0 {
            f.write_str("-")?;
        }
        if length < 1_000 {
            return write!(f, "{length}ns");
        }
        if length < 1_000_000 {
            return write_decimal(f, length, 1_000, "µs");
        }
        if length < SECOND {
            return write_decimal(f, length, 1_000_000, "ms");
        }
        if length >= HOUR {
            write!(f, "{}h", length / HOUR)?;
        }
        if length >= MINUTE {
            write!(f, "{}m", length % HOUR / MINUTE)?;
        }
        write_decimal(f, length % MINUTE, SECOND, "s")
    }
}

/// What is wrong with the part behind the sign.
enum Problem {
    Invalid,
    MissingUnit,
    UnknownUnit(String),
}

impl Problem {
    fn of(self, text: &str) -> DurationError {
        let text = text.to_owned();
        match self {
            Self::Invalid => DurationError::Invalid(text),
            Self::MissingUnit => DurationError::MissingUnit(text),
            Self::UnknownUnit(unit) => DurationError::UnknownUnit { unit, text },
        }
    }
}

/// The sum of one or more `number unit` pairs, at most [`MAGNITUDE_MAX`].
fn magnitude(text: &str) -> Result<u64, Problem> {
    if text.is_empty() {
        return Err(Problem::Invalid);
    }
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (whole, after) = split_at_first(rest, |c| !c.is_ascii_digit());
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_at_first(after, |c| !c.is_ascii_digit()),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(Problem::Invalid);
        }
        let whole = leading_int(whole).ok_or(Problem::Invalid)?;
        let (unit, after) = split_at_first(after, |c| c == '.' || c.is_ascii_digit());
        if unit.is_empty() {
            return Err(Problem::MissingUnit);
        }
        let scale = unit_nanos(unit).ok_or_else(|| Problem::UnknownUnit(unit.to_owned()))?;
        total = whole
            .checked_mul(scale)
            .and_then(|value| value.checked_add(fraction_nanos(fraction, scale)))
            .and_then(|value| value.checked_add(total))
            .filter(|total| *total <= MAGNITUDE_MAX)
            .ok_or(Problem::Invalid)?;
        rest = after;
    }
    Ok(total)
}

fn split_at_first(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // Both the micro sign and the Greek letter, as Go takes them.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

/// `None` when larger than a duration can be. No digits are 0.
fn leading_int(digits: &str) -> Option<u64> {
    digits
        .bytes()
        .try_fold(0_u64, |value, digit| {
            value
                .checked_mul(10)?
                .checked_add(u64::from(digit.wrapping_sub(b'0')))
        })
        .filter(|value| *value <= MAGNITUDE_MAX)
}

/// Digits past what fits in 63 bits are dropped and the product is taken in floating point, as in Go: a result that
/// differs in the last nanosecond would print differently.
fn fraction_nanos(digits: &str, scale: u64) -> u64 {
    let mut value: u64 = 0;
    let mut divisor: f64 = 1.0;
    for digit in digits.bytes() {
        let next = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit.wrapping_sub(b'0'))))
            .filter(|value| *value < MAGNITUDE_MAX);
        let Some(next) = next else { break };
        value = next;
        divisor *= 10.0;
    }
    (value as f64 * (scale as f64 / divisor)) as u64
}

/// `value / unit` with as many decimals as needed.
fn write_decimal(f: &mut fmt::Formatter<'_>, value: u64, unit: u64, name: &str) -> fmt::Result {
    let (whole, mut fraction) = (value / unit, value % unit);
    if fraction == 0 {
        return write!(f, "{whole}{name}");
    }
    let mut width = unit.ilog10() as usize;
    while fraction.is_multiple_of(10) {
        fraction /= 10;
        width -= 1;
    }
    write!(f, "{whole}.{fraction:0width$}{name}")
}

/// Quotes like Go's `time` package, which leaves no control or non-ASCII byte as it is.
fn quote(text: &str) -> String {
    use std::fmt::Write;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                quoted.push('\\');
                quoted.push(char::from(byte));
            }
            b' '..=b'~' => quoted.push(char::from(byte)),
            0..=0x1f | 0x7f.. => {
                // Writing into a string cannot fail.
                let _ = write!(quoted, "\\x{byte:02x}");
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> GoDuration {
        text.parse().unwrap()
    }

    #[test]
    fn parses_what_go_parses() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("+0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("1478s", 1_478_000_000_000),
            ("-5s", -5_000_000_000),
            ("+5s", 5_000_000_000),
            ("5.s", 5_000_000_000),
            (".5s", 500_000_000),
            ("1.004s", 1_004_000_000),
            ("100.00100s", 100_001_000_000),
            ("10ns", 10),
            ("11us", 11_000),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s", 12_000),
            ("1.5h", 5_400_000_000_000),
            ("3h30m", 12_600_000_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("39h9m14.425s", 140_954_425_000_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("9223372036854775807ns", i64::MAX),
            ("9223372036854775.807us", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("0.100000000000000000000h", 360_000_000_000),
        ] {
            assert_eq!(parse(text).nanos(), nanos, "{text}");
        }
    }

    #[test]
    fn refuses_in_the_words_of_go() {
        for (text, error) in [
            ("", r#"time: invalid duration """#),
            ("-", r#"time: invalid duration "-""#),
            ("s", r#"time: invalid duration "s""#),
            (".", r#"time: invalid duration ".""#),
            (".s", r#"time: invalid duration ".s""#),
            ("+.s", r#"time: invalid duration "+.s""#),
            ("x", r#"time: invalid duration "x""#),
            ("10", r#"time: missing unit in duration "10""#),
            ("1x", r#"time: unknown unit "x" in duration "1x""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            ("1 s", r#"time: unknown unit " s" in duration "1 s""#),
            (
                "1\u{7f}\n",
                r#"time: unknown unit "\x7f\x0a" in duration "1\x7f\x0a""#,
            ),
            ("1\"", r#"time: unknown unit "\"" in duration "1\"""#),
            (
                "9223372036854775808ns",
                r#"time: invalid duration "9223372036854775808ns""#,
            ),
            ("3000000h", r#"time: invalid duration "3000000h""#),
            (
                "-9223372036854775809ns",
                r#"time: invalid duration "-9223372036854775809ns""#,
            ),
        ] {
            let found = text.parse::<GoDuration>().unwrap_err().to_string();
            assert_eq!(found, error, "{text}");
        }
    }

    #[test]
    fn prints_what_go_prints() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (500_000_000, "500ms"),
            (3_300_000_000, "3.3s"),
            (90_000_000_000, "1m30s"),
            (245_000_000_000, "4m5s"),
            (3_600_000_000_000, "1h0m0s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (-1_500_000_000, "-1.5s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(GoDuration::from_nanos(nanos).to_string(), text);
        }
    }

    #[test]
    fn only_durations_that_are_not_negative_leave_the_config() {
        assert_eq!(parse("-1ns").to_duration(), None);
        assert_eq!(parse("0").to_duration(), Some(Duration::ZERO));
        assert_eq!(parse("1m30s").to_duration(), Some(Duration::from_secs(90)));
        assert_eq!(
            GoDuration::from(Duration::MAX),
            GoDuration::from_nanos(i64::MAX)
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[-+]?([0-9]{0,21}(\\.[0-9]{0,21})?\\PC{0,3}){0,4}") {
            let _ = text.parse::<GoDuration>();
        }

        #[test]
        fn every_duration_round_trips(nanos: i64) {
            let duration = GoDuration::from_nanos(nanos);
            prop_assert_eq!(parse(&duration.to_string()), duration);
        }
    }
}
