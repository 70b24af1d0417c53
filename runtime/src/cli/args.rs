//! What each command takes, in clap's terms; checked in [`swarm_core::config`].

use clap::{ArgAction, Args, Parser, Subcommand};
use swarm_core::config::{RawClient, RawDev, RawDiscovery, RawEngine, RawJoin, RawList, defaults};

use super::argv::UsageError;
use super::env::Env;
use super::help::{
    APPLICATION_HELP, CERTS_NOTES, CLUSTER_OPTIONS, DISCOVERY_HELP, DOCTOR_NOTES, ENGINE_NOTES,
    PLAIN_HELP, STATUS_EXIT, STEP_DOWN_EXIT,
};
use super::{CliError, Request, VERSION};
use crate::log::{LogLevel, LogLevelError};

mod limits;
mod manage;
mod tls;

pub(super) use manage::{Doctor, Manage};
pub(super) use tls::Certs;
use tls::Tls;

/// A Docker-native clustering system
#[derive(Debug, Parser)]
#[command(
    name = "swarm",
    version = VERSION.as_str(),
    override_usage = "swarm [OPTIONS] COMMAND [arg...]",
    help_template = APPLICATION_HELP,
    disable_version_flag = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    args_override_self = true
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// Shown last in the help of each command.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// debug mode [$DEBUG]
    #[arg(long, global = true, display_order = 900)]
    pub(super) debug: bool,
    /// log level: debug, info, warn, error, fatal, panic [default: info]
    #[arg(
        long,
        short = 'l',
        global = true,
        display_order = 901,
        value_name = "LEVEL"
    )]
    log_level: Option<String>,
    /// log format: auto (text on a terminal, else logfmt), text, logfmt, json
    #[arg(
        long,
        global = true,
        display_order = 902,
        value_name = "FORMAT",
        default_value = "auto"
    )]
    pub(super) log_format: String,
    /// enable experimental features
    #[arg(long, global = true, display_order = 903)]
    pub(super) experimental: bool,
    /// show help
    #[arg(long, short = 'h', global = true, display_order = 904, action = ArgAction::Help)]
    help: Option<bool>,
    /// print the version
    #[arg(long, short = 'v', global = true, display_order = 905)]
    pub(super) version: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a cluster (not possible any more: the hosted token service was switched off)
    #[command(visible_alias = "c", override_usage = "swarm create", help_template = PLAIN_HELP)]
    Create(Create),
    /// List nodes in a cluster
    #[command(
        visible_alias = "l",
        override_usage = "swarm list [OPTIONS] <discovery>",
        help_template = DISCOVERY_HELP
    )]
    List(List),
    /// Manage a docker cluster
    #[command(
        visible_alias = "m",
        override_usage = "swarm manage [OPTIONS] <discovery>",
        help_template = DISCOVERY_HELP,
        after_help = CLUSTER_OPTIONS
    )]
    Manage(Box<Manage>),
    /// Look at everything a manager with these options needs, and change nothing
    #[command(
        override_usage = "swarm doctor [OPTIONS] <discovery>",
        help_template = DISCOVERY_HELP,
        after_help = DOCTOR_NOTES
    )]
    Doctor(Box<Doctor>),
    /// Join a docker cluster
    #[command(
        visible_alias = "j",
        override_usage = "swarm join [OPTIONS] <discovery>",
        help_template = DISCOVERY_HELP
    )]
    Join(Join),
    /// Show the managers of a cluster, their roles and their engines
    #[command(
        override_usage = "swarm status [OPTIONS]",
        help_template = PLAIN_HELP,
        after_help = STATUS_EXIT
    )]
    Status(Client),
    /// Tell the primary to hand its role to a replica
    #[command(
        override_usage = "swarm step-down [OPTIONS]",
        help_template = PLAIN_HELP,
        after_help = STEP_DOWN_EXIT
    )]
    StepDown(Client),
    /// Stop giving new containers to an engine (drain), or give it some again (activate)
    #[command(
        override_usage = "swarm engine [OPTIONS] drain|activate NAME",
        help_template = PLAIN_HELP,
        after_help = ENGINE_NOTES
    )]
    Engine(Engine),
    /// Make a small CA and certificates for trying TLS out: swarm certs init
    #[command(
        override_usage = "swarm certs [OPTIONS] init",
        help_template = PLAIN_HELP,
        after_help = CERTS_NOTES
    )]
    Certs(Certs),
    /// Run a whole cluster on this machine to try it out
    #[command(override_usage = "swarm dev [OPTIONS]", help_template = PLAIN_HELP)]
    Dev(Dev),
    /// Shows a list of commands or help for one command
    #[command(
        visible_alias = "h",
        override_usage = "swarm help [command]",
        help_template = PLAIN_HELP
    )]
    Help(Help),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[arg(hide = true)]
    pub(super) arguments: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Help {
    #[arg(hide = true)]
    topic: Vec<String>,
}

