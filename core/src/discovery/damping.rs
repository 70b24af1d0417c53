//! Not believing at once that half the fleet is gone (spec/classic.md D3).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::entries::diff;
use crate::address::HostPort;
use crate::time::Mono;

/// Turns listings into changes of the set of known engines.
///
/// New engines count at once. A listing that lacks all known engines, or more than half of at least two, is doubted:
/// a store restored from scratch or a half-written file looks just so. The engines it lacks stay until they are
/// missing from a later listing as well, once the grace period has passed; each one that comes back in between starts anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damper {
    grace: Duration,
    known: BTreeSet<HostPort>,
    /// Known engines a doubted listing lacks, and since when they are missing without a break.
    missing: BTreeMap<HostPort, Mono>,
}

/// What a listing changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Engines to add.
    pub added: BTreeSet<HostPort>,
    /// Engines to remove.
    pub removed: BTreeSet<HostPort>,
    /// Set when engines stay although the listing lacks them.
    pub doubt: Option<Doubt>,
}

/// Engines are kept against the listing. Its text says so to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// How many known engines the listing lacks.
    pub missing: usize,
    /// How many engines are known.
    pub known: usize,
    /// When to look again.
    pub recheck_at: Mono,
    /// Whether this listing is the first that is doubted: the time to tell people.
    pub began: bool,
    /// How long an engine must be missing.
    pub grace: Duration,
}

impl Damper {
    /// How long a doubted engine stays.
    pub const GRACE_DEFAULT: Duration = Duration::from_secs(10);

    /// Knows no engine yet.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self {
            grace,
            known: BTreeSet::new(),
            missing: BTreeMap::new(),
        }
    }

    /// The engines that count at the moment.
    #[must_use]
    pub fn known(&self) -> &BTreeSet<HostPort> {
        &self.known
    }

    /// Takes a complete listing, read at `now`.
    pub fn observe(&mut self, now: Mono, listing: &BTreeSet<HostPort>) -> Change {
        let (added, lacking) = diff(&self.known, listing);
        let known = self.known.len();
        let had_doubt = !self.missing.is_empty();
        self.missing.retain(|engine, _| lacking.contains(engine));
        let doubtful = !lacking.is_empty()
            && (lacking.len() == known || (known >= 2 && lacking.len() * 2 > known));
        let mut removed = BTreeSet::new();
        for engine in &lacking {
            let believed = match self.missing.get(engine) {
                Some(since) => now.since(*since) >= self.grace,
                None => !doubtful || self.grace.is_zero(),
            };
            if believed {
                self.missing.remove(engine);
                removed.insert(engine.clone());
            } else {
                self.missing.entry(engine.clone()).or_insert(now);
            }
        }
        self.known.retain(|engine| !removed.contains(engine));
        self.known.extend(added.iter().cloned());
        let doubt = self.recheck_at().map(|recheck_at| Doubt {
            missing: lacking.len(),
            known,
            recheck_at,
            began: !had_doubt,
            grace: self.grace,
        });
        Change {
            added,
            removed,
            doubt,
        }
    }

    /// When the listing should be read again because engines are doubted; `None` when none is.
    #[must_use]
    pub fn recheck_at(&self) -> Option<Mono> {
        self.missing.values().min().map(|since| *since + self.grace)
    }
}

