//! `swarm manage`.

use std::time::Duration;

use super::discovery::{DiscoveryConfig, RawDiscovery};
use super::error::{ConfigError, Warning};
use super::join::advertise;
use super::limits::{Limits, RawLimits};
use super::listen::{is_local, listen_addresses};
use super::placement::{Filter, Strategy};
use super::tls::{ListenerTls, ManageTls, RawTls};
use super::{defaults, duration, heartbeat, integer, positive};
use crate::address::{AllowedPeers, HostPort, ListenAddress};
use crate::election::{Fence, LEASE_MS_MAX};
use crate::reschedule::GRACE_DEFAULT;

/// `swarm manage` as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawManage {
    /// `--debug`, `DEBUG`.
    pub debug: bool,
    /// `--experimental`.
    pub experimental: bool,
    /// `--strategy`.
    pub strategy: String,
    /// `--filter`; empty for all.
    pub filters: Vec<String>,
    /// `--host`.
    pub hosts: Vec<String>,
    /// `SWARM_HOST`, used without `--host`.
    pub hosts_env: Option<String>,
    /// `--replication`.
    pub replication: bool,
    /// `--replication-ttl`.
    pub replication_ttl: String,
    /// `--primary-wait`.
    pub primary_wait: String,
    /// `--fence`.
    pub fence: String,
    /// `--failsafe`.
    pub failsafe: bool,
    /// `--advertise`, `SWARM_ADVERTISE`.
    pub advertise: Option<String>,
    /// `--peer-allow`; empty for anybody.
    pub peers_allowed: Vec<String>,
    /// The TLS flags.
    pub tls: RawTls,
    /// `--require-tls`.
    pub require_tls: bool,
    /// `--engine-refresh-min-interval`.
    pub engine_refresh_min: String,
    /// `--engine-refresh-max-interval`.
    pub engine_refresh_max: String,
    /// `--engine-failure-retry`.
    pub engine_failure_retry: String,
    /// `--engine-refresh-retry`, deprecated.
    pub engine_refresh_retry: String,
    /// `--heartbeat`.
    pub heartbeat: String,
    /// `--api-enable-cors`.
    pub cors: bool,
    /// `--cluster-driver`.
    pub cluster_driver: String,
    /// `--cluster-opt`.
    pub cluster_options: Vec<String>,
    /// `--refresh-on-node-filter`.
    pub refresh_on_node_filter: bool,
    /// `--container-name-refresh-filter`.
    pub container_name_refresh_filter: Option<String>,
    /// The flags under "Limits".
    pub limits: RawLimits,
    /// The discovery URL and options.
    pub discovery: RawDiscovery,
}

/// What a manager does.
#[derive(Clone, Debug, PartialEq)]
pub struct Manage {
    /// Where to listen, at least one address.
    pub listen: Vec<ListenAddress>,
    /// What is protected with TLS.
    pub tls: ManageTls,
    /// Where engines are found.
    pub discovery: DiscoveryConfig,
    /// How often a file is read again, and the pause after a failed watch of a store.
    pub heartbeat: Duration,
    /// Set when this manager competes for the primary role.
    pub replication: Option<Replication>,
    /// How engines are ranked.
    pub strategy: Strategy,
    /// What rules engines out, in the order applied.
    pub filters: Vec<Filter>,
    /// How engines are looked after.
    pub engines: Engines,
    /// Share of resources to give away beyond what engines have, above -1; 0.05 is 5 percent.
    pub overcommit: f64,
    /// How often a failed create is tried again.
    pub create_retry: u32,
    /// How long an engine must have been down before containers with the policy `on-node-failure` are moved.
    pub reschedule_grace: Duration,
    /// Whether answers carry CORS headers.
    pub cors: bool,
    /// Whether the debug routes of the API are open.
    pub debug: bool,
    /// What is allowed to clients, engines and other managers.
    pub limits: Limits,
    /// Only reported by `/info` and `/version`.
    pub experimental: bool,
    /// What to log first.
    pub warnings: Vec<Warning>,
}

/// How a manager competes for the primary role (DESIGN.md section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// Where the other managers reach this one.
    pub advertise: HostPort,
    /// Who the other managers may be.
    pub peers_allowed: AllowedPeers,
    /// The length of the lease, at least 500 ms.
    pub lease: Duration,
    /// How long a request waits for a primary; zero to refuse at once.
    pub primary_wait: Duration,
    /// What is checked before a mutation leaves for an engine.
    pub fence: Fence,
    /// Whether the primary acts on without the store as long as all other members promise not to take over.
    pub failsafe: bool,
}

/// How engines are looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engines {
    /// Shortest time between two refreshes.
    pub refresh_min: Duration,
    /// Longest time between two refreshes.
    pub refresh_max: Duration,
    /// After how many failed connections in a row an engine is unhealthy, at least 1.
    pub failure_retry: u32,
}

const LEASE_LEAST: Duration = Duration::from_millis(500);
const OVERCOMMIT_DEFAULT: f64 = 0.05;
/// Longer than this is a mistake: `reschedule:off` says never.
const GRACE_MAX: Duration = Duration::from_secs(24 * 3600);

