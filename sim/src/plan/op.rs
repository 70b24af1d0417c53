//! What can go wrong.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Plan, PlanError};

/// A host by its name, or by the part it plays when the fault begins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Host {
    /// Manager `m<n>`, counted from 1.
    Manager(u8),
    /// Server `s<n>` of the store.
    Store(u8),
    /// Engine `e<n>`.
    Engine(u8),
    /// Client `c<n>`.
    Client(u8),
    /// The acting primary; the first manager if there is none.
    Primary,
    /// The first manager that is up and not the primary.
    Replica,
    /// The second such manager; the first if there is no second.
    SecondReplica,
    /// The leader of the store; its first server if there is none.
    StoreLeader,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manager(n) => write!(f, "m{n}"),
            Self::Store(n) => write!(f, "s{n}"),
            Self::Engine(n) => write!(f, "e{n}"),
            Self::Client(n) => write!(f, "c{n}"),
            Self::Primary => f.write_str("primary"),
            Self::Replica => f.write_str("replica"),
            Self::SecondReplica => f.write_str("second-replica"),
            Self::StoreLeader => f.write_str("store-leader"),
        }
    }
}

/// A text that names no host.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no host: m1, s1, e1, c1, primary, replica, second-replica or store-leader")]
pub struct NoHost(String);

impl TryFrom<String> for Host {
    type Error = NoHost;

    fn try_from(text: String) -> Result<Self, NoHost> {
        let numbered = |letter: char| {
            let number = text.strip_prefix(letter)?.parse().ok()?;
            (1..=64).contains(&number).then_some(number)
        };
        match text.as_str() {
            "primary" => Ok(Self::Primary),
            "replica" => Ok(Self::Replica),
            "second-replica" => Ok(Self::SecondReplica),
            "store-leader" => Ok(Self::StoreLeader),
            _ => numbered('m')
                .map(Self::Manager)
                .or_else(|| numbered('s').map(Self::Store))
                .or_else(|| numbered('e').map(Self::Engine))
                .or_else(|| numbered('c').map(Self::Client))
                .ok_or(NoHost(text)),
        }
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

/// Which direction of a link a fault concerns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Both.
    #[default]
    Both,
    /// From the first host to the second.
    Forth,
    /// From the second host to the first.
    Back,
}

impl Way {
    const fn arrow(self) -> &'static str {
        match self {
            Self::Both => "–",
            Self::Forth => "→",
            Self::Back => "←",
        }
    }
}

/// What happens to what is sent over a cut link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It waits, and arrives when the cut ends, as where TCP retransmits.
    #[default]
    Hold,
    /// It is lost and new connections are refused at once: a firewall that rejects.
    Refuse,
}

/// Which requests a store turns down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefuseWhich {
    /// All.
    #[default]
    All,
    /// Those that change something.
    Writes,
    /// The others.
    Reads,
}

