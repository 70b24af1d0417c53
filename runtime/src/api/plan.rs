//! A create request, read as far as placement and naming need it.

use std::collections::BTreeMap;

use http::HeaderMap;
use serde::de::IgnoredAny;
use serde_json::Value;
use swarm_core::address::HostPort;
use swarm_core::api::{ApiVersion, Query};
use swarm_core::cluster::{
    Binding, Cluster, EPOCH_LABEL, MOVE_LABEL, Move, NANO, Remake, Resources, SWARM_ID_LABEL, bare,
    cpus_to_shares,
};
use swarm_core::json::{self, JsonError, RawObject};
use swarm_core::scheduler::{self, Beside, Carried, Dependencies, PortsWanted, Tie};

use super::answer::ApiError;
use super::bodies::bad;
use super::engine::Target;
use super::rename::{own_name, rename_list, rename_volumes};

/// A create request, taken apart as far as placement needs it.
pub(super) struct Plan {
    pub(super) id: String,
    pub(super) epoch: Option<u64>,
    pub(super) repeat: bool,
    pub(super) version: Option<ApiVersion>,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    /// Without expressions in its environment.
    config: RawObject,
    /// With those expressions, and those the client put there.
    labels: serde_json::Map<String, Value>,
    host: RawObject,
    /// `NetworkingConfig.EndpointsConfig`.
    endpoints: BTreeMap<String, Option<RawObject>>,
    pub(super) image: String,
    /// CPUs asked for as `CpuShares` (spec/classic.md section 5.5); 0 if none.
    share_cpus: u64,
    pub(super) request: scheduler::Request,
    /// What it replaces, if it is no client's request but the move of a container.
    pub(super) moved: Option<Move>,
}

/// How many containers, networks and volumes one container may depend on: each is looked for on each engine while nothing
/// else can be placed.
const DEPENDENCIES_MAX: usize = 1000;

/// The members that tie a container to others.
const LISTS: [(&str, Tie); 2] = [("VolumesFrom", Tie::VolumesFrom), ("Links", Tie::Link)];
const MODES: [(&str, Tie); 3] = [
    ("NetworkMode", Tie::Network),
    ("IpcMode", Tie::Ipc),
    ("PidMode", Tie::Pid),
];

impl Plan {
    /// Reads the request.
    ///
    /// # Errors
    /// 400 for what placement needs and cannot be read.
    pub(super) fn read(
        text: &[u8],
        headers: HeaderMap,
        query: Query,
        version: Option<ApiVersion>,
        (id, epoch, repeat): (String, Option<u64>, bool),
    ) -> Result<Self, ApiError> {
        let mut config = RawObject::parse(text).map_err(bad)?;
        let host: RawObject = config.read("HostConfig").map_err(bad)?.unwrap_or_default();
        let mut labels: serde_json::Map<String, Value> =
            config.read("Labels").map_err(bad)?.unwrap_or_default();
        let expressions = take_expressions(&mut config, &mut labels)?;
        let endpoints = endpoints(&config).map_err(bad)?;
        let dependencies = dependencies(&host, &endpoints).map_err(bad)?;
        if dependencies.count() > DEPENDENCIES_MAX {
            return Err(bad(format!(
                "more than {DEPENDENCIES_MAX} links, networks and volumes"
            )));
        }
        let share_cpus = number(&host, "CpuShares").map_err(bad)?;
        let name = query.value("name").unwrap_or_default();
        Ok(Self {
            request: scheduler::Request {
                name: bare(&name).to_owned(),
                swarm_id: id.clone(),
                resources: resources(&host, share_cpus).map_err(bad)?,
                labels: texts(&labels),
                expressions,
                ports: ports(&config, &host)?,
                dependencies,
                replaces: Vec::new(),
            },
            moved: None,
            image: config.read("Image").map_err(bad)?.unwrap_or_default(),
            id,
            epoch,
            repeat,
            version,
            query,
            headers,
            config,
            labels,
            host,
            endpoints,
            share_cpus,
        })
    }

    /// What makes a container again in place of another one.
    ///
    /// # Errors
    /// 400 when the configuration cannot be read.
    pub(super) fn of_move(
        remake: &Remake,
        moved: Move,
        name: &str,
        epoch: Option<u64>,
    ) -> Result<Self, ApiError> {
        let query = Query::default().with("name", name);
        let headers = HeaderMap::new();
        let id = moved.swarm_id().to_owned();
        let text = remake.body.to_json();
        let mut plan = Self::read(text.as_bytes(), headers, query, None, (id, epoch, true))?;
        for network in &remake.all_networks {
            plan.request.dependencies.join(network);
        }
        plan.request.replaces = moved.replaces().to_vec();
        plan.moved = Some(moved);
        Ok(plan)
    }

