//! Carries out the operations of a plan.
//!
//! Every operation means something at any time: on a host that is down or does not exist it does nothing, and so does
//! its end. Which host a role names is settled when the fault begins and remembered for its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, Request};
use swarm::http::body;
use swarm::http::client::{Client, ClientConfig};
use swarm::manager::status::{DRAIN_PATH, STEP_DOWN_PATH};
use swarm::platform::{SharedPlatform, timeout};
use swarm_models::trouble::Outage;

use super::World;
use super::hosts::Role;
use super::managers;
use super::pause::Stand;
use super::processes::End;
use crate::plan::{Host, Op};
use crate::trace::{HostId, Kind, NOWHERE};

/// How long an operator's request may take.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(5);

/// A fault under way.
#[derive(Clone, Debug)]
pub(super) struct Active {
    pub(super) op: Op,
    /// The hosts it names, as they were settled.
    pub(super) met: Vec<HostId>,
    event: u64,
}

impl World {
    /// Fault `id` begins. Returns the first host it names.
    pub fn begin(&mut self, id: u32, op: &Op) -> Option<HostId> {
        let now = self.now();
        let met: Vec<HostId> = op
            .hosts()
            .into_iter()
            .filter_map(|host| self.resolve(host))
            .collect();
        let victim = met.first().copied();
        self.cover(op, victim);
        let event = {
            let mut witness = self.witness();
            witness.judge.fault_began();
            let host = victim.unwrap_or(NOWHERE);
            witness.note(host, Kind::FaultBegan, u64::from(id), 0, || op.to_string())
        };
        let active = Active {
            op: op.clone(),
            met,
            event,
        };
        self.active.insert(id, active.clone());
        self.tell_ledger(now);
        self.carry_out(now, id, &active);
        self.stores.begin(now, id, op);
        self.tell_stores_who_hears_whom();
        if !op.has_end() {
            self.end(id);
        }
        victim
    }

    /// Clients' promises have exceptions while something is wrong.
    pub(super) fn tell_ledger(&self, now: u64) {
        let mut ledger = self.ledger();
        for active in self.active.values() {
            let slots = active.met.iter().filter_map(|id| self.slot(*id));
            let names: Vec<&str> = slots.map(|slot| slot.name.as_str()).collect();
            ledger.fault(now, &active.op, &names);
        }
    }

    /// Fault `id` is over; nothing if it is not under way.
    pub fn end(&mut self, id: u32) {
        let Some(active) = self.active.remove(&id) else {
            return;
        };
        let now = self.now();
        self.net.end(&self.sim, now, id);
        self.stores.end(id);
        self.tell_stores_who_hears_whom();
        for &host in &active.met {
            for host in self.machine(host) {
                self.recover(id, host);
            }
        }
        let host = active.met.first().copied().unwrap_or(NOWHERE);
        let mut witness = self.witness();
        let now = witness.now();
        let event = (now, host, Kind::FaultEnded);
        witness
            .trace
            .add(event, (u64::from(id), 0), active.event, || {
                active.op.to_string()
            });
    }

    fn recover(&mut self, id: u32, host: HostId) {
        self.let_up(host, id);
        let Some(slot) = self.slot_mut(host) else {
            return;
        };
        let gate = slot.platform.gate().clone();
        let was_shut = gate.is_shut();
        slot.chops.retain(|(fault, _)| *fault != id);
        let chop = slot.chops.iter().map(|(_, bytes)| *bytes).min();
        let wires = slot.platform.wires();
        wires.chop.store(chop.unwrap_or(0), Ordering::Relaxed);
        if slot.rates.iter().any(|(fault, _)| *fault == id) {
            slot.rates.retain(|(fault, _)| *fault != id);
            let rate = slot.rates.last().map_or(slot.rate_ppm, |(_, ppm)| *ppm);
            slot.platform
                .change_clock(|clock, now| clock.set_rate(now, rate));
        }
        if gate.thaws(id) {
            slot.platform
                .change_clock(|clock, now| clock.freeze(now, false));
        }
        gate.open(id);
        if was_shut && !gate.is_shut() {
            self.witness.note(host, Kind::Resumed, 0, 0);
        }
    }

    fn carry_out(&mut self, now: u64, id: u32, active: &Active) {
        let Some(&host) = active.met.first() else {
            // `split` without hosts, and the faults of the store.
            return;
        };
        if let Some(server) = self.server(host)
            && self.carry_out_on_store(now, id, &active.op, (host, server))
        {
            return;
        }
        self.carry_out_on_process(now, id, &active.op, host);
        self.carry_out_on_links(now, id, active);
        self.carry_out_on_clock(id, &active.op, host);
    }

