//! What is known of one container.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::common::Common;
use super::copies::Move;
use super::engine::Resources;
use super::labels::Labels;
use super::packed::{Gap, Packed};
use super::ports::{Binding, Exposed};
use super::recipe::Recipe;
use super::state::{Phase, State};
use crate::time::Wall;

/// The label that carries a container's cluster-wide ID.
pub const SWARM_ID_LABEL: &str = "com.docker.swarm.id";
/// The label that carries the epoch a container was created in.
pub const EPOCH_LABEL: &str = "com.docker.swarm.epoch";
/// The label that marks tasks of swarm mode.
pub const TASK_LABEL: &str = "com.docker.swarm.task";

/// Length of a short ID, as Docker shows it.
pub const SHORT_ID: usize = 12;

/// One container as the cluster knows it.
///
/// What a list needs of each comes first and stays together in memory: a list of all waits for little else.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Container {
    /// What it is doing.
    pub state: State,
    pub(super) entry: Entry,
    /// Full ID.
    pub id: Arc<str>,
    /// The first of its names; engines hardly ever give more.
    pub(super) first_name: Option<Arc<str>>,
    /// Image as given at creation.
    pub image: Arc<str>,
    /// ID of the image it was made from.
    pub image_id: Arc<str>,
    /// When it was made, on the manager's clock.
    pub created: Wall,
    /// Labels.
    pub labels: Labels,
    /// The networks it is in.
    pub networks: Arc<[NetworkUse]>,
    /// Its mounts.
    pub mounts: Arc<[Mount]>,
    /// Its ports.
    pub ports: Arc<[Port]>,
    /// What placement looks at.
    pub host: Arc<HostBits>,
    /// What few have.
    pub(super) rare: Option<Box<Rare>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Rare {
    pub(super) more_names: Box<[Arc<str>]>,
    pub(super) execs: BTreeSet<String>,
    pub(super) moved: Option<Arc<Move>>,
    pub(super) recipe: Option<Arc<Recipe>>,
}

static NO_EXECS: BTreeSet<String> = BTreeSet::new();

/// A network a container is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NetworkUse {
    /// Name on the engine.
    pub name: Arc<str>,
    /// Network ID; empty while the container has not run.
    pub id: Arc<str>,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// Volume name; empty for a bind mount.
    pub name: String,
    /// Path in the container.
    pub destination: String,
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Port in the container.
    pub private: u16,
    /// Port on the engine; 0 when not published.
    pub public: u16,
    /// The engine's address it is published at; empty when it is not published.
    pub address: Arc<str>,
    /// `tcp`, `udp` or `sctp`.
    pub kind: Arc<str>,
}

/// The parts of a container's host configuration placement looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostBits {
    /// The higher of memory limit and memory reservation, and CPUs; shares are counted as their part of the engine's
    /// CPUs.
    pub resources: Resources,
    /// For instance `bridge`, `host`, `container:x`.
    pub network_mode: Arc<str>,
    /// The ports it publishes at ports it names.
    pub bindings: Box<[Binding]>,
    /// The ports it exposes.
    pub exposed: Box<[Exposed]>,
    /// Whether the engine removes it when it ends.
    pub auto_remove: bool,
    /// Windows isolation technology; empty elsewhere.
    pub isolation: Arc<str>,
}

/// A container's entry in `GET /containers/json`, all but its ID and status ready to be sent.
#[derive(Clone, Debug)]
pub struct Entry(pub(super) Packed);

impl Entry {
    /// Appends the entry with its container's ID, this status and, if known, these sizes (`SizeRw`, `SizeRootFs`).
    pub fn write(
        &self,
        out: &mut String,
        id: &str,
        status: impl Fn(&mut String),
        sizes: Option<(i64, i64)>,
    ) {
        self.0.write(out, |gap, out| {
            // Neither needs escapes.
            out.push('"');
            match gap {
                Gap::Id => out.push_str(id),
                Gap::Status => status(out),
            }
            out.push('"');
        });
        if let Some((rw, root)) = sizes
            && out.ends_with('}')
        {
            out.pop();
            out.push_str(&format!(",\"SizeRw\":{rw},\"SizeRootFs\":{root}}}"));
        }
    }
}

impl Rare {
    /// `None` when there is nothing.
    pub(super) fn boxed(self) -> Option<Box<Self>> {
        let is_empty = self.more_names.is_empty()
            && self.execs.is_empty()
            && self.moved.is_none()
            && self.recipe.is_none();
        (!is_empty).then(|| Box::new(self))
    }
}