impl Default for Damper {
    fn default() -> Self {
        Self::new(Self::GRACE_DEFAULT)
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the listing lacks {} of {} known engines: they stay until they have been missing for {:?}",
            self.missing, self.known, self.grace
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Listing;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn set(list: &str) -> BTreeSet<HostPort> {
        Listing::of(list.split(',')).entries
    }

    fn damper(known: &str) -> Damper {
        let mut damper = Damper::default();
        damper.observe(Mono(0), &set(known));
        damper
    }

    #[test]
    fn ordinary_changes_count_at_once() {
        let mut damper = damper("a:1,b:1,c:1,d:1");
        let change = damper.observe(Mono(1), &set("a:1,b:1,e:1"));
        assert_eq!(change.added, set("e:1"));
        assert_eq!(change.removed, set("c:1,d:1"));
        assert_eq!(change.doubt, None);
        assert_eq!(damper.known(), &set("a:1,b:1,e:1"));
    }

    #[test]
    fn an_empty_listing_is_believed_when_it_is_seen_again_after_the_grace_period() {
        let mut damper = damper("a:1,b:1,c:1");
        let change = damper.observe(Mono(SECOND), &set(""));
        assert_eq!(change.removed, set(""));
        let doubt = change.doubt.unwrap();
        assert!(doubt.began);
        assert_eq!(doubt.recheck_at, Mono(11 * SECOND));
        assert_eq!(
            doubt.to_string(),
            "the listing lacks 3 of 3 known engines: they stay until they have been missing for 10s"
        );

        let change = damper.observe(Mono(11 * SECOND - 1), &set(""));
        assert_eq!(change.removed, set(""));
        assert!(!change.doubt.unwrap().began);

        let change = damper.observe(Mono(11 * SECOND), &set(""));
        assert_eq!(change.removed, set("a:1,b:1,c:1"));
        assert_eq!(change.doubt, None);
        assert!(damper.known().is_empty());
        assert_eq!(damper.recheck_at(), None);
    }

    #[test]
    fn engines_that_come_back_never_went() {
        let mut damper = damper("a:1,b:1,c:1");
        damper.observe(Mono(0), &set("c:1"));
        let change = damper.observe(Mono(5 * SECOND), &set("a:1,b:1,c:1"));
        assert_eq!(change, Change::default());
        let change = damper.observe(Mono(12 * SECOND), &set("c:1"));
        assert_eq!(change.removed, set(""));
        assert!(change.doubt.unwrap().began);
    }

    #[test]
    fn the_last_engine_is_not_dropped_at_once_either() {
        let mut damper = damper("a:1");
        assert_eq!(damper.observe(Mono(1), &set("")).removed, set(""));
    }

    #[test]
    fn a_fleet_that_moved_keeps_the_old_engines_for_the_grace_period() {
        let mut damper = damper("a:1,b:1,c:1");
        let change = damper.observe(Mono(0), &set("d:1,e:1,f:1"));
        assert_eq!(change.added, set("d:1,e:1,f:1"));
        assert_eq!(change.removed, set(""));
        let change = damper.observe(Mono(SECOND), &set("d:1,e:1,f:1"));
        assert_eq!(change.removed, set(""));
        let change = damper.observe(Mono(10 * SECOND), &set("d:1,e:1,f:1"));
        assert_eq!(change.removed, set("a:1,b:1,c:1"));
    }

    #[test]
    fn without_a_grace_period_every_listing_is_believed() {
        let mut damper = Damper::new(Duration::ZERO);
        damper.observe(Mono(0), &set("a:1,b:1"));
        assert_eq!(damper.observe(Mono(0), &set("")).removed, set("a:1,b:1"));
    }

    proptest! {
        #[test]
        fn known_follows_the_changes_and_the_last_listing_wins(
            steps in proptest::collection::vec((0_u64..8, proptest::collection::btree_set(0_u16..6, 0..6)), 1..20)
        ) {
            let mut damper = Damper::default();
            let mut model = BTreeSet::new();
            let mut listing = BTreeSet::new();
            let mut now = Mono(0);
            for (seconds, engines) in steps {
                now += Duration::from_secs(seconds);
                listing = engines.iter().map(|n| HostPort::new("n", n + 1).unwrap()).collect();
                let change = damper.observe(now, &listing);
                model.retain(|engine| !change.removed.contains(engine));
                model.extend(change.added.iter().cloned());
                prop_assert_eq!(damper.known(), &model);
                prop_assert!(listing.is_subset(&model));
                prop_assert!(change.removed.is_disjoint(&listing));
                prop_assert_eq!(change.doubt.is_some(), model != listing);
                prop_assert!(damper.recheck_at().is_none_or(|at| at > now));
            }
            damper.observe(now + Damper::GRACE_DEFAULT, &listing);
            prop_assert_eq!(damper.known(), &listing);
        }
    }
}
