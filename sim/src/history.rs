//! What clients asked, what engines carried out, and whether the answers were true (HA.md section 10, 5 and 6).

use std::collections::{BTreeMap, BTreeSet};

use crate::property::{Property, Violation};
use crate::run::Answers;

/// How often a request may be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// It changes nothing.
    Read,
    /// As often as anybody likes: the effect is the same.
    Repeatable,
    /// The same, and what it wants may also come about by itself: the stop of a container that ends.
    Settled,
    /// Once at most: a create under a key, a kill, an exec.
    Once,
}

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was done.
    Done,
    /// It was certainly not carried out (503, 421).
    NotDone,
    /// Whether it was carried out is unknown (502, a broken connection).
    Unknown,
    /// It was refused (404, 409, …): nothing was changed.
    Rejected,
}

impl Told {
    /// Tells the ways of being untrue apart.
    const fn aspect(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDone => "not-done",
            Self::Unknown => "unknown",
            Self::Rejected => "rejected",
        }
    }
}

#[derive(Clone, Debug)]
struct Asked {
    nature: Nature,
    at: u64,
    limit: u64,
    applied: u32,
    told: Option<Told>,
}

/// The requests of one run.
#[derive(Clone, Debug, Default)]
pub struct History {
    requests: BTreeMap<u64, Asked>,
    /// Those without an answer: few, and looked at often.
    open: BTreeSet<u64>,
    answers: Answers,
    violation: Option<Violation>,
}

impl History {
    /// A client asks at `now` (true time, ns) and must be answered within `limit` ns. `id` is new.
    pub fn asked(&mut self, now: u64, id: u64, nature: Nature, limit: u64) {
        self.answers.asked += 1;
        let asked = Asked {
            nature,
            at: now,
            limit,
            applied: 0,
            told: None,
        };
        self.requests.insert(id, asked);
        self.open.insert(id);
    }

    /// An engine carries the request out.
    pub fn applied(&mut self, now: u64, id: u64) {
        let Some(asked) = self.requests.get_mut(&id) else {
            return;
        };
        asked.applied += 1;
        let (applied, nature, told) = (asked.applied, asked.nature, asked.told);
        if nature == Nature::Once && applied > 1 {
            let what = format!("request {id} was carried out {applied} times");
            self.fail(Violation::new(Property::ExactlyOnce, "twice", now, what));
        }
        if let Some(told @ (Told::NotDone | Told::Rejected)) = told {
            let what = format!("request {id} was carried out after its client was told {told:?}");
            let aspect = told.aspect();
            self.fail(Violation::new(Property::OutcomeTruth, aspect, now, what));
        }
    }

    /// The client is answered.
    pub fn answered(&mut self, now: u64, id: u64, told: Told) {
        let Some(asked) = self.requests.get_mut(&id) else {
            return;
        };
        if asked.told.replace(told).is_some() {
            let what = format!("request {id} was answered twice");
            self.fail(Violation::new(Property::OneAnswer, "twice", now, what));
            return;
        }
        self.open.remove(&id);
        match told {
            Told::Done | Told::Rejected => self.answers.done += 1,
            Told::NotDone => self.answers.refused += 1,
            Told::Unknown => self.answers.unknown += 1,
        }
        let late = now.saturating_sub(asked.at) > asked.limit;
        let must_show = matches!(asked.nature, Nature::Repeatable | Nature::Once);
        let lost = told == Told::Done && asked.applied == 0 && must_show;
        let untrue = matches!(told, Told::NotDone | Told::Rejected) && asked.applied > 0;
        let waited = now.saturating_sub(asked.at) / 1_000_000;
        if late {
            let what = format!("request {id} was answered after {waited} ms");
            self.fail(Violation::new(Property::OneAnswer, "late", now, what));
        }
        if lost {
            let what = format!("request {id} was acknowledged and not carried out");
            self.fail(Violation::new(Property::OutcomeTruth, "done", now, what));
        }
        if untrue {
            let what = format!("request {id} was carried out and its client told {told:?}");
            let aspect = told.aspect();
            self.fail(Violation::new(Property::OutcomeTruth, aspect, now, what));
        }
    }

    /// The client went away, for instance because its manager died: no answer is owed any more.
    pub fn abandoned(&mut self, id: u64) {
        if let Some(asked) = self.requests.get_mut(&id)
            && asked.told.is_none()
        {
            asked.told = Some(Told::Unknown);
            self.open.remove(&id);
            self.answers.unknown += 1;
        }
    }

