//! What must come of a story, as data.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod told;
mod verdict;
mod view;

pub use told::*;
pub(crate) use verdict::broken;

/// A manager, by its name or by the part it played in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Who {
    /// Manager `m<n>`.
    Manager(u8),
    /// Who acted first.
    FirstPrimary,
    /// Who acted last.
    LastPrimary,
    /// Any manager.
    Anybody,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manager(n) => write!(f, "m{n}"),
            Self::FirstPrimary => f.write_str("first-primary"),
            Self::LastPrimary => f.write_str("last-primary"),
            Self::Anybody => f.write_str("anybody"),
        }
    }
}

/// A text that names no manager.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is nobody: m1, first-primary, last-primary or anybody")]
pub struct Nobody(String);

impl TryFrom<String> for Who {
    type Error = Nobody;

    fn try_from(text: String) -> Result<Self, Nobody> {
        match text.as_str() {
            "first-primary" => Ok(Self::FirstPrimary),
            "last-primary" => Ok(Self::LastPrimary),
            "anybody" => Ok(Self::Anybody),
            _ => text
                .strip_prefix('m')
                .and_then(|number| number.parse().ok())
                .map(Self::Manager)
                .ok_or(Nobody(text)),
        }
    }
}

impl From<Who> for String {
    fn from(who: Who) -> Self {
        who.to_string()
    }
}

/// What must come of a run. Times are true times, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "expect",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Expect {
    /// After every fault that takes the primary away somebody else acts within the budget of DESIGN section 3, and
    /// there is such a fault.
    TookOverWithinBudget,
    /// After this fault somebody begins a term within a time.
    TookOverWithin {
        /// The fault.
        fault: u32,
        /// In milliseconds.
        ms: u64,
    },
    /// There are so many terms.
    Terms {
        /// So many.
        exactly: usize,
    },
    /// There are at least so many terms.
    TermsAtLeast {
        /// So many.
        count: usize,
    },
    /// One manager acts in one epoch, however often it has to pause.
    KeepsItsEpoch,
    /// Who acts last.
    LastPrimary {
        /// Who.
        who: Who,
    },
    /// Each term has a higher epoch than the one before, and there are two.
    EpochsIncrease,
    /// The first primary runs at the end and does not act; somebody else does.
    OldPrimaryIsReplica,
    /// Whoever acts when this fault begins does not act any more after a time.
    StopsWithin {
        /// The fault.
        fault: u32,
        /// In milliseconds.
        ms: u64,
    },
    /// Somebody acts within a time after the end of this fault.
    ActsWithin {
        /// The fault.
        fault: u32,
        /// In milliseconds.
        ms: u64,
    },
    /// From the first primary on, nobody acts for so long at least once.
    NobodyActsFor {
        /// In milliseconds.
        ms: u64,
    },
    /// From the first primary on, somebody acts at all times but for so long.
    NeverWithoutPrimaryFor {
        /// In milliseconds.
        ms: u64,
    },
    /// Outside the model: two managers believe in themselves at the same time, but not for longer than this.
    TwoBelieveForAtMost {
        /// In milliseconds.
        ms: u64,
    },
    /// A line is logged.
    Logs {
        /// At whom.
        who: Who,
        /// What it contains.
        text: String,
    },
    /// A line is logged within a time after a fault begins.
    LogsWithin {
        /// At whom.
        who: Who,
        /// What it contains.
        text: String,
        /// The fault.
        fault: u32,
        /// In milliseconds.
        ms: u64,
    },
    /// A line is logged so many times.
    LogsTimes {
        /// At whom.
        who: Who,
        /// What it contains.
        text: String,
        /// So many times.
        exactly: usize,
    },
    /// After the warm-up no client is refused or left without knowing, and some ask.
    NoRequestFailed,
    /// At least so many requests succeed.
    DoneAtLeast {
        /// So many.
        count: u64,
    },
    /// After the warm-up at most so many requests are refused, which tells clients that nothing was done.
    RefusedAtMost {
        /// So many.
        count: u64,
    },
    /// After the warm-up at least so many requests are refused.
    RefusedAtLeast {
        /// So many.
        count: u64,
    },
    /// At most so many requests end without the client's knowing what became of them.
    UnknownAtMost {
        /// So many.
        count: u64,
    },
    /// A client is told (502) that the outcome of its request is unknown; a broken connection tells nothing.
    ToldUnknown,
    /// Every request that was answered was answered within a time.
    AnsweredWithin {
        /// In milliseconds.
        ms: u64,
    },
    /// The slowest request took at least so long: the trouble was felt.
    SlowestTakes {
        /// In milliseconds.
        ms: u64,
    },
    /// Within a time after this fault began (or ended, for `ended`) a request succeeds.
    ServesWithin {
        /// The fault.
        fault: u32,
        /// Counted from its end.
        ended: bool,
        /// In milliseconds.
        ms: u64,
    },
    /// At least so many changes leave for engines.
    DispatchesAtLeast {
        /// So many.
        count: u64,
    },
    /// A rare path of the code is reached.
    Reaches {
        /// Its mark.
        mark: String,
        /// So often at least.
        count: u64,
    },
    /// A path of the code is not reached.
    NeverReaches {
        /// Its mark.
        mark: String,
    },
    /// A kind of fault meets a role: `kill/primary`, as the matrix of the coverage counts it.
    Meets {
        /// The beginning of the cell.
        cell: String,
    },
    /// Processes of managers are started so often, first starts included.
    StartsAtLeast {
        /// So often.
        count: usize,
    },
    /// The same terms begin at the same instants when faults of these kinds are left out.
    SameTermsWithout {
        /// The kinds.
        kinds: Vec<String>,
    },
    /// A promise is broken, in this way: the story is about something that swarm does not promise.
    Breaks {
        /// Its signature.
        signature: String,
    },
}

