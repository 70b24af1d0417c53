//! `swarm status`, `swarm step-down`, `swarm engine` and `swarm dev`.

use std::path::PathBuf;
use std::time::Duration;

use super::error::ConfigError;
use super::listen::{LISTEN_DEFAULT, listen_address};
use super::tls::RawClientTls;
use super::{defaults, integer, positive};
use crate::address::{HostPort, ListenAddress};
use crate::tls::TlsConfig;

/// A manager to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Over TCP.
    Tcp(HostPort),
    /// Over a unix socket on this machine.
    Unix(PathBuf),
}

/// A command that talks to one manager, as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawClient {
    /// `--host`.
    pub host: Option<String>,
    /// `DOCKER_HOST`, used without `--host`.
    pub docker_host: Option<String>,
    /// `--timeout`.
    pub timeout: String,
    /// `--json`.
    pub json: bool,
    /// The TLS flags.
    pub tls: RawClientTls,
}

/// What `swarm status` and `swarm step-down` do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The manager to ask.
    pub endpoint: Endpoint,
    /// How long to wait for its answer.
    pub timeout: Duration,
    /// Whether to print JSON.
    pub json: bool,
    /// How connections over TCP are protected.
    pub tls: Option<TlsConfig>,
}

/// `swarm engine` as given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawEngine {
    /// What to do, and with which engine.
    pub arguments: Vec<String>,
    /// The manager to ask.
    pub client: RawClient,
}

/// What `swarm engine` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOrder {
    /// Whether the engine gets no new containers, or gets them again.
    pub drain: bool,
    /// Its name or ID.
    pub engine: String,
    /// The manager to ask.
    pub client: Client,
}

/// `swarm dev` as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawDev {
    /// `--managers`.
    pub managers: String,
    /// `--engines`.
    pub engines: String,
    /// `--modelled`.
    pub modelled: bool,
}

/// What `swarm dev` starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dev {
    /// How many managers.
    pub managers: u8,
    /// How many modelled engines, if they are used.
    pub engines: u8,
    /// Whether to use modelled engines even if a local Docker Engine answers.
    pub modelled: bool,
}

impl Default for RawClient {
    fn default() -> Self {
        Self {
            host: None,
            docker_host: None,
            timeout: defaults::TIMEOUT.to_owned(),
            json: false,
            tls: RawClientTls::default(),
        }
    }
}

impl Default for RawDev {
    fn default() -> Self {
        Self {
            managers: defaults::DEV_MANAGERS.to_owned(),
            engines: defaults::DEV_ENGINES.to_owned(),
            modelled: false,
        }
    }
}

impl TryFrom<RawClient> for Client {
    type Error = ConfigError;

    fn try_from(raw: RawClient) -> Result<Self, ConfigError> {
        let host = [raw.host, raw.docker_host]
            .into_iter()
            .flatten()
            .find(|host| !host.is_empty())
            .unwrap_or_else(|| LISTEN_DEFAULT.to_owned());
        let timeout = positive("--timeout", &raw.timeout, ConfigError::Timeout)?;
        let endpoint = endpoint(&host)?;
        let tls = match &endpoint {
            Endpoint::Tcp(_) => raw.tls.check()?,
            Endpoint::Unix(_) => None,
        };
        Ok(Self {
            endpoint,
            timeout,
            json: raw.json,
            tls,
        })
    }
}

impl TryFrom<RawEngine> for EngineOrder {
    type Error = ConfigError;

    fn try_from(raw: RawEngine) -> Result<Self, ConfigError> {
        let (drain, engine) = match raw.arguments.as_slice() {
            [word, engine] if word == "drain" && !engine.is_empty() => (true, engine),
            [word, engine] if word == "activate" && !engine.is_empty() => (false, engine),
            _ => return Err(ConfigError::EngineArguments),
        };
        Ok(Self {
            drain,
            engine: engine.clone(),
            client: raw.client.try_into()?,
        })
    }
}

impl TryFrom<RawDev> for Dev {
    type Error = ConfigError;

    fn try_from(raw: RawDev) -> Result<Self, ConfigError> {
        Ok(Self {
            managers: count("--managers", &raw.managers, 1, 9)?,
            engines: count("--engines", &raw.engines, 1, 100)?,
            modelled: raw.modelled,
        })
    }
}

/// An empty host means this machine, so that the same text serves `manage -H` and `status -H`.
fn endpoint(text: &str) -> Result<Endpoint, ConfigError> {
    match listen_address(text)? {
        ListenAddress::Unix(path) => Ok(Endpoint::Unix(path)),
        ListenAddress::Tcp { host, port } => {
            let host = if host.is_empty() { "127.0.0.1" } else { &host };
            HostPort::new(host, port)
                .map(Endpoint::Tcp)
                .map_err(|_| ConfigError::Endpoint(text.to_owned()))
        }
    }
}

fn count(flag: &'static str, text: &str, least: u8, most: u8) -> Result<u8, ConfigError> {
    integer(text)
        .and_then(|number| u8::try_from(number).ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or(ConfigError::DevCount { flag, least, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(host: Option<&str>, docker_host: Option<&str>) -> Result<Endpoint, String> {
        Client::try_from(RawClient {
            host: host.map(str::to_owned),
            docker_host: docker_host.map(str::to_owned),
            ..RawClient::default()
        })
        .map(|client| client.endpoint)
        .map_err(|error| error.to_string())
    }

    #[test]
    fn the_flag_counts_more_than_docker_host() {
        let tcp = |text: &str| Ok(Endpoint::Tcp(text.parse().unwrap()));
        assert_eq!(client(Some(":4000"), Some("x:1")), tcp("127.0.0.1:4000"));
        assert_eq!(
            client(None, Some("192.168.42.200:4000")),
            tcp("192.168.42.200:4000")
        );
        assert_eq!(client(None, Some("")), tcp("127.0.0.1:2375"));
        assert_eq!(
            client(Some("unix:///s"), None),
            Ok(Endpoint::Unix(PathBuf::from("/s")))
        );
        assert!(
            client(Some(":0"), None)
                .unwrap_err()
                .contains("not an address to connect to")
        );
        assert!(client(Some("ssh://h:1"), None).is_err());
    }

    #[test]
    fn an_engine_is_drained_or_activated_by_its_name() {
        let order = |arguments: &[&str]| {
            let arguments = arguments.iter().map(ToString::to_string).collect();
            let client = RawClient::default();
            EngineOrder::try_from(RawEngine { arguments, client })
                .map(|order| (order.drain, order.engine))
                .map_err(|error| error.to_string())
        };
        assert_eq!(order(&["drain", "n1"]), Ok((true, "n1".to_owned())));
        assert_eq!(order(&["activate", "n1"]), Ok((false, "n1".to_owned())));
        for wrong in [
            &["drain"][..],
            &["n1"],
            &[],
            &["drain", ""],
            &["drain", "a", "b"],
        ] {
            let told = order(wrong).unwrap_err();
            assert!(told.contains("'swarm engine drain NAME'"), "{told}");
        }
    }

    #[test]
    fn dev_starts_a_small_cluster() {
        assert_eq!(
            Dev::try_from(RawDev::default()),
            Ok(Dev {
                managers: 3,
                engines: 3,
                modelled: false
            })
        );
        for managers in ["0", "10", "-1", "x", ""] {
            let raw = RawDev {
                managers: managers.to_owned(),
                ..RawDev::default()
            };
            assert_eq!(
                Dev::try_from(raw).unwrap_err().to_string(),
                "--managers should be a number from 1 to 9"
            );
        }
    }
}
