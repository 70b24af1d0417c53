//! Faults: how each begins and ends. One that concerns what the lab has not got does nothing.

use super::event::Event;
use super::{Lab, MS};
use crate::plan::{Host, How, Op, Way};
use crate::trace::{HostId, Kind};

/// A fault under way, with everything it has to undo.
#[derive(Debug, Default)]
pub(super) struct Active {
    id: u32,
    op: Option<Op>,
    hosts: Vec<HostId>,
    cuts: Vec<(HostId, HostId, How)>,
    /// A flapping link is cut right now.
    away: bool,
}

impl Active {
    pub(super) fn under_way(&self) -> bool {
        self.op.is_some()
    }
}

/// Whose part a host plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Manager(usize),
    Server(usize),
    Other,
}

impl Lab<'_> {
    pub(super) fn step(&mut self, number: usize) {
        let plan = self.plan;
        let steps = plan.steps();
        let Some(step) = steps.get(number) else {
            return;
        };
        let index = plan
            .faults
            .iter()
            .position(|fault| std::ptr::eq(fault, step.fault))
            .unwrap_or(usize::MAX);
        if step.begins {
            self.judge.fault_began();
            self.begin(index, step.fault.id, &step.fault.op);
        } else {
            self.end_fault(index);
        }
    }

    pub(super) fn begin_drill(&mut self) {
        if let Some(op) = &self.plan.drill {
            self.begin(self.plan.faults.len(), 0, op);
        }
    }

    pub(super) fn end_drill(&mut self) {
        self.end_fault(self.plan.faults.len());
    }

    /// The hosts meant by a name, as of now; none if there is no such host.
    pub(super) fn resolve(&self, host: &Host) -> Vec<HostId> {
        let managers = self.managers.len();
        let acting = self.acting.first().map(|(host, _)| *host);
        let primary = acting.unwrap_or(0);
        let mut others = self
            .managers
            .iter()
            .filter(|manager| manager.up && manager.host != primary)
            .map(|manager| manager.host);
        let numbered = |first: usize, n: u8, count: usize| {
            let index = usize::from(n).checked_sub(1).filter(|index| *index < count);
            index.map(|index| super::host_id(first + index))
        };
        let found = match host {
            Host::Manager(n) => numbered(0, *n, managers),
            Host::Store(n) => numbered(managers, *n, self.store.servers.len()),
            Host::Engine(_) => None,
            Host::Client(n) => numbered(usize::from(self.engine) + 1, *n, self.clients.len()),
            Host::Primary => Some(primary),
            Host::Replica => others.next(),
            Host::SecondReplica => {
                let first = others.next();
                others.next().or(first)
            }
            Host::StoreLeader => Some(self.store.host(self.store.leader.unwrap_or(0))),
        };
        found.into_iter().collect()
    }

    pub(super) fn part(&self, host: HostId) -> Part {
        let (index, managers) = (usize::from(host), self.managers.len());
        if index < managers {
            Part::Manager(index)
        } else if index < usize::from(self.engine) {
            Part::Server(index - managers)
        } else {
            Part::Other
        }
    }

    fn begin(&mut self, index: usize, id: u32, op: &Op) {
        let mut active = Active {
            id,
            ..Active::default()
        };
        active.hosts = op
            .hosts()
            .into_iter()
            .flat_map(|host| self.resolve(host))
            .collect();
        self.met(op, &active.hosts);
        self.quiet_since = self.now;
        let first = active.hosts.first().copied().unwrap_or(HostId::MAX);
        let kind = (self.now, first, Kind::FaultBegan);
        self.cause = self
            .trace
            .add(kind, (id.into(), 0), self.cause, || op.to_string());
        let links = self.links(op, &active.hosts);
        for (from, to, how) in links {
            self.cut(from, to, how);
            active.cuts.push((from, to, how));
        }
        for host in active.hosts.clone() {
            self.strike(index, op, host);
        }
        self.trouble(op, true);
        self.overwrite(op);
        if let Op::Delay { ms, .. } = op {
            self.stretch(&active.hosts, *ms, true);
        }
        if op.has_end() {
            active.op = Some(op.clone());
        }
        if self.active.len() <= index {
            self.active.resize_with(index + 1, Active::default);
        }
        if let Some(place) = self.active.get_mut(index) {
            *place = active;
        }
        if let Op::Flap { every_ms, .. } = op {
            self.after(every_ms * MS, Event::Flap(index));
        }
        self.look_for_leader();
    }

    fn end_fault(&mut self, index: usize) {
        let Some(active) = self.active.get_mut(index).map(std::mem::take) else {
            return;
        };
        let Some(op) = active.op else { return };
        let first = active.hosts.first().copied().unwrap_or(HostId::MAX);
        self.note(first, Kind::FaultEnded, (active.id.into(), 0));
        self.quiet_since = self.now;
        for (from, to, how) in active.cuts {
            self.heal(from, to, how);
        }
        for host in &active.hosts {
            self.relieve(index, &op, *host);
        }
        self.trouble(&op, false);
        if let Op::Delay { ms, .. } = op {
            self.stretch(&active.hosts, ms, false);
        }
        if matches!(op, Op::Usurp) {
            self.usurper_gives_up();
        }
        self.look_for_leader();
    }

    /// Counts which part the victim of a fault played.
    fn met(&mut self, op: &Op, hosts: &[HostId]) {
        if hosts.is_empty() {
            self.coverage.met(op.kind(), "store", "-");
        }
        for host in hosts {
            match self.part(*host) {
                Part::Manager(m) => {
                    let manager = &self.managers[m];
                    let role = if !manager.up {
                        "down"
                    } else if manager.acting(self.now).is_some() {
                        "primary"
                    } else {
                        "replica"
                    };
                    let standing = manager.election.standing(manager.clock.local(self.now));
                    let standing = super::edges::standing_name(standing);
                    self.coverage.met(op.kind(), role, standing);
                }
                Part::Server(server) => {
                    let leads = self.store.leader == Some(server);
                    let standing = if leads { "leader" } else { "follower" };
                    self.coverage.met(op.kind(), "store", standing);
                }
                Part::Other => self.coverage.met(op.kind(), "client", "-"),
            }
        }
    }

    /// The directions a fault cuts.
    fn links(&self, op: &Op, hosts: &[HostId]) -> Vec<(HostId, HostId, How)> {
        let mut cuts = Vec::new();
        let mut add = |from: HostId, to: HostId, way: Way, how: How| {
            if from != to && matches!(way, Way::Both | Way::Forth) {
                cuts.push((from, to, how));
            }
            if from != to && matches!(way, Way::Both | Way::Back) {
                cuts.push((to, from, how));
            }
        };
        if let (Op::Cut { way, how, .. }, [from, to]) = (op, hosts) {
            add(*from, *to, *way, *how);
        }
        if let (Op::Isolate { way, .. }, [host]) = (op, hosts) {
            let all = usize::from(self.engine) + 1 + self.clients.len();
            for other in 0..all {
                add(*host, super::host_id(other), *way, How::Hold);
            }
        }
        if let Op::Split { sides } = op {
            let sides: Vec<Vec<HostId>> = sides
                .iter()
                .map(|side| side.iter().flat_map(|host| self.resolve(host)).collect())
                .collect();
            for (at, side) in sides.iter().enumerate() {
                for other in sides.iter().skip(at + 1) {
                    for from in side {
                        for to in other.iter().filter(|to| !side.contains(to)) {
                            add(*from, *to, Way::Both, How::Hold);
                        }
                    }
                }
            }
        }
        cuts
    }

    fn stretch(&mut self, hosts: &[HostId], ms: u64, longer: bool) {
        if let [from, to] = hosts {
            for (from, to) in [(*from, *to), (*to, *from)] {
                if longer {
                    self.net.slow_down(from, to, ms * MS);
                } else {
                    self.net.speed_up(from, to, ms * MS);
                }
            }
        }
    }

    /// A flapping link comes or goes.
    pub(super) fn flap(&mut self, index: usize) {
        let Some(active) = self.active.get_mut(index) else {
            return;
        };
        let (Some(Op::Flap { every_ms, .. }), [from, to]) = (&active.op, active.hosts.as_slice())
        else {
            return;
        };
        let (every, from, to) = (*every_ms, *from, *to);
        active.away = !active.away;
        let pairs = [(from, to, How::Hold), (to, from, How::Hold)];
        if active.away {
            active.cuts.extend(pairs);
        } else {
            active.cuts.clear();
        }
        let away = active.away;
        for (from, to, how) in pairs {
            if away {
                self.cut(from, to, how);
            } else {
                self.heal(from, to, how);
            }
        }
        self.after(every * MS, Event::Flap(index));
        self.look_for_leader();
    }
}
