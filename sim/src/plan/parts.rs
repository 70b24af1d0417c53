//! The parts of a plan that are plain numbers.

use serde::{Deserialize, Serialize};

/// Who is there. Hosts are `m1`, `m2`, …; `s1`, … (servers of the store); `e1`, …; `c1`, … (clients).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topology {
    /// Managers, 1 to 7.
    pub managers: u8,
    /// Servers of the store, 1 to 3.
    pub stores: u8,
    /// Engines, 0 to 8. The lab has one that never fails.
    pub engines: u8,
    /// Engines are registered by `swarm join` agents instead of standing in the store from the start.
    pub agents: bool,
    /// What the store is.
    #[serde(skip_serializing_if = "is_consul")]
    pub store: StoreKind,
}

/// What elects the primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// Consul.
    #[default]
    Consul,
    /// Etcd (world only).
    Etcd,
    /// ZooKeeper (world only).
    #[serde(rename = "zookeeper")]
    ZooKeeper,
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            managers: 3,
            stores: 1,
            engines: 2,
            agents: false,
            store: StoreKind::Consul,
        }
    }
}

const GRACE_USUAL_MS: u64 = 30_000;

// Corpora are named after what is written: members that came later are left out where they say nothing.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_usual_grace(ms: &u64) -> bool {
    *ms == GRACE_USUAL_MS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_consul(store: &StoreKind) -> bool {
    *store == StoreKind::Consul
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_none(count: &u8) -> bool {
    *count == 0
}

/// Settings of managers and of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// `--replication-ttl`, in milliseconds.
    pub lease_ms: u64,
    /// `--primary-wait`, in milliseconds.
    pub primary_wait_ms: u64,
    /// `--fence=verify`, the default; otherwise `--fence=lease`.
    pub verify: bool,
    /// The largest error of a host's clock rate, in parts per million; each host draws its own.
    pub clock_error_ppm: u32,
    /// The shortest way of a message, in microseconds.
    pub latency_min_us: u64,
    /// The longest way of a message, in microseconds.
    pub latency_max_us: u64,
    /// Answers of the store that get lost, in per mille (lab only).
    pub loss_per_mille: u16,
    /// `--engine-refresh-min-interval`, in milliseconds; the maximum is twice that.
    pub refresh_ms: u64,
    /// `--failsafe`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failsafe: bool,
    /// `--cluster-opt swarm.reschedule.grace`, in milliseconds.
    #[serde(skip_serializing_if = "is_usual_grace")]
    pub reschedule_grace_ms: u64,
    /// Granularity of simulated time, in milliseconds (world only).
    pub tick_ms: u64,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            lease_ms: 2_000,
            primary_wait_ms: 30_000,
            verify: true,
            clock_error_ppm: 200,
            latency_min_us: 1_000,
            latency_max_us: 3_000,
            loss_per_mille: 0,
            refresh_ms: 30_000,
            failsafe: false,
            reschedule_grace_ms: GRACE_USUAL_MS,
            tick_ms: 1,
        }
    }
}

/// What clients do, each through a manager of its own (`c1` through `m1`, and around again).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workload {
    /// Clients that list containers.
    pub readers: u8,
    /// Clients that create, start, stop and remove containers, each under a name of its own.
    pub writers: u8,
    /// Clients that follow `GET /events`.
    pub streams: u8,
    /// Clients that attach to a container and type into it.
    pub attachers: u8,
    /// Clients that upload archives.
    pub uploaders: u8,
    /// Clients whose containers are to be moved when their engine fails (world only).
    #[serde(skip_serializing_if = "is_none")]
    pub movers: u8,
    /// Clients that make and remove networks and volumes (world only).
    #[serde(skip_serializing_if = "is_none")]
    pub keepers: u8,
    /// Between two requests of a client, in milliseconds.
    pub pace_ms: u64,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            readers: 1,
            writers: 1,
            streams: 0,
            attachers: 0,
            uploaders: 0,
            movers: 0,
            keepers: 0,
            pace_ms: 50,
        }
    }
}

/// How long the parts of a run take, in milliseconds.
///
/// A run warms up until there is a primary and then for `warm_up_ms`; faults strike, counted from there; when the last
/// one is over everything must have recovered within `recovery_ms`; the drill, if any, follows; then clients must be
/// answered for `proof_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Phases {
    /// After the first primary, before the first fault.
    pub warm_up_ms: u64,
    /// The faults' time; longer if a fault ends later.
    pub faults_ms: u64,
    /// After the last fault.
    pub recovery_ms: u64,
    /// At the end.
    pub proof_ms: u64,
}

impl Default for Phases {
    fn default() -> Self {
        Self {
            warm_up_ms: 3_000,
            faults_ms: 0,
            recovery_ms: 12_000,
            proof_ms: 4_000,
        }
    }
}
