//! What a manager says of itself at `/_swarm/status`, for `swarm status` and for its peers.

use serde::{Deserialize, Serialize};

/// The path of a manager's status. It is no path of the Docker API, whose names never start with an underscore but
/// for `_ping`.
pub const STATUS_PATH: &str = "/_swarm/status";
/// The path of what monitoring asks for. No path of the Docker API is called so.
pub const METRICS_PATH: &str = "/metrics";
/// The path that asks a manager to step down (`POST`).
pub const STEP_DOWN_PATH: &str = "/_swarm/step-down";
/// The path that says an engine is to get no new containers, with `?engine=<name or ID>` (`POST`).
pub const DRAIN_PATH: &str = "/_swarm/drain";
/// The path that takes [`DRAIN_PATH`] back (`POST`).
pub const ACTIVATE_PATH: &str = "/_swarm/activate";
/// Names the manager that asks for a status, so that the one asked knows of it.
pub const MEMBER_HEADER: &str = "x-swarm-member";
/// Proves that the asking manager reads the same lease record.
pub const CLUSTER_HEADER: &str = "x-swarm-cluster";

/// One manager, as of now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerStatus {
    /// Its process; new at each start.
    pub instance: String,
    /// `--advertise`; `None` without `--replication`.
    pub advertise: Option<String>,
    /// `primary` or `replica`.
    pub role: String,
    /// The highest epoch it has seen; 0 before the first and without `--replication`.
    pub epoch: u64,
    /// How long its lease still runs, in milliseconds; `None` when it holds none.
    pub lease_left_ms: Option<u64>,
    /// The primary it knows.
    pub primary: Option<String>,
    /// The managers the primary has heard of lately.
    pub members: Vec<String>,
    /// `ready` when the primary would go on without the store, `active` when this manager does; `None` without `--failsafe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failsafe: Option<String>,
    /// Members it cannot reach, with the reason.
    pub unreachable: Vec<Unreachable>,
    /// Its view of the engines.
    pub engines: Vec<EngineStatus>,
    /// The release it runs.
    pub version: String,
    /// Of its certificates the one that ends first; `None` without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
}

impl ManagerStatus {
    /// Whether it acts as primary.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.role == "primary"
    }
}

/// How long a certificate is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// When it ends, in RFC 3339.
    pub ends: String,
    /// Whole days until then; below zero when it has ended.
    pub days_left: i64,
}

/// A manager that cannot be reached from another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreachable {
    /// Its `--advertise`.
    pub member: String,
    /// Why.
    pub reason: String,
}

/// One engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// Its name; empty as long as it is not known.
    pub name: String,
    /// Its address.
    pub address: String,
    /// `Healthy`, `Unhealthy`, `Pending` or `Disconnected`.
    pub state: String,
    /// The last error, if any.
    pub error: Option<String>,
    /// Whether it gets no new containers.
    #[serde(default)]
    pub drained: bool,
}
