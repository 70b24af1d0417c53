//! What happened in a run, as numbers: canonical, hashed on the way, and kept only if somebody wants to look.
//!
//! The hash of a run covers every event in order. A ladder of intermediate hashes lets two runs that differ be compared
//! without keeping either: the first rung that differs bounds the place.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many events lie between two rungs of the ladder.
pub const RUNG: u64 = 1_000;

/// A host's number within a trace.
pub type HostId = u16;

/// No host in particular.
pub const NOWHERE: HostId = HostId::MAX;

/// What kind of thing happened; `a` and `b` of an [`Event`] mean what is said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Kind {
    /// A process started; `a` counts its lives.
    Started,
    /// A process ended; `a` is 0 by itself, 1 killed, 2 without power.
    Ended,
    /// Tasks stand still; `a` is 1 if the clock does too.
    Paused,
    /// Tasks go on.
    Resumed,
    /// A manager acts; `a` is its epoch.
    Acting,
    /// A manager does not act any more; `a` is the epoch it had.
    Idle,
    /// A lease was granted or renewed; `a` is its epoch, `b` its end in true time (ns).
    Lease,
    /// A fault began; `a` is its id.
    FaultBegan,
    /// A fault ended; `a` is its id.
    FaultEnded,
    /// The direction from this host to host `a` was cut.
    Cut,
    /// The direction from this host to host `a` works again.
    Healed,
    /// A machine took an input; `a` is the kind of input, `b` the machine's standing before.
    Input,
    /// A machine was woken; `a` is its standing before.
    Wake,
    /// A swap was sent; `a` is the epoch, `b` the beat.
    SwapSent,
    /// The store took a swap; `a` is the epoch, `b` the new version.
    SwapDone,
    /// The store refused a swap; `a` is the epoch, `b` the version it has.
    SwapConflict,
    /// A message arrived; `a` and `b` are the simulation's own.
    Message,
    /// A change left for an engine; `a` is the epoch, `b` the request.
    Dispatched,
    /// An engine carried a change out; `a` is the request.
    Applied,
    /// A client asked; `a` is the request, `b` its kind.
    Asked,
    /// A client was answered; `a` is the request, `b` the status (0: the connection broke).
    Answered,
    /// An attempt at a request; `a` is the request, `b` the attempt.
    Attempt,
    /// A line was logged; `a` is the level from 1 (ERROR) to 5.
    Log,
    /// A promise was broken.
    Violation,
    /// Something else worth showing.
    Note,
    /// The network keeps a request of this host; `a` is the fault that says so.
    Kept,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts from 1.
    pub seq: u64,
    /// True time since the start, in nanoseconds.
    pub at: u64,
    /// Where; an index into [`Trace::hosts`].
    pub host: HostId,
    /// What.
    pub kind: Kind,
    /// See [`Kind`].
    pub a: u64,
    /// See [`Kind`].
    pub b: u64,
    /// The event that led to it; 0 for none.
    pub cause: u64,
    /// In words; empty unless it says more than the numbers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// The hash of everything that happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunHash(pub u128);

impl fmt::Display for RunHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl RunHash {
    /// The offset of FNV in 128 bits.
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    /// The prime of FNV in 128 bits.
    pub(crate) const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

    /// The hash of a text.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let mut hash = Self(Self::OFFSET);
        hash.feed_text(text);
        hash
    }

    /// FNV-1a over 64-bit words, in 128 bits: the same on every platform.
    fn feed(&mut self, word: u64) {
        self.0 = (self.0 ^ u128::from(word)).wrapping_mul(Self::PRIME);
        self.0 ^= self.0 >> 67;
    }

    fn feed_text(&mut self, text: &str) {
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word.iter_mut()
                .zip(chunk)
                .for_each(|(to, from)| *to = *from);
            self.feed(u64::from_le_bytes(word));
        }
    }
}

/// How much of a run is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Its hash.
    #[default]
    Hash,
    /// Its hash and what a timeline shows: roles, leases, faults, cuts, clients.
    Story,
    /// Everything.
    All,
}

/// The state of a trace after so many events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// So many events.
    pub seq: u64,
    /// In true time, nanoseconds.
    pub at: u64,
    /// The hash up to there.
    pub hash: RunHash,
}

/// The record of a run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    keep: Keep,
    hash: RunHash,
    seq: u64,
    ladder: Vec<Rung>,
    events: Vec<Event>,
    hosts: Vec<String>,
}

impl Trace {
    /// An empty trace of a run on `hosts`.
    #[must_use]
    pub fn new(keep: Keep, hosts: Vec<String>) -> Self {
        let mut hash = RunHash(RunHash::OFFSET);
        for host in &hosts {
            hash.feed_text(host);
        }
        Self {
            keep,
            hash,
            hosts,
            ..Self::default()
        }
    }

