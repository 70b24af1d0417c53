//! The `dependency` filter: what has to be on the engine already (spec/classic.md section 5.2; its defect S11 mended).
//!
//! Other containers a container is tied to, local networks it joins, and named local volumes it mounts are each on one
//! engine. A name no engine knows ties a network or volume to nothing: the engine makes the volume, or says itself that
//! it has no such network.

use std::collections::BTreeSet;
use std::fmt;

use super::{Node, Request};
use crate::address::HostPort;
use crate::cluster::{Cluster, Engine, LookupError, SHORT_ID, bare};

/// What a container needs on its engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// Containers it is tied to.
    pub containers: BTreeSet<Beside>,
    /// Networks it joins, as the user calls them.
    pub networks: BTreeSet<String>,
    /// Volumes it mounts by name.
    pub volumes: BTreeSet<String>,
}

/// A tie to another container, which has to be on the same engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beside {
    /// By what it is tied.
    pub tie: Tie,
    reference: String,
    /// What follows the reference: how to mount volumes, or the alias of a link.
    rest: String,
}

/// By what one container is tied to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tie {
    /// `HostConfig.VolumesFrom`.
    VolumesFrom,
    /// `HostConfig.Links`, also those of one network.
    Link,
    /// `HostConfig.NetworkMode`.
    Network,
    /// `HostConfig.IpcMode`.
    Ipc,
    /// `HostConfig.PidMode`.
    Pid,
}

impl Dependencies {
    /// How much it needs.
    #[must_use]
    pub fn count(&self) -> usize {
        self.containers.len() + self.networks.len() + self.volumes.len()
    }

    /// Adds a network, unless every engine has one of this name or it is none at all.
    pub fn join(&mut self, network: &str) {
        let everywhere = matches!(network, "" | "default" | "bridge" | "host" | "none" | "nat");
        if !everywhere && !network.starts_with(Tie::Network.prefix()) {
            self.networks.insert(network.to_owned());
        }
    }
}

impl Tie {
    fn option(self) -> &'static str {
        match self {
            Self::VolumesFrom => "--volumes-from",
            Self::Link => "--link",
            Self::Network => "--net",
            Self::Ipc => "--ipc",
            Self::Pid => "--pid",
        }
    }

    /// What stands before the reference.
    fn prefix(self) -> &'static str {
        match self {
            Self::VolumesFrom | Self::Link => "",
            Self::Network | Self::Ipc | Self::Pid => "container:",
        }
    }
}

impl Beside {
    /// Reads a value of the member that `tie` stands for; `None` when it ties to no container.
    #[must_use]
    pub fn parse(tie: Tie, text: &str) -> Option<Self> {
        let text = text.strip_prefix(tie.prefix())?;
        let end = match tie {
            Tie::VolumesFrom | Tie::Link => text.find(':').unwrap_or(text.len()),
            Tie::Network | Tie::Ipc | Tie::Pid => text.len(),
        };
        let (reference, rest) = text.split_at_checked(end)?;
        Some(Self {
            tie,
            reference: reference.to_owned(),
            rest: rest.to_owned(),
        })
    }

    /// The value as this engine understands it: engines know neither `<engine>/<name>` nor swarm IDs.
    #[must_use]
    pub fn for_engine(&self, cluster: &Cluster, engine: &HostPort) -> String {
        let reference = match cluster.container_on(engine, &self.reference) {
            Ok(container) => {
                let name = container.name();
                let known = container.id.starts_with(&self.reference)
                    || container
                        .names()
                        .any(|name| bare(name) == bare(&self.reference));
                match (known, name.is_empty()) {
                    (true, _) => &self.reference,
                    (false, false) => name,
                    (false, true) => &container.id,
                }
            }
            Err(_) => &self.reference,
        };
        format!("{}{reference}{}", self.tie.prefix(), self.rest)
    }
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tie,
            reference,
            rest,
        } = self;
        write!(f, "{}={}{reference}{rest}", tie.option(), tie.prefix())
    }
}

/// A network or volume that is on some engines only.
#[derive(Debug)]
pub(super) struct Bound<'a> {
    /// For people.
    what: String,
    engines: BTreeSet<&'a HostPort>,
}

