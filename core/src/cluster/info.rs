//! What `docker info` and `docker version` show (spec/classic.md sections 3.5 and 4.3).

use serde::Serialize;

use super::engine::{Engine, NANO, Resources};
use super::{Cluster, EngineState, Phase, human};
use crate::api::ApiVersion;
use crate::time::Wall;

/// What the manager's machine and build say of themselves.
#[derive(Clone, Debug, Default)]
pub struct HostInfo {
    /// Host name.
    pub name: String,
    /// Go's name of the operating system: `linux`.
    pub os: String,
    /// Go's name of the architecture: `amd64`, `arm64`.
    pub arch: String,
    /// Kernel release, or `<unknown>`.
    pub kernel: String,
    /// Version of swarm.
    pub version: String,
    /// Commit it was built from.
    pub commit: String,
    /// When it was built, or `<unknown>`.
    pub built: String,
    /// Environment variable `http_proxy`.
    pub http_proxy: String,
    /// Environment variable `https_proxy`.
    pub https_proxy: String,
    /// Environment variable `no_proxy`.
    pub no_proxy: String,
    /// `--experimental`.
    pub experimental: bool,
    /// Whether debug logging is on.
    pub debug: bool,
}

/// What a manager is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It acts.
    Primary,
    /// It forwards.
    Replica,
}

/// What a manager with `--replication` knows of the election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// The primary's address; empty if none is known.
    pub primary: String,
    /// The newest epoch seen, if any.
    pub epoch: Option<u64>,
}

/// Everything `GET /info` is made from.
#[derive(Clone, Debug)]
pub struct ClusterInfo<'a> {
    /// The view.
    pub cluster: &'a Cluster,
    /// The machine.
    pub host: &'a HostInfo,
    /// The role of this manager.
    pub role: Role,
    /// The election; `None` without `--replication`.
    pub replication: Option<Replication>,
    /// Name of the strategy.
    pub strategy: &'a str,
    /// Names of the filters, in the order they are applied.
    pub filters: &'a [&'a str],
    /// Percent by which memory and CPUs are overcommitted.
    pub overcommit: i64,
    /// Open event streams.
    pub listeners: usize,
    /// Now.
    pub now: Wall,
}

/// The newest version swarm announces before it knows an engine.
const FALLBACK_VERSION: ApiVersion = ApiVersion::new(1, 41);

/// The oldest version swarm serves.
const MIN_VERSION: ApiVersion = ApiVersion::new(1, 24);

impl Cluster {
    /// The newest API version that every healthy engine speaks; 1.41 while there is none.
    #[must_use]
    pub fn api_version(&self) -> ApiVersion {
        self.common_version().unwrap_or(FALLBACK_VERSION)
    }

    /// The oldest API version swarm serves, and the newest that every healthy engine speaks, if there is one.
    #[must_use]
    pub fn api_versions(&self) -> (ApiVersion, Option<ApiVersion>) {
        (MIN_VERSION, self.common_version())
    }

    fn common_version(&self) -> Option<ApiVersion> {
        self.validated()
            .filter(|engine| engine.is_healthy())
            .filter_map(|engine| engine.specs.as_ref())
            .map(|specs| specs.api_version)
            .min()
    }

    /// The answer to `GET /version`.
    #[must_use]
    pub fn version_json(&self, host: &HostInfo) -> String {
        let api_version = self.api_version().to_string();
        let min_version = MIN_VERSION.to_string();
        let number = format!("swarm/{}", host.version);
        let details = serde_json::json!({
            "ApiVersion": &api_version,
            "Arch": &host.arch,
            "BuildTime": &host.built,
            "Experimental": host.experimental.to_string(),
            "GitCommit": &host.commit,
            "KernelVersion": &host.kernel,
            "MinAPIVersion": &min_version,
            "Os": &host.os,
        });
        let mut version = serde_json::json!({
            "Platform": {"Name": "Docker Swarm"},
            "Components": [{"Name": "Engine", "Version": &number, "Details": details}],
            "Version": &number,
            "ApiVersion": &api_version,
            "MinAPIVersion": &min_version,
            "GitCommit": &host.commit,
            "GoVersion": "",
            "Os": &host.os,
            "Arch": &host.arch,
            "KernelVersion": &host.kernel,
            "BuildTime": &host.built,
        });
        if host.experimental
            && let Some(members) = version.as_object_mut()
        {
            members.insert("Experimental".to_owned(), true.into());
        }
        version.to_string()
    }
}

