//! The warm view of all engines: what every manager knows, kept up to date by the runtime, read by the API and the
//! scheduler.
//!
//! Pure data and functions: no I/O, no clock. Engines are kept by the address discovery gave; who an engine *is*, is
//! its daemon's ID. Two addresses of one daemon are never shown as two engines, and nothing here or elsewhere is
//! deleted because of such a double.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::address::HostPort;
use crate::time::Wall;

mod ahead;
mod common;
mod container;
mod copies;
mod counts;
mod describe;
mod doubles;
mod engine;
mod events;
mod filters;
pub mod human;
mod image;
mod info;
mod keys;
mod labels;
mod list;
mod listing;
mod lookup;
mod network;
mod numbered;
mod objects;
mod packed;
mod ports;
mod recipe;
mod roster;
mod runs;
mod specs;
mod state;
mod tally;
mod texts;
mod volume;

#[cfg(test)]
pub(crate) mod tests;

pub use container::{
    Container, EPOCH_LABEL, Entry, HostBits, Mount, NetworkUse, Port, SHORT_ID, SWARM_ID_LABEL,
    TASK_LABEL, bare, cpus_to_shares, shares_to_cpus,
};
pub use copies::{MOVE_LABEL, Move, is_retired, is_unfinished, retired_name, swarm_id_for};
pub use counts::Counts;
pub use describe::ContainerError;
pub use doubles::Double;
pub use engine::{Engine, EngineState, NANO, Resources};
pub use events::EventQuery;
pub use filters::{Filters, QueryError};
pub use image::{Image, Reference};
pub use info::{ClusterInfo, HostInfo, Replication, Role};
pub use labels::Labels;
pub use list::{ContainerQuery, Row};
pub use listing::Listing;
pub use lookup::LookupError;
pub use network::Network;
pub use objects::ObjectError;
pub use ports::{Binding, Exposed, PortError, PortRange, specific};
pub use recipe::{Recipe, Remake};
pub use specs::{EntryContext, Specs, SpecsError};
pub use state::{Health, Phase, State};
pub use tally::Tally;
pub use texts::Texts;
pub use volume::Volume;

use common::Common;
use image::Images;
use keys::ById;
use lookup::Index;
use numbered::Numbered;
use roster::Roster;

/// All engines and what runs on them.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    engines: Numbered<Engine>,
    slots: BTreeMap<HostPort, u32>,
    next_slot: u32,
    index: Index,
    /// Daemon IDs of engines that get no new containers.
    drained: BTreeSet<String>,
    roster: Roster,
    common: Common,
    images: Images,
}

/// What [`Cluster::admit`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// First validation since it was discovered.
    New,
    /// Known, nothing that containers are shown with has changed.
    Same,
    /// Name, address, CPUs or clock changed: every container must be read anew.
    Changed,
    /// Another daemon answers at this address now; what was known of the old one is forgotten.
    Replaced {
        /// Daemon ID of before.
        old: String,
    },
}

/// Why the view refuses an engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// The address is not (or no longer) in the view.
    #[error("engine {0} is not known")]
    UnknownEngine(HostPort),
    /// The same daemon is already known under another address.
    #[error("ID duplicated. {id} shared by this node {this} and another node {other}")]
    DuplicateId {
        /// Daemon ID.
        id: String,
        /// The address that came second.
        this: HostPort,
        /// The address that came first.
        other: HostPort,
    },
}

impl Cluster {
    /// No engines.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an engine that discovery announced, as pending. `false` when the address is known already.
    pub fn add_engine(&mut self, address: &HostPort, now: Wall) -> bool {
        if self.slots.contains_key(address) {
            return false;
        }
        self.slots.insert(address.clone(), self.next_slot);
        self.engines
            .push(self.next_slot, Engine::new(address.clone(), now));
        self.next_slot += 1;
        true
    }

    /// Takes out an engine that discovery no longer has; it is returned as disconnected.
    pub fn remove_engine(&mut self, address: &HostPort, now: Wall) -> Option<Engine> {
        let slot = self.slots.remove(address)?;
        let mut engine = self.engines.remove(slot)?;
        self.index.remove_all(slot, &engine);
        self.roster.leave(&engine);
        engine.state = EngineState::Disconnected;
        engine.updated_at = now;
        Some(engine)
    }

