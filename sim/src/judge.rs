//! Judges roles, epochs and dispatches on true time, for both tiers. It sees everything and influences nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use swarm_core::time::nanos;

use crate::plan::{Family, Op, Plan, Tier};
use crate::property::{Property, Violation};
use crate::trace::HostId;

mod budgets;

pub use budgets::Budgets;
use budgets::lingering;

/// After the last fault managers may still have a wait of their own to sit out, and back-offs of up to 10 s.
const SETTLE: Duration = Duration::from_secs(12);

/// Who acted from when on, in which epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// In true time, nanoseconds.
    pub at: u64,
    /// Who.
    pub host: HostId,
    /// Its epoch.
    pub epoch: u64,
}

/// A failover that was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failover {
    /// The kind of fault that caused it.
    pub cause: String,
    /// When the fault struck, in true time, nanoseconds.
    #[serde(default)]
    pub at: u64,
    /// From the fault to the next primary, in microseconds of true time.
    pub took_us: u64,
    /// What it may take.
    pub budget_us: u64,
}

/// The drill under way.
#[derive(Clone, Debug)]
struct Drill {
    began: u64,
    cause: &'static str,
    victim: HostId,
    budget: u64,
}

/// Watches one run.
#[derive(Debug)]
pub struct Judge {
    budgets: Budgets,
    /// The number of the first manager among the hosts.
    first_manager: HostId,
    /// The store forgets nothing it confirmed.
    remembers: bool,
    exclusive: bool,
    one_epoch: bool,
    violation: Option<Violation>,
    acting: Vec<(HostId, u64)>,
    terms: Vec<Term>,
    /// Who acts beside a newer primary, and since when.
    overlaps: BTreeMap<(HostId, u64), u64>,
    /// How long faults without an end of their own may bite on.
    lingering: Duration,
    /// From then on only a drill may change the primary.
    calm_from: Option<u64>,
    drill: Option<Drill>,
    failovers: Vec<Failover>,
    released: BTreeMap<u64, u64>,
    dispatched: u64,
}