/// Containers by what they are doing.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    all: usize,
    running: usize,
    paused: usize,
    stopped: usize,
}

impl Counts {
    fn of<'a>(cluster: &Cluster, engines: impl Iterator<Item = &'a Engine>) -> Self {
        let mut counts = Self::default();
        let all = engines.flat_map(|engine| engine.containers().map(move |one| (engine, one)));
        for (_, container) in all.filter(|(engine, one)| !cluster.is_left_behind(engine, one)) {
            counts.all += 1;
            match container.state.phase {
                Phase::Paused => counts.paused += 1,
                Phase::Running | Phase::Restarting => counts.running += 1,
                Phase::Created | Phase::Removing | Phase::Exited | Phase::Dead => {
                    counts.stopped += 1;
                }
            }
        }
        counts
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InfoJson<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    containers: usize,
    containers_running: usize,
    containers_paused: usize,
    containers_stopped: usize,
    images: usize,
    driver: &'a str,
    driver_status: Option<()>,
    system_status: Vec<[String; 2]>,
    memory_limit: bool,
    swap_limit: bool,
    cpu_cfs_period: bool,
    cpu_cfs_quota: bool,
    #[serde(rename = "CPUShares")]
    cpu_shares: bool,
    #[serde(rename = "CPUSet")]
    cpu_set: bool,
    #[serde(rename = "IPv4Forwarding")]
    ipv4_forwarding: bool,
    bridge_nf_iptables: bool,
    bridge_nf_ip6tables: bool,
    oom_kill_disable: bool,
    debug: bool,
    #[serde(rename = "NEventsListener")]
    listeners: usize,
    system_time: String,
    kernel_version: &'a str,
    operating_system: &'a str,
    #[serde(rename = "OSType")]
    os_type: &'a str,
    architecture: &'a str,
    #[serde(rename = "NCPU")]
    ncpu: u64,
    mem_total: u64,
    http_proxy: &'a str,
    https_proxy: &'a str,
    no_proxy: &'a str,
    name: &'a str,
    server_version: String,
    experimental_build: bool,
    swarm: SwarmMode,
}

/// Docker's own orchestration, which is never on here.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SwarmMode {
    local_node_state: &'static str,
}