    /// Takes in what an engine says of itself. On success the engine has specs and keeps its state; call
    /// [`Cluster::set_health`] when its containers have been read too.
    ///
    /// # Errors
    /// [`ClusterError::DuplicateId`] when the daemon is known under another address. The engine stays (or becomes)
    /// pending with that error, and whatever was known of it is left to the other address.
    pub fn admit(
        &mut self,
        address: &HostPort,
        ip: Option<IpAddr>,
        specs: Specs,
        now: Wall,
    ) -> Result<Admission, ClusterError> {
        let slot = self.slot(address)?;
        let other = self.roster.daemon(&specs.id).filter(|other| *other != slot);
        let other = other
            .and_then(|other| self.engines.get(other))
            .map(|engine| engine.address.clone());
        let Some(engine) = self.engines.get_mut(slot) else {
            return Err(ClusterError::UnknownEngine(address.clone()));
        };
        self.roster.leave(engine);
        if let Some(other) = other {
            let error = ClusterError::DuplicateId {
                id: specs.id,
                this: address.clone(),
                other: other.clone(),
            };
            self.index.remove_all(slot, engine);
            engine.clear();
            engine.describe(None);
            engine.state = EngineState::Pending;
            engine.indicator = 0;
            engine.error = Some(error.to_string());
            engine.updated_at = now;
            engine.twin_of = Some(other);
            return Err(error);
        }
        engine.twin_of = None;
        let before = engine.entry_context();
        let old = engine.describe(Some(specs)).map(|specs| specs.id);
        self.roster.join(slot, engine);
        engine.ip = ip;
        engine.updated_at = now;
        let admission = match old {
            None => Admission::New,
            Some(old) if old != engine.id() => {
                self.index.remove_all(slot, engine);
                engine.clear();
                Admission::Replaced { old }
            }
            Some(_) if before == engine.entry_context() => Admission::Same,
            Some(_) => Admission::Changed,
        };
        Ok(admission)
    }

    /// Sets state, health indicator and the text shown as error. A healthy engine needs specs: without them it stays
    /// pending.
    ///
    /// # Errors
    /// When the address is not known.
    pub fn set_health(
        &mut self,
        address: &HostPort,
        state: EngineState,
        indicator: u8,
        error: Option<String>,
        now: Wall,
    ) -> Result<(), ClusterError> {
        let slot = self.slot(address)?;
        let Some(engine) = self.engines.get_mut(slot) else {
            return Ok(());
        };
        self.roster.leave(engine);
        engine.state = match (state, &engine.specs) {
            (EngineState::Healthy, None) => EngineState::Pending,
            (state, _) => state,
        };
        self.roster.join(slot, engine);
        engine.indicator = if engine.is_healthy() {
            indicator.min(100)
        } else {
            0
        };
        if engine.error != error {
            engine.twin_of = None;
        }
        engine.error = error;
        engine.updated_at = now;
        Ok(())
    }

    /// Replaces all containers of an engine. Exec instances already known of a container are kept.
    ///
    /// # Errors
    /// When the address is not known.
    pub fn replace_containers(
        &mut self,
        address: &HostPort,
        containers: Vec<Container>,
    ) -> Result<(), ClusterError> {
        let slot = self.slot(address)?;
        let Some(engine) = self.engines.get_mut(slot) else {
            return Ok(());
        };
        self.index.remove_all(slot, engine);
        let mut old = engine.take_containers();
        for mut container in containers {
            if let Some(ById(old)) = old.take(&*container.id) {
                container.follow(&old);
            }
            container.share(&mut self.common);
            let container = Arc::new(container);
            self.index.insert(slot, &container);
            engine.insert_container(container);
        }
        Ok(())
    }

    /// Adds a container to an engine or replaces what was known of it.
    ///
    /// # Errors
    /// When the address is not known.
    pub fn upsert_container(
        &mut self,
        address: &HostPort,
        mut container: Container,
    ) -> Result<(), ClusterError> {
        let slot = self.slot(address)?;
        let Some(engine) = self.engines.get_mut(slot) else {
            return Ok(());
        };
        let old = engine.remove_container(&container.id);
        if let Some(old) = &old {
            container.follow(old);
        }
        container.share(&mut self.common);
        let container = Arc::new(container);
        match old {
            Some(old) => self.index.replace(slot, &old, &container),
            None => self.index.insert(slot, &container),
        }
        engine.insert_container(container);
        Ok(())
    }

    /// Takes out one container; `false` when it was not known.
    pub fn remove_container(&mut self, address: &HostPort, id: &str) -> bool {
        let Some(slot) = self.slots.get(address) else {
            return false;
        };
        let removed = self
            .engines
            .get_mut(*slot)
            .and_then(|engine| engine.remove_container(id));
        if let Some(old) = &removed {
            self.index.remove(*slot, old);
        }
        removed.is_some()
    }

    /// Remembers an exec instance that was made in a container; `false` when the container is not known.
    pub fn add_exec(&mut self, address: &HostPort, container: &str, exec: &str) -> bool {
        let Some(slot) = self.slots.get(address) else {
            return false;
        };
        let Some(engine) = self.engines.get_mut(*slot) else {
            return false;
        };
        let Some(old) = engine.remove_container(container) else {
            return false;
        };
        self.index.remove(*slot, &old);
        let mut container = Arc::unwrap_or_clone(old);
        container.add_exec(exec.to_owned());
        let container = Arc::new(container);
        self.index.insert(*slot, &container);
        engine.insert_container(container);
        true
    }

