//! Network addresses as users write them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

mod reach;

pub use reach::{AllowedPeers, PeerError, Reach};

/// A host (name or IP address) and a TCP port, the text form of engines and managers.
///
/// IPv6 addresses are kept without brackets and written with them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// Where a manager listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// TCP. An empty host means all interfaces; port 0 lets the system choose.
    Tcp {
        /// Host name or IP address without brackets; empty for all interfaces.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// A unix socket, created with mode 0600; an existing socket file is replaced.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Why a text is not a [`HostPort`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `:port` at the end.
    #[error("missing port in address {0:?}")]
    MissingPort(String),
    /// The port is not a decimal number from 1 to 65535.
    #[error("invalid port in address {0:?}: a number from 1 to 65535 is needed")]
    Port(String),
    /// More colons than an unbracketed host may have.
    #[error("too many colons in address {0:?}: write an IPv6 address in brackets")]
    Colons(String),
    /// No host before the port.
    #[error("missing host in address {0:?}")]
    MissingHost(String),
    /// The host holds something a host name or IP address cannot hold.
    #[error("invalid host in address {0:?}")]
    Host(String),
}

impl HostPort {
    /// Puts a host and a port together. `host` may be an IPv6 address without brackets.
    ///
    /// # Errors
    /// When `host` is empty or cannot be a host, or `port` is 0.
    pub fn new(host: &str, port: u16) -> Result<Self, AddressError> {
        let shown = || format!("{host}:{port}");
        if host.is_empty() {
            return Err(AddressError::MissingHost(shown()));
        }
        if port == 0 {
            return Err(AddressError::Port(shown()));
        }
        let name = host.len() <= 253
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !name && !is_ipv6(host) {
            return Err(AddressError::Host(shown()));
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// This machine, on Docker's port.
    #[must_use]
    pub fn localhost() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 2_375,
        }
    }

    /// The host, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host as an IP address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host
            .split('%')
            .next()
            .and_then(|host| host.parse().ok())
    }
}

impl HostPort {
    /// Whether a manager that is reached at `own` may take this for another manager's address, as far as it says where it
    /// leads; [`Reach`] judges what a name resolves to.
    ///
    /// # Errors
    /// When it may not.
    pub fn check_peer_of(&self, own: &Self) -> Result<(), PeerError> {
        match self.ip() {
            Some(ip) => Reach::peers_of(own.clone()).check(self, ip),
            None if self.is_loopback() && !own.is_loopback() => Err(PeerError::Loopback),
            None => Ok(()),
        }
    }

    fn is_loopback(&self) -> bool {
        match self.ip().map(|ip| ip.to_canonical()) {
            Some(ip) => ip.is_loopback(),
            None => {
                let host = self.host.trim_end_matches('.').to_ascii_lowercase();
                host == "localhost" || host.ends_with(".localhost")
            }
        }
    }
}

/// Accepts a zone (`fe80::1%eth0`), which `Ipv6Addr` does not.
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
    address.parse::<Ipv6Addr>().is_ok()
        && !zone.is_empty()
        && zone
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.to_owned();
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest
                    .split_once(']')
                    .ok_or_else(|| AddressError::Host(shown()))?;
                let port = rest
                    .strip_prefix(':')
                    .ok_or_else(|| AddressError::MissingPort(shown()))?;
                if !is_ipv6(host) {
                    return Err(AddressError::Host(shown()));
                }
                (host, port)
            }
            None => {
                let (host, port) = text
                    .rsplit_once(':')
                    .ok_or_else(|| AddressError::MissingPort(shown()))?;
                if host.contains(':') {
                    return Err(AddressError::Colons(shown()));
                }
                (host, port)
            }
        };
        if port.is_empty() {
            return Err(AddressError::MissingPort(shown()));
        }
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AddressError::Port(shown()));
        }
        let port = port.parse().map_err(|_| AddressError::Port(shown()))?;
        Self::new(host, port).map_err(|error| match error {
            AddressError::MissingHost(_) => AddressError::MissingHost(shown()),
            AddressError::Port(_) => AddressError::Port(shown()),
            AddressError::MissingPort(_) | AddressError::Colons(_) | AddressError::Host(_) => {
                AddressError::Host(shown())
            }
        })
    }
}

impl serde::Serialize for HostPort {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for HostPort {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_what_classic_swarm_accepts() {
        // spec/classic.md section 1.4
        for text in [
            "1.1.1.1:1111",
            "hostname:1111",
            "host-name_42:1111",
            "[2001:db8:0:f101::3]:2375",
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_peer_is_another_machine() {
        let check = |peer: &str, own: &str| {
            let peer: HostPort = peer.parse().unwrap();
            peer.check_peer_of(&own.parse().unwrap())
        };
        for peer in ["10.0.0.2:4000", "m2:4000", "[fd00::2]:4000", "1.1.1.1:4000"] {
            assert_eq!(check(peer, "10.0.0.1:4000"), Ok(()), "{peer}");
        }
        for (peer, error) in [
            ("169.254.169.254:80", PeerError::LinkLocal),
            ("[fe80::1%eth0]:4000", PeerError::LinkLocal),
            ("[::ffff:169.254.169.254]:80", PeerError::LinkLocal),
            ("0.0.0.0:4000", PeerError::Nobody),
            ("[::]:4000", PeerError::Nobody),
            ("224.0.0.1:4000", PeerError::Nobody),
            ("255.255.255.255:4000", PeerError::Nobody),
            ("127.0.0.1:8500", PeerError::Loopback),
            ("127.1.2.3:8500", PeerError::Loopback),
            ("[::1]:8500", PeerError::Loopback),
            ("[::ffff:127.0.0.1]:8500", PeerError::Loopback),
            ("localhost:8500", PeerError::Loopback),
            ("LocalHost.:8500", PeerError::Loopback),
            ("a.localhost:8500", PeerError::Loopback),
        ] {
            assert_eq!(check(peer, "10.0.0.1:4000"), Err(error), "{peer}");
        }
        assert_eq!(check("127.0.0.1:4001", "127.0.0.1:4000"), Ok(()));
        assert_eq!(check("localhost:4001", "127.0.0.1:4000"), Ok(()));
    }

    #[test]
    fn refuses_with_the_reason() {
        for (text, error) in [
            ("host", "missing port"),
            ("host:", "missing port"),
            ("host:0", "invalid port"),
            ("host:65536", "invalid port"),
            ("host:+80", "invalid port"),
            ("host: 80", "invalid port"),
            (":2375", "missing host"),
            ("http://host:1", "too many colons"),
            ("2001:db8::3:2375", "too many colons"),
            ("[v6]:3:2375", "invalid host"),
            ("[::1]", "missing port"),
            ("[::1]:3:2375", "invalid port"),
            (":1.1.1.1:1", "too many colons"),
            ("a b:1", "invalid host"),
            ("user@host:1", "invalid host"),
            ("host/path:1", "invalid host"),
        ] {
            let found = text.parse::<HostPort>().unwrap_err().to_string();
            assert!(found.contains(error), "{text}: {found}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_round_trips(text in "\\PC{0,40}") {
            if let Ok(address) = text.parse::<HostPort>() {
                prop_assert_eq!(address.to_string().parse::<HostPort>().unwrap(), address);
            }
        }
    }
}