    /// Takes an event in and returns its number, for others to name as their cause. `text` is made only if it is kept,
    /// except for log lines and violations, whose text is part of the hash.
    pub fn add(
        &mut self,
        (at, host, kind): (u64, HostId, Kind),
        (a, b): (u64, u64),
        cause: u64,
        text: impl FnOnce() -> String,
    ) -> u64 {
        self.seq += 1;
        self.hash.feed(at);
        self.hash.feed(u64::from(host) << 8 | u64::from(kind as u8));
        self.hash.feed(a);
        self.hash.feed(b);
        let hashed = matches!(kind, Kind::Log | Kind::Violation);
        let kept = match self.keep {
            Keep::Hash => false,
            Keep::Story => kind.is_story(),
            Keep::All => true,
        };
        if hashed || kept {
            let text = text();
            if hashed {
                self.hash.feed_text(&text);
            }
            if kept {
                self.events.push(Event {
                    seq: self.seq,
                    at,
                    host,
                    kind,
                    a,
                    b,
                    cause,
                    text,
                });
            }
        }
        if self.seq.is_multiple_of(RUNG) {
            self.ladder.push(Rung {
                seq: self.seq,
                at,
                hash: self.hash,
            });
        }
        self.seq
    }

    /// The hash up to now.
    #[must_use]
    pub fn hash(&self) -> RunHash {
        self.hash
    }

    /// How many events there were.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.seq
    }

    /// Whether nothing has happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seq == 0
    }

    /// The rungs so far.
    #[must_use]
    pub fn ladder(&self) -> &[Rung] {
        &self.ladder
    }

    /// The events that were kept, oldest first.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The hosts, by [`HostId`].
    #[must_use]
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The name of a host; `-` for [`NOWHERE`].
    #[must_use]
    pub fn host(&self, id: HostId) -> &str {
        self.hosts.get(usize::from(id)).map_or("-", String::as_str)
    }

    /// The number of a host.
    #[must_use]
    pub fn id_of(&self, name: &str) -> HostId {
        let found = self.hosts.iter().position(|host| host == name);
        found
            .and_then(|at| HostId::try_from(at).ok())
            .unwrap_or(NOWHERE)
    }
}

impl Kind {
    /// Whether a timeline shows it.
    #[must_use]
    pub const fn is_story(self) -> bool {
        match self {
            Self::Started
            | Self::Ended
            | Self::Paused
            | Self::Resumed
            | Self::Acting
            | Self::Idle
            | Self::Lease
            | Self::FaultBegan
            | Self::FaultEnded
            | Self::Cut
            | Self::Healed
            | Self::Asked
            | Self::Answered
            | Self::Log
            | Self::Violation
            | Self::Note
            | Self::Kept => true,
            Self::Input
            | Self::Wake
            | Self::SwapSent
            | Self::SwapDone
            | Self::SwapConflict
            | Self::Message
            | Self::Dispatched
            | Self::Applied
            | Self::Attempt => false,
        }
    }
}

/// Where two runs that should be the same part: the first rung that differs, as numbers of events between which it lies.
#[must_use]
pub fn parting(one: &Trace, other: &Trace) -> Option<(u64, u64)> {
    if one.hash == other.hash && one.seq == other.seq {
        return None;
    }
    let pairs = one.ladder.iter().zip(&other.ladder);
    let same = pairs.take_while(|(a, b)| a == b).count() as u64;
    Some((same * RUNG, (same + 1) * RUNG))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(keep: Keep, odd: Option<u64>) -> Trace {
        let mut trace = Trace::new(keep, vec!["m1".into(), "m2".into()]);
        for at in 0..3_500 {
            let a = if odd == Some(at) { 1 } else { 0 };
            trace.add((at, 0, Kind::Message), (a, 0), 0, || "x".into());
        }
        trace
    }

    #[test]
    fn what_is_kept_does_not_change_the_hash() {
        let (all, hash) = (trace(Keep::All, None), trace(Keep::Hash, None));
        assert_eq!(all.hash(), hash.hash());
        assert_eq!((all.events().len(), hash.events().len()), (3_500, 0));
        assert_eq!(parting(&all, &hash), None);
    }

    #[test]
    fn the_ladder_bounds_the_first_difference() {
        let (one, other) = (trace(Keep::Hash, None), trace(Keep::Hash, Some(2_345)));
        assert_ne!(one.hash(), other.hash());
        assert_eq!(parting(&one, &other), Some((2_000, 3_000)));
    }

    #[test]
    fn the_text_of_a_log_line_counts() {
        let hash = |text: &str| {
            let mut trace = Trace::new(Keep::Hash, Vec::new());
            trace.add((0, NOWHERE, Kind::Log), (3, 0), 0, || text.to_owned());
            trace.hash()
        };
        assert_ne!(hash("one"), hash("other"));
        assert_eq!(hash("one"), hash("one"));
    }
}