    /// Nobody can be blamed for the wait up to now, for instance because the client's manager was cut off from it.
    pub fn excuse(&mut self, now: u64, id: u64) {
        if let Some(asked) = self.requests.get_mut(&id) {
            asked.at = asked.at.max(now);
        }
    }

    /// What a request's client was told.
    #[must_use]
    pub fn told(&self, id: u64) -> Option<Told> {
        self.requests.get(&id)?.told
    }

    /// How often a request was carried out.
    #[must_use]
    pub fn times_applied(&self, id: u64) -> u32 {
        self.requests.get(&id).map_or(0, |asked| asked.applied)
    }

    /// Whether a request is known and unanswered.
    #[must_use]
    pub fn is_open(&self, id: u64) -> bool {
        self.open.contains(&id)
    }

    /// Looks for requests that have waited too long for their answer.
    pub fn check_waiting(&mut self, now: u64) {
        let open = self.open.iter();
        let mut waiting = open.filter_map(|id| Some((id, self.requests.get(id)?)));
        let late = waiting.find(|(_, asked)| now.saturating_sub(asked.at) > asked.limit);
        if let Some((id, asked)) = late {
            let waited = now.saturating_sub(asked.at) / 1_000_000;
            let what = format!("request {id} has had no answer for {waited} ms");
            self.fail(Violation::new(Property::OneAnswer, "none", now, what));
        }
    }

    /// The numbers.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.answers
    }

    /// The first violation.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    fn fail(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: impl FnOnce(&mut History)) -> Option<String> {
        let mut history = History::default();
        history.asked(0, 1, Nature::Once, 100);
        steps(&mut history);
        history.violation().map(Violation::signature)
    }

    #[test]
    fn answers_are_held_to_what_happened() {
        let ok = after(|h| {
            h.applied(1, 1);
            h.answered(2, 1, Told::Done);
        });
        assert_eq!(ok, None);
        let lost = after(|h| h.answered(2, 1, Told::Done));
        assert_eq!(lost.as_deref(), Some("outcome-truth.done"));
        let lie = after(|h| {
            h.applied(1, 1);
            h.answered(2, 1, Told::NotDone);
        });
        assert_eq!(lie.as_deref(), Some("outcome-truth.not-done"));
        let refused = after(|h| {
            h.applied(1, 1);
            h.answered(2, 1, Told::Rejected);
        });
        assert_eq!(refused.as_deref(), Some("outcome-truth.rejected"));
        let later = after(|h| {
            h.answered(2, 1, Told::NotDone);
            h.applied(3, 1);
        });
        assert_eq!(later.as_deref(), Some("outcome-truth.not-done"));
        let twice = after(|h| {
            h.applied(1, 1);
            h.applied(2, 1);
        });
        assert_eq!(twice.as_deref(), Some("exactly-once.twice"));
        let unknown = after(|h| h.answered(2, 1, Told::Unknown));
        assert_eq!(unknown, None);
    }

    #[test]
    fn what_comes_about_by_itself_needs_nobody_to_do_it() {
        let mut history = History::default();
        history.asked(0, 1, Nature::Settled, 100);
        history.answered(1, 1, Told::Done);
        history.asked(0, 2, Nature::Settled, 100);
        history.answered(1, 2, Told::NotDone);
        assert_eq!(history.violation(), None);
        history.applied(2, 2);
        assert!(
            history.violation().is_some(),
            "a refused one must not be done"
        );
    }

    #[test]
    fn a_wait_without_blame_does_not_count() {
        let excused = after(|h| {
            h.excuse(90, 1);
            h.check_waiting(190);
            h.applied(1, 1);
            h.answered(190, 1, Told::Done);
        });
        assert_eq!(excused, None);
    }

    #[test]
    fn every_request_is_answered_once_and_in_time() {
        let late = after(|h| {
            h.applied(1, 1);
            h.answered(102, 1, Told::Done);
        });
        assert_eq!(late.as_deref(), Some("one-answer.late"));
        let never = after(|h| h.check_waiting(101));
        assert_eq!(never.as_deref(), Some("one-answer.none"));
        let twice = after(|h| {
            h.answered(1, 1, Told::Unknown);
            h.answered(2, 1, Told::Unknown);
        });
        assert_eq!(twice.as_deref(), Some("one-answer.twice"));
    }
}