    /// Replaces all images of an engine.
    ///
    /// # Errors
    /// When the address is not known.
    pub fn replace_images(
        &mut self,
        address: &HostPort,
        images: Vec<Image>,
    ) -> Result<(), ClusterError> {
        self.slot(address)?;
        let shared = images.into_iter().map(|image| self.images.share(image));
        let images = shared.map(ById).collect();
        self.engine_mut(address)?.images = images;
        Ok(())
    }

    /// Replaces all networks of an engine.
    ///
    /// # Errors
    /// When the address is not known.
    pub fn replace_networks(
        &mut self,
        address: &HostPort,
        networks: Vec<Network>,
    ) -> Result<(), ClusterError> {
        let networks = networks.into_iter().map(Arc::new).map(ById);
        self.engine_mut(address)?.networks = networks.collect();
        Ok(())
    }

    /// Adds a network to an engine or replaces what was known of it.
    ///
    /// # Errors
    /// When the address is not known.
    pub fn upsert_network(
        &mut self,
        address: &HostPort,
        network: Network,
    ) -> Result<(), ClusterError> {
        let networks = &mut self.engine_mut(address)?.networks;
        networks.replace(ById(Arc::new(network)));
        Ok(())
    }

    /// Takes out one network; `false` when it was not known.
    pub fn remove_network(&mut self, address: &HostPort, id: &str) -> bool {
        self.engine_mut(address)
            .is_ok_and(|engine| engine.networks.remove(id))
    }

    /// Replaces all volumes of an engine.
    ///
    /// # Errors
    /// When the address is not known.
    pub fn replace_volumes(
        &mut self,
        address: &HostPort,
        volumes: Vec<Volume>,
    ) -> Result<(), ClusterError> {
        let volumes = volumes.into_iter().map(Arc::new).map(ById);
        self.engine_mut(address)?.volumes = volumes.collect();
        Ok(())
    }

    /// Adds a volume to an engine or replaces what was known of it.
    ///
    /// # Errors
    /// When the address is not known.
    pub fn upsert_volume(
        &mut self,
        address: &HostPort,
        volume: Volume,
    ) -> Result<(), ClusterError> {
        let volumes = &mut self.engine_mut(address)?.volumes;
        volumes.replace(ById(Arc::new(volume)));
        Ok(())
    }

    /// Takes out one volume; `false` when it was not known.
    pub fn remove_volume(&mut self, address: &HostPort, name: &str) -> bool {
        self.engine_mut(address)
            .is_ok_and(|engine| engine.volumes.remove(name))
    }

    /// Says which engines get no new containers, by the IDs of their daemons.
    pub fn set_drained(&mut self, drained: BTreeSet<String>) {
        self.drained = drained;
    }

    /// Whether the engine gets no new containers.
    #[must_use]
    pub fn is_drained(&self, engine: &Engine) -> bool {
        self.drained.contains(engine.id())
    }

    /// The engine discovered at `address`.
    #[must_use]
    pub fn engine(&self, address: &HostPort) -> Option<&Engine> {
        self.slots
            .get(address)
            .and_then(|slot| self.engines.get(*slot))
    }

    /// All engines, in the order they were discovered.
    pub fn engines(&self) -> impl ExactSizeIterator<Item = &Engine> {
        self.engines.values()
    }

    /// All engines that have been validated, healthy now or not.
    pub fn validated(&self) -> impl Iterator<Item = &Engine> {
        self.engines().filter(|engine| engine.specs.is_some())
    }

    /// Whether the engine is known to have failed: it was validated and does not answer. One whose daemon answers at
    /// another address has not (spec/classic.md section 10.5, E1), and one that discovery took away is not even here
    /// (section 10.2, D1).
    #[must_use]
    pub fn has_failed(&self, engine: &Engine) -> bool {
        engine.state == EngineState::Unhealthy
            && engine.specs.is_some()
            && !self
                .engines()
                .any(|other| other.twin_of.as_ref() == Some(&engine.address))
    }

    /// All engines that have been validated, by name and address: the same order on every manager.
    pub fn in_order(&self) -> impl Iterator<Item = &Engine> {
        let slots = self.roster.in_order();
        slots.filter_map(|slot| self.engines.get(slot))
    }

    /// Another engine with the same host name as `engine`: names of both are ambiguous then.
    #[must_use]
    pub fn namesake(&self, engine: &Engine) -> Option<&Engine> {
        self.engines.get(self.roster.namesake(engine)?)
    }

    fn slot(&self, address: &HostPort) -> Result<u32, ClusterError> {
        self.slots
            .get(address)
            .copied()
            .ok_or_else(|| ClusterError::UnknownEngine(address.clone()))
    }

    fn engine_mut(&mut self, address: &HostPort) -> Result<&mut Engine, ClusterError> {
        let slot = self.slot(address)?;
        self.engines
            .get_mut(slot)
            .ok_or_else(|| ClusterError::UnknownEngine(address.clone()))
    }
}