    /// Whether a container with these labels is what this plan makes.
    pub(super) fn made(&self, labels: &BTreeMap<String, String>) -> bool {
        let Some(moved) = &self.moved else {
            return labels.get(SWARM_ID_LABEL) == Some(&self.id);
        };
        let other = Move::read(labels, &self.image);
        moved
            .replaces()
            .last()
            .is_some_and(|old| other.is_some_and(|other| other.names(old)))
    }

    /// The body for one engine: as it came, with swarm's labels, without expressions in the environment, CPUs turned into
    /// shares, and other containers and networks called as this engine knows them.
    pub(super) fn body(&self, cluster: &Cluster, target: &Target) -> Result<String, JsonError> {
        let mut config = self.config.clone();
        let mut labels = self.labels.clone();
        labels.insert(SWARM_ID_LABEL.to_owned(), self.id.as_str().into());
        labels.remove(EPOCH_LABEL);
        if let Some(epoch) = self.epoch {
            labels.insert(EPOCH_LABEL.to_owned(), epoch.to_string().into());
        }
        labels.remove(MOVE_LABEL);
        if let Some(moved) = &self.moved {
            let text = json::raw(moved)?.get().to_owned();
            labels.insert(MOVE_LABEL.to_owned(), text.into());
        }
        config.set("Labels", json::raw(&labels)?);
        let host = self.host_for(cluster, target)?;
        if host.to_json() != self.host.to_json() {
            config.set("HostConfig", host.to_raw()?);
        }
        self.rename_endpoints(&mut config, cluster, &target.address)?;
        Ok(config.to_json())
    }

    fn host_for(&self, cluster: &Cluster, target: &Target) -> Result<RawObject, JsonError> {
        let mut host = self.host.clone();
        for (member, tie) in LISTS {
            rename_list(&mut host, member, tie, cluster, &target.address)?;
        }
        for (member, tie) in MODES {
            let mode: String = host.read(member)?.unwrap_or_default();
            let renamed = match Beside::parse(tie, &mode) {
                Some(beside) => beside.for_engine(cluster, &target.address),
                None => own_name(cluster, &target.address, &mode).to_owned(),
            };
            if renamed != mode {
                host.set(member, json::raw(&renamed)?);
            }
        }
        rename_volumes(&mut host, cluster, &target.address)?;
        if self.share_cpus > 0 {
            let shares = cpus_to_shares(self.share_cpus, target.cpus);
            host.set("CpuShares", json::raw(&shares)?);
        }
        Ok(host)
    }

    /// Networks are keys there, and links of one network stand with it.
    fn rename_endpoints(
        &self,
        config: &mut RawObject,
        cluster: &Cluster,
        engine: &HostPort,
    ) -> Result<(), JsonError> {
        let mut changed = false;
        let mut renamed = BTreeMap::new();
        for (name, endpoint) in &self.endpoints {
            let mut endpoint = endpoint.clone();
            if let Some(endpoint) = &mut endpoint {
                changed |= rename_list(endpoint, "Links", Tie::Link, cluster, engine)?;
            }
            let bare = own_name(cluster, engine, name);
            changed |= bare != name;
            let endpoint = endpoint.map(|endpoint| endpoint.to_raw()).transpose()?;
            renamed.insert(bare, endpoint);
        }
        if changed {
            let mut networking: RawObject = config.read("NetworkingConfig")?.unwrap_or_default();
            networking.set("EndpointsConfig", json::raw(&renamed)?);
            config.set("NetworkingConfig", networking.to_raw()?);
        }
        Ok(())
    }
}

/// Takes the expressions out of the environment into the labels.
fn take_expressions(
    config: &mut RawObject,
    labels: &mut serde_json::Map<String, Value>,
) -> Result<scheduler::Expressions, ApiError> {
    let environment: Vec<String> = config.read("Env").map_err(bad)?.unwrap_or_default();
    let before = environment.len();
    let carried = Carried::read(environment, &texts(labels)).map_err(bad)?;
    if carried.environment.len() < before {
        config.set("Env", json::raw(&carried.environment).map_err(bad)?);
    }
    for (label, text) in carried.labels {
        labels.insert(label.to_owned(), text.into());
    }
    Ok(carried.expressions)
}

