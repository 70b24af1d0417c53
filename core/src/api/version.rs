//! Versions of the Engine API.

use std::fmt;
use std::str::FromStr;

/// A version of the Engine API, `1.41`; without one in the path the newest is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// The part before the dot; 1 in every version so far.
    pub major: u16,
    /// The part after the dot: 1.9 is older than 1.10.
    pub minor: u16,
}

/// A text that is not `<major>.<minor>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid API version {0:?}: <major>.<minor> is needed, for instance 1.41")]
pub struct VersionError(String);

impl ApiVersion {
    /// `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Whether a path segment has the form of a version prefix, `v1.41`, be its numbers sensible or not.
    pub(super) fn looks_like_prefix(segment: &str) -> bool {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        segment
            .strip_prefix('v')
            .and_then(|text| text.split_once('.'))
            .is_some_and(|(major, minor)| digits(major) && digits(minor))
    }
}

impl FromStr for ApiVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| -> Option<u16> {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten()
        };
        text.split_once('.')
            .and_then(|(major, minor)| Some(Self::new(number(major)?, number(minor)?)))
            .ok_or_else(|| VersionError(text.to_owned()))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