#[derive(Debug, Args)]
struct Discovery {
    #[arg(hide = true)]
    discovery: Vec<String>,
    /// discovery options: kv.path, kv.cacertfile, kv.certfile, kv.keyfile, consul.token, etcd.user, zk.auth
    #[arg(long, value_name = "KEY=VALUE")]
    discovery_opt: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// how long to wait for the first listing
    #[arg(long, value_name = "DURATION", default_value = defaults::TIMEOUT)]
    timeout: String,
    #[command(flatten)]
    discovery: Discovery,
}

#[derive(Debug, Args)]
pub(super) struct Join {
    /// address of the Docker Engine joining the cluster, reachable by the managers [$SWARM_ADVERTISE]
    #[arg(long, visible_alias = "addr", value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// period between each heartbeat
    #[arg(long, value_name = "DURATION", default_value = defaults::HEARTBEAT)]
    heartbeat: String,
    /// time limit for an ephemeral node
    #[arg(long, value_name = "DURATION", default_value = defaults::TTL)]
    ttl: String,
    /// add a random delay in [0s,delay] to avoid synchronized registration
    #[arg(long, value_name = "DURATION", default_value = defaults::DELAY)]
    delay: String,
    /// register even if the Docker Engine does not answer
    #[arg(long)]
    no_check: bool,
    #[command(flatten)]
    discovery: Discovery,
}

#[derive(Debug, Args)]
pub(super) struct Client {
    /// manager to ask: [tcp://]<ip>:<port> or unix://<path> [default: tcp://127.0.0.1:2375] [$DOCKER_HOST]
    #[arg(long, short = 'H', value_name = "ADDRESS")]
    host: Option<String>,
    /// how long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = defaults::TIMEOUT)]
    timeout: String,
    /// print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: Tls,
}

#[derive(Debug, Args)]
pub(super) struct Engine {
    #[arg(hide = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, Args)]
pub(super) struct Dev {
    /// how many managers to start, 1 to 9
    #[arg(long, value_name = "COUNT", default_value = defaults::DEV_MANAGERS)]
    managers: String,
    /// how many modelled engines to start, 1 to 100
    #[arg(long, value_name = "COUNT", default_value = defaults::DEV_ENGINES)]
    engines: String,
    /// use modelled engines even if a local Docker Engine answers
    #[arg(long)]
    modelled: bool,
}

impl Global {
    /// An explicit level counts more than `--debug`.
    pub(super) fn level(&self, debug: bool) -> Result<LogLevel, LogLevelError> {
        match &self.log_level {
            Some(level) => level.parse(),
            None if debug => Ok(LogLevel::Debug),
            None => Ok(LogLevel::Info),
        }
    }
}

impl Help {
    pub(super) fn render(&self, grammar: &mut clap::Command) -> Result<Request, CliError> {
        let command = match self.topic.first() {
            None => grammar,
            Some(topic) => grammar
                .find_subcommand_mut(topic)
                .ok_or_else(|| UsageError::UnknownCommand(topic.clone()))?,
        };
        Ok(Request::Print(command.render_help().to_string()))
    }
}

impl Discovery {
    fn raw(self, env: &Env) -> RawDiscovery {
        RawDiscovery {
            arguments: self.discovery,
            env: env.swarm_discovery.clone(),
            options: self.discovery_opt,
            consul_http_token: env.consul_http_token.clone(),
            consul_http_auth: env.consul_http_auth,
            etcdctl_user: env.etcdctl_user.clone(),
            zk_auth: env.zk_auth.clone(),
        }
    }
}

impl List {
    pub(super) fn raw(self, env: &Env) -> RawList {
        RawList {
            timeout: self.timeout,
            discovery: self.discovery.raw(env),
        }
    }
}

impl Join {
    pub(super) fn raw(self, env: &Env) -> RawJoin {
        RawJoin {
            advertise: self.advertise.or_else(|| env.swarm_advertise.clone()),
            heartbeat: self.heartbeat,
            ttl: self.ttl,
            delay: self.delay,
            no_check: self.no_check,
            discovery: self.discovery.raw(env),
        }
    }
}

impl Client {
    pub(super) fn raw(self, env: &Env) -> RawClient {
        RawClient {
            host: self.host,
            docker_host: env.docker_host.clone(),
            timeout: self.timeout,
            json: self.json,
            tls: self.tls.client(env),
        }
    }
}

impl Engine {
    pub(super) fn raw(self, env: &Env) -> RawEngine {
        RawEngine {
            arguments: self.arguments,
            client: self.client.raw(env),
        }
    }
}

impl Dev {
    pub(super) fn raw(self) -> RawDev {
        RawDev {
            managers: self.managers,
            engines: self.engines,
            modelled: self.modelled,
        }
    }
}
