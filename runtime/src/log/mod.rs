//! Logs as people and log shippers know them from classic Swarm: logrus text on a terminal, logfmt elsewhere, or JSON.
//!
//! Only swarm's own events pass: libraries log at their own discretion, and ERROR here means a defect or lost service.

mod format;
mod level;
mod quote;

pub use format::{Format, FormatError, Record, Value};
pub use level::{LogLevel, LogLevelError};

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use swarm_core::time::{Mono, Wall};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::platform::SharedPlatform;

/// What to log and how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// How lines look.
    pub format: Format,
}

/// Where time stamps come from.
pub struct LogClock {
    mono: Box<dyn Fn() -> Mono + Send + Sync>,
    wall: Box<dyn Fn() -> Wall + Send + Sync>,
    start: Mono,
}

impl LogClock {
    /// A clock read through closures; seconds since start count from now.
    pub fn new(
        mono: impl Fn() -> Mono + Send + Sync + 'static,
        wall: impl Fn() -> Wall + Send + Sync + 'static,
    ) -> Self {
        let start = mono();
        Self {
            mono: Box::new(mono),
            wall: Box::new(wall),
            start,
        }
    }

    /// The clocks of a platform.
    #[must_use]
    pub fn of(platform: &SharedPlatform) -> Self {
        let (mono, wall) = (platform.clone(), platform.clone());
        Self::new(move || mono.mono(), move || wall.wall())
    }
}

impl fmt::Debug for LogClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogClock").finish_non_exhaustive()
    }
}

/// Starts logging to standard output for the whole process.
///
/// # Errors
/// When logging was started before.
pub fn init(options: LogOptions, clock: LogClock) -> Result<(), TryInitError> {
    let layer = layer(options, clock, Box::new(std::io::stdout()));
    tracing_subscriber::registry().with(layer).try_init()
}

/// A layer that writes one line per event to `out`, one `write` each.
pub fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(
    options: LogOptions,
    clock: LogClock,
    out: Box<dyn Write + Send>,
) -> impl Layer<S> {
    let level = options.level;
    let lines = Lines {
        format: options.format,
        clock,
        out: Mutex::new(out),
    };
    lines.with_filter(
        filter_fn(move |metadata| passes(level, metadata)).with_max_level_hint(level.filter()),
    )
}

/// The one line that says why a command failed, in the form of all other lines.
#[must_use]
pub fn fatal_line(format: Format, wall: Wall, message: &str) -> String {
    Record {
        level: LogLevel::Fatal,
        since_start: std::time::Duration::ZERO,
        wall,
        message: message.to_owned(),
        fields: BTreeMap::new(),
    }
    .line(format)
}

fn passes(level: LogLevel, metadata: &Metadata<'_>) -> bool {
    match level {
        LogLevel::Trace => true,
        LogLevel::Debug
        | LogLevel::Info
        | LogLevel::Warn
        | LogLevel::Error
        | LogLevel::Fatal
        | LogLevel::Panic => {
            is_ours(metadata.target())
                && level.filter() >= LevelFilter::from_level(*metadata.level())
        }
    }
}

fn is_ours(target: &str) -> bool {
    target
        .strip_prefix("swarm")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with('_'))
}

struct Lines {
    format: Format,
    clock: LogClock,
    out: Mutex<Box<dyn Write + Send>>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let record = Record {
            level: shown_level(metadata),
            since_start: (self.clock.mono)().since(self.clock.start),
            wall: (self.clock.wall)(),
            message: fields.message,
            fields: fields.others,
        };
        let line = record.line(self.format);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed standard output is no reason to stop serving.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

/// What a library calls an error is at most of interest while debugging: HTTP clients log every failed attempt so.
fn shown_level(metadata: &Metadata<'_>) -> LogLevel {
    let level = LogLevel::from(*metadata.level());
    if is_ours(metadata.target()) || *metadata.level() == Level::TRACE {
        level
    } else {
        LogLevel::Debug
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: BTreeMap<&'static str, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = value.to_string();
        } else {
            self.others.insert(field.name(), value);
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::Text(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::Unsigned(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bool(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, Value::Text(value.to_string()));
    }
}

#[cfg(test)]
mod tests;
