//! What is known of one engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use super::container::Container;
use super::counts::Counts;
use super::human;
use super::image::Image;
use super::keys::ById;
use super::network::Network;
use super::volume::Volume;
use crate::address::HostPort;
use crate::api::{ApiVersion, VersionError};
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

/// What an engine says of itself (spec/classic.md section 6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specs {
    /// The daemon's ID: the engine's identity.
    pub id: String,
    /// Host name.
    pub name: String,
    /// CPUs, at least 1.
    pub cpus: u64,
    /// Bytes, at least 1.
    pub memory: u64,
    /// Built-in labels (`storagedriver`, `kernelversion`, `operatingsystem`, `ostype`) and the engine's own.
    pub labels: BTreeMap<String, String>,
    /// Engine version, for instance `24.0.7`.
    pub version: String,
    /// Newest API version it speaks.
    pub api_version: ApiVersion,
    /// Oldest API version it speaks, if it says so.
    pub api_version_min: Option<ApiVersion>,
    /// Nanoseconds to add to the engine's times to get the manager's; 0 below two seconds.
    pub clock_offset: i64,
}

/// What rewriting a container's list entry needs to know of its engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryContext {
    /// Host name of the engine.
    pub engine: String,
    /// Its resolved address.
    pub ip: Option<IpAddr>,
    /// Its CPUs: CPU shares are a part of them.
    pub cpus: u64,
    /// See [`Specs::clock_offset`].
    pub clock_offset: i64,
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

/// Why an engine's `/info` and `/version` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpecsError {
    /// Not the JSON of an engine.
    #[error("{what} of engine {address} cannot be read: {source}")]
    Json {
        /// `/info` or `/version`.
        what: &'static str,
        /// The engine.
        address: HostPort,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No CPUs or memory.
    #[error(
        "cannot get resources for this engine, make sure {0} is a Docker Engine, not a Swarm manager"
    )]
    NoResources(HostPort),
    /// No daemon ID: it could not be told from others.
    #[error("engine {0} reports no daemon ID")]
    NoId(HostPort),
    /// A label without `=`.
    #[error(
        "engine (ID: {id}, Addr: {address}) contains an invalid label ({label}) not formatted as \"key=value\""
    )]
    Label {
        /// Daemon ID.
        id: String,
        /// The engine.
        address: HostPort,
        /// The label.
        label: String,
    },
    /// No usable API version.
    #[error("engine {address}: {source}")]
    ApiVersion {
        /// The engine.
        address: HostPort,
        /// What is wrong.
        source: VersionError,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct InfoAnswer {
    #[serde(rename = "ID")]
    id: Option<String>,
    name: Option<String>,
    #[serde(rename = "NCPU")]
    ncpu: i64,
    mem_total: i64,
    labels: Option<Vec<String>>,
    driver: Option<String>,
    kernel_version: Option<String>,
    operating_system: Option<String>,
    #[serde(rename = "OSType")]
    os_type: Option<String>,
    system_time: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct VersionAnswer {
    version: Option<String>,
    api_version: Option<String>,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: Option<String>,
}

impl Specs {
    /// Reads an engine's answers to `GET /info` and `GET /version`, received at `now`. The second value are warnings
    /// an operator should see (ignored labels, a clock that is off).
    ///
    /// # Errors
    /// [`SpecsError`] when the engine cannot be used.
    pub fn parse(
        address: &HostPort,
        info: &[u8],
        version: &[u8],
        now: Wall,
    ) -> Result<(Self, Vec<String>), SpecsError> {
        let json = |what| {
            move |source| SpecsError::Json {
                what,
                address: address.clone(),
                source,
            }
        };
        let info: InfoAnswer = serde_json::from_slice(info).map_err(json("/info"))?;
        let version: VersionAnswer = serde_json::from_slice(version).map_err(json("/version"))?;
        let cpus = u64::try_from(info.ncpu).unwrap_or(0);
        let memory = u64::try_from(info.mem_total).unwrap_or(0);
        if cpus == 0 || memory == 0 {
            return Err(SpecsError::NoResources(address.clone()));
        }
        let id = info.id.clone().unwrap_or_default();
        if id.is_empty() {
            return Err(SpecsError::NoId(address.clone()));
        }
        let mut warnings = Vec::new();
        let labels = labels(&info, &id, address, &mut warnings)?;
        let clock_offset = clock_offset(&info, address, now, &mut warnings);
        let api = |text: &str| {
            text.parse::<ApiVersion>()
                .map_err(|source| SpecsError::ApiVersion {
                    address: address.clone(),
                    source,
                })
        };
        let specs = Self {
            name: match info.name {
                Some(name) if !name.is_empty() => name,
                Some(_) | None => address.to_string(),
            },
            id,
            cpus,
            memory,
            labels,
            version: version.version.unwrap_or_default(),
            api_version: api(version.api_version.as_deref().unwrap_or("1.24"))?,
            api_version_min: version
                .min_api_version
                .as_deref()
                .filter(|text| !text.is_empty())
                .map(api)
                .transpose()?,
            clock_offset,
        };
        Ok((specs, warnings))
    }
}

fn labels(
    info: &InfoAnswer,
    id: &str,
    address: &HostPort,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, String>, SpecsError> {
    let builtin: BTreeMap<String, String> = [
        ("storagedriver", &info.driver),
        ("kernelversion", &info.kernel_version),
        ("operatingsystem", &info.operating_system),
        ("ostype", &info.os_type),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)))
    .filter(|(_, value)| !value.is_empty())
    .collect();
    let mut all = builtin.clone();
    for label in info.labels.iter().flatten() {
        let (key, value) = label.split_once('=').ok_or_else(|| SpecsError::Label {
            id: id.to_owned(),
            address: address.clone(),
            label: label.clone(),
        })?;
        if key == "node" || builtin.contains_key(key) {
            warnings.push(format!(
                "engine {address} has a label {label:?} whose key is reserved; it is ignored"
            ));
        } else {
            all.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(all)
}

/// Below this a difference is the time the answer was under way.
const CLOCK_TOLERANCE: u64 = 2 * NANO;

fn clock_offset(
    info: &InfoAnswer,
    address: &HostPort,
    now: Wall,
    warnings: &mut Vec<String>,
) -> i64 {
    let Some(theirs) = info.system_time.as_deref().and_then(human::parse_time) else {
        return 0;
    };
    if now.0.abs_diff(theirs.0) < CLOCK_TOLERANCE {
        return 0;
    }
    warnings.push(format!(
        "engine {address} has unsynchronized systime with swarm ({} against {}), please synchronize it",
        theirs.rfc3339(),
        now.rfc3339()
    ));
    i64::try_from(i128::from(now.0) - i128::from(theirs.0)).unwrap_or(0)
}

impl EntryContext {
    /// An engine's time on the manager's clock.
    #[must_use]
    pub(super) fn shift(&self, time: Wall) -> Wall {
        Wall(time.0.saturating_add_signed(self.clock_offset))
    }
}