impl Expect {
    /// Its name in files and signatures.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TookOverWithinBudget => "took-over-within-budget",
            Self::TookOverWithin { .. } => "took-over-within",
            Self::Terms { .. } => "terms",
            Self::TermsAtLeast { .. } => "terms-at-least",
            Self::KeepsItsEpoch => "keeps-its-epoch",
            Self::LastPrimary { .. } => "last-primary",
            Self::EpochsIncrease => "epochs-increase",
            Self::OldPrimaryIsReplica => "old-primary-is-replica",
            Self::StopsWithin { .. } => "stops-within",
            Self::ActsWithin { .. } => "acts-within",
            Self::NobodyActsFor { .. } => "nobody-acts-for",
            Self::NeverWithoutPrimaryFor { .. } => "never-without-primary-for",
            Self::TwoBelieveForAtMost { .. } => "two-believe-for-at-most",
            Self::Logs { .. } => "logs",
            Self::LogsWithin { .. } => "logs-within",
            Self::LogsTimes { .. } => "logs-times",
            Self::NoRequestFailed => "no-request-failed",
            Self::DoneAtLeast { .. } => "done-at-least",
            Self::RefusedAtMost { .. } => "refused-at-most",
            Self::RefusedAtLeast { .. } => "refused-at-least",
            Self::UnknownAtMost { .. } => "unknown-at-most",
            Self::ToldUnknown => "told-unknown",
            Self::AnsweredWithin { .. } => "answered-within",
            Self::SlowestTakes { .. } => "slowest-takes",
            Self::ServesWithin { .. } => "serves-within",
            Self::DispatchesAtLeast { .. } => "dispatches-at-least",
            Self::Reaches { .. } => "reaches",
            Self::NeverReaches { .. } => "never-reaches",
            Self::Meets { .. } => "meets",
            Self::StartsAtLeast { .. } => "starts-at-least",
            Self::SameTermsWithout { .. } => "same-terms-without",
            Self::Breaks { .. } => "breaks",
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TookOverWithinBudget => {
                f.write_str("a takeover within the budget after each loss of the primary")
            }
            Self::TookOverWithin { fault, ms } => {
                write!(f, "a takeover within {} after fault {fault}", seconds(*ms))
            }
            Self::Terms { exactly } => write!(f, "exactly {exactly} terms"),
            Self::TermsAtLeast { count } => write!(f, "at least {count} terms"),
            Self::KeepsItsEpoch => f.write_str("that one manager keeps one epoch"),
            Self::LastPrimary { who } => write!(f, "that {who} acts last"),
            Self::EpochsIncrease => f.write_str("two terms, each in a higher epoch"),
            Self::OldPrimaryIsReplica => f.write_str("that the first primary ends as a replica"),
            Self::StopsWithin { fault, ms } => write!(
                f,
                "that who acts when fault {fault} begins stops within {}",
                seconds(*ms)
            ),
            Self::ActsWithin { fault, ms } => write!(
                f,
                "that somebody acts within {} after the end of fault {fault}",
                seconds(*ms)
            ),
            Self::NobodyActsFor { ms } => write!(f, "that nobody acts for {}", seconds(*ms)),
            Self::NeverWithoutPrimaryFor { ms } => {
                write!(f, "a primary at all times but for {}", seconds(*ms))
            }
            Self::TwoBelieveForAtMost { ms } => write!(
                f,
                "that two believe in themselves, for at most {}",
                seconds(*ms)
            ),
            Self::Logs { who, text } => write!(f, "that {who} logs {text:?}"),
            Self::LogsWithin {
                who,
                text,
                fault,
                ms,
            } => write!(
                f,
                "that {who} logs {text:?} within {} after fault {fault}",
                seconds(*ms)
            ),
            Self::LogsTimes { who, text, exactly } => {
                write!(f, "that {who} logs {text:?} {exactly} times")
            }
            Self::NoRequestFailed
            | Self::DoneAtLeast { .. }
            | Self::RefusedAtMost { .. }
            | Self::RefusedAtLeast { .. }
            | Self::UnknownAtMost { .. }
            | Self::ToldUnknown
            | Self::AnsweredWithin { .. }
            | Self::SlowestTakes { .. }
            | Self::ServesWithin { .. }
            | Self::DispatchesAtLeast { .. }
            | Self::Reaches { .. }
            | Self::NeverReaches { .. }
            | Self::Meets { .. }
            | Self::StartsAtLeast { .. }
            | Self::SameTermsWithout { .. }
            | Self::Breaks { .. } => self.about_requests(f),
        }
    }
}

