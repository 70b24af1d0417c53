//! What `docker info` and `docker version` show (spec/classic.md sections 3.5 and 4.3).

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use super::engine::{Engine, NANO, Resources};
use super::{Cluster, EngineState, human};
use crate::api::ApiVersion;
use crate::election::Failsafe;
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
    /// How the manager stands by failsafe.
    pub failsafe: Failsafe,
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
        self.roster.common_version().unwrap_or(FALLBACK_VERSION)
    }

    /// The oldest API version swarm serves, and the newest that every healthy engine speaks, if there is one.
    #[must_use]
    pub fn api_versions(&self) -> (ApiVersion, Option<ApiVersion>) {
        (MIN_VERSION, self.roster.common_version())
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
    system_status: StatusLines<'a>,
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

/// About what is shown of an engine.
const ENGINE_BYTES: usize = 768;

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
        let counts = cluster.totals();
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
        let info = InfoJson {
            id: "",
            containers: counts.all,
            containers_running: counts.running,
            containers_paused: counts.paused,
            containers_stopped: counts.stopped,
            images: images.len(),
            driver: "",
            driver_status: None,
            system_status: StatusLines(self),
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
        };
        let mut text = Vec::with_capacity(2048 + cluster.engines().len() * ENGINE_BYTES);
        serde_json::to_writer(&mut text, &info)?;
        // It writes nothing but UTF-8.
        Ok(String::from_utf8(text).unwrap_or_default())
    }

    #[cfg(test)]
    pub(super) fn system_status(&self) -> Vec<[String; 2]> {
        let mut lines = Vec::new();
        self.lines(&mut |label, value| lines.push([label.to_owned(), value.to_owned()]));
        lines
    }

    /// Tells `tell` the lines of `docker info`, label and value.
    fn lines(&self, tell: &mut dyn FnMut(&str, &str)) {
        tell(
            "Role",
            match self.role {
                Role::Primary => "primary",
                Role::Replica => "replica",
            },
        );
        if let Some(replication) = &self.replication {
            tell("Primary", &replication.primary);
            let epoch = replication
                .epoch
                .map_or_else(|| "unknown".to_owned(), |epoch| epoch.to_string());
            tell("Epoch", &epoch);
            if let Some(failsafe) = replication.failsafe.name() {
                tell("Failsafe", failsafe);
            }
        }
        tell("Strategy", self.strategy);
        tell("Filters", &self.filters.join(", "));
        let mut engines: Vec<_> = self.cluster.engines().collect();
        tell("Nodes", &engines.len().to_string());
        engines.sort_by_cached_key(|engine| (natural_key(engine.name()), &engine.address));
        for engine in engines {
            self.engine_lines(engine, tell);
        }
    }

    fn engine_lines(&self, engine: &Engine, tell: &mut dyn FnMut(&str, &str)) {
        let counts = self.cluster.counts(engine);
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
        let address = engine.address.to_string();
        let id = specs.map_or_else(String::new, |specs| format!("{}|{address}", specs.id));
        tell(&format!(" {}", engine.name()), &address);
        tell("  └ ID", &id);
        tell("  └ Status", engine.state.word());
        if self.cluster.is_drained(engine) {
            tell("  └ Drained", "yes (no new containers)");
        }
        tell("  └ Containers", &containers);
        let (used_cpus, cpus) = (human::cpus(used.nano_cpus), human::cpus(total.nano_cpus));
        tell("  └ Reserved CPUs", &format!("{used_cpus} / {cpus}"));
        let (used_memory, memory) = (human::bytes(used.memory), human::bytes(total.memory));
        tell("  └ Reserved Memory", &format!("{used_memory} / {memory}"));
        let mut labels = String::new();
        for (key, value) in specs.map(|specs| &specs.labels).into_iter().flatten() {
            let comma = if labels.is_empty() { "" } else { ", " };
            labels.extend([comma, key, "=", value]);
        }
        tell("  └ Labels", &labels);
        if let Some(error) = self.error(engine) {
            tell("  └ Error", &error);
        }
        tell("  └ UpdatedAt", &engine.updated_at.rfc3339());
        tell(
            "  └ ServerVersion",
            specs.map_or("", |specs| specs.version.as_str()),
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

/// The lines of `docker info`, written as they are made: thousands of engines have ten thousands of them.
struct StatusLines<'a>(&'a ClusterInfo<'a>);

impl Serialize for StatusLines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut lines = serializer.serialize_seq(None)?;
        let mut written = Ok(());
        self.0.lines(&mut |label, value| {
            if written.is_ok() {
                written = lines.serialize_element(&[label, value]);
            }
        });
        written?;
        lines.end()
    }
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
