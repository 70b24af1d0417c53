//! What an engine's machine tells others: the view, subscribers, the log, and those who wait.

use super::machine::Life;
use super::{Effect, EngineState, Level, Notice, ViewChange};
use crate::machine::Effects;

impl Life {
    /// Tells the view where the engine stands, if that is news.
    pub(super) fn show(&mut self, out: &mut Effects<Effect>) {
        let indicator = match self.state {
            EngineState::Healthy => self.health.indicator(),
            EngineState::Pending | EngineState::Unhealthy | EngineState::Disconnected => 0,
        };
        let now = (
            self.state,
            indicator,
            self.health.reason().map(str::to_owned),
        );
        if self.shown.as_ref() != Some(&now) {
            self.confirm(now, out);
        }
    }

    /// Tells the view where the engine stands, news or not: it keeps the time.
    pub(super) fn show_again(&mut self, out: &mut Effects<Effect>) {
        self.shown = None;
        self.show(out);
    }

    fn confirm(&mut self, now: (EngineState, u8, Option<String>), out: &mut Effects<Effect>) {
        let (state, indicator, error) = now.clone();
        self.shown = Some(now);
        out.push(Effect::View(ViewChange::Health {
            state,
            indicator,
            error,
        }));
    }

    /// A log line with the engine's name and ID.
    pub(super) fn log(&self, level: Level, message: String, out: &mut Effects<Effect>) {
        let mut fields = Vec::new();
        match &self.daemon {
            Some(daemon) => {
                fields.push(("name", daemon.name.clone()));
                fields.push(("id", daemon.id.clone()));
            }
            None => fields.push(("Addr", self.address.to_string())),
        }
        out.push(Effect::Log {
            level,
            message,
            fields,
        });
    }

    /// The host name, or the address before it is known.
    pub(super) fn name(&self) -> String {
        self.daemon
            .as_ref()
            .map_or_else(|| self.address.to_string(), |daemon| daemon.name.clone())
    }

    pub(super) fn publish(&mut self, action: &'static str, out: &mut Effects<Effect>) {
        if self.state != EngineState::Healthy {
            self.outbox.flush(out);
        }
        out.push(Effect::Publish(Notice::Swarm(action)));
    }

    pub(super) fn release(&self, tickets: Vec<u64>, out: &mut Effects<Effect>) {
        for ticket in tickets {
            out.push(Effect::Refreshed { ticket });
        }
    }
}
