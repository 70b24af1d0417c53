//! Discovery URLs: `consul://host:port/prefix`, `file:///path`, `host:port,host:port`, …

use std::path::PathBuf;
use std::str::FromStr;

use super::entries::{EntryError, Listing};
use super::layout::{PathError, clean_path};
use crate::address::{AddressError, HostPort};

/// Where a manager learns about engines, and which store elects the primary (spec/classic.md section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// Consul. Several servers are alternatives of one cluster: the next one is asked when one fails.
    Consul {
        /// At least one server, in the order given.
        servers: Vec<HostPort>,
        /// What all keys start with; without slashes at its ends, possibly empty.
        prefix: String,
    },
    /// etcd.
    Etcd {
        /// At least one server, in the order given.
        servers: Vec<HostPort>,
        /// What all keys start with; without slashes at its ends, possibly empty.
        prefix: String,
    },
    /// ZooKeeper.
    ZooKeeper {
        /// At least one server, in the order given; port 2181 where none was.
        servers: Vec<HostPort>,
        /// What all keys start with; without slashes at its ends, possibly empty.
        prefix: String,
    },
    /// A file with one engine or range of engines a line.
    File(PathBuf),
    /// A fixed list, each engine once, sorted.
    Nodes(Vec<HostPort>),
    /// The hosted token service, which was switched off in 2019.
    Token,
}

/// Why a text is not a usable discovery URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The scheme is none of ours.
    #[error(
        "discovery service not supported: {0:?} (known: consul, etcd, zk, file, nodes, or a plain list of host:port)"
    )]
    UnknownScheme(String),
    /// A store URL names no server.
    #[error("the discovery URL {0:?} names no server")]
    NoServer(String),
    /// A server of a store URL is not `host:port`.
    #[error("the discovery URL {url:?} has a bad server: {cause}")]
    Server {
        /// The URL.
        url: String,
        /// What is wrong with the server.
        cause: AddressError,
    },
    /// The part behind the servers cannot be a key prefix.
    #[error("the discovery URL {url:?} has a bad prefix: {cause}")]
    Prefix {
        /// The URL.
        url: String,
        /// What is wrong with the prefix.
        cause: PathError,
    },
    /// `file://` without a path.
    #[error("the discovery URL \"file://\" names no file")]
    NoFile,
    /// A fixed list holds something that is not an engine.
    #[error(
        "{0}, please check you are using the correct discovery (missing consul:// or file:// ?)"
    )]
    Node(EntryError),
    /// A fixed list without any engine.
    #[error("the discovery URL {0:?} names no engine")]
    NoNodes(String),
    /// `token://` without a token.
    #[error("token is empty")]
    EmptyToken,
    /// The token service cannot be used any more.
    #[error(
        "token:// cannot be used: the hosted token service was switched off in 2019; \
         use consul://<ip>:<port>/<path>, file://<path> or a list of engines <ip>:<port>,<ip>:<port>"
    )]
    TokenGone,
    /// `swarm join` needs a place to register at.
    #[error(
        "{0} discovery is not implemented for registration: write the engine's address into the {1} \
         that the managers use, and do not run 'swarm join'"
    )]
    NoRegistration(&'static str, &'static str),
}

/// The port of a ZooKeeper server that is given without one.
const ZOOKEEPER_PORT: u16 = 2181;

impl Discovery {
    /// The servers of a store; none where it is not one.
    #[must_use]
    pub fn servers(&self) -> &[HostPort] {
        match self {
            Self::Consul { servers, .. }
            | Self::Etcd { servers, .. }
            | Self::ZooKeeper { servers, .. } => servers,
            Self::File(_) | Self::Nodes(_) | Self::Token => &[],
        }
    }

    /// The same store, with `server` alone to ask.
    #[must_use]
    pub fn at(&self, server: &HostPort) -> Self {
        let mut at = self.clone();
        match &mut at {
            Self::Consul { servers, .. }
            | Self::Etcd { servers, .. }
            | Self::ZooKeeper { servers, .. } => *servers = vec![server.clone()],
            Self::File(_) | Self::Nodes(_) | Self::Token => {}
        }
        at
    }

