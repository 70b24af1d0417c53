//! What is known of each kind of trouble: its name, its family, its hosts, whether the promises cover it.

use std::fmt;

use serde::{Deserialize, Serialize};
use swarm_core::api::{Request, class::is_mutation};

use super::host::{Host, How, Way};
use super::{Op, Plan, PlanError, StoreKind};

/// Kinds of fault that are left out of a random run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Crashes and power loss.
    Process,
    /// Clean stops and step-downs.
    Operator,
    /// Stopped, frozen and starved processes.
    Pause,
    /// Cuts of any shape.
    Link,
    /// Delays, flapping, chopped streams.
    Path,
    /// Clock rates, steps and jumps.
    Clock,
    /// The store without a leader, or with another one.
    StoreLeader,
    /// Stale reads and watches that do not work.
    StoreReads,
    /// Slow, refused and ambiguous writes.
    StoreWrites,
    /// A store that forgets, and records overwritten by others.
    StoreData,
    /// Engines.
    Engine,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 11] = [
        Self::Process,
        Self::Operator,
        Self::Pause,
        Self::Link,
        Self::Path,
        Self::Clock,
        Self::StoreLeader,
        Self::StoreReads,
        Self::StoreWrites,
        Self::StoreData,
        Self::Engine,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Operator => "operator",
            Self::Pause => "pause",
            Self::Link => "link",
            Self::Path => "path",
            Self::Clock => "clock",
            Self::StoreLeader => "store-leader",
            Self::StoreReads => "store-reads",
            Self::StoreWrites => "store-writes",
            Self::StoreData => "store-data",
            Self::Engine => "engine",
        }
    }
}

