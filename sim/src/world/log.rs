//! Watches the log of a run: an ERROR line is a violation, because ERROR means a defect (STYLE: log levels).

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

/// What a run logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogWatch {
    lines: Arc<Mutex<Vec<(Level, String)>>>,
}

impl LogWatch {
    /// A subscriber that feeds this watch.
    pub(crate) fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        Registry::default().with(self.clone())
    }

    /// The first ERROR line, if any.
    pub(crate) fn first_error(&self) -> Option<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .find(|(level, _)| *level == Level::ERROR)
            .map(|(_, text)| text.clone())
    }

    /// All lines, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .map(|(level, text)| format!("{level} {text}"))
            .collect()
    }
}

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

impl<S: Subscriber> Layer<S> for LogWatch {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let ours = metadata.target().starts_with("swarm");
        if !ours || *metadata.level() > Level::INFO {
            return;
        }
        let host = turmoil::sim_elapsed()
            .map(|elapsed| format!("{:>9.3} ", elapsed.as_secs_f64()))
            .unwrap_or_default();
        let mut text = Text(host);
        event.record(&mut text);
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((*metadata.level(), text.0));
    }
}
