//! The log of a run: each line of the code under test becomes an event of the trace, and an ERROR breaks a promise,
//! because ERROR means a defect.

use std::fmt::Write;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use super::pause;
use super::witness::SharedWitness;
use crate::property::{Property, Violation};
use crate::trace::Kind;

/// A subscriber that feeds the witness. It knows no spans: which host speaks is known from whose turn it is.
pub(crate) struct LogWatch {
    witness: SharedWitness,
}

impl LogWatch {
    pub(crate) fn new(witness: SharedWitness) -> Self {
        Self { witness }
    }
}

/// What of a line is kept, as `message key=value …`.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let separator = if self.0.is_empty() { "" } else { " " };
        // Writing into a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{separator}{value:?}"),
            name => write!(self.0, "{separator}{name}={value:?}"),
        };
    }
}

fn concerns(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
        && *metadata.level() <= Level::INFO
        && metadata.target().starts_with("swarm")
}

fn number(level: Level) -> u64 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

impl Subscriber for LogWatch {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if concerns(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        concerns(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let level = *event.metadata().level();
        let mut text = Text(String::new());
        event.record(&mut text);
        let mut witness = self.witness.lock();
        let (now, line) = (witness.now(), text.0);
        let number = witness.note(pause::current_host(), Kind::Log, number(level), 0, || {
            line.clone()
        });
        if level == Level::ERROR {
            let mut violation = Violation::new(Property::ErrorLog, "", now, line);
            violation.event = number;
            witness.judge.fail(violation);
        }
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}
