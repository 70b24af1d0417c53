//! What the lab checks beyond the judge and the history: it knows what each manager was told.

use std::time::Duration;

use swarm_core::election::lease::beat_interval;
use swarm_core::election::{Authority, OpId, Record, SwapOutcome, Version};
use swarm_core::time::{Mono, nanos};

use super::manager::{Load, Memory, Shown, Stage, Waiting};
use super::record::Seen;
use super::{Lab, MS};
use crate::property::Property;
use crate::trace::Kind;

/// A loser waits at least 500 ms of its own time; some of it may be another clock's.
const BACK_OFF: u64 = 400 * MS;
/// A manager remembers so many swaps without an answer.
const REMEMBERED: usize = 16;
/// The store's load is looked at in windows of this length.
const WINDOW: u64 = 10_000 * MS;
/// After a fault everybody may still be catching up.
const SETTLE: u64 = 12_000 * MS;

impl Lab<'_> {
    /// Looks at who acts, after each event.
    pub(super) fn look(&mut self) {
        let now = self.now;
        self.acting.clear();
        for manager in &self.managers {
            if let Some(epoch) = manager.acting(now) {
                self.acting.push((manager.host, epoch));
            }
        }
        self.judge.look(now, &self.acting);
        self.check_outlives_store();
        if self.acting != self.looked {
            self.acting_changed();
        }
    }

    fn acting_changed(&mut self) {
        let looked = std::mem::replace(&mut self.looked, self.acting.clone());
        for (host, epoch) in &looked {
            if !self.acting.contains(&(*host, *epoch)) {
                self.note(*host, Kind::Idle, (*epoch, 0));
            }
        }
        for (host, epoch) in self.acting.clone() {
            if !looked.contains(&(host, epoch)) {
                self.note(host, Kind::Acting, (epoch, 0));
            }
        }
        self.first_primary();
    }

    /// A manager has begun an epoch: it must be above all that it was told of, and above all there were.
    pub(super) fn check_acquired(&mut self, m: usize, epoch: u64) {
        let told = highest_told(&self.managers[m].memory);
        let within = self.plan.within_model();
        // What nobody alive was told of is lost when the store forgets it.
        let highest = if within {
            self.highest_acquired.max(told)
        } else {
            told
        };
        if epoch <= highest {
            let aspect = if epoch <= told { "told" } else { "" };
            let what = format!("m{} acquired epoch {epoch} after epoch {highest}", m + 1);
            self.fail(Property::EpochOrder, aspect, what);
        }
        self.highest_acquired = self.highest_acquired.max(epoch);
    }

    /// A swap for `epoch` met another's record: whoever sent it must have stopped.
    pub(super) fn check_stops(&mut self, m: usize, epoch: u64) {
        if self.managers[m].acting(self.now) == Some(epoch) {
            let what = format!("m{} goes on though it was told of another's record", m + 1);
            self.fail(Property::SinglePrimary, "told", what);
        }
    }

    /// A conflict showed the manager's own swap, whose answer had got lost: its lease counts from that swap's sending.
    pub(super) fn check_recognised(&mut self, m: usize, op: OpId, seen: &Seen) {
        let lease = self.lease();
        let manager = &self.managers[m];
        let memory = &manager.memory;
        let Some(record) = seen.record().filter(|record| !record.released) else {
            return;
        };
        let mut lately = memory.sent.iter().rev().take(REMEMBERED);
        let Some(sent) = lately.find(|sent| sent.nonce == record.nonce) else {
            return;
        };
        // Who has sent many swaps since does not know this one any more, or the one that is answered.
        let mut lately = memory.sent.iter().rev().take(REMEMBERED);
        if lately.all(|sent| sent.op != op) {
            return;
        }
        let void = sent.epoch <= memory.void_epoch.max(memory.knows.told_epoch);
        let given_up =
            manager.stopping.is_some() || memory.stepped_down.is_some_and(|at| at >= sent.at);
        let news = seen.version >= self.store.key.current().version;
        let until = manager.authority.map(|authority| authority.until);
        if void || !news || given_up || until >= Some(sent.at + lease) {
            return;
        }
        let what = format!(
            "m{} does not recognise its own swap of epoch {}, whose answer got lost",
            m + 1,
            sent.epoch
        );
        self.fail(Property::Stability, "own-swap", what);
    }

    /// Remembers what a manager has reason to believe in, and since when. A hint that shows less may be stale.
    ///
    /// `read_at` is when the store was read linearizably.
    pub(super) fn show(
        &mut self,
        m: usize,
        (version, epoch): (Option<Version>, u64),
        read_at: Option<u64>,
    ) {
        let at = self.now;
        let manager = &mut self.managers[m];
        let since = manager.clock.local(self.now);
        let memory = &mut manager.memory;
        let less = memory.knows.ever_shown && version <= memory.knows.shown.version;
        let same = (memory.knows.shown.version, memory.knows.shown.epoch) == (version, epoch);
        let proven = read_at.is_some_and(|read_at| read_at > memory.knows.shown.at);
        if !same && (proven || !less) {
            memory.knows.shown = Shown {
                version,
                epoch,
                since,
                at,
                back: less || (epoch > 0 && epoch < memory.knows.highest_epoch),
            };
        }
        memory.knows.ever_shown |= version.is_some();
        memory.knows.highest_epoch = memory.knows.highest_epoch.max(epoch);
    }

    /// An answer to a swap, if it says that one of the manager's own was done, gives it a lease from its sending on.
    pub(super) fn check_granted(&mut self, m: usize, op: OpId, outcome: &SwapOutcome) {
        let lease = self.lease();
        let memory = &mut self.managers[m].memory;
        let done = |sent: &&super::manager::Sent| match outcome {
            SwapOutcome::Swapped(_) => sent.op == op,
            SwapOutcome::Conflict(Some(reading)) => {
                let record = reading.record();
                record.is_some_and(|record| record.nonce == sent.nonce)
            }
            SwapOutcome::Conflict(None) | SwapOutcome::NotApplied | SwapOutcome::Unknown => false,
        };
        if let Some(sent) = memory.sent.iter().find(done) {
            memory.granted = memory.granted.max(sent.at + lease);
        }
    }

    /// A lease comes from answers to the manager's own swaps only, and not for an epoch that is known to be over.
    pub(super) fn check_authority(&mut self, m: usize, authority: Authority) {
        let memory = &self.managers[m].memory;
        let known = if self.plan.within_model() {
            memory.knows.told_epoch
        } else {
            memory.knows.proven_epoch
        };
        if authority.until > memory.granted {
            let what = format!(
                "m{} holds epoch {} until {}, its swaps gave it until {}",
                m + 1,
                authority.epoch,
                authority.until,
                memory.granted
            );
            self.fail(Property::SinglePrimary, "lease", what);
        } else if authority.epoch <= known
            && authority.holds(self.managers[m].clock.local(self.now))
        {
            let what = format!(
                "m{} acts in epoch {} though it was told of epoch {known}",
                m + 1,
                authority.epoch
            );
            self.fail(Property::SinglePrimary, "told", what);
        }
    }

    /// A swap is sent: not by who has just lost against its will, was told to step down, or has to wait yet.
    pub(super) fn check_claim(
        &mut self,
        m: usize,
        local: Mono,
        expected: Option<Version>,
        record: &Record,
    ) {
        let manager = &self.managers[m];
        if manager.authority.is_some() || record.released {
            return;
        }
        self.check_wait(m, local, expected);
        let told = highest_told(&self.managers[m].memory);
        if record.beat == 0 && record.epoch <= told {
            let what = format!(
                "m{} claims epoch {} after epoch {told}",
                m + 1,
                record.epoch
            );
            self.fail(Property::EpochOrder, "claim", what);
        }
        let (now, lease) = (self.now, self.lease());
        let manager = &mut self.managers[m];
        if manager.members.count_ones() < 2 {
            return;
        }
        let lost_at = manager.memory.lost_at.take_if(|(at, own)| {
            now.saturating_sub(*at) < BACK_OFF && nanos(local.since(*own)) < BACK_OFF
        });
        let stepped_down = manager
            .memory
            .stepped_down
            .is_some_and(|at| local.since(at) < lease);
        let (aspect, what) = if stepped_down {
            ("step-down", "though it was told to step down")
        } else if lost_at.is_some() {
            ("back-off", "right after it lost the lease against its will")
        } else {
            return;
        };
        let what = format!("m{} claims again {what}", m + 1);
        self.fail(Property::Stability, aspect, what);
    }

    /// What vanished or went back is replaced after a wait only.
    fn check_wait(&mut self, m: usize, local: Mono, expected: Option<Version>) {
        let shown = self.managers[m].memory.knows.shown;
        // Computed here, so that a bug planted in the formula shows.
        let wait = self.lease() * 1_020 / 980;
        let waited = local.since(shown.since);
        if shown.back && shown.version == expected && waited < wait {
            let what = format!(
                "m{} claims {waited:?} after the record had vanished or gone back",
                m + 1
            );
            self.fail(Property::Stability, "went-back", what);
        }
    }

    fn lease(&self) -> Duration {
        Duration::from_millis(self.plan.knobs.lease_ms)
    }

    /// A change may leave only on the word of a linearizable read, or of all members, asked for after it had arrived.
    pub(super) fn check_confirmed(&mut self, m: usize, waiting: &Waiting, epoch: u64) {
        let memory = &self.managers[m].memory;
        let words = [memory.knows.confirmed, memory.promised];
        let said = |(at, confirmed): (u64, u64)| confirmed == epoch && at >= waiting.arrived;
        if self.plan.knobs.verify && !words.into_iter().any(said) {
            let what = format!(
                "m{} lets a change of epoch {epoch} through that nobody has confirmed since it arrived",
                m + 1
            );
            self.fail(Property::DispatchInLease, "unverified", what);
        }
    }

    /// A request without an attempt is held, and given up in time.
    pub(super) fn check_held(&mut self, m: usize) {
        let manager = &self.managers[m];
        let ran = manager.ran(self.now);
        let clock_slack = self.plan.knobs.primary_wait_ms * MS / 10;
        let limit = self.plan.knobs.primary_wait_ms * MS + clock_slack + 2_000 * MS;
        let held = manager
            .jobs()
            .find(|job| job.stage == Stage::Held && ran.saturating_sub(job.held_since) > limit);
        // Who gets hardly any turns, or has another clock, is measured by the client's own patience.
        if let Some(job) = held
            && !manager.is_slow()
            && self.plan.within_model()
        {
            let what = format!(
                "m{} has held request {} for {} ms",
                m + 1,
                job.request,
                (ran - job.held_since) / MS
            );
            self.fail(Property::OneAnswer, "held", what);
        }
    }

    /// The store's load, in windows.
    pub(super) fn check_load(&mut self) {
        if self.now < self.window + WINDOW {
            return;
        }
        let began = std::mem::replace(&mut self.window, self.now);
        let lease = self.lease();
        let beats = (self.now - began) / nanos(beat_interval(lease)).max(1) + 1;
        let calm = self.active.iter().all(|active| !active.under_way())
            && began > self.quiet_since + SETTLE
            && self.plan.within_model();
        let errors = (self.now - began) / (100 * MS);
        let mut swaps = 0;
        for m in 0..self.managers.len() {
            let load = std::mem::take(&mut self.managers[m].load);
            swaps += load.swaps;
            let Load {
                verifies, watches, ..
            } = load;
            let changes = load.changes;
            let most = beats * 2 + errors + 20;
            // Regressing reads answer every query at once.
            let queries = changes * 2 + errors * 2 + 20;
            if load.swaps > most || watches > queries {
                let what = format!(
                    "m{} sent {} swaps (at most {most}), {verifies} verifies and {watches} queries (at most {queries})",
                    m + 1,
                    load.swaps
                );
                self.fail(Property::StoreLoad, "", what);
            }
        }
        let steady = beats + beats / 20 + 5;
        if calm && swaps > steady && self.plan.knobs.loss_per_mille == 0 {
            let what = format!("{swaps} swaps though nothing is wrong (at most {steady})");
            self.fail(Property::StoreLoad, "calm", what);
        }
    }
}

/// The highest epoch a manager knows to be another's or over.
fn highest_told(memory: &Memory) -> u64 {
    memory.knows.told_epoch.max(memory.void_epoch)
}