impl Expect {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are told in the first half"
    )]
    fn about_requests(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRequestFailed => f.write_str("that no request fails"),
            Self::DoneAtLeast { count } => write!(f, "at least {count} requests done"),
            Self::RefusedAtMost { count } => write!(f, "at most {count} requests refused"),
            Self::RefusedAtLeast { count } => write!(f, "at least {count} requests refused"),
            Self::UnknownAtMost { count } => {
                write!(f, "at most {count} requests with an unknown outcome")
            }
            Self::ToldUnknown => f.write_str("a client that is told of an unknown outcome"),
            Self::AnsweredWithin { ms } => {
                write!(f, "answers within {}", seconds(*ms))
            }
            Self::SlowestTakes { ms } => write!(f, "a request that takes {}", seconds(*ms)),
            Self::ServesWithin { fault, ended, ms } => {
                let from = if *ended { "the end" } else { "the beginning" };
                let within = seconds(*ms);
                write!(
                    f,
                    "a request done within {within} after {from} of fault {fault}"
                )
            }
            Self::DispatchesAtLeast { count } => {
                write!(f, "at least {count} changes sent to engines")
            }
            Self::Reaches { mark, count } => write!(f, "that {mark} is reached {count} times"),
            Self::NeverReaches { mark } => write!(f, "that {mark} is not reached"),
            Self::Meets { cell } => write!(f, "that faults meet {cell}"),
            Self::StartsAtLeast { count } => write!(f, "at least {count} starts of managers"),
            Self::SameTermsWithout { kinds } => {
                write!(f, "the same terms without {}", kinds.join(" and "))
            }
            Self::Breaks { signature } => write!(f, "a broken promise: {signature}"),
            _ => f.write_str(self.name()),
        }
    }
}

fn seconds(ms: u64) -> String {
    format!("{} s", Duration::from_millis(ms).as_secs_f64())
}