impl Op {
    /// Its name in reports, as in plans: `kill`, `power-loss`, …
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Kill { guard: true, .. } => "kill",
            Self::Kill { guard: false, .. } => "group-kill",
            Self::PowerLoss { .. } => "power-loss",
            Self::Terminate { .. } => "terminate",
            Self::StepDown { .. } => "step-down",
            Self::Pause { .. } => "pause",
            Self::Freeze { .. } => "freeze",
            Self::Slow { .. } => "slow",
            Self::Cut { .. } => "cut",
            Self::HoldRequests { .. } => "hold-requests",
            Self::Isolate { .. } => "isolate",
            Self::Split { .. } => "split",
            Self::Delay { .. } => "delay",
            Self::Flap { .. } => "flap",
            Self::Chop { .. } => "chop",
            Self::Rate { .. } => "rate",
            Self::WallStep { .. } => "wall-step",
            Self::ClockJump { .. } => "clock-jump",
            Self::NoStoreLeader => "no-store-leader",
            Self::NewStoreLeader => "new-store-leader",
            Self::StoreRefuses { .. } => "store-refuses",
            Self::SlowWrites { .. } => "slow-writes",
            Self::SlowReplies { .. } => "slow-replies",
            Self::SlowReads { .. } => "slow-reads",
            Self::StaleReads { .. } => "stale-reads",
            Self::RegressingReads { .. } => "regressing-reads",
            Self::DeafWatches => "deaf-watches",
            Self::LateWatches { .. } => "late-watches",
            Self::StuckWatches => "stuck-watches",
            Self::LostReplies { .. } => "lost-replies",
            Self::Wipe => "wipe",
            Self::Rollback { .. } => "rollback",
            Self::Renumber => "renumber",
            Self::DeleteRecord => "delete-record",
            Self::Usurp => "usurp",
            Self::Scribble => "scribble",
            Self::Drain { .. } => "drain",
            Self::CutEvents { .. } => "cut-events",
        }
    }

    /// The family it belongs to.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Kill { host, .. } | Self::PowerLoss { host } | Self::Pause { host }
                if matches!(host, Host::Engine(_)) =>
            {
                Family::Engine
            }
            Self::Kill { .. } | Self::PowerLoss { .. } => Family::Process,
            Self::Terminate { .. } | Self::StepDown { .. } | Self::Drain { .. } => Family::Operator,
            Self::Pause { .. } | Self::Freeze { .. } | Self::Slow { .. } => Family::Pause,
            Self::Cut { .. }
            | Self::HoldRequests { .. }
            | Self::Isolate { .. }
            | Self::Split { .. } => Family::Link,
            Self::Delay { .. } | Self::Flap { .. } | Self::Chop { .. } => Family::Path,
            Self::Rate { .. } | Self::WallStep { .. } | Self::ClockJump { .. } => Family::Clock,
            Self::NoStoreLeader | Self::NewStoreLeader => Family::StoreLeader,
            Self::StaleReads { .. }
            | Self::RegressingReads { .. }
            | Self::SlowReads { .. }
            | Self::DeafWatches
            | Self::LateWatches { .. }
            | Self::StuckWatches => Family::StoreReads,
            Self::StoreRefuses { .. }
            | Self::SlowWrites { .. }
            | Self::SlowReplies { .. }
            | Self::LostReplies { .. } => Family::StoreWrites,
            Self::Wipe
            | Self::Rollback { .. }
            | Self::Renumber
            | Self::DeleteRecord
            | Self::Usurp
            | Self::Scribble => Family::StoreData,
            Self::CutEvents { .. } => Family::Engine,
        }
    }

    /// Whether the promise of a single primary covers it (DESIGN section 3).
    #[must_use]
    pub fn within_model(&self) -> bool {
        let clock_errs = matches!(self, Self::Freeze { .. } | Self::ClockJump { .. })
            || matches!(self, Self::Rate { ppm, .. } if ppm.unsigned_abs() > 20_000);
        !clock_errs && self.family() != Family::StoreData
    }

    /// Whether it has an end of its own: not what happens in an instant or for good.
    #[must_use]
    pub const fn has_end(&self) -> bool {
        !matches!(
            self,
            Self::StepDown { .. }
                | Self::WallStep { .. }
                | Self::ClockJump { .. }
                | Self::NewStoreLeader
                | Self::LostReplies { .. }
                | Self::Wipe
                | Self::Rollback { .. }
                | Self::Renumber
                | Self::DeleteRecord
                | Self::Scribble
                | Self::Drain { .. }
                | Self::CutEvents { .. }
        )
    }

    /// The hosts it names.
    #[must_use]
    pub fn hosts(&self) -> Vec<&Host> {
        match self {
            Self::Kill { host, .. }
            | Self::PowerLoss { host }
            | Self::Terminate { host }
            | Self::StepDown { host }
            | Self::Pause { host }
            | Self::Freeze { host }
            | Self::Slow { host, .. }
            | Self::Isolate { host, .. }
            | Self::Chop { host, .. }
            | Self::Rate { host, .. }
            | Self::WallStep { host, .. }
            | Self::ClockJump { host, .. }
            | Self::Drain { host }
            | Self::CutEvents { host } => vec![host],
            Self::Cut { from, to, .. }
            | Self::HoldRequests { from, to, .. }
            | Self::Delay { from, to, .. }
            | Self::Flap { from, to, .. } => vec![from, to],
            Self::Split { sides } => sides.iter().flatten().collect(),
            Self::NoStoreLeader
            | Self::NewStoreLeader
            | Self::StoreRefuses { .. }
            | Self::SlowWrites { .. }
            | Self::SlowReplies { .. }
            | Self::SlowReads { .. }
            | Self::StaleReads { .. }
            | Self::RegressingReads { .. }
            | Self::DeafWatches
            | Self::LateWatches { .. }
            | Self::StuckWatches
            | Self::LostReplies { .. }
            | Self::Wipe
            | Self::Rollback { .. }
            | Self::Renumber
            | Self::DeleteRecord
            | Self::Usurp
            | Self::Scribble => Vec::new(),
        }
    }

    pub(super) fn check(&self, plan: &Plan) -> Result<(), PlanError> {
        let topology = plan.topology;
        for host in self.hosts() {
            let there = match host {
                Host::Manager(n) => *n <= topology.managers,
                Host::Store(n) => *n <= topology.stores,
                Host::Engine(n) => *n <= topology.engines,
                Host::Client(_)
                | Host::Primary
                | Host::Replica
                | Host::SecondReplica
                | Host::StoreLeader => true,
            };
            if !there {
                return Err(PlanError::Range {
                    field: "host",
                    value: host.to_string(),
                    expected: "the topology has no such host",
                });
            }
        }
        let shows_the_past = matches!(self, Self::StaleReads { .. } | Self::RegressingReads { .. });
        if shows_the_past && topology.store == StoreKind::Etcd {
            return Err(PlanError::Range {
                field: "op",
                value: self.to_string(),
                expected: "reads of etcd are linearizable and never show the past",
            });
        }
        let stands_still = matches!(
            self,
            Self::Slow { every_ms: 0, .. }
                | Self::Flap { every_ms: 0, .. }
                | Self::Chop { bytes: 0, .. }
        ) || matches!(self, Self::Rate { ppm, .. } if ppm.unsigned_abs() >= 1_000_000);
        if stands_still {
            return Err(PlanError::Range {
                field: "op",
                value: self.to_string(),
                expected: "a number above 0 (for a rate, below one million)",
            });
        }
        if let Self::HoldRequests { request, count, .. } = self
            && (*count == 0 || !is_change(request))
        {
            return Err(PlanError::Range {
                field: "op",
                value: self.to_string(),
                expected: "a count above 0 and a request that changes something, without version: POST /containers/create",
            });
        }
        Ok(())
    }
}

