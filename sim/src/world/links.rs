//! Faults of links: who does not hear whom.

use std::collections::BTreeSet;

use super::World;
use super::faults::Active;
use super::hosts::Role;
use super::net::{Hindrance, between};
use crate::plan::{Host, How, Op, Way};
use crate::trace::HostId;

impl World {
    /// Whatever of a fault concerns links.
    pub(super) fn carry_out_on_links(&mut self, now: u64, id: u32, active: &Active) {
        let (one, other) = (active.met.first(), active.met.get(1));
        let ends = one.zip(other).map(|(one, other)| (*one, *other));
        match (&active.op, ends) {
            (Op::Cut { way, how, .. }, Some(ends)) => {
                let hindrance = match how {
                    How::Hold => Hindrance::Hold,
                    How::Refuse => Hindrance::Refuse,
                };
                self.hinder(now, id, ends, (directions(*way), hindrance));
            }
            (Op::HoldRequests { request, count, .. }, Some(ends)) => {
                self.net.keep_requests(id, ends, request, *count);
                self.hinder(now, id, ends, ((true, false), Hindrance::Pick));
            }
            (Op::Delay { ms, .. }, Some(ends)) => {
                self.hinder(now, id, ends, ((true, true), Hindrance::Delay(*ms)));
            }
            (Op::Flap { every_ms, .. }, Some(ends)) => {
                let every = every_ms.saturating_mul(1_000_000);
                let flap = Hindrance::Flap { every, since: now };
                self.hinder(now, id, ends, ((true, true), flap));
            }
            (Op::Isolate { host: _, way }, _) => {
                if let Some(&host) = one {
                    self.hold_all(now, id, host, directions(*way));
                }
            }
            (Op::Split { sides }, _) => self.split(now, id, sides),
            _ => {}
        }
    }

    pub(super) fn go_dark(&mut self, now: u64, id: u32, host: HostId) {
        let (inside, outside) = self.inside_and_outside(host);
        let silent = between(&inside, &outside, (true, false), Hindrance::Dark);
        let waiting = between(&outside, &inside, (true, false), Hindrance::Hold);
        self.net
            .begin(&self.sim, now, id, silent.into_iter().chain(waiting));
    }

    pub(super) fn hold_all(&mut self, now: u64, id: u32, host: HostId, ways: (bool, bool)) {
        let (inside, outside) = self.inside_and_outside(host);
        let held = between(&inside, &outside, ways, Hindrance::Hold);
        self.net.begin(&self.sim, now, id, held);
    }

    fn hinder(
        &mut self,
        now: u64,
        id: u32,
        (one, other): (HostId, HostId),
        (ways, hindrance): ((bool, bool), Hindrance),
    ) {
        let (one, other) = (self.machine(one), self.machine(other));
        if one == other {
            return;
        }
        let hindered = between(&one, &other, ways, hindrance);
        self.net.begin(&self.sim, now, id, hindered);
    }

    fn split(&mut self, now: u64, id: u32, sides: &[Vec<Host>]) {
        let mut seen: BTreeSet<HostId> = BTreeSet::new();
        let mut parts: Vec<Vec<HostId>> = Vec::new();
        for side in sides {
            let hosts: Vec<HostId> = side.iter().filter_map(|host| self.resolve(host)).collect();
            // A host that is named twice is on the first of its sides.
            let new = hosts.into_iter().filter(|host| seen.insert(*host));
            let members: Vec<HostId> = new.collect();
            parts.push(
                members
                    .into_iter()
                    .flat_map(|id| self.machine(id))
                    .collect(),
            );
        }
        for (index, one) in parts.iter().enumerate() {
            for other in parts.iter().skip(index + 1) {
                let held = between(one, other, (true, true), Hindrance::Hold);
                self.net.begin(&self.sim, now, id, held);
            }
        }
    }

    fn inside_and_outside(&self, host: HostId) -> (Vec<HostId>, Vec<HostId>) {
        let inside = self.machine(host);
        let all = self.slots.iter().map(|slot| slot.id);
        let outside = all.filter(|id| !inside.contains(id)).collect();
        (inside, outside)
    }

    pub(super) fn tell_stores_who_hears_whom(&mut self) {
        let servers: Vec<HostId> = (1..=self.plan.topology.stores)
            .filter_map(|n| self.id_of(Role::Store(n)))
            .collect();
        let mut apart = BTreeSet::new();
        for (a, one) in servers.iter().enumerate() {
            for (b, other) in servers.iter().enumerate().skip(a + 1) {
                if self.net.is_cut(*one, *other) || self.net.is_cut(*other, *one) {
                    apart.insert((a, b));
                }
            }
        }
        self.stores.set_apart(apart);
    }
}

fn directions(way: Way) -> (bool, bool) {
    match way {
        Way::Both => (true, true),
        Way::Forth => (true, false),
        Way::Back => (false, true),
    }
}