    /// The scheme, as written in URLs.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Consul { .. } => "consul",
            Self::Etcd { .. } => "etcd",
            Self::ZooKeeper { .. } => "zk",
            Self::File(_) => "file",
            Self::Nodes(_) => "nodes",
            Self::Token => "token",
        }
    }

    /// Whether this is a store, which replication needs.
    #[must_use]
    pub fn is_store(&self) -> bool {
        match self {
            Self::Consul { .. } | Self::Etcd { .. } | Self::ZooKeeper { .. } => true,
            Self::File(_) | Self::Nodes(_) | Self::Token => false,
        }
    }

    /// What all keys of a store start with; empty for the others.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self {
            Self::Consul { prefix, .. }
            | Self::Etcd { prefix, .. }
            | Self::ZooKeeper { prefix, .. } => prefix,
            Self::File(_) | Self::Nodes(_) | Self::Token => "",
        }
    }

    /// Whether this build can read engines from here.
    ///
    /// # Errors
    /// With what to use instead.
    pub fn check_supported(&self) -> Result<(), DiscoveryError> {
        match self {
            Self::Consul { .. }
            | Self::Etcd { .. }
            | Self::ZooKeeper { .. }
            | Self::File(_)
            | Self::Nodes(_) => Ok(()),
            Self::Token => Err(DiscoveryError::TokenGone),
        }
    }

    /// Whether an engine can be registered here. Classic Swarm logged an error at every heartbeat instead
    /// (spec/classic.md D11).
    ///
    /// # Errors
    /// With what to do instead.
    pub fn check_registration(&self) -> Result<(), DiscoveryError> {
        match self {
            Self::Consul { .. } | Self::Etcd { .. } | Self::ZooKeeper { .. } | Self::Token => {
                self.check_supported()
            }
            Self::File(_) => Err(DiscoveryError::NoRegistration("file", "file")),
            Self::Nodes(_) => Err(DiscoveryError::NoRegistration("nodes", "list")),
        }
    }
}

impl FromStr for Discovery {
    type Err = DiscoveryError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("nodes", url));
        match scheme {
            "consul" => {
                store(url, rest, None).map(|(servers, prefix)| Self::Consul { servers, prefix })
            }
            "etcd" => {
                store(url, rest, None).map(|(servers, prefix)| Self::Etcd { servers, prefix })
            }
            "zk" => store(url, rest, Some(ZOOKEEPER_PORT))
                .map(|(servers, prefix)| Self::ZooKeeper { servers, prefix }),
            "file" if rest.is_empty() => Err(DiscoveryError::NoFile),
            "file" => Ok(Self::File(PathBuf::from(rest))),
            "nodes" => nodes(url, rest),
            // The last slash separates the token from the address of the service.
            "token" => match rest.rsplit('/').next() {
                None | Some("") => Err(DiscoveryError::EmptyToken),
                Some(_) => Ok(Self::Token),
            },
            _ => Err(DiscoveryError::UnknownScheme(scheme.to_owned())),
        }
    }
}

