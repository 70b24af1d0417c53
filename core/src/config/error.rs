//! What is wrong with a configuration, and what is merely unwise.

use std::fmt;

use super::listen::ListenError;
use super::placement::{known_filters, known_strategies};
use crate::address::{AddressError, HostPort, ListenAddress};
use crate::discovery::{DiscoveryError, OptionError, PathError};
use crate::duration::DurationError;
use crate::size::SizeError;

/// Why a command cannot start. The first error found is the one reported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No discovery URL, neither as argument nor as `SWARM_DISCOVERY`.
    #[error("discovery required to {purpose}. See 'swarm {command} --help'.")]
    DiscoveryRequired {
        /// What the command does.
        purpose: &'static str,
        /// The command.
        command: &'static str,
    },
    /// More than one argument. Classic Swarm fell back to `SWARM_DISCOVERY` silently (defect C2).
    #[error(
        "'swarm {command}' takes one <discovery> argument, but {count} were given: {arguments}"
    )]
    ManyArguments {
        /// The command.
        command: &'static str,
        /// How many there were.
        count: usize,
        /// The arguments, quoted.
        arguments: String,
    },
    /// A duration flag is not a duration.
    #[error("invalid {flag}: {cause}")]
    Duration {
        /// The flag.
        flag: &'static str,
        /// What is wrong with it.
        cause: DurationError,
    },
    /// A number flag is not a number. Classic Swarm read some of them as 0 (defect C5).
    #[error("invalid {flag}: {value:?} is not a {kind}")]
    Number {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is needed.
        kind: &'static str,
    },
    /// A size flag is not a size.
    #[error("invalid {flag}: {cause}")]
    Size {
        /// The flag.
        flag: &'static str,
        /// What is wrong with it.
        cause: SizeError,
    },
    /// A limit is out of its range.
    #[error("{flag} should be from {least} to {most}")]
    Range {
        /// The flag.
        flag: &'static str,
        /// Smallest value.
        least: String,
        /// Largest value.
        most: String,
    },
    /// A connection would be closed as idle while its request's head may still come.
    #[error("--idle-timeout should be at least --head-timeout")]
    IdleTimeout,
    /// `--timeout` is not positive.
    #[error("--timeout should be a positive number")]
    Timeout,
    /// A discovery option cannot be used.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The discovery URL cannot be used.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The prefix and `kv.path` give no keys.
    #[error("the keys of this cluster cannot be built from its prefix and kv.path: {0}")]
    Keys(PathError),
    /// `CONSUL_HTTP_AUTH` asks for something this build does not send.
    #[error(
        "CONSUL_HTTP_AUTH is set, but basic authentication towards Consul is not supported by this version: \
         use an ACL token (--discovery-opt consul.token=… or CONSUL_HTTP_TOKEN), or unset it"
    )]
    ConsulBasicAuth,
    /// `join` without an address.
    #[error("missing mandatory --advertise flag")]
    AdvertiseMissing,
    /// `manage --replication` without an address.
    #[error("--advertise address must be provided when using --replication")]
    AdvertiseMissingForReplication,
    /// The advertised address has the wrong form.
    #[error("--advertise should be of the form ip:port or hostname:port")]
    AdvertiseForm,
    /// The advertised address means "all interfaces": nobody can connect to it (defect C7).
    #[error(
        "--advertise {0} is an unspecified address, which nobody can connect to: give the address of this machine"
    )]
    AdvertiseUnspecified(HostPort),
    /// An entry that names nobody.
    #[error("--peer-allow: {0}: a host, an address or a network such as 10.0.0.0/24 is needed")]
    PeerAllow(#[source] AddressError),
    /// A list for others would shut this manager out.
    #[error(
        "--peer-allow does not hold this manager's own --advertise {0}: give all managers one list that names all of them"
    )]
    PeersWithoutThisOne(HostPort),
    /// `--delay` is negative.
    #[error("--delay should not be a negative number")]
    DelayNegative,
    /// `--heartbeat` is below a second.
    #[error("--heartbeat should be at least one second")]
    HeartbeatTooShort,
    /// `--ttl` does not outlive a heartbeat.
    #[error("--ttl must be strictly superior to the heartbeat value")]
    TtlTooShort,
    /// TLS without certificate or key.
    #[error("--tlscert and --tlskey must be provided when using --tls")]
    TlsPair,
    /// Verification without a CA.
    #[error("--tlscacert must be provided when using --tlsverify")]
    TlsCa,
    /// TLS files without TLS.
    #[error("--tlscert, --tlskey and --tlscacert require the use of either --tls or --tlsverify")]
    TlsUnused,
    /// A certificate without its key, or the other way round.
    #[error("{0} and {1} must be provided together")]
    TlsHalfPair(&'static str, &'static str),
    /// Files for peers that nobody would look at.
    #[error("--peer-tlscacert, --peer-tlscert and --peer-tlskey require the use of --tlsverify")]
    TlsPeersUnverified,
    /// A list that nobody would look at.
    #[error("{0} requires the use of {1}")]
    TlsRevokedUnverified(&'static str, &'static str),
    /// An unknown `--engine-tls`.
    #[error("unknown --engine-tls {0:?}: use off, on or verify")]
    EngineTls(String),
    /// Engines are to be verified without a CA.
    #[error("--engine-tlscacert or --tlscacert must be provided when using --engine-tls verify")]
    EngineTlsCa,
    /// Files for engines that nobody would look at.
    #[error(
        "--engine-tlscacert, --engine-tlscert and --engine-tlskey require TLS to the engines: add --engine-tls verify"
    )]
    EngineTlsUnused,
    /// A manager is to be verified without a CA.
    #[error("--tlsverify needs a CA: give --tlscacert, or DOCKER_CERT_PATH with a ca.pem in it")]
    ClientTlsCa,
    /// `--require-tls` with a listener that lets everybody in.
    #[error(
        "--require-tls refuses to listen on {0}, where everybody could connect: use --tlsverify, or listen on a \
         loopback address or a unix socket"
    )]
    TlsRequired(ListenAddress),
    /// `--engine-refresh-min-interval` is not positive.
    #[error("min refresh interval should be a positive number")]
    RefreshMin,
    /// The refresh intervals are the wrong way round.
    #[error("max refresh interval cannot be less than min refresh interval")]
    RefreshMax,
    /// The deprecated flag has a value of its own.
    #[error("--engine-refresh-retry is deprecated. Use --engine-failure-retry")]
    RefreshRetry,
    /// `--engine-failure-retry` is not positive.
    #[error("invalid failure retry count")]
    FailureRetry,
    /// An unknown strategy.
    #[error("strategy not supported: {0:?} (known: {known})", known = known_strategies())]
    Strategy(String),
    /// An unknown filter.
    #[error("filter not supported: {0:?} (known: {known})", known = known_filters())]
    Filter(String),
    /// An unknown cluster driver.
    #[error("unsupported cluster {0:?}")]
    Driver(String),
    /// A cluster option without `=`. Classic Swarm crashed (defect C5).
    #[error("--cluster-opt must contain key=value strings: {0:?}")]
    ClusterOption(String),
    /// An unknown cluster option. Classic Swarm ignored it (defect C5).
    #[error(
        "unknown --cluster-opt {0:?}: the known keys are swarm.overcommit, swarm.createretry and swarm.reschedule.grace"
    )]
    ClusterOptionKey(String),
    /// Overcommit of -1 or less; the text has six decimals.
    #[error("swarm.overcommit should be larger than -1, {0} is invalid")]
    Overcommit(String),
    /// A negative retry count.
    #[error("swarm.createretry can not be negative, {0} is invalid")]
    CreateRetry(i64),
    /// A grace period that is negative or longer than a day.
    #[error("--cluster-opt swarm.reschedule.grace should be from 0s to 24h")]
    RescheduleGrace,
    /// `--replication-ttl` is not positive.
    #[error("--replication-ttl should be a positive number")]
    ReplicationTtl,
    /// `--replication-ttl` is too short for the store's round trips.
    #[error("--replication-ttl should be at least 500ms")]
    ReplicationTtlTooShort,
    /// `--replication-ttl` is longer than other managers believe a lease to be.
    #[error(
        "--replication-ttl should be at most 10m: for so long nobody takes over from a primary that vanished"
    )]
    ReplicationTtlTooLong,
    /// `--primary-wait` is negative.
    #[error("--primary-wait should not be a negative number")]
    PrimaryWait,
    /// An unknown way to fence.
    #[error("unknown --fence {0:?}: use verify or lease")]
    Fence(String),
    /// Replication without a store.
    #[error("Leader election is only supported with consul, etcd and zookeeper discovery.")]
    ReplicationNeedsStore,
    /// A listen address cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// `engine` was not told what to do.
    #[error(
        "say 'swarm engine drain NAME' or 'swarm engine activate NAME'; 'swarm status' lists the engines"
    )]
    EngineArguments,
    /// `status` and `step-down` were given an address nobody can connect to.
    #[error("--host {0:?} is not an address to connect to: use <ip>:<port> or unix://<path>")]
    Endpoint(String),
    /// `certs` was not told what to do.
    #[error("say 'swarm certs init'. See 'swarm certs --help'.")]
    CertsArguments,
    /// A name for which there can be no certificate.
    #[error("{flag}: {host:?} is neither a host nor an address")]
    CertsHost {
        /// The flag.
        flag: &'static str,
        /// What was given.
        host: String,
    },
    /// The client's name cannot stand in a certificate.
    #[error("--client should be a name of 1 to 64 characters")]
    CertsClient,
    /// Nowhere to put certificates.
    #[error("--dir should name a directory")]
    CertsDir,
    /// `swarm dev` cannot start so many.
    #[error("{flag} should be a number from {least} to {most}")]
    DevCount {
        /// The flag.
        flag: &'static str,
        /// Smallest value.
        least: u8,
        /// Largest value.
        most: u8,
    },
}

