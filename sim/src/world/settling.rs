//! Puts everybody on their hosts.

use std::sync::Arc;
use std::time::Duration;

use swarm_models::engine::Engine;
use turmoil::Sim;

use super::clients::{self, ClientHost, SharedLedger};
use super::engines;
use super::hosts::{Ground, Role, Slot, settle};
use super::managers::{self, ManagerHost};
use super::stores::{self, Stores};
use super::tap::Seat;
use crate::plan::Plan;

/// Puts everybody on their hosts.
pub(super) struct Settling<'a> {
    pub(super) plan: &'a Plan,
    pub(super) ground: &'a Ground,
    pub(super) slots: &'a [Slot],
    pub(super) seats: &'a [Seat],
    pub(super) kinds: &'a [clients::Kind],
}

/// What the world keeps hold of.
pub(super) struct Settled {
    pub(super) stores: Stores,
    pub(super) managers: Vec<ManagerHost>,
    pub(super) engines: Vec<Arc<Engine>>,
}

impl Settling<'_> {
    fn slot(&self, role: Role) -> Result<&Slot, String> {
        let found = self.slots.iter().find(|slot| slot.role == role);
        found.ok_or_else(|| format!("no host {}", role.name()))
    }

    pub(super) fn all(
        &self,
        sim: &mut Sim<'static>,
        ledger: &SharedLedger,
    ) -> Result<Settled, String> {
        let (plan, witness) = (self.plan, &self.ground.witness);
        let discovery = stores::discovery(plan.topology);
        let servers: Vec<&Slot> = (1..=plan.topology.stores)
            .map(|n| self.slot(Role::Store(n)))
            .collect::<Result<_, _>>()?;
        // What the servers share is on no machine that a fault could reach.
        let shared = self.ground.slot(0, Role::Store(0), None).platform;
        let random = self.ground.root.fork("store");
        let stores = Stores::new(sim, plan, (&servers, shared), random, witness)?;
        let mut managers = Vec::new();
        for n in 1..=plan.topology.managers {
            let (slot, guard) = (self.slot(Role::Manager(n))?, self.slot(Role::Guard(n))?);
            let seat = self.seats.get(usize::from(slot.id)).cloned();
            let config = managers::config(plan, n, &discovery)?;
            let seat = seat.unwrap_or_default();
            managers.push(managers::add(sim, (slot, guard), seat, config, witness));
        }
        let mut engines = Vec::new();
        for n in 1..=plan.topology.engines {
            engines.push(engines::add(sim, self.slot(Role::Engine(n))?, witness));
            if plan.topology.agents {
                let config = engines::agent_config(n, &discovery)?;
                engines::add_agent(sim, self.slot(Role::Agent(n))?, config, witness);
            }
        }
        for (n, kind) in (1..).zip(self.kinds) {
            self.client(sim, self.slot(Role::Client(n))?, (n, *kind), ledger);
        }
        Ok(Settled {
            stores,
            managers,
            engines,
        })
    }

    fn client(
        &self,
        sim: &mut Sim<'static>,
        slot: &Slot,
        (n, kind): (u8, clients::Kind),
        ledger: &SharedLedger,
    ) {
        let plan = self.plan;
        let manager = managers::address((n - 1) % plan.topology.managers + 1);
        let pace = Duration::from_millis(plan.workload.pace_ms);
        let primary_wait = Duration::from_millis(plan.knobs.primary_wait_ms);
        let (name, id) = (slot.name.clone(), slot.id);
        let (random, ledger) = (
            self.ground.root.fork(&format!("client/{name}")),
            ledger.clone(),
        );
        settle(sim, slot, &self.ground.witness, move |life, platform| {
            let host = ClientHost {
                name: name.clone(),
                id,
                life,
                platform: Arc::new(platform),
                manager: manager.clone(),
                random: random.fork(&format!("life/{life}")),
                pace,
                primary_wait,
                ledger: ledger.clone(),
            };
            clients::work(kind, host)
        });
    }
}