impl Container {
    /// Names as the engine gives them, each with a leading slash.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let more = self.rare.iter().flat_map(|rare| &rare.more_names);
        self.first_name.iter().chain(more)
    }

    /// Exec instances known to be its own.
    #[must_use]
    pub fn execs(&self) -> &BTreeSet<String> {
        self.rare.as_ref().map_or(&NO_EXECS, |rare| &rare.execs)
    }

    /// What it replaces, if it was made in place of another one.
    #[must_use]
    pub fn moved(&self) -> Option<&Arc<Move>> {
        self.rare.as_ref()?.moved.as_ref()
    }

    /// How to make it again; kept only for those that are to be moved when their engine fails.
    #[must_use]
    pub fn recipe(&self) -> Option<&Arc<Recipe>> {
        self.rare.as_ref()?.recipe.as_ref()
    }

    pub(super) fn add_exec(&mut self, exec: String) {
        self.rare.get_or_insert_default().execs.insert(exec);
    }

    /// Goes on with what an older record knows, and with its texts: the ways to the container have them, too.
    pub(super) fn follow(&mut self, old: &Self) {
        for exec in old.execs() {
            self.add_exec(exec.clone());
        }
        self.id = Arc::clone(&old.id);
        if self.first_name == old.first_name {
            self.first_name.clone_from(&old.first_name);
        }
        self.labels.follow(&old.labels);
    }

    /// The cluster-wide ID it was created with, if it was created through swarm.
    #[must_use]
    pub fn swarm_id(&self) -> Option<&str> {
        self.labels.get(SWARM_ID_LABEL).filter(|id| !id.is_empty())
    }

    /// The epoch it was created in, if a primary created it.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.labels.get(EPOCH_LABEL)?.parse().ok()
    }

    /// Its own name without the slash, not `<other container>/<alias>` by which a link calls it; empty if it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        let mut names = self.names().map(|name| bare(name));
        names.find(|name| !name.contains('/')).unwrap_or_default()
    }

    /// Reads a little of what a list asks of each, for the memory to be there soon.
    pub(super) fn touch(&self) -> u64 {
        self.state.exit_code.cast_unsigned()
    }

    /// As [`Self::touch`], of the texts that are written.
    pub(super) fn touch_texts(&self) -> u64 {
        let id = self.id.as_bytes();
        let ends = id.first().into_iter().chain(id.last());
        let sum = ends.fold(self.entry.0.touch(), |sum, byte| sum.wrapping_add(*byte));
        sum.into()
    }

    /// Keeps once what other containers say in the same words.
    pub(super) fn share(&mut self, common: &mut Common) {
        self.labels.share(common);
        let texts = &mut common.texts;
        texts.share(&mut self.image);
        texts.share(&mut self.image_id);
        common.networks.share_with(&mut self.networks, |networks| {
            for network in networks {
                texts.share(&mut network.name);
                texts.share(&mut network.id);
            }
        });
        common.ports.share_with(&mut self.ports, |ports| {
            for port in ports {
                texts.share(&mut port.address);
                texts.share(&mut port.kind);
            }
        });
        common.hosts.share_with(&mut self.host, |host| {
            texts.share(&mut host.network_mode);
            texts.share(&mut host.isolation);
        });
        common.mounts.share(&mut self.mounts);
        common.models.pack(&self.image_id, &mut self.entry.0);
    }

    /// What it reserves.
    #[must_use]
    pub fn resources(&self) -> Resources {
        self.host.resources
    }

    /// Whether it runs, paused and restarting included.
    #[must_use]
    pub fn is_running(&self) -> bool {
        match self.state.phase {
            Phase::Running | Phase::Paused | Phase::Restarting => true,
            Phase::Created | Phase::Removing | Phase::Exited | Phase::Dead => false,
        }
    }

    /// Whether it was created and never started.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.state.phase == Phase::Created && self.state.started.is_none()
    }
}

/// A container name without the leading slash.
#[must_use]
pub fn bare(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

/// The CPUs that `shares` of an engine with `cpus` CPUs stand for (spec/classic.md section 5.5).
#[must_use]
pub fn shares_to_cpus(shares: u64, cpus: u64) -> u64 {
    shares.saturating_mul(cpus) / 1024
}

/// The shares to send to an engine with `cpus` CPUs for `wanted` of them (spec/classic.md section 5.5).
#[must_use]
pub fn cpus_to_shares(wanted: u64, cpus: u64) -> u64 {
    wanted.saturating_mul(1024).div_ceil(cpus.max(1))
}