impl Default for RawManage {
    fn default() -> Self {
        Self {
            debug: false,
            experimental: false,
            strategy: defaults::STRATEGY.to_owned(),
            filters: Vec::new(),
            hosts: Vec::new(),
            hosts_env: None,
            replication: false,
            replication_ttl: defaults::REPLICATION_TTL.to_owned(),
            primary_wait: defaults::PRIMARY_WAIT.to_owned(),
            fence: defaults::FENCE.to_owned(),
            failsafe: false,
            advertise: None,
            peers_allowed: Vec::new(),
            tls: RawTls::default(),
            require_tls: false,
            engine_refresh_min: defaults::ENGINE_REFRESH_MIN.to_owned(),
            engine_refresh_max: defaults::ENGINE_REFRESH_MAX.to_owned(),
            engine_failure_retry: defaults::ENGINE_FAILURE_RETRY.to_owned(),
            engine_refresh_retry: defaults::ENGINE_FAILURE_RETRY.to_owned(),
            heartbeat: defaults::HEARTBEAT.to_owned(),
            cors: false,
            cluster_driver: defaults::CLUSTER_DRIVER.to_owned(),
            cluster_options: Vec::new(),
            refresh_on_node_filter: false,
            container_name_refresh_filter: None,
            limits: RawLimits::default(),
            discovery: RawDiscovery::default(),
        }
    }
}

impl Manage {
    /// Whether other machines can connect to it without TLS.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.tls.listener.is_none() && !self.listen.iter().all(is_local)
    }
}

impl TryFrom<RawManage> for Manage {
    type Error = ConfigError;

    /// Checks in the order of spec/classic.md section 1.5.
    fn try_from(raw: RawManage) -> Result<Self, ConfigError> {
        let mut warnings = Vec::new();
        let tls = raw.tls.check(&mut warnings)?;
        let engines = engines(&raw)?;
        let url = raw.discovery.required("manage", "manage a cluster")?;
        let heartbeat = heartbeat(&raw.heartbeat)?;
        let discovery = raw.discovery.parse(url)?;
        let strategy = raw
            .strategy
            .parse()
            .map_err(|_| ConfigError::Strategy(raw.strategy.clone()))?;
        let filters = filters(&raw.filters)?;
        if raw.cluster_driver != defaults::CLUSTER_DRIVER {
            return Err(ConfigError::Driver(raw.cluster_driver));
        }
        let options = cluster_options(&raw.cluster_options, &mut warnings)?;
        let replication = if raw.replication {
            Some(replication(&raw, &discovery, &mut warnings)?)
        } else {
            // A mistyped flag is a mistake even where it has no effect.
            terms(&raw)?;
            peers_allowed(&raw)?;
            None
        };
        let listen = listen_addresses(&raw.hosts, raw.hosts_env.as_deref())?;
        let clients_are_checked = |listener: &ListenerTls| listener.clients.is_some();
        for address in listen.iter().filter(|address| !is_local(address)) {
            if raw.require_tls && !tls.listener.as_ref().is_some_and(clients_are_checked) {
                return Err(ConfigError::TlsRequired(address.clone()));
            }
            if tls.listener.is_none() {
                warnings.push(Warning::InsecureListener(address.clone()));
            }
        }
        let limits = raw.limits.check()?;
        warn_of_flags_without_effect(&raw, &mut warnings);
        Ok(Self {
            listen,
            tls,
            discovery,
            heartbeat,
            replication,
            strategy,
            filters,
            engines,
            overcommit: options.overcommit,
            create_retry: options.create_retry,
            reschedule_grace: options.reschedule_grace,
            cors: raw.cors,
            debug: raw.debug,
            limits,
            experimental: raw.experimental,
            warnings,
        })
    }
}

fn engines(raw: &RawManage) -> Result<Engines, ConfigError> {
    let refresh_min = positive(
        "--engine-refresh-min-interval",
        &raw.engine_refresh_min,
        ConfigError::RefreshMin,
    )?;
    let refresh_max = duration("--engine-refresh-max-interval", &raw.engine_refresh_max)?
        .to_duration()
        .filter(|refresh_max| *refresh_max >= refresh_min)
        .ok_or(ConfigError::RefreshMax)?;
    let number = |flag, text: &str| {
        integer(text).ok_or_else(|| ConfigError::Number {
            flag,
            value: text.to_owned(),
            kind: "whole number",
        })
    };
    if number("--engine-refresh-retry", &raw.engine_refresh_retry)? != 3 {
        return Err(ConfigError::RefreshRetry);
    }
    let failure_retry = number("--engine-failure-retry", &raw.engine_failure_retry)?;
    let failure_retry = u32::try_from(failure_retry)
        .ok()
        .filter(|retry| *retry > 0)
        .ok_or(ConfigError::FailureRetry)?;
    Ok(Engines {
        refresh_min,
        refresh_max,
        failure_retry,
    })
}

