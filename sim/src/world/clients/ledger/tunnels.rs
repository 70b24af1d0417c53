//! Whether tunnels carry what is put in, and end when the primary they go through is none any more.

use std::collections::BTreeMap;

use super::trouble::Trouble;
use crate::judge::Term;
use crate::property::{Property, Violation};
use crate::trace::HostId;

/// How long managers may take to hear of a new primary when nothing but processes has ended.
const HEARSAY: u64 = 3_000_000_000;
/// A change of primary shows in its tunnels a little before or after anybody acts.
const AROUND: u64 = 10_000_000_000;

#[derive(Debug)]
struct Tunnel {
    client: HostId,
    opened: u64,
}

#[derive(Debug)]
struct Break {
    client: HostId,
    opened: u64,
    at: u64,
}

/// Every tunnel of a run.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    next: u64,
    open: BTreeMap<u64, Tunnel>,
    /// Those that ended before everything had come back.
    broken: Vec<Break>,
    violation: Option<Violation>,
}

impl Tunnels {
    /// A client was answered with 101. The tunnel's number.
    pub(super) fn opened(&mut self, now: u64, client: HostId) -> u64 {
        self.next += 1;
        let tunnel = Tunnel {
            client,
            opened: now,
        };
        self.open.insert(self.next, tunnel);
        self.next
    }

    /// What was written into the tunnel at `written` came back.
    pub(super) fn echoed(
        &mut self,
        now: u64,
        tunnel: u64,
        written: u64,
        terms: &[Term],
        trouble: &Trouble,
    ) {
        let Some(tunnel) = self.open.get(&tunnel) else {
            return;
        };
        // The latest is enough: there may be many.
        let Some(term) = terms
            .last()
            .map(|term| term.at)
            .filter(|at| *at > tunnel.opened)
        else {
            return;
        };
        if written > term + HEARSAY && !trouble.between(written, written) {
            let what = format!(
                "a tunnel of host {} carries on {:.3} s after another manager became the primary",
                tunnel.client,
                std::time::Duration::from_nanos(written - term).as_secs_f64()
            );
            self.fail("kept", now, what);
        }
    }

    /// Something else came out than went in.
    pub(super) fn garbled(&mut self, now: u64, tunnel: u64, what: &str) {
        if let Some(tunnel) = self.open.get(&tunnel) {
            let what = format!("a tunnel of host {}: {what}", tunnel.client);
            self.fail("content", now, what);
        }
    }

    /// The tunnel ended; `whole` says whether everything had come back and its end was asked for.
    pub(super) fn ended(&mut self, now: u64, tunnel: u64, whole: bool) {
        let Some(tunnel) = self.open.remove(&tunnel) else {
            return;
        };
        if !whole {
            self.broken.push(Break {
                client: tunnel.client,
                opened: tunnel.opened,
                at: now,
            });
        }
    }

    /// A client's former life is over.
    pub(super) fn client_gone(&mut self, client: HostId) {
        self.open.retain(|_, tunnel| tunnel.client != client);
    }

    /// Judges what broke a while ago: by now it is known whether there was a reason.
    pub(super) fn look(&mut self, now: u64, terms: &[Term], trouble: &Trouble) {
        while let Some(broken) = self.broken.first()
            && now > broken.at + AROUND
        {
            let broken = self.broken.remove(0);
            let from = broken.opened.saturating_sub(AROUND);
            let (from, to) = (from, broken.at + AROUND);
            let changed = terms.iter().any(|term| (from..=to).contains(&term.at));
            if !changed && !trouble.any_between(from, to) {
                let what = format!(
                    "a tunnel of host {} broke though nothing was wrong",
                    broken.client
                );
                self.fail("broken", broken.at, what);
            }
        }
    }

    fn fail(&mut self, aspect: &str, at: u64, what: String) {
        let violation = Violation::new(Property::Tunnel, aspect, at, what);
        self.violation.get_or_insert(violation);
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }
}