/// The labels that are texts; engines refuse others.
fn texts(labels: &serde_json::Map<String, Value>) -> BTreeMap<String, String> {
    labels
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// A number that is not negative; engines refuse others, or take them for none.
fn number(object: &RawObject, name: &str) -> Result<u64, JsonError> {
    let number: Option<i64> = object.read(name)?;
    Ok(number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0))
}

fn resources(host: &RawObject, share_cpus: u64) -> Result<Resources, JsonError> {
    Ok(Resources {
        memory: number(host, "Memory")?.max(number(host, "MemoryReservation")?),
        nano_cpus: match number(host, "NanoCpus")? {
            0 => share_cpus.saturating_mul(NANO),
            nano => nano,
        },
    })
}

fn ports(config: &RawObject, host: &RawObject) -> Result<PortsWanted, ApiError> {
    let mode: String = host.read("NetworkMode").map_err(bad)?.unwrap_or_default();
    let mut wanted = PortsWanted {
        host_network: mode == "host",
        ..PortsWanted::default()
    };
    if wanted.host_network {
        let exposed: BTreeMap<String, IgnoredAny> = config
            .read("ExposedPorts")
            .map_err(bad)?
            .unwrap_or_default();
        for port in exposed.keys() {
            wanted.exposed.push(port.parse().map_err(bad)?);
        }
        return Ok(wanted);
    }
    let bindings: BTreeMap<String, Option<Vec<RawObject>>> =
        host.read("PortBindings").map_err(bad)?.unwrap_or_default();
    for (port, bindings) in bindings {
        for binding in bindings.into_iter().flatten() {
            let text = |name| binding.read::<String>(name).map(Option::unwrap_or_default);
            let (address, at) = (text("HostIp").map_err(bad)?, text("HostPort").map_err(bad)?);
            wanted
                .bindings
                .extend(Binding::parse(&port, &address, &at).map_err(bad)?);
        }
    }
    Ok(wanted)
}

/// A map, not an object of Docker's: names of networks differ by case.
fn endpoints(config: &RawObject) -> Result<BTreeMap<String, Option<RawObject>>, JsonError> {
    let networking: RawObject = config.read("NetworkingConfig")?.unwrap_or_default();
    Ok(networking.read("EndpointsConfig")?.unwrap_or_default())
}

fn dependencies(
    host: &RawObject,
    endpoints: &BTreeMap<String, Option<RawObject>>,
) -> Result<Dependencies, JsonError> {
    let mut needed = Dependencies::default();
    for (member, tie) in LISTS {
        needed.containers.extend(ties(host, member, tie)?);
    }
    for (member, tie) in MODES {
        let mode: String = host.read(member)?.unwrap_or_default();
        needed.containers.extend(Beside::parse(tie, &mode));
    }
    needed.join(&host.read::<String>("NetworkMode")?.unwrap_or_default());
    for (name, endpoint) in endpoints {
        needed.join(name);
        let Some(endpoint) = endpoint else { continue };
        let links = ties(endpoint, "Links", Tie::Link)?;
        needed.containers.extend(links);
    }
    let driver: String = host.read("VolumeDriver")?.unwrap_or_default();
    if matches!(driver.as_str(), "" | "local") {
        let binds: Vec<String> = host.read("Binds")?.unwrap_or_default();
        let named = binds
            .iter()
            .filter_map(|bind| Some(bind.split_once(':')?.0));
        let named = named.filter(|source| !source.starts_with(['/', '.', '~']));
        needed.volumes.extend(named.map(str::to_owned));
    }
    let mounts: Vec<RawObject> = host.read("Mounts")?.unwrap_or_default();
    for mount in &mounts {
        if mount.read::<String>("Type")?.as_deref() == Some("volume") {
            needed.volumes.extend(mount.read::<String>("Source")?);
        }
    }
    needed.volumes.remove("");
    Ok(needed)
}

fn ties(object: &RawObject, member: &str, tie: Tie) -> Result<Vec<Beside>, JsonError> {
    let texts: Vec<String> = object.read(member)?.unwrap_or_default();
    Ok(texts
        .iter()
        .filter_map(|text| Beside::parse(tie, text))
        .collect())
}