/// Something to log before starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Only this machine can reach the advertised address.
    AdvertiseLoopback(HostPort),
    /// Whoever can connect controls every engine.
    InsecureListener(ListenAddress),
    /// TLS that checks nobody.
    TlsUnverified,
    /// TLS to the engines that checks no engine.
    EnginesUnverified,
    /// `swarm.overcommit` is between -1 and 0.
    NegativeOvercommit,
    /// The flag is accepted and does nothing: what it worked around is mended.
    NoEffect(&'static str),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AdvertiseLoopback(address) => write!(
                f,
                "--advertise {address} is a loopback address: other machines cannot connect to it"
            ),
            Self::InsecureListener(address) => write!(
                f,
                "Listening on {address} without TLS: whoever can connect has root-equivalent power on all engines"
            ),
            Self::TlsUnverified => f.write_str(
                "--tls without --tlsverify encrypts and checks nobody: whoever can connect has root-equivalent power \
                 on all engines, and whoever is in between can pass as a manager or an engine. Use --tlsverify",
            ),
            Self::EnginesUnverified => f.write_str(
                "--engine-tls on encrypts and does not check the engines: whoever is in between can pass as one. \
                 Use --engine-tls verify",
            ),
            Self::NegativeOvercommit => f.write_str(
                "-1 < swarm.overcommit < 0 will make swarm take less resource than docker engine offers",
            ),
            Self::NoEffect(flag) => {
                write!(f, "{flag} has no effect: containers are always kept up to date")
            }
        }
    }
}