impl ClusterInfo<'_> {
    /// The answer to `GET /info`.
    ///
    /// # Errors
    /// When a name cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let cluster = self.cluster;
        let counts = Counts::of(cluster, cluster.validated());
        let images: std::collections::BTreeSet<_> = cluster
            .validated()
            .flat_map(Engine::images)
            .filter(|image| !image.is_nameless())
            .map(|image| &image.id)
            .collect();
        let total = cluster
            .validated()
            .fold(Resources::default(), |sum, engine| {
                sum.plus(engine.total(0))
            });
        let host = self.host;
        serde_json::to_string(&InfoJson {
            id: "",
            containers: counts.all,
            containers_running: counts.running,
            containers_paused: counts.paused,
            containers_stopped: counts.stopped,
            images: images.len(),
            driver: "",
            driver_status: None,
            system_status: self.system_status(),
            memory_limit: true,
            swap_limit: true,
            cpu_cfs_period: true,
            cpu_cfs_quota: true,
            cpu_shares: true,
            cpu_set: true,
            ipv4_forwarding: true,
            bridge_nf_iptables: true,
            bridge_nf_ip6tables: true,
            oom_kill_disable: true,
            debug: host.debug,
            listeners: self.listeners,
            system_time: self.now.rfc3339_nanos(),
            kernel_version: &host.kernel,
            operating_system: &host.os,
            os_type: &host.os,
            architecture: &host.arch,
            ncpu: total.nano_cpus / NANO,
            mem_total: total.memory,
            http_proxy: &host.http_proxy,
            https_proxy: &host.https_proxy,
            no_proxy: &host.no_proxy,
            name: &host.name,
            server_version: format!("swarm/{}", host.version),
            experimental_build: host.experimental,
            swarm: SwarmMode {
                local_node_state: "inactive",
            },
        })
    }

    /// The lines of `docker info`, label and value.
    #[must_use]
    pub fn system_status(&self) -> Vec<[String; 2]> {
        let role = match self.role {
            Role::Primary => "primary",
            Role::Replica => "replica",
        };
        let mut lines = vec![line("Role", role)];
        if let Some(replication) = &self.replication {
            lines.push(line("Primary", &replication.primary));
            let epoch = replication
                .epoch
                .map_or_else(|| "unknown".to_owned(), |epoch| epoch.to_string());
            lines.push(line("Epoch", epoch));
        }
        lines.push(line("Strategy", self.strategy));
        lines.push(line("Filters", self.filters.join(", ")));
        let mut engines: Vec<_> = self.cluster.engines().collect();
        lines.push(line("Nodes", engines.len().to_string()));
        engines.sort_by(|a, b| {
            natural_key(a.name())
                .cmp(&natural_key(b.name()))
                .then_with(|| a.address.cmp(&b.address))
        });
        for engine in engines {
            self.engine_lines(engine, &mut lines);
        }
        lines
    }

    fn engine_lines(&self, engine: &Engine, lines: &mut Vec<[String; 2]>) {
        let counts = Counts::of(self.cluster, std::iter::once(engine));
        let containers = if engine.state == EngineState::Healthy {
            format!(
                "{} ({} Running, {} Paused, {} Stopped)",
                counts.all, counts.running, counts.paused, counts.stopped
            )
        } else {
            counts.all.to_string()
        };
        let (used, total) = (engine.used(), engine.total(self.overcommit));
        let specs = engine.specs.as_ref();
        let labels: Vec<_> = specs
            .map(|specs| &specs.labels)
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let id = specs.map_or_else(String::new, |specs| {
            format!("{}|{}", specs.id, engine.address)
        });
        let mut push = |label: &str, value: String| lines.push(line(label, value));
        push(&format!(" {}", engine.name()), engine.address.to_string());
        push("  └ ID", id);
        push("  └ Status", engine.state.to_string());
        if self.cluster.is_drained(engine) {
            push("  └ Drained", "yes (no new containers)".to_owned());
        }
        push("  └ Containers", containers);
        push(
            "  └ Reserved CPUs",
            format!(
                "{} / {}",
                human::cpus(used.nano_cpus),
                human::cpus(total.nano_cpus)
            ),
        );
        push(
            "  └ Reserved Memory",
            format!(
                "{} / {}",
                human::bytes(used.memory),
                human::bytes(total.memory)
            ),
        );
        push("  └ Labels", labels.join(", "));
        if let Some(error) = self.error(engine) {
            push("  └ Error", error);
        }
        push("  └ UpdatedAt", engine.updated_at.rfc3339());
        push(
            "  └ ServerVersion",
            specs.map_or_else(String::new, |specs| specs.version.clone()),
        );
    }

    /// The engine's own error, and that its name is not unique (spec/classic.md section 10.5, E19).
    fn error(&self, engine: &Engine) -> Option<String> {
        let own = engine.error.clone().filter(|error| !error.is_empty());
        let twin = self.cluster.namesake(engine).map(|other| {
            format!(
                "name {:?} is also the name of {}: give the hosts different names",
                engine.name(),
                other.address
            )
        });
        match (own, twin) {
            (Some(own), Some(twin)) => Some(format!("{own}; {twin}")),
            (own, twin) => own.or(twin),
        }
    }
}

fn line(label: &str, value: impl Into<String>) -> [String; 2] {
    [label.to_owned(), value.into()]
}

/// Orders digit runs by value and before letters: `machine1`, `machine9`, `machine10`.
fn natural_key(name: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != digits)
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let text = run.to_owned();
        pieces.push(match digits {
            true => {
                let value = run.trim_start_matches('0');
                Piece::Number(value.len(), value.to_owned(), text)
            }
            false => Piece::Text(text),
        });
        rest = after;
    }
    pieces
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    /// Length and digits without leading zeros, then as written.
    Number(usize, String, String),
    Text(String),
}
