//! What goes wrong alike with the servers of every store.

use std::time::Duration;

/// How a server is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outage {
    /// It is not.
    #[default]
    None,
    /// Killed: open connections are cut and new ones closed at once. Followers cannot reach it either.
    Down,
    /// Paused: connections stay open and nothing is answered; requests are served when it comes back, if their
    /// client still waits. The timers it keeps as a leader stand still.
    Hung,
}

/// Answers given instead of doing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refuse<R> {
    /// Which requests.
    pub which: Which,
    /// With what.
    pub with: R,
}

/// A selection of requests. A transaction that cannot write is a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those that go through raft, and what keeps sessions and leases alive.
    Writes,
    /// The others.
    Reads,
}

/// Writes after which the client cannot know whether they happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous<A> {
    /// How many writes still pass untouched.
    pub skip: u64,
    /// How many are hit after those.
    pub count: u64,
    /// Whether they are applied.
    pub applied: bool,
    /// What the client gets to see.
    pub answer: A,
}

/// What becomes of clients that wait for changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watches {
    /// They are told when something changed.
    #[default]
    Working,
    /// Changes are not noticed: a blocking query returns at the end of its wait with what it saw at its start, a stream
    /// never tells of what changed meanwhile.
    Dropped,
    /// They notice changes this much later.
    Late(Duration),
    /// Nothing is told any more.
    Stuck,
}

impl<R: Copy> Refuse<R> {
    /// The answer to a request, if it is turned down.
    pub(crate) fn to(self, write: bool) -> Option<R> {
        let covered = match self.which {
            Which::All => true,
            Which::Writes => write,
            Which::Reads => !write,
        };
        covered.then_some(self.with)
    }
}

impl<A: Copy> Ambiguous<A> {
    /// Whether the next write is applied, and what its client sees if its outcome stays unknown.
    pub(crate) fn next(ambiguous: &mut Option<Self>) -> (bool, Option<A>) {
        let hit = ambiguous.as_mut().and_then(Self::hit);
        hit.map_or((true, None), |(applied, answer)| (applied, Some(answer)))
    }

    fn hit(&mut self) -> Option<(bool, A)> {
        if let Some(left) = self.skip.checked_sub(1) {
            self.skip = left;
            return None;
        }
        self.count = self.count.checked_sub(1)?;
        Some((self.applied, self.answer))
    }
}