impl Judge {
    /// A judge of a run of `plan`.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            budgets: Budgets::of(plan),
            first_manager: match plan.tier {
                Tier::Lab => 0,
                Tier::World => plan.topology.stores.into(),
            },
            remembers: plan
                .faults
                .iter()
                .all(|fault| fault.op.family() != Family::StoreData),
            exclusive: plan.within_model(),
            one_epoch: plan.only_outages(),
            violation: None,
            acting: Vec::new(),
            terms: Vec::new(),
            overlaps: BTreeMap::new(),
            lingering: lingering(plan),
            calm_from: None,
            drill: None,
            failovers: Vec::new(),
            released: BTreeMap::new(),
            dispatched: 0,
        }
    }

    /// The first violation.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Takes a violation in unless there was one before.
    pub fn fail(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// Who has acted, oldest first; one entry for each epoch.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Who acted at the last look.
    #[must_use]
    pub fn acting(&self) -> &[(HostId, u64)] {
        &self.acting
    }

    /// The failovers measured.
    #[must_use]
    pub fn failovers(&self) -> &[Failover] {
        &self.failovers
    }

    /// How many changes have left for engines.
    #[must_use]
    pub fn dispatched(&self) -> u64 {
        self.dispatched
    }

    /// The faults have not struck yet, or are all over: from `now` on, after a while to settle, nothing may change.
    pub fn calm(&mut self, now: u64, settled: bool) {
        let settle = if settled {
            0
        } else {
            nanos((SETTLE + self.budgets.host_loss).saturating_add(self.lingering))
        };
        self.calm_from = Some(now.saturating_add(settle));
    }

    /// A fault begins: anything may change.
    pub fn fault_began(&mut self) {
        self.calm_from = None;
    }

    /// The drill begins: somebody else than `victim` must act within the budget of `op`.
    pub fn drill_began(&mut self, now: u64, op: &Op, victim: HostId) {
        self.calm_from = None;
        // Who knows of a higher epoch than a store that forgets waits before it believes in a release.
        let budget = self.budgets.for_op(op).filter(|_| self.remembers);
        if let Some(budget) = budget {
            self.drill = Some(Drill {
                began: now,
                cause: op.kind(),
                victim,
                budget: nanos(budget),
            });
        }
    }

    /// Whether a drill waits for its failover.
    #[must_use]
    pub fn drilling(&self) -> bool {
        self.drill.is_some()
    }

    /// Looks at who acts at `now`: everybody whose gate would let a change pass. Called after every step. A host that is
    /// frozen right now does nothing and is left out.
    pub fn look(&mut self, now: u64, acting: &[(HostId, u64)]) {
        self.check_drill(now);
        if self.acting == acting {
            self.check_overlap(now);
            return;
        }
        self.acting.clear();
        self.acting.extend_from_slice(acting);
        self.check_overlap(now);
        for &(host, epoch) in acting {
            self.note_term(now, host, epoch);
        }
    }

    /// What a manager is called.
    fn name(&self, manager: HostId) -> String {
        format!("m{}", (manager + 1).saturating_sub(self.first_manager))
    }

    fn check_overlap(&mut self, now: u64) {
        if self.acting.len() < 2 {
            self.overlaps.clear();
            return;
        }
        let (aspect, allowed) = if self.exclusive {
            ("", 0)
        } else {
            ("longer-than-a-lease", nanos(self.budgets.overlap))
        };
        // The newest has a right to act; the others are still to notice it.
        let began = |one: &(HostId, u64)| {
            let mut terms = self.terms.iter();
            let began = terms.rposition(|term| (term.host, term.epoch) == *one);
            began.unwrap_or(usize::MAX)
        };
        let newest = self.acting.iter().max_by_key(|one| began(one)).copied();
        let old: Vec<(HostId, u64)> = self
            .acting
            .iter()
            .filter(|one| Some(**one) != newest)
            .copied()
            .collect();
        self.overlaps.retain(|one, _| old.contains(one));
        for one in old {
            self.overlaps.entry(one).or_insert(now);
        }
        let longest = self.overlaps.values().map(|since| now - since).max();
        if self.exclusive || longest.is_some_and(|longest| longest > allowed) {
            let all: Vec<String> = (self.acting.iter())
                .map(|(host, epoch)| format!("{} in epoch {epoch}", self.name(*host)))
                .collect();
            let what = format!("several managers act: {}", all.join(", "));
            self.fail(Violation::new(Property::SinglePrimary, aspect, now, what));
        }
    }

    fn note_term(&mut self, now: u64, host: HostId, epoch: u64) {
        if !self.remembers {
            // Who starts after the store forgot the release cannot know of it.
            self.released.remove(&epoch);
        }
        let last = self.terms.last().cloned();
        if self
            .terms
            .iter()
            .any(|term| (term.host, term.epoch) == (host, epoch))
        {
            return;
        }
        if let Some(last) = &last
            && epoch <= last.epoch
            && self.exclusive
        {
            let what = format!(
                "{} acts in epoch {epoch} after epoch {}",
                self.name(host),
                last.epoch
            );
            self.fail(Violation::new(Property::EpochOrder, "", now, what));
        }
        if last.is_some() && self.one_epoch && self.drill.is_none() && self.failovers.is_empty() {
            let what = format!("epoch {epoch} though only the store was away");
            self.fail(Violation::new(Property::Stability, "outage", now, what));
        }
        if last.is_some() && self.calm_from.is_some_and(|from| now >= from) {
            let what = format!(
                "{} begins epoch {epoch} though nothing is wrong",
                self.name(host)
            );
            self.fail(Violation::new(Property::Stability, "calm", now, what));
        }
        self.terms.push(Term {
            at: now,
            host,
            epoch,
        });
        self.end_drill(now, host);
    }

    fn end_drill(&mut self, now: u64, host: HostId) {
        let Some(drill) = self.drill.take_if(|drill| drill.victim != host) else {
            return;
        };
        self.failovers.push(Failover {
            cause: drill.cause.to_owned(),
            at: drill.began,
            took_us: (now - drill.began) / 1_000,
            budget_us: drill.budget / 1_000,
        });
    }

    fn check_drill(&mut self, now: u64) {
        let Some(drill) = &self.drill else { return };
        if now - drill.began > drill.budget {
            let what = format!(
                "nobody took over within {:.3} s after {}",
                Duration::from_nanos(drill.budget).as_secs_f64(),
                drill.cause
            );
            let aspect = drill.cause;
            self.drill = None;
            self.fail(Violation::new(Property::Failover, aspect, now, what));
        }
    }

    /// The store took the release of `epoch`.
    pub fn released(&mut self, now: u64, epoch: u64) {
        self.released.entry(epoch).or_insert(now);
    }

    /// A change of `epoch` left `host` for an engine; `acting` is the epoch in which the host acts by its own clock.
    pub fn dispatched_by(&mut self, now: u64, host: HostId, epoch: u64, acting: Option<u64>) {
        self.dispatched += 1;
        if acting != Some(epoch) {
            let what = match acting {
                None => format!("{} dispatched a change outside its lease", self.name(host)),
                Some(other) => format!(
                    "{} dispatched a change of epoch {epoch} while it acts in epoch {other}",
                    self.name(host)
                ),
            };
            self.fail(Violation::new(
                Property::DispatchInLease,
                "no-lease",
                now,
                what,
            ));
        }
        // Outside the model a confirmation may have come before the next epoch began; what was confirmed leaves inside
        // the lease. A store that forgets the newer epoch confirms the older one again, and is right.
        let newer = self.terms.iter().find(|term| term.epoch > epoch);
        let slack = if self.exclusive {
            0
        } else {
            nanos(self.budgets.overlap)
        };
        if let Some(newer) = newer
            && self.remembers
            && now > newer.at + slack
        {
            let what = format!(
                "{} dispatched a change of epoch {epoch} after epoch {} had begun",
                self.name(host),
                newer.epoch
            );
            self.fail(Violation::new(
                Property::DispatchInLease,
                "old-epoch",
                now,
                what,
            ));
        }
        if let Some(at) = self.released.get(&epoch)
            && now > *at
        {
            let what = format!(
                "{} dispatched a change of epoch {epoch}, which was released",
                self.name(host)
            );
            self.fail(Violation::new(Property::ReleaseFinal, "", now, what));
        }
    }
}

#[cfg(test)]
mod tests;