fn filters(names: &[String]) -> Result<Vec<Filter>, ConfigError> {
    if names.is_empty() {
        return Ok(Filter::ALL.to_vec());
    }
    names
        .iter()
        .map(|name| {
            name.parse()
                .map_err(|_| ConfigError::Filter(name.to_owned()))
        })
        .collect()
}

/// What `--cluster-opt` sets.
struct ClusterOptions {
    overcommit: f64,
    create_retry: u32,
    reschedule_grace: Duration,
}

fn cluster_options(
    options: &[String],
    warnings: &mut Vec<Warning>,
) -> Result<ClusterOptions, ConfigError> {
    let mut set = ClusterOptions {
        overcommit: OVERCOMMIT_DEFAULT,
        create_retry: 0,
        reschedule_grace: GRACE_DEFAULT,
    };
    for option in options {
        let (key, value) = option
            .split_once('=')
            .ok_or_else(|| ConfigError::ClusterOption(option.clone()))?;
        let number = |flag, kind| ConfigError::Number {
            flag,
            value: value.to_owned(),
            kind,
        };
        match key {
            "swarm.overcommit" => {
                set.overcommit = value
                    .parse()
                    .ok()
                    .filter(|share: &f64| share.is_finite())
                    .ok_or_else(|| number("--cluster-opt swarm.overcommit", "number"))?;
            }
            "swarm.createretry" => {
                let retry = integer(value)
                    .filter(|retry| *retry <= i64::from(u32::MAX))
                    .ok_or_else(|| number("--cluster-opt swarm.createretry", "whole number"))?;
                set.create_retry =
                    u32::try_from(retry).map_err(|_| ConfigError::CreateRetry(retry))?;
            }
            "swarm.reschedule.grace" => {
                set.reschedule_grace = duration("--cluster-opt swarm.reschedule.grace", value)?
                    .to_duration()
                    .filter(|grace| *grace <= GRACE_MAX)
                    .ok_or(ConfigError::RescheduleGrace)?;
            }
            _ => return Err(ConfigError::ClusterOptionKey(key.to_owned())),
        }
    }
    if set.overcommit <= -1.0 {
        return Err(ConfigError::Overcommit(format!("{:.6}", set.overcommit)));
    }
    if set.overcommit < 0.0 {
        warnings.push(Warning::NegativeOvercommit);
    }
    Ok(set)
}

fn replication(
    raw: &RawManage,
    discovery: &DiscoveryConfig,
    warnings: &mut Vec<Warning>,
) -> Result<Replication, ConfigError> {
    let advertise = advertise(
        raw.advertise.as_deref(),
        ConfigError::AdvertiseMissingForReplication,
        warnings,
    )?;
    let (lease, primary_wait, fence) = terms(raw)?;
    let peers_allowed = peers_allowed(raw)?;
    if !peers_allowed.hold(&advertise, advertise.ip()) {
        return Err(ConfigError::PeersWithoutThisOne(advertise));
    }
    if !discovery.discovery.is_store() {
        return Err(ConfigError::ReplicationNeedsStore);
    }
    Ok(Replication {
        advertise,
        peers_allowed,
        lease,
        primary_wait,
        fence,
        failsafe: raw.failsafe,
    })
}

fn peers_allowed(raw: &RawManage) -> Result<AllowedPeers, ConfigError> {
    let texts = raw.peers_allowed.iter().flat_map(|text| text.split(','));
    AllowedPeers::parse(texts).map_err(ConfigError::PeerAllow)
}

/// The lease, how long requests wait for a primary, and the fence.
fn terms(raw: &RawManage) -> Result<(Duration, Duration, Fence), ConfigError> {
    let lease = positive(
        "--replication-ttl",
        &raw.replication_ttl,
        ConfigError::ReplicationTtl,
    )?;
    if lease < LEASE_LEAST {
        return Err(ConfigError::ReplicationTtlTooShort);
    }
    if lease > Duration::from_millis(LEASE_MS_MAX) {
        return Err(ConfigError::ReplicationTtlTooLong);
    }
    let primary_wait = duration("--primary-wait", &raw.primary_wait)?
        .to_duration()
        .ok_or(ConfigError::PrimaryWait)?;
    let fence = match raw.fence.as_str() {
        "verify" => Fence::Verify,
        "lease" => Fence::Lease,
        other => return Err(ConfigError::Fence(other.to_owned())),
    };
    Ok((lease, primary_wait, fence))
}

/// Two flags of classic Swarm worked around a cache that missed events (defect E4).
fn warn_of_flags_without_effect(raw: &RawManage, warnings: &mut Vec<Warning>) {
    if raw.refresh_on_node_filter {
        warnings.push(Warning::NoEffect("--refresh-on-node-filter"));
    }
    if raw
        .container_name_refresh_filter
        .as_ref()
        .is_some_and(|name| !name.is_empty())
    {
        warnings.push(Warning::NoEffect("--container-name-refresh-filter"));
    }
}

#[cfg(test)]
mod tests;
