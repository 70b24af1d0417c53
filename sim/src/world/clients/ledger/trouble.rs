//! What is wrong at the moment, as far as it excuses somebody from a promise to clients.

use std::collections::BTreeMap;

use crate::plan::{Family, Op};

/// After a cut has healed managers may still sit out a back-off.
const SETTLE: u64 = 12_000_000_000;
/// Two looks closer than this are one stretch of trouble.
const APART: u64 = 1_000_000_000;

/// When something was wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    /// When a manager or a client was last out of the other's reach.
    unreachable: BTreeMap<String, u64>,
    /// When an engine was last out of somebody's reach.
    engines: Option<u64>,
    /// Stretches of any trouble at all, those of processes that end and of operators included.
    any: Vec<(u64, u64)>,
    /// Stretches of trouble that leaves processes alive.
    lasting: Vec<(u64, u64)>,
}

impl Trouble {
    /// A fault is there at `now` (true time, ns) and concerns `hosts`, by name. Called in every step it lasts, and once
    /// for one that lasts an instant.
    pub(super) fn fault(&mut self, now: u64, op: &Op, hosts: &[&str]) {
        stretch(&mut self.any, now);
        if !matches!(op.family(), Family::Process | Family::Operator) {
            stretch(&mut self.lasting, now);
        }
        if matches!(op, Op::Isolate { .. } | Op::Split { .. }) {
            self.engines = Some(now);
        }
        for host in hosts {
            if host.starts_with(['m', 'c']) {
                self.unreachable.insert((*host).to_owned(), now);
            }
            if host.starts_with('e') {
                self.engines = Some(now);
            }
        }
    }

    /// Whether a client of `manager` waits for somebody else than swarm.
    pub(super) fn excuses(&self, now: u64, client: &str, manager: &str) -> bool {
        let last = [client, manager].map(|host| self.unreachable.get(host).copied());
        let last = last.into_iter().max().flatten().max(self.engines);
        last.is_some_and(|last| now <= last + APART)
    }

    /// Whether something that leaves processes alive was wrong between the two times, or shortly before.
    pub(super) fn between(&self, from: u64, to: u64) -> bool {
        overlaps(&self.lasting, from.saturating_sub(SETTLE), to)
    }

    /// Whether anything at all was wrong between the two times, or right before.
    pub(super) fn any_between(&self, from: u64, to: u64) -> bool {
        overlaps(&self.any, from.saturating_sub(APART), to)
    }
}

fn stretch(stretches: &mut Vec<(u64, u64)>, now: u64) {
    match stretches.last_mut() {
        Some((_, to)) if now <= *to + APART => *to = now,
        _ => stretches.push((now, now)),
    }
}

fn overlaps(stretches: &[(u64, u64)], from: u64, to: u64) -> bool {
    let mut newest_first = stretches.iter().rev();
    newest_first.any(|(began, ended)| *began <= to && *ended >= from)
}