fn store(
    url: &str,
    rest: &str,
    default_port: Option<u16>,
) -> Result<(Vec<HostPort>, String), DiscoveryError> {
    let (list, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let mut servers = Vec::new();
    for text in list.split(',').filter(|text| !text.is_empty()) {
        let server = server(text, default_port).map_err(|cause| DiscoveryError::Server {
            url: url.to_owned(),
            cause,
        })?;
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        return Err(DiscoveryError::NoServer(url.to_owned()));
    }
    let prefix = clean_path(prefix).map_err(|cause| DiscoveryError::Prefix {
        url: url.to_owned(),
        cause,
    })?;
    Ok((servers, prefix))
}

fn server(text: &str, default_port: Option<u16>) -> Result<HostPort, AddressError> {
    match (text.parse(), default_port) {
        (Err(AddressError::MissingPort(_)), Some(port)) if !text.ends_with(':') => {
            let bracketed = text
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'));
            HostPort::new(bracketed.unwrap_or(text), port)
        }
        (parsed, Some(_) | None) => parsed,
    }
}

fn nodes(url: &str, rest: &str) -> Result<Discovery, DiscoveryError> {
    let listing = Listing::of(rest.split(','));
    match listing.errors.into_iter().next() {
        Some(error) => Err(DiscoveryError::Node(error)),
        None if listing.entries.is_empty() => Err(DiscoveryError::NoNodes(url.to_owned())),
        None => Ok(Discovery::Nodes(listing.entries.into_iter().collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> HostPort {
        text.parse().unwrap()
    }

    #[test]
    fn store_urls_give_servers_and_prefix() {
        assert_eq!(
            "consul://192.168.42.10:8500/nodes".parse(),
            Ok(Discovery::Consul {
                servers: vec![at("192.168.42.10:8500")],
                prefix: "nodes".to_owned()
            })
        );
        assert_eq!(
            "consul://c1:8500,[::1]:8501,,c1:8500".parse(),
            Ok(Discovery::Consul {
                servers: vec![at("c1:8500"), at("[::1]:8501")],
                prefix: String::new()
            })
        );
        assert_eq!(
            "etcd://e1:2379,e2:2379/a//b/".parse(),
            Ok(Discovery::Etcd {
                servers: vec![at("e1:2379"), at("e2:2379")],
                prefix: "a/b".to_owned()
            })
        );
        assert_eq!(
            "zk://z1,z2:2182,[::1]/p".parse(),
            Ok(Discovery::ZooKeeper {
                servers: vec![at("z1:2181"), at("z2:2182"), at("[::1]:2181")],
                prefix: "p".to_owned()
            })
        );
    }

    #[test]
    fn files_keep_their_path_as_written() {
        for (url, path) in [("file:///tmp/x", "/tmp/x"), ("file://rel/x", "rel/x")] {
            assert_eq!(url.parse(), Ok(Discovery::File(PathBuf::from(path))));
        }
    }

    #[test]
    fn lists_with_and_without_scheme_are_expanded() {
        let expected = Discovery::Nodes(vec![at("10.0.0.1:2375"), at("10.0.0.2:2375")]);
        for url in [
            "nodes://10.0.0.[1:2]:2375",
            "10.0.0.2:2375,,10.0.0.1:2375,10.0.0.1:2375",
        ] {
            assert_eq!(url.parse(), Ok(expected.clone()));
        }
    }

    #[test]
    fn refuses_with_the_reason() {
        for (url, error) in [
            ("http://x:1", "discovery service not supported: \"http\""),
            ("://x:1", "discovery service not supported: \"\""),
            ("consul://", "names no server"),
            ("consul://,/p", "names no server"),
            ("consul://c1/p", "missing port in address \"c1\""),
            ("etcd://e1:0", "invalid port"),
            ("zk://z1:", "missing port"),
            ("consul://c1:8500/a/../b", "bad prefix"),
            ("consul://c1:8500/a\nb", "bad prefix"),
            ("file://", "names no file"),
            ("nodes://", "names no engine"),
            ("", "names no engine"),
            ("token://", "token is empty"),
            ("token://host/path/", "token is empty"),
            (
                "6856663cdefdec325839a4b7e1de38e8",
                "please check you are using the correct discovery",
            ),
            ("nodes://[9:1].a:1", "ends before it starts"),
        ] {
            let found = url.parse::<Discovery>().unwrap_err().to_string();
            assert!(found.contains(error), "{url}: {found}");
        }
    }

    #[test]
    fn says_what_this_version_cannot_do() {
        let supported = |url: &str| url.parse::<Discovery>().unwrap().check_supported();
        for url in [
            "consul://c:1",
            "etcd://e:1",
            "zk://z",
            "file://x",
            "nodes://n:1",
        ] {
            assert_eq!(supported(url), Ok(()));
        }
        assert_eq!(supported("token://abc"), Err(DiscoveryError::TokenGone));
        assert_eq!(
            supported("token://host/path/abc"),
            Err(DiscoveryError::TokenGone)
        );
    }

    #[test]
    fn only_stores_take_registrations() {
        let registration = |url: &str| url.parse::<Discovery>().unwrap().check_registration();
        for url in ["consul://c:1", "etcd://e:1", "zk://z"] {
            assert_eq!(registration(url), Ok(()));
        }
        for url in ["file://x", "nodes://n:1"] {
            let found = registration(url).unwrap_err().to_string();
            assert!(found.contains("not implemented"), "{found}");
        }
        assert!(registration("token://abc").is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(url in "((consul|etcd|zk|file|nodes|token|\\PC{0,4})://)?[\\[\\]0-9a-c:,./-]{0,30}\\PC{0,8}") {
            if let Ok(discovery) = url.parse::<Discovery>() {
                prop_assert!(!discovery.prefix().starts_with('/') && !discovery.prefix().ends_with('/'));
            }
        }
    }
}
