//! Where a manager connects to, and where nobody can send it.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::{AddressError, HostPort};

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Nobody in particular, or everybody.
    #[error("no single machine has this address")]
    Nobody,
    /// An address of one cable, where cloud providers keep what they tell a machine, its credentials included.
    #[error("a link-local address is neither a manager's nor an engine's")]
    LinkLocal,
    /// This machine's own.
    #[error("a loopback address means another machine there")]
    Loopback,
    /// Not what the operator says managers have.
    #[error("--peer-allow does not hold it")]
    NotAllowed,
}

/// Where connections may lead, whatever a name resolves to. What the store or somebody else names must not make a manager
/// send requests, which carry credentials, wherever they like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Where the operator says.
    #[default]
    Anywhere,
    /// To engines that a store lists: also on this machine.
    Engines,
    /// To other managers.
    PeersOf {
        /// Where the others reach this one.
        own: HostPort,
        /// Who they may be.
        allowed: AllowedPeers,
    },
}

impl Reach {
    /// To other managers than the one at `own`, whoever they are.
    #[must_use]
    pub fn peers_of(own: HostPort) -> Self {
        Self::PeersOf {
            own,
            allowed: AllowedPeers::default(),
        }
    }

    /// Whether `to` may be connected to at `ip`.
    ///
    /// # Errors
    /// When it may not.
    pub fn check(&self, to: &HostPort, ip: IpAddr) -> Result<(), PeerError> {
        let ip = ip.to_canonical();
        let loopback = match self {
            Self::Anywhere => return Ok(()),
            // A machine often knows its own name by a loopback address.
            Self::PeersOf { own, .. } if own.host() == to.host() => return Ok(()),
            Self::PeersOf { allowed, .. } if !allowed.hold(to, Some(ip)) => {
                return Err(PeerError::NotAllowed);
            }
            Self::PeersOf { own, .. } => own.is_loopback(),
            Self::Engines => true,
        };
        match ip {
            ip if ip.is_loopback() && loopback => Ok(()),
            ip if ip.is_loopback() => Err(PeerError::Loopback),
            ip if ip.is_unspecified() || ip.is_multicast() => Err(PeerError::Nobody),
            IpAddr::V4(ip) if ip.is_broadcast() => Err(PeerError::Nobody),
            IpAddr::V4(ip) if ip.is_link_local() => Err(PeerError::LinkLocal),
            IpAddr::V6(ip) if ip.is_unicast_link_local() => Err(PeerError::LinkLocal),
            IpAddr::V4(_) | IpAddr::V6(_) => Ok(()),
        }
    }
}

/// Who the other managers may be, as the operator says: hosts, addresses and networks. Anybody, if nobody is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedPeers(Vec<Allowed>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    Network(IpNet),
    Host(String),
}

impl AllowedPeers {
    /// Reads hosts, addresses and networks such as `10.0.0.0/24`.
    ///
    /// # Errors
    /// With the first text that is none of them.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, AddressError> {
        let parsed: Result<Vec<Allowed>, _> = texts.into_iter().map(str::parse).collect();
        parsed.map(Self)
    }

    /// Whether `peer` may be a manager. A name whose address is not known may be, if it could lead to a network.
    #[must_use]
    pub fn hold(&self, peer: &HostPort, ip: Option<IpAddr>) -> bool {
        let ip = ip.map(|ip| ip.to_canonical());
        let holds = |allowed: &Allowed| match allowed {
            Allowed::Network(network) => ip.is_none_or(|ip| network.contains(&ip)),
            Allowed::Host(host) => host.eq_ignore_ascii_case(peer.host()),
        };
        self.0.is_empty() || self.0.iter().any(holds)
    }
}

impl FromStr for Allowed {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Network(ip.into()));
        }
        let host = HostPort::new(text, 1).map_err(|_| AddressError::Host(text.to_owned()))?;
        Ok(Self::Host(host.host().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_resolves_to_is_judged_like_an_address() {
        let own: HostPort = "m1:4000".parse().unwrap();
        let local: HostPort = "127.0.0.1:4000".parse().unwrap();
        let check = |reach: &Reach, to: &str, ip: &str| {
            let to: HostPort = to.parse().unwrap();
            reach.check(&to, ip.parse().unwrap())
        };
        let peers = Reach::peers_of(own);
        for (ip, error) in [
            ("169.254.169.254", PeerError::LinkLocal),
            ("fe80::1", PeerError::LinkLocal),
            ("::ffff:169.254.169.254", PeerError::LinkLocal),
            ("0.0.0.0", PeerError::Nobody),
            ("ff02::1", PeerError::Nobody),
        ] {
            for reach in [&peers, &Reach::Engines] {
                assert_eq!(check(reach, "m2:4000", ip), Err(error), "{ip}");
            }
            assert_eq!(check(&Reach::Anywhere, "m2:4000", ip), Ok(()), "{ip}");
        }
        for ip in ["127.0.0.1", "::1"] {
            assert_eq!(check(&peers, "m2:4000", ip), Err(PeerError::Loopback));
            assert_eq!(check(&Reach::Engines, "e1:2375", ip), Ok(()));
            assert_eq!(
                check(&Reach::peers_of(local.clone()), "m2:4000", ip),
                Ok(())
            );
        }
        // Debian knows a machine's own name by an address of this kind.
        assert_eq!(check(&peers, "m1:4001", "127.0.1.1"), Ok(()));
        assert_eq!(check(&peers, "m2:4000", "10.0.0.2"), Ok(()));
    }

    #[test]
    fn only_allowed_hosts_addresses_and_networks_are_peers() {
        let allowed = AllowedPeers::parse(["10.0.0.0/24", "fd00::7", "M2.example"]).unwrap();
        let reach = Reach::PeersOf {
            own: "m1:4000".parse().unwrap(),
            allowed,
        };
        let check = |to: &str, ip: &str| reach.check(&to.parse().unwrap(), ip.parse().unwrap());
        for (to, ip) in [
            ("10.0.0.9:4000", "10.0.0.9"),
            ("m3:4000", "10.0.0.9"),
            ("m3:4000", "::ffff:10.0.0.9"),
            ("[fd00::7]:4000", "fd00::7"),
            ("m2.EXAMPLE:4000", "192.168.1.1"),
            ("m1:4000", "192.168.1.2"),
        ] {
            assert_eq!(check(to, ip), Ok(()), "{to} at {ip}");
        }
        for (to, ip) in [
            ("10.0.1.9:4000", "10.0.1.9"),
            ("m3:4000", "10.0.1.9"),
            ("[fd00::8]:4000", "fd00::8"),
            ("other.m2.example:4000", "192.168.1.1"),
        ] {
            assert_eq!(check(to, ip), Err(PeerError::NotAllowed), "{to} at {ip}");
        }
        // It allows no more than there is without it.
        assert_eq!(
            check("m2.example:4000", "127.0.0.1"),
            Err(PeerError::Loopback)
        );
        for text in ["", "10.0.0.0/33", "10.0.0.1:4000", "a b", "*.example"] {
            let error = AllowedPeers::parse([text]).unwrap_err();
            assert_eq!(error, AddressError::Host(text.to_owned()));
        }
    }
}
