//! `--log-level`.

use std::fmt;
use std::str::FromStr;

use tracing::Level;
use tracing::level_filters::LevelFilter;

/// How severe an event is, most severe last. The names are those of logrus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything, events of libraries included.
    Trace,
    /// Each operation.
    Debug,
    /// Changes of role and life.
    #[default]
    Info,
    /// An operator should act.
    Warn,
    /// A defect, or service is lost.
    Error,
    /// The process ends.
    Fatal,
    /// Kept because classic Swarm takes the name; nothing is logged at it.
    Panic,
}

/// An unknown level, in the words of classic Swarm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid logrus Level: {0:?}")]
pub struct LogLevelError(pub String);

impl LogLevel {
    /// The name in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
            Self::Panic => "panic",
        }
    }

    /// Four upper-case letters, as on a terminal.
    pub(super) fn short_name(self) -> &'static str {
        match self {
            Self::Trace => "TRAC",
            Self::Debug => "DEBU",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERRO",
            Self::Fatal => "FATA",
            Self::Panic => "PANI",
        }
    }

    /// The number of the terminal colour.
    pub(super) fn color(self) -> u8 {
        match self {
            Self::Trace | Self::Debug => 37,
            Self::Info => 34,
            Self::Warn => 33,
            Self::Error | Self::Fatal | Self::Panic => 31,
        }
    }

    /// The events that pass; none does for the levels at which a process ends.
    pub(super) fn filter(self) -> LevelFilter {
        match self {
            Self::Trace => LevelFilter::TRACE,
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
            Self::Fatal | Self::Panic => LevelFilter::OFF,
        }
    }
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::TRACE => Self::Trace,
            Level::DEBUG => Self::Debug,
            Level::INFO => Self::Info,
            Level::WARN => Self::Warn,
            Level::ERROR => Self::Error,
        }
    }
}

impl FromStr for LogLevel {
    type Err = LogLevelError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.to_ascii_lowercase().as_str() {
            "trace" => Ok(Self::Trace),
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" | "warning" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            "fatal" => Ok(Self::Fatal),
            "panic" => Ok(Self::Panic),
            _ => Err(LogLevelError(name.to_owned())),
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
