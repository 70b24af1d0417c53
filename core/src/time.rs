//! Time as plain numbers: constructible, comparable, printable, the same on every run.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// Nanoseconds on a host's own clock that never steps and counts suspend (`CLOCK_BOOTTIME`).
///
/// Two hosts' values do not compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// Nanoseconds since 1970-01-01T00:00:00Z. Shown to people and sent to engines, never used for a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub u64);

/// Nanoseconds in `duration`, saturating after 584 years.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Mono {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(nanos(rhs)))
    }
}

impl AddAssign<Duration> for Mono {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub<Duration> for Mono {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(rhs)))
    }
}

impl fmt::Display for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:09}s",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000
        )
    }
}

impl Wall {
    /// Whole seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// The fraction of the current second, in nanoseconds.
    #[must_use]
    pub fn subsec_nanos(self) -> u32 {
        u32::try_from(self.0 % 1_000_000_000).unwrap_or(0)
    }
}

/// A civil UTC date and time, as RFC 3339 and the `Date` header need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year, for instance 2026.
    pub year: u64,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Day of the week, 0 is Sunday.
    pub weekday: u8,
}

impl From<Wall> for Civil {
    /// Days to civil date after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    fn from(wall: Wall) -> Self {
        let seconds = wall.seconds();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let z = days + 719_468;
        let era = z / 146_097;
        let day_of_era = z % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let month = if month_index < 10 {
            month_index + 3
        } else {
            month_index - 9
        };
        let small = |value: u64| u8::try_from(value).unwrap_or(0);
        Self {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month: small(month),
            day: small(day_of_year - (153 * month_index + 2) / 5 + 1),
            hour: small(rest / 3_600),
            minute: small(rest / 60 % 60),
            second: small(rest % 60),
            weekday: small((days + 4) % 7),
        }
    }
}

impl Wall {
    /// RFC 3339 in UTC with whole seconds, for instance `2026-11-23T16:42:26Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let c = Civil::from(self);
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            c.year, c.month, c.day, c.hour, c.minute, c.second
        )
    }

    /// RFC 3339 in UTC with nanoseconds, for instance `2026-11-23T16:42:26.000000001Z`.
    #[must_use]
    pub fn rfc3339_nanos(self) -> String {
        let c = Civil::from(self);
        let nanos = self.subsec_nanos();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{nanos:09}Z",
            c.year, c.month, c.day, c.hour, c.minute, c.second
        )
    }

    /// The form of the HTTP `Date` header (RFC 9110 section 5.6.7).
    #[must_use]
    pub fn http_date(self) -> String {
        const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let c = Civil::from(self);
        let day = DAYS[usize::from(c.weekday % 7)];
        let month = MONTHS[usize::from((c.month.max(1) - 1) % 12)];
        format!(
            "{day}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
            c.day, c.year, c.hour, c.minute, c.second
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_prints_the_forms_http_and_docker_use() {
        let leap = Wall(1_709_251_170 * 1_000_000_000 + 5);
        assert_eq!(leap.rfc3339(), "2024-02-29T23:59:30Z");
        assert_eq!(leap.rfc3339_nanos(), "2024-02-29T23:59:30.000000005Z");
        assert_eq!(leap.http_date(), "Thu, 29 Feb 2024 23:59:30 GMT");
        assert_eq!(Wall(0).http_date(), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(
            Wall(951_782_400 * 1_000_000_000).rfc3339(),
            "2000-02-29T00:00:00Z"
        );
    }

    #[test]
    fn mono_arithmetic_saturates() {
        assert_eq!(Mono(5) - Duration::from_nanos(6), Mono::ZERO);
        assert_eq!(Mono(5).since(Mono(9)), Duration::ZERO);
        assert_eq!(Mono(u64::MAX) + Duration::from_secs(1), Mono(u64::MAX));
    }
}
