//! Networks and the addresses containers get on them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use swarm_core::time::Wall;

use super::clock::rfc3339;

/// One network.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) id: Arc<str>,
    pub(super) name: String,
    pub(super) driver: String,
    pub(super) scope: &'static str,
    pub(super) created: Wall,
    pub(super) internal: bool,
    pub(super) attachable: bool,
    pub(super) ipv6: bool,
    pub(super) options: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    /// `None` for `host` and `none`, which give no addresses.
    pub(super) subnet: Option<Subnet>,
    /// `IPAM` as it was asked for.
    pub(super) ipam: Option<Value>,
    used: BTreeSet<Ipv4Addr>,
}

/// An IPv4 subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    pub(super) base: Ipv4Addr,
    pub(super) bits: u8,
    pub(super) gateway: Ipv4Addr,
}

/// A container's place on one network.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) network: Arc<str>,
    /// Empty while the container does not run.
    pub(super) id: String,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) aliases: Vec<String>,
    /// The settings as they were asked for, if any.
    pub(super) asked: Option<Value>,
}

impl Subnet {
    /// Reads `a.b.c.d/bits`; the gateway is the first host.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (base, bits) = text.split_once('/')?;
        let bits: u8 = bits.parse().ok().filter(|bits| (8..=30).contains(bits))?;
        let base: Ipv4Addr = base.parse().ok()?;
        let base = Ipv4Addr::from(u32::from(base) & (u32::MAX << (32 - bits)));
        Some(Self {
            base,
            bits,
            gateway: Ipv4Addr::from(u32::from(base) + 1),
        })
    }

    /// The `n`-th of the subnets Docker takes for bridges: 172.17.0.0/16 and on.
    pub(super) fn pool(n: u8) -> Self {
        let base = Ipv4Addr::new(172, n, 0, 0);
        Self {
            base,
            bits: 16,
            gateway: Ipv4Addr::new(172, n, 0, 1),
        }
    }

    fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        let base = u32::from(self.base);
        let size = 1_u32 << (32 - self.bits);
        (2..size.saturating_sub(1)).map(move |host| Ipv4Addr::from(base + host))
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl Network {
    pub(super) fn new(id: Arc<str>, name: &str, driver: &str, created: Wall) -> Self {
        Self {
            id,
            name: name.to_owned(),
            driver: driver.to_owned(),
            scope: "local",
            created,
            internal: false,
            attachable: false,
            ipv6: false,
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
            subnet: None,
            ipam: None,
            used: BTreeSet::new(),
        }
    }

    /// Whether it is one of the three every engine has.
    pub(super) fn is_builtin(&self) -> bool {
        matches!(self.name.as_str(), "bridge" | "host" | "none")
    }

    /// Takes the wanted address, or the lowest free one; `None` if there is none to have.
    pub(super) fn take_address(&mut self, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let subnet = self.subnet?;
        let address = match wanted {
            Some(address) => Some(address).filter(|address| !self.used.contains(address)),
            None => subnet
                .hosts()
                .find(|host| *host != subnet.gateway && !self.used.contains(host)),
        }?;
        self.used.insert(address);
        Some(address)
    }

    pub(super) fn give_back(&mut self, address: Ipv4Addr) {
        self.used.remove(&address);
    }

    /// `GET /networks/{id}`; `containers` is its member of that name.
    pub(super) fn inspect(&self, containers: Map<String, Value>) -> Value {
        let config = self.subnet.map_or_else(
            || json!([]),
            |subnet| json!([{"Subnet": subnet.to_string(), "Gateway": subnet.gateway.to_string()}]),
        );
        let ipam = self
            .ipam
            .clone()
            .unwrap_or_else(|| json!({"Driver": "default", "Options": null, "Config": config}));
        json!({
            "Name": self.name,
            "Id": self.id.as_ref(),
            "Created": rfc3339(self.created),
            "Scope": self.scope,
            "Driver": self.driver,
            "EnableIPv6": self.ipv6,
            "IPAM": ipam,
            "Internal": self.internal,
            "Attachable": self.attachable,
            "Ingress": false,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": false,
            "Containers": containers,
            "Options": self.options,
            "Labels": self.labels,
        })
    }
}

impl Endpoint {
    pub(super) fn new(network: Arc<str>, asked: Option<Value>) -> Self {
        let aliases = asked
            .as_ref()
            .and_then(|asked| asked.get("Aliases")?.as_array())
            .map(|list| {
                list.iter()
                    .filter_map(|v| v.as_str().map(str::to_owned))
                    .collect()
            });
        Self {
            network,
            id: String::new(),
            address: None,
            aliases: aliases.unwrap_or_default(),
            asked,
        }
    }

    /// The address that was asked for.
    pub(super) fn wanted(&self) -> Option<Ipv4Addr> {
        let ipam = self.asked.as_ref()?.get("IPAMConfig")?;
        ipam.get("IPv4Address")?.as_str()?.parse().ok()
    }

    /// Docker's MAC address for an IPv4 address.
    pub(super) fn mac(&self) -> String {
        self.address.map_or_else(String::new, |address| {
            let [a, b, c, d] = address.octets();
            format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
        })
    }

    /// An entry of `NetworkSettings.Networks`.
    pub(super) fn inspect(&self, subnet: Option<Subnet>) -> Value {
        let up = !self.id.is_empty();
        let gateway = subnet
            .filter(|_| up)
            .map(|subnet| subnet.gateway.to_string());
        let asked = |key: &str| self.asked.as_ref().and_then(|v| v.get(key)).cloned();
        json!({
            "IPAMConfig": asked("IPAMConfig"),
            "Links": asked("Links"),
            "Aliases": if self.aliases.is_empty() { Value::Null } else { json!(self.aliases) },
            "NetworkID": self.network.as_ref(),
            "EndpointID": self.id,
            "Gateway": gateway.unwrap_or_default(),
            "IPAddress": self.address.map(|a| a.to_string()).unwrap_or_default(),
            "IPPrefixLen": subnet.filter(|_| self.address.is_some()).map_or(0, |s| s.bits),
            "IPv6Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "MacAddress": self.mac(),
            "DriverOpts": asked("DriverOpts"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_handed_out_in_order_and_come_back() {
        let mut network = Network::new("n".into(), "bridge", "bridge", Wall(0));
        network.subnet = Some(Subnet::pool(17));
        let first = network.take_address(None).unwrap();
        assert_eq!(first, Ipv4Addr::new(172, 17, 0, 2));
        assert_eq!(
            network.take_address(None),
            Some(Ipv4Addr::new(172, 17, 0, 3))
        );
        assert_eq!(network.take_address(Some(first)), None);
        network.give_back(first);
        assert_eq!(network.take_address(None), Some(first));
    }

    proptest! {
        #[test]
        fn any_subnet_is_read_or_refused_and_prints_back(text in "[0-9./]{0,20}") {
            if let Some(subnet) = Subnet::parse(&text) {
                prop_assert_eq!(Subnet::parse(&subnet.to_string()), Some(subnet));
            }
        }
    }
}