    /// Servers of the store are models: their processes are not killed or stopped, they behave so. True if done.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other kinds are the same on every host"
    )]
    fn carry_out_on_store(
        &mut self,
        now: u64,
        id: u32,
        op: &Op,
        (host, server): (HostId, usize),
    ) -> bool {
        match op {
            Op::Kill { .. } => self.stores.take_away(id, server, Outage::Down),
            Op::PowerLoss { .. } => {
                self.go_dark(now, id, host);
                self.stores.take_away(id, server, Outage::Down);
            }
            Op::Pause { .. } => self.stores.take_away(id, server, Outage::Hung),
            Op::Freeze { .. } => {
                self.stores.take_away(id, server, Outage::Hung);
                self.hold_all(now, id, host, (true, true));
            }
            Op::Terminate { .. } | Op::StepDown { .. } => {}
            _ => return false,
        }
        true
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other kinds do not concern processes"
    )]
    fn carry_out_on_process(&mut self, now: u64, id: u32, op: &Op, host: HostId) {
        let machine = self.machine(host);
        match op {
            Op::Kill { guard, .. } if self.is_running(host) => {
                let guard_dies = !guard && matches!(self.role(host), Some(Role::Manager(_)));
                if guard_dies {
                    self.abandon_guard(host);
                    for &housemate in machine.iter().skip(1) {
                        self.keep_down(housemate, id, End::Killed);
                    }
                }
                self.keep_down(host, id, End::Killed);
            }
            Op::PowerLoss { .. } => {
                self.go_dark(now, id, host);
                self.abandon_guard(host);
                // Whoever watches over somebody on the same machine goes first.
                for &member in machine.iter().rev() {
                    if self.is_running(member) {
                        self.keep_down(member, id, End::Dark);
                    }
                }
            }
            Op::Terminate { .. } if self.is_running(host) => self.terminate(id, host),
            Op::StepDown { .. } if self.is_running(host) => self.step_down(host),
            Op::Pause { .. } if self.is_running(host) => self.stand(id, host, Stand::Stopped),
            Op::Slow { every_ms, .. } => {
                self.stand(id, host, Stand::Slow(every_ms.saturating_mul(1_000_000)));
            }
            Op::Freeze { .. } => {
                self.hold_all(now, id, host, (true, true));
                for &member in &machine {
                    self.stand(id, member, Stand::Frozen);
                }
            }
            Op::Drain { .. } => self.drain(host),
            Op::CutEvents { .. } => self.cut_events(host),
            _ => {}
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other kinds do not concern clocks and sockets"
    )]
    fn carry_out_on_clock(&mut self, id: u32, op: &Op, host: HostId) {
        for host in self.machine(host) {
            let Some(slot) = self.slot_mut(host) else {
                continue;
            };
            match op {
                Op::Freeze { .. } => slot
                    .platform
                    .change_clock(|clock, now| clock.freeze(now, true)),
                Op::Rate { ppm, .. } => {
                    slot.rates.push((id, *ppm));
                    slot.platform
                        .change_clock(|clock, now| clock.set_rate(now, *ppm));
                }
                Op::WallStep { seconds, .. } => slot
                    .platform
                    .change_clock(|clock, _now| clock.step_wall(*seconds)),
                Op::ClockJump { ms, .. } => slot
                    .platform
                    .change_clock(|clock, _now| clock.jump(ms.saturating_mul(1_000_000))),
                Op::Chop { bytes, .. } => {
                    slot.chops.push((id, *bytes));
                    let chop = slot.chops.iter().map(|(_, bytes)| *bytes).min();
                    let wires = slot.platform.wires();
                    wires.chop.store(chop.unwrap_or(0), Ordering::Relaxed);
                }
                _ => {}
            }
        }
    }

    fn stand(&mut self, id: u32, host: HostId, stand: Stand) {
        let Some(slot) = self.slot(host) else { return };
        slot.platform.gate().shut(id, stand);
        let clock_too = u64::from(stand == Stand::Frozen);
        if !matches!(stand, Stand::Slow(_)) {
            self.witness.note(host, Kind::Paused, clock_too, 0);
        }
    }

    /// The process ends when it has handed over; the world starts it anew when the fault is over.
    fn terminate(&mut self, id: u32, host: HostId) {
        if let Some(manager) = self.managers.iter().find(|manager| manager.id == host) {
            manager.stop.send_replace(true);
            if let Some(slot) = self.slot_mut(host) {
                slot.down_by.insert(id);
            }
        } else {
            self.keep_down(host, id, End::Killed);
        }
    }

    fn abandon_guard(&self, host: HostId) {
        if let Some(manager) = self.managers.iter().find(|manager| manager.id == host) {
            manager.post.abandon();
        }
    }

    /// An operator on the manager's machine asks it to step down, as `swarm step-down` does.
    fn step_down(&mut self, host: HostId) {
        let Some(Role::Manager(n)) = self.role(host) else {
            return;
        };
        self.ask_as_operator(n, STEP_DOWN_PATH);
    }

    /// An operator on the machine of some manager that runs drains an engine, as `swarm engine drain` does.
    fn drain(&mut self, host: HostId) {
        let running = self
            .managers
            .iter()
            .find(|manager| self.is_running(manager.id));
        let manager = running.and_then(|manager| self.role(manager.id));
        let engine = self.slot(host).map(|slot| slot.name.clone());
        if let (Some(Role::Manager(n)), Some(engine)) = (manager, engine) {
            self.ask_as_operator(n, &format!("{DRAIN_PATH}?engine={engine}"));
        }
    }

    /// Somebody on the machine of manager `n` posts to it.
    fn ask_as_operator(&mut self, n: u8, path: &str) {
        let Ok(path) = path.parse::<http::Uri>() else {
            return;
        };
        let machine = self.id_of(Role::Guard(n));
        let Some(slot) = machine.and_then(|id| self.slot(id)) else {
            return;
        };
        let guard = slot.id;
        let platform: SharedPlatform = Arc::new(slot.platform.clone());
        let ask = async move {
            let client = Client::new(platform.clone(), ClientConfig::default());
            let mut request = Request::new(body::empty());
            *request.method_mut() = Method::POST;
            *request.uri_mut() = path;
            let to = managers::address(n);
            let asked = client.send(&to, request);
            // Whether it does what it is asked shows; a refusal is an answer too.
            let _ = timeout(platform.as_ref(), OPERATOR_PATIENCE, asked).await;
        };
        self.rouse(guard, Box::pin(ask));
    }

    fn cut_events(&self, host: HostId) {
        let Some(Role::Engine(n)) = self.role(host) else {
            return;
        };
        let engine = self.engines.get(usize::from(n) - 1).cloned();
        if let (Some(engine), Some(slot)) = (engine, self.slot(host)) {
            // On the host, where its timers can be set.
            let cut = async move { engine.cut_event_streams() };
            slot.platform.gate().submit(Box::pin(cut));
        }
    }

    fn role(&self, id: HostId) -> Option<Role> {
        self.slot(id).map(|slot| slot.role)
    }

    /// Which server of the store it is, from 0.
    fn server(&self, id: HostId) -> Option<usize> {
        match self.role(id)? {
            Role::Store(n) => Some(usize::from(n).saturating_sub(1)),
            Role::Manager(_)
            | Role::Guard(_)
            | Role::Engine(_)
            | Role::Agent(_)
            | Role::Client(_) => None,
        }
    }

    /// Who a plan means at the moment.
    pub(super) fn resolve(&self, host: &Host) -> Option<HostId> {
        let acting = self.witness().judge.acting().first().map(|(id, _)| *id);
        let primary = || acting.or_else(|| self.id_of(Role::Manager(1)));
        let replicas: Vec<HostId> = self
            .managers
            .iter()
            .map(|manager| manager.id)
            .filter(|id| self.is_running(*id) && Some(*id) != primary())
            .collect();
        match host {
            Host::Manager(n) => self.id_of(Role::Manager(*n)),
            Host::Store(n) => self.id_of(Role::Store(*n)),
            Host::Engine(n) => self.id_of(Role::Engine(*n)),
            Host::Client(n) => self.id_of(Role::Client(*n)),
            Host::Primary => primary(),
            Host::Replica => replicas.first().copied(),
            Host::SecondReplica => replicas.get(1).or_else(|| replicas.first()).copied(),
            Host::StoreLeader => {
                let leader = self.stores.leader().unwrap_or(0);
                let number = u8::try_from(leader + 1).unwrap_or(1);
                self.id_of(Role::Store(number))
            }
        }
    }

    /// Notes which kind of fault met whom in which standing.
    fn cover(&mut self, op: &Op, victim: Option<HostId>) {
        let (role, standing) = match victim {
            Some(victim) => self.standing(victim),
            None => ("store", "whole"),
        };
        self.coverage.met(op.kind(), role, standing);
    }
}
