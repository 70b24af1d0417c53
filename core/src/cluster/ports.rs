//! Ports of containers: those they ask for and those they have.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Ports in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest, not below the lowest.
    pub last: u16,
}

/// Ports of a container, for instance `80/tcp`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exposed {
    /// Their numbers.
    pub ports: PortRange,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// A port of a container that is to be reached at a port of its engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    /// In the container.
    pub exposed: Exposed,
    /// The engine's address it is reached at; `None` for all of them.
    pub address: Option<IpAddr>,
    /// The engine's port, or those of which the engine takes one.
    pub host: PortRange,
}

/// The text is no port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a port or range of ports: write for instance 80, 8000-8010 or 53/udp")]
pub struct PortError(String);

impl PortRange {
    /// How many ports it has.
    #[must_use]
    pub fn count(self) -> usize {
        usize::from(self.last.saturating_sub(self.first)) + 1
    }

    /// Whether the port is one of them.
    #[must_use]
    pub fn has(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Whether all ports of `other` are in it.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.has(other.first) && self.has(other.last)
    }
}

impl Binding {
    /// Reads one entry of `PortBindings`; `None` when the engine may take any free port.
    ///
    /// # Errors
    /// [`PortError`] for what is no port.
    pub fn parse(
        container: &str,
        host_ip: &str,
        host_port: &str,
    ) -> Result<Option<Self>, PortError> {
        let exposed = container.parse()?;
        if matches!(host_port, "" | "0") {
            return Ok(None);
        }
        Ok(Some(Self {
            exposed,
            address: specific(host_ip),
            host: host_port.parse()?,
        }))
    }
}

/// The address, if it is one and not that of all interfaces.
#[must_use]
pub fn specific(address: &str) -> Option<IpAddr> {
    let address: IpAddr = address.parse().ok()?;
    (!address.is_unspecified()).then_some(address)
}

impl FromStr for PortRange {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let number = |text: &str| text.parse::<u16>().ok();
        let ends = match text.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)),
            None => number(text).map(|port| (port, port)),
        };
        ends.filter(|(first, last)| first <= last)
            .map(|(first, last)| Self { first, last })
            .ok_or_else(|| PortError(text.to_owned()))
    }
}

impl FromStr for Exposed {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        Ok(Self {
            ports: ports.parse().map_err(|_| PortError(text.to_owned()))?,
            protocol: protocol.to_ascii_lowercase(),
        })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ports, self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bindings_without_a_port_of_their_own_ask_for_nothing() {
        assert_eq!(Binding::parse("80/tcp", "", ""), Ok(None));
        assert_eq!(Binding::parse("80/tcp", "127.0.0.1", "0"), Ok(None));
        let binding = Binding::parse("53/UDP", "0.0.0.0", "8053-8054")
            .unwrap()
            .unwrap();
        assert_eq!(binding.address, None);
        assert_eq!((binding.host.first, binding.host.last), (8053, 8054));
        assert_eq!(binding.exposed.to_string(), "53/udp");
        for (container, host) in [
            ("eighty", "80"),
            ("80", "x"),
            ("80", "9-8"),
            ("80", "70000"),
        ] {
            assert!(
                Binding::parse(container, "", host).is_err(),
                "{container} {host}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(first: u16, more: u16, protocol in "tcp|udp|sctp") {
            let ports = PortRange { first, last: first.saturating_add(more) };
            let exposed = Exposed { ports, protocol };
            prop_assert_eq!(exposed.to_string().parse(), Ok(exposed));
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,12}") {
            let _ = text.parse::<Exposed>();
            let _ = Binding::parse(&text, &text, &text);
        }
    }
}
