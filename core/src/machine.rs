//! The shape of every state machine here, and the seven laws each of them obeys.

use crate::time::Mono;

#[cfg(test)]
pub(crate) mod laws;

/// A state machine without I/O: inputs and time go in, effects come out.
///
/// Seven laws hold for each (see `laws`, which is run for all of them): time never goes back; a spurious wake does
/// nothing; after `wake(now)` the next wake is later than `now`; every input is accepted in every state, stale or
/// unknown operation ids being ignored and counted; same inputs give the same effects and the same digest; effects
/// per call and queue lengths are bounded by constants; a clone fed the same inputs stays equal.
pub trait Machine {
    /// What happens to the machine.
    type Input;
    /// What the machine wants done.
    type Effect;

    /// Takes one input at local time `now`. A `now` before an earlier one counts as the earlier one.
    fn handle(&mut self, now: Mono, input: Self::Input, out: &mut Effects<Self::Effect>);

    /// When [`Machine::wake`] wants to be called next, and why; `None` to wait for an input.
    fn wake_at(&self) -> Option<Wake>;

    /// Does what is due at `now`. Harmless when nothing is due.
    fn wake(&mut self, now: Mono, out: &mut Effects<Self::Effect>);

    /// A summary of the whole state: equal states have equal digests.
    fn digest(&self) -> u64;
}

/// The next time a machine wants to run, with the reason: the answer to "what is it waiting for?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// The local time to wake at.
    pub at: Mono,
    /// Why, in a few words.
    pub why: &'static str,
}

impl Wake {
    /// The earlier of two wakes.
    #[must_use]
    pub fn earlier(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        match (first, second) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (one, other) => one.or(other),
        }
    }
}

/// Where a machine puts its effects, in the order they are to be carried out.
#[derive(Debug, PartialEq, Eq)]
pub struct Effects<E> {
    items: Vec<E>,
}

impl<E> Default for Effects<E> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl<E> Effects<E> {
    /// Adds one effect behind the others.
    pub fn push(&mut self, effect: E) {
        self.items.push(effect);
    }

    /// Takes all effects out, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = E> + use<'_, E> {
        self.items.drain(..)
    }

    /// The effects so far.
    #[must_use]
    pub fn as_slice(&self) -> &[E] {
        &self.items
    }

    /// How many effects wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// A 64-bit FNV-1a hasher: the same digest on every platform and in every version of Rust.
#[derive(Clone, Debug)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// The digest of a value's `Debug` form, which shows the whole state.
    pub fn of(value: &impl std::fmt::Debug) -> u64 {
        use std::fmt::Write;
        let mut digest = Self::default();
        // Writing into a digest cannot fail.
        let _ = write!(digest, "{value:?}");
        digest.0
    }
}

impl std::fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}
