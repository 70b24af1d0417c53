//! What is known of one engine.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::container::Container;
use super::counts::Counts;
use super::image::Image;
use super::keys::ById;
use super::network::Network;
use super::specs::{EntryContext, Specs};
use super::volume::Volume;
use crate::address::HostPort;
use crate::time::Wall;

/// Where an engine stands (spec/classic.md section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineState {
    /// Discovered, not yet validated.
    Pending,
    /// Validated and answering.
    Healthy,
    /// Validated earlier, does not answer now.
    Unhealthy,
    /// Removed from discovery.
    Disconnected,
}

impl EngineState {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Healthy => "Healthy",
            Self::Unhealthy => "Unhealthy",
            Self::Disconnected => "Disconnected",
        }
    }
}

impl fmt::Display for EngineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One engine and the warm view of what runs on it.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The address discovery gave.
    pub address: HostPort,
    /// Where it stands.
    pub state: EngineState,
    /// Why it is not healthy, or what the last call failed with.
    pub error: Option<String>,
    /// When state or error last changed or was confirmed.
    pub updated_at: Wall,
    /// 100 when no recent call failed, 0 when nothing may be placed here (spec/classic.md section 6.6).
    pub indicator: u8,
    /// The resolved address; `None` until connected once.
    pub ip: Option<IpAddr>,
    /// What the engine says of itself; `None` until validated.
    pub specs: Option<Specs>,
    pub(super) containers: BTreeSet<ById<Container>>,
    pub(super) images: BTreeSet<ById<Image>>,
    pub(super) networks: BTreeSet<ById<Network>>,
    pub(super) volumes: BTreeSet<ById<Volume>>,
    pub(super) used: Resources,
    /// The engine whose daemon answered at this address, too.
    pub(super) twin_of: Option<HostPort>,
    pub(super) counts: Counts,
    /// The number in its label `containerslots`.
    pub(super) slots: Option<usize>,
}

/// Memory and CPUs, of a request or in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resources {
    /// Bytes.
    pub memory: u64,
    /// Billionths of a CPU.
    pub nano_cpus: u64,
}

impl Engine {
    pub(super) fn new(address: HostPort, now: Wall) -> Self {
        Self {
            address,
            state: EngineState::Pending,
            error: None,
            updated_at: now,
            indicator: 0,
            ip: None,
            specs: None,
            containers: BTreeSet::new(),
            images: BTreeSet::new(),
            networks: BTreeSet::new(),
            volumes: BTreeSet::new(),
            used: Resources::default(),
            twin_of: None,
            counts: Counts::default(),
            slots: None,
        }
    }

    pub(super) fn describe(&mut self, specs: Option<Specs>) -> Option<Specs> {
        let label = |specs: &Specs| specs.labels.get("containerslots")?.parse().ok();
        self.slots = specs.as_ref().and_then(label);
        std::mem::replace(&mut self.specs, specs)
    }

    /// How many containers, in any state, are placed on it at most: the number in its label `containerslots`.
    #[must_use]
    pub fn slots(&self) -> Option<usize> {
        self.slots
    }

    /// The host name, or `(unknown)` before validation.
    #[must_use]
    pub fn name(&self) -> &str {
        self.specs
            .as_ref()
            .map_or("(unknown)", |specs| specs.name.as_str())
    }

    /// The daemon's ID; empty before validation.
    #[must_use]
    pub fn id(&self) -> &str {
        self.specs.as_ref().map_or("", |specs| specs.id.as_str())
    }

    /// The address containers on this engine are reached at: the resolved one, else the host as discovered.
    #[must_use]
    pub fn ip_text(&self) -> String {
        self.ip
            .map_or_else(|| self.address.host().to_owned(), |ip| ip.to_string())
    }

    /// Whether it answers.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.state == EngineState::Healthy
    }

    /// What [`Container::parse`] needs; `None` before validation.
    #[must_use]
    pub fn entry_context(&self) -> Option<EntryContext> {
        self.specs.as_ref().map(|specs| EntryContext {
            engine: specs.name.clone(),
            ip: self.ip,
            cpus: specs.cpus,
            clock_offset: specs.clock_offset,
        })
    }

    /// Its containers by ID.
    pub fn containers(&self) -> impl ExactSizeIterator<Item = &Arc<Container>> {
        self.containers.iter().map(|ById(container)| container)
    }

    /// One container by full ID.
    #[must_use]
    pub fn container(&self, id: &str) -> Option<&Container> {
        self.containers.get(id).map(|ById(container)| &**container)
    }

    /// Its images by ID.
    pub fn images(&self) -> impl ExactSizeIterator<Item = &Image> {
        self.images.iter().map(|ById(image)| &**image)
    }

    /// Its networks by ID.
    pub fn networks(&self) -> impl ExactSizeIterator<Item = &Network> {
        self.networks.iter().map(|ById(network)| &**network)
    }

    /// Its volumes by name.
    pub fn volumes(&self) -> impl ExactSizeIterator<Item = &Volume> {
        self.volumes.iter().map(|ById(volume)| &**volume)
    }

    /// What all its containers reserve (spec/classic.md section 5.5). Stopped ones count like running ones, as in
    /// classic Swarm: each of them can be started again at any time.
    #[must_use]
    pub fn used(&self) -> Resources {
        self.used
    }

    /// Memory and CPUs there are, raised by `percent` (whole CPUs, integer division: spec/classic.md section 5.5).
    #[must_use]
    pub fn total(&self, percent: i64) -> Resources {
        self.specs
            .as_ref()
            .map_or_else(Resources::default, |specs| Resources {
                memory: raise(specs.memory, percent),
                nano_cpus: raise(specs.cpus, percent).saturating_mul(NANO),
            })
    }

    pub(super) fn insert_container(&mut self, container: Arc<Container>) {
        self.remove_container(&container.id.clone());
        self.used = self.used.plus(container.resources());
        self.counts = self.counts.plus(Counts::of(&container));
        self.containers.insert(ById(container));
    }

    pub(super) fn remove_container(&mut self, id: &str) -> Option<Arc<Container>> {
        let ById(old) = self.containers.take(id)?;
        self.used = self.used.minus(old.resources());
        self.counts = self.counts.minus(Counts::of(&old));
        Some(old)
    }

    pub(super) fn take_containers(&mut self) -> BTreeSet<ById<Container>> {
        self.used = Resources::default();
        self.counts = Counts::default();
        std::mem::take(&mut self.containers)
    }

    pub(super) fn clear(&mut self) {
        self.take_containers();
        self.images.clear();
        self.networks.clear();
        self.volumes.clear();
    }
}

/// Billionths in one CPU.
pub const NANO: u64 = 1_000_000_000;

fn raise(amount: u64, percent: i64) -> u64 {
    // Placement does this for every engine, and wide divisions are slow.
    if let Ok(percent) = u64::try_from(percent)
        && let Some(product) = amount.checked_mul(percent)
        && let Some(raised) = amount.checked_add(product / 100)
    {
        return raised;
    }
    let amount = i128::from(amount);
    let raised = amount + amount * i128::from(percent) / 100;
    u64::try_from(raised.max(0)).unwrap_or(u64::MAX)
}

impl Resources {
    /// The sum, saturating.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_add(other.memory),
            nano_cpus: self.nano_cpus.saturating_add(other.nano_cpus),
        }
    }

    /// The difference, not below zero.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_sub(other.memory),
            nano_cpus: self.nano_cpus.saturating_sub(other.nano_cpus),
        }
    }
}