/// A kind of trouble. The lab does nothing for those that concern hosts it has not got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// A process dies (`kill -9`) and is started anew at the end. A manager's guard lives on unless `guard` is false.
    Kill {
        /// Whose.
        host: Host,
        /// Whether a manager's guard survives.
        #[serde(default = "yes")]
        guard: bool,
    },
    /// A machine loses its power: nothing is sent any more, not even the end of connections. It starts at the end.
    PowerLoss {
        /// Which.
        host: Host,
    },
    /// A manager is told to end (SIGTERM) and is started anew at the end.
    Terminate {
        /// Which.
        host: Host,
    },
    /// An operator tells a manager to step down.
    StepDown {
        /// Which.
        host: Host,
    },
    /// A process is stopped (SIGSTOP); clocks go on.
    Pause {
        /// Whose.
        host: Host,
    },
    /// A virtual machine is frozen together with its clock. Outside the model.
    Freeze {
        /// Which.
        host: Host,
    },
    /// A host's tasks get hardly any processor time.
    Slow {
        /// Which.
        host: Host,
        /// Milliseconds that pass between two turns of the tasks.
        every_ms: u64,
    },
    /// Nothing goes over a link.
    Cut {
        /// One end.
        from: Host,
        /// The other end.
        to: Host,
        /// In which direction.
        #[serde(default)]
        way: Way,
        /// What becomes of what is sent.
        #[serde(default)]
        how: How,
    },
    /// A host is cut off from all others, its clients included.
    Isolate {
        /// Which.
        host: Host,
        /// `forth`: what it sends is held; `back`: what is sent to it.
        #[serde(default)]
        way: Way,
    },
    /// Hosts on different sides do not hear each other; those on no side hear everybody.
    Split {
        /// The sides.
        sides: Vec<Vec<Host>>,
    },
    /// Messages on a link take longer.
    Delay {
        /// One end.
        from: Host,
        /// The other end.
        to: Host,
        /// How long each takes, in milliseconds.
        ms: u64,
    },
    /// A link comes and goes.
    Flap {
        /// One end.
        from: Host,
        /// The other end.
        to: Host,
        /// It is there for so long, then away for so long, in milliseconds.
        every_ms: u64,
    },
    /// A host's sockets take and give a few bytes at a time.
    Chop {
        /// Which.
        host: Host,
        /// At most so many.
        bytes: u16,
    },
    /// A host's clock runs faster (or slower, if negative), instead of at the rate it drew.
    Rate {
        /// Which.
        host: Host,
        /// In parts per million.
        ppm: i32,
    },
    /// A host's calendar is set forward (or back, if negative), for good.
    WallStep {
        /// Which.
        host: Host,
        /// By so many seconds.
        seconds: i64,
    },
    /// A host's monotonic clock jumps forward, for good. Outside the model.
    ClockJump {
        /// Which.
        host: Host,
        /// By so many milliseconds.
        ms: u64,
    },
    /// The store has no leader.
    NoStoreLeader,
    /// Another server of the store becomes the leader.
    NewStoreLeader,
    /// The store turns requests down.
    StoreRefuses {
        /// Which.
        #[serde(default)]
        which: RefuseWhich,
    },
    /// Writes take long to be applied.
    SlowWrites {
        /// So long, in milliseconds.
        ms: u64,
    },
    /// Writes are applied and answered late.
    SlowReplies {
        /// So late, in milliseconds.
        ms: u64,
    },
    /// Reads take long.
    SlowReads {
        /// So long, in milliseconds.
        ms: u64,
    },
    /// Plain reads show the past.
    StaleReads {
        /// So long ago, in milliseconds.
        ms: u64,
    },
    /// Plain reads show the present and the past by turns.
    RegressingReads {
        /// So long ago, in milliseconds.
        ms: u64,
    },
    /// Blocking queries do not notice changes.
    DeafWatches,
    /// Blocking queries notice changes late.
    LateWatches {
        /// So late, in milliseconds.
        ms: u64,
    },
    /// Blocking queries never return.
    StuckWatches,
    /// The next writes get no answer that says what became of them.
    LostReplies {
        /// So many writes.
        count: u64,
        /// Whether they are applied.
        applied: bool,
    },
    /// The store comes back empty. Outside the model.
    Wipe,
    /// The store comes back as it was. Outside the model.
    Rollback {
        /// So long ago, in milliseconds.
        ms: u64,
    },
    /// The store's content moves to a new one: every version is small again. Outside the model.
    Renumber,
    /// An operator deletes the lease record. Outside the model.
    DeleteRecord,
    /// Somebody else writes a record of a higher epoch over the lease record. Outside the model.
    Usurp,
    /// Somebody writes something that is no record over the lease record. Outside the model.
    Scribble,
    /// All event streams of an engine break off.
    CutEvents {
        /// Which engine.
        host: Host,
    },
}

fn yes() -> bool {
    true
}

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
            Self::Terminate { .. } | Self::StepDown { .. } => Family::Operator,
            Self::Pause { .. } | Self::Freeze { .. } | Self::Slow { .. } => Family::Pause,
            Self::Cut { .. } | Self::Isolate { .. } | Self::Split { .. } => Family::Link,
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
        let clock_errs = match self {
            Self::Rate { ppm, .. } => ppm.unsigned_abs() > 20_000,
            other => matches!(other, Self::Freeze { .. } | Self::ClockJump { .. }),
        };
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
            | Self::CutEvents { host } => vec![host],
            Self::Cut { from, to, .. }
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
        Ok(())
    }
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
        let arrow = if let Self::Cut { way, .. } = self {
            way.arrow()
        } else {
            Way::Both.arrow()
        };
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
