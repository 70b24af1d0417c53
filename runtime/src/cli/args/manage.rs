//! What `manage` takes, and `doctor`, which takes the same.

use clap::Args;
use swarm_core::config::{RawManage, defaults};

use super::limits::Limits;
use super::tls::{RoleTls, Tls};
use super::{Discovery, Env};

#[derive(Debug, Args)]
pub(in crate::cli) struct Manage {
    #[command(flatten)]
    pub(in crate::cli) options: ManageOptions,
    /// print every option with its value and where that is from, secrets masked, and end
    #[arg(long, help_heading = None::<&str>)]
    pub(in crate::cli) print_config: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Doctor {
    #[command(flatten)]
    pub(in crate::cli) manage: ManageOptions,
    /// print JSON
    #[arg(long, help_heading = None::<&str>)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ManageOptions {
    /// placement strategy to use: spread, binpack or random
    #[arg(long, value_name = "NAME", default_value = defaults::STRATEGY)]
    strategy: String,
    /// filter to use, in the order applied: health, port, containerslots, dependency, affinity, constraint, whitelist
    /// [default: all of them]
    #[arg(long, short = 'f', value_name = "NAME")]
    filter: Vec<String>,
    /// ip/socket to listen on: [tcp://]<ip>:<port> or unix://<path> [default: tcp://127.0.0.1:2375] [$SWARM_HOST]
    #[arg(long, short = 'H', value_name = "ADDRESS")]
    host: Vec<String>,
    /// enable replication: take part in the election of the primary
    #[arg(long)]
    replication: bool,
    /// length of the primary's lease, from 500ms to 10m
    #[arg(long, value_name = "DURATION", default_value = defaults::REPLICATION_TTL)]
    replication_ttl: String,
    /// how long a request waits for a primary before it is refused
    #[arg(long, value_name = "DURATION", default_value = defaults::PRIMARY_WAIT)]
    primary_wait: String,
    /// what a primary checks before it changes an engine: verify (its lease in the store) or lease (its clock alone)
    #[arg(long, value_name = "NAME", default_value = defaults::FENCE)]
    fence: String,
    /// without the store, let the primary act on as long as every other manager that its record lists promises not to
    /// take over; give it to all managers
    #[arg(long)]
    failsafe: bool,
    /// address of this manager as the other managers reach it [$SWARM_ADVERTISE]
    #[arg(long, visible_alias = "addr", value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// connect only to managers at these hosts, addresses or networks, whatever the store says [default: anywhere but
    /// loopback and link-local addresses]
    #[arg(long, value_name = "HOST|NETWORK")]
    peer_allow: Vec<String>,
    #[command(flatten)]
    tls: Tls,
    #[command(flatten)]
    role_tls: RoleTls,
    /// refuse to listen without --tlsverify where other machines can connect
    #[arg(long)]
    require_tls: bool,
    /// set engine refresh minimum interval
    #[arg(long, value_name = "DURATION", default_value = defaults::ENGINE_REFRESH_MIN)]
    engine_refresh_min_interval: String,
    /// set engine refresh maximum interval
    #[arg(long, value_name = "DURATION", default_value = defaults::ENGINE_REFRESH_MAX)]
    engine_refresh_max_interval: String,
    /// set engine failure retry count
    #[arg(long, value_name = "COUNT", default_value = defaults::ENGINE_FAILURE_RETRY)]
    engine_failure_retry: String,
    /// deprecated; replaced by --engine-failure-retry
    #[arg(long, value_name = "COUNT", default_value = defaults::ENGINE_FAILURE_RETRY)]
    engine_refresh_retry: String,
    /// period between each heartbeat
    #[arg(long, value_name = "DURATION", default_value = defaults::HEARTBEAT)]
    heartbeat: String,
    /// serve web pages of any site, with CORS headers; without it requests of browsers are refused
    #[arg(long, visible_alias = "cors")]
    api_enable_cors: bool,
    /// cluster driver to use: swarm
    #[arg(long, short = 'c', value_name = "NAME", default_value = defaults::CLUSTER_DRIVER)]
    cluster_driver: String,
    /// cluster driver options, see below
    #[arg(long, value_name = "KEY=VALUE")]
    cluster_opt: Vec<String>,
    #[arg(long, hide = true)]
    refresh_on_node_filter: bool,
    #[arg(long, hide = true)]
    container_name_refresh_filter: Option<String>,
    #[command(flatten)]
    discovery: Discovery,
    #[command(flatten)]
    limits: Limits,
}

impl ManageOptions {
    /// All but the global options.
    pub(in crate::cli) fn raw(self, env: &Env) -> RawManage {
        RawManage {
            strategy: self.strategy,
            filters: self.filter,
            hosts: self.host,
            hosts_env: env.swarm_host.clone(),
            replication: self.replication,
            replication_ttl: self.replication_ttl,
            primary_wait: self.primary_wait,
            fence: self.fence,
            failsafe: self.failsafe,
            advertise: self.advertise.or_else(|| env.swarm_advertise.clone()),
            peers_allowed: self.peer_allow,
            tls: self.tls.manager(self.role_tls),
            require_tls: self.require_tls,
            engine_refresh_min: self.engine_refresh_min_interval,
            engine_refresh_max: self.engine_refresh_max_interval,
            engine_failure_retry: self.engine_failure_retry,
            engine_refresh_retry: self.engine_refresh_retry,
            heartbeat: self.heartbeat,
            cors: self.api_enable_cors,
            cluster_driver: self.cluster_driver,
            cluster_options: self.cluster_opt,
            refresh_on_node_filter: self.refresh_on_node_filter,
            container_name_refresh_filter: self.container_name_refresh_filter,
            discovery: self.discovery.raw(env),
            limits: self.limits.raw(),
            ..RawManage::default()
        }
    }
}