/// What of the request's networks and volumes is on some engines only. `nodes` are all engines: what is on one that a
/// filter dropped is there all the same, and another engine would start without the data.
pub(super) fn bound<'a>(nodes: &[Node<'a>], request: &Request) -> Vec<Bound<'a>> {
    let Dependencies {
        networks, volumes, ..
    } = &request.dependencies;
    let networks = networks.iter().filter_map(|name| {
        Some(Bound {
            what: format!("network {name}"),
            engines: engines_with_network(nodes, name)?,
        })
    });
    let volumes = volumes.iter().filter_map(|name| {
        Some(Bound {
            what: format!("volume {name}"),
            engines: engines_with_volume(nodes, name)?,
        })
    });
    networks.chain(volumes).collect()
}

/// `None` when any engine will do. One that is named in front is asked also if the view does not know the network yet.
fn engines_with_network<'a>(nodes: &[Node<'a>], reference: &str) -> Option<BTreeSet<&'a HostPort>> {
    let mut engines = engines_in_front(nodes, reference);
    if !engines.is_empty() {
        return Some(engines);
    }
    let known = |id: &str| reference.len() >= SHORT_ID && id.starts_with(reference);
    for node in nodes {
        for network in node.engine.networks() {
            if network.name == reference || known(&network.id) {
                if !network.is_local() {
                    return None;
                }
                engines.insert(&node.engine.address);
            }
        }
    }
    (!engines.is_empty()).then_some(engines)
}

/// `None` when any engine will do.
fn engines_with_volume<'a>(nodes: &[Node<'a>], name: &str) -> Option<BTreeSet<&'a HostPort>> {
    let mut engines = engines_in_front(nodes, name);
    if !engines.is_empty() {
        return Some(engines);
    }
    for node in nodes {
        let mut pending = node.pending.iter();
        if pending.any(|request| request.dependencies.volumes.contains(name)) {
            engines.insert(&node.engine.address);
        }
        if let Some(volume) = node.engine.volumes().find(|volume| volume.name == name) {
            if !volume.is_local() {
                return None;
            }
            engines.insert(&node.engine.address);
        }
    }
    (!engines.is_empty()).then_some(engines)
}

/// The engines that `reference` names in front.
fn engines_in_front<'a>(nodes: &[Node<'a>], reference: &str) -> BTreeSet<&'a HostPort> {
    let named = |node: &&Node<'a>| on_engine(node.engine, reference).is_some();
    let addresses = nodes.iter().filter(named).map(|node| &node.engine.address);
    addresses.collect()
}

/// The name behind `<engine>/`, if the reference begins with this engine.
#[must_use]
pub fn on_engine<'a>(engine: &Engine, reference: &'a str) -> Option<&'a str> {
    let (first, name) = bare(reference).split_once('/')?;
    (!first.is_empty() && (first == engine.name() || first == engine.id())).then_some(name)
}

/// What is missing on the engine.
pub(super) fn missing(
    cluster: &Cluster,
    node: &Node<'_>,
    request: &Request,
    bound: &[Bound<'_>],
) -> Option<String> {
    let address = &node.engine.address;
    let container = |beside: &Beside| match cluster.container_on(address, &beside.reference) {
        Ok(_) => None,
        Err(LookupError::NotFound(reference)) => Some(format!("it has no container {reference}")),
        Err(ambiguous @ LookupError::Ambiguous { .. }) => Some(ambiguous.to_string()),
    };
    let mut containers = request.dependencies.containers.iter();
    containers.find_map(container).or_else(|| {
        let elsewhere = bound.iter().find(|one| !one.engines.contains(address))?;
        Some(format!("{} is on other engines", elsewhere.what))
    })
}

/// What the request depends on, for people (spec/classic.md section 5.1).
pub(super) fn conditions(wanted: &Dependencies) -> Vec<String> {
    let containers = wanted.containers.iter().map(ToString::to_string);
    let networks = wanted.networks.iter().map(|name| format!("--net={name}"));
    let volumes = wanted.volumes.iter().map(|name| format!("--volume={name}"));
    containers.chain(networks).chain(volumes).collect()
}
