//! What a container is doing, and how Docker says it.

use std::fmt;

use super::human;
use crate::time::Wall;

/// What a container is doing, with the numbers its status text is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// In one word.
    pub phase: Phase,
    /// Exit code of the last run.
    pub exit_code: i64,
    /// Start of the last run on the manager's clock; `None` if never started.
    pub started: Option<Wall>,
    /// End of the last run on the manager's clock.
    pub finished: Option<Wall>,
    /// Outcome of its health checks.
    pub health: Health,
}

/// A container's state in one word (spec/classic.md section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the Docker API")]
pub enum Phase {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

/// Outcome of health checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the Docker API")]
pub enum Health {
    None,
    Starting,
    Healthy,
    Unhealthy,
}

impl State {
    /// Until when the status text stays as it is at `now`.
    pub(super) fn text_until(&self, now: Wall) -> Wall {
        let Some(since) = self.since() else {
            return Wall(u64::MAX);
        };
        let next = human::next_duration(now.0.saturating_sub(since.0));
        Wall(since.0.saturating_add(next))
    }

    /// Appends the status text at `now`, for instance `Up 3 minutes (healthy)` (spec/classic.md section 4.4).
    pub(super) fn write_text(&self, now: Wall, out: &mut String) {
        let Self {
            phase,
            exit_code,
            finished,
            health,
            ..
        } = self;
        let since = self.since();
        let ago = since.map_or(0, |since| now.0.saturating_sub(since.0));
        let ended = |how: &str, out: &mut String| {
            out.push_str(&format!("{how} ({exit_code}) "));
            human::push_duration(out, ago);
            out.push_str(" ago");
        };
        match phase {
            Phase::Running | Phase::Paused => {
                out.push_str("Up ");
                human::push_duration(out, ago);
            }
            Phase::Exited if finished.is_none() => {}
            Phase::Exited => ended("Exited", out),
            Phase::Restarting => ended("Restarting", out),
            Phase::Removing => out.push_str("Removal In Progress"),
            Phase::Dead => out.push_str("Dead"),
            Phase::Created => out.push_str("Created"),
        }
        out.push_str(match (phase, health) {
            (Phase::Paused, _) => " (Paused)",
            (Phase::Running, Health::Starting) => " (health: starting)",
            (Phase::Running, Health::Healthy) => " (healthy)",
            (Phase::Running, Health::Unhealthy) => " (unhealthy)",
            (_, _) => "",
        });
    }

    /// The moment the status text counts from, if it counts.
    fn since(&self) -> Option<Wall> {
        match self.phase {
            Phase::Running | Phase::Paused => self.started,
            Phase::Exited | Phase::Restarting => self.finished,
            Phase::Created | Phase::Removing | Phase::Dead => None,
        }
    }
}

impl Phase {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        })
    }
}