fn is_change(request: &str) -> bool {
    let words = request.split_once(' ');
    let parsed = words.and_then(|(method, path)| Request::parse(method, path).ok());
    parsed.is_some_and(|one| one.version.is_none() && is_mutation(&one.route))
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        let names = |hosts: &[Host]| {
            let names: Vec<String> = hosts.iter().map(Host::to_string).collect();
            names.join(",")
        };
        if let Self::Split { sides } = self {
            let sides: Vec<String> = sides.iter().map(|side| names(side)).collect();
            return write!(f, " {}", sides.join(" | "));
        }
        let way = if let Self::Cut { way, .. } = self {
            *way
        } else if matches!(self, Self::HoldRequests { .. }) {
            Way::Forth
        } else {
            Way::Both
        };
        let arrow = way.arrow();
        let hosts: Vec<String> = self.hosts().into_iter().map(Host::to_string).collect();
        if !hosts.is_empty() {
            write!(f, " {}", hosts.join(arrow))?;
        }
        self.details(f)
    }
}

impl Op {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "most kinds have nothing to add to their name and hosts"
    )]
    fn details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut {
                how: How::Refuse, ..
            } => f.write_str(" (refused)"),
            Self::Isolate {
                way: Way::Forth, ..
            } => f.write_str(" (what it sends)"),
            Self::Isolate { way: Way::Back, .. } => f.write_str(" (what is sent to it)"),
            Self::Slow { every_ms: ms, .. }
            | Self::Flap { every_ms: ms, .. }
            | Self::Delay { ms, .. }
            | Self::ClockJump { ms, .. }
            | Self::SlowWrites { ms }
            | Self::SlowReplies { ms }
            | Self::SlowReads { ms }
            | Self::StaleReads { ms }
            | Self::RegressingReads { ms }
            | Self::LateWatches { ms }
            | Self::Rollback { ms } => write!(f, " {ms} ms"),
            Self::HoldRequests { request, count, .. } => write!(f, " {count} x {request}"),
            Self::Chop { bytes, .. } => write!(f, " {bytes} bytes"),
            Self::Rate { ppm, .. } => write!(f, " {ppm:+} ppm"),
            Self::WallStep { seconds, .. } => write!(f, " {seconds:+} s"),
            Self::LostReplies {
                count,
                applied: true,
            } => write!(f, " {count} (applied)"),
            Self::LostReplies {
                count,
                applied: false,
            } => write!(f, " {count} (not applied)"),
            Self::StoreRefuses { which } => write!(f, " {which:?}"),
            _ => Ok(()),
        }
    }
}
