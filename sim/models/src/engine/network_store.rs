//! What can be done with networks, and how containers get on them and off again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::container::{Container, Id, Published};
use super::events::Kind;
use super::mutations::Change;
use super::network::{Endpoint, Network, Subnet};
use super::refusal::{Answer, Refusal};
use super::spec::{Port, parse_json};
use super::state::State;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkRequest {
    name: String,
    driver: Option<String>,
    internal: bool,
    attachable: bool,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: Option<Value>,
    options: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
}

impl State {
    /// Finds a network by ID, name or unique ID prefix.
    pub(super) fn network(&self, reference: &str) -> Answer<&Network> {
        let mut hits = self
            .networks
            .values()
            .filter(|network| !reference.is_empty() && network.id.starts_with(reference));
        let by_name = || {
            self.networks
                .values()
                .find(|network| network.name == reference)
        };
        if let Some(network) = self.networks.get(reference).or_else(by_name) {
            return Ok(network);
        }
        match (hits.next(), hits.next()) {
            (Some(network), None) => Ok(network),
            (None, _) => Err(Refusal::missing(format!("network {reference} not found"))),
            (Some(_), Some(_)) => Err(Refusal::bad(format!("network {reference} is ambiguous"))),
        }
    }

    pub(super) fn create_network(&mut self, body: &[u8]) -> Answer<Id> {
        let request: NetworkRequest = parse_json(body)?;
        if request.name.trim().is_empty() {
            return Err(Refusal::bad("invalid network name: name is empty"));
        }
        if self
            .networks
            .values()
            .any(|network| network.name == request.name)
        {
            return Err(Refusal::conflict(format!(
                "network with name {} already exists",
                request.name
            )));
        }
        let driver = request.driver.filter(|driver| !driver.is_empty());
        let driver = driver.unwrap_or_else(|| "bridge".to_owned());
        let scope = match driver.as_str() {
            "bridge" | "macvlan" | "ipvlan" => "local",
            "overlay" if self.options.cluster_store => "global",
            "overlay" => return Err(not_a_swarm_manager()),
            "host" | "null" => {
                return Err(Refusal::new(
                    403,
                    format!("only one instance of \"{driver}\" network is allowed"),
                ));
            }
            other => return Err(Refusal::missing(format!("plugin \"{other}\" not found"))),
        };
        let config = request
            .ipam
            .as_ref()
            .and_then(|ipam| ipam.get("Config")?.get(0));
        let field = |key: &str| config.and_then(|config| config.get(key)?.as_str());
        let mut subnet = match field("Subnet") {
            Some(text) => Subnet::parse(text).ok_or_else(|| {
                Refusal::bad(format!("invalid subnet {text}: invalid CIDR block address"))
            })?,
            None => self.next_subnet(),
        };
        if let Some(gateway) = field("Gateway").and_then(|text| text.parse().ok()) {
            subnet.gateway = gateway;
        }
        let asked = config.is_some();
        let id = self.next_id("network");
        let mut network = Network::new(Arc::clone(&id), &request.name, &driver, self.wall());
        network.scope = scope;
        network.internal = request.internal;
        network.attachable = request.attachable;
        network.ipv6 = request.enable_ipv6;
        network.options = request.options.unwrap_or_default();
        network.labels = request.labels.unwrap_or_default();
        network.subnet = Some(subnet);
        network.ipam = if asked { request.ipam } else { None };
        self.note_object(Change::NetworkCreate, &id, network.labels.clone());
        self.networks.insert(Arc::clone(&id), network);
        self.emit_network(&id, "create", None);
        Ok(id)
    }

    pub(super) fn remove_network(&mut self, reference: &str) -> Answer<()> {
        let network = self.network(reference)?;
        let id = Arc::clone(&network.id);
        if network.is_builtin() {
            return Err(Refusal::new(
                403,
                format!(
                    "{} is a pre-defined network and cannot be removed",
                    network.name
                ),
            ));
        }
        if self.members(&id).next().is_some() {
            return Err(Refusal::new(
                403,
                format!(
                    "error while removing network: network {} id {id} has active endpoints",
                    network.name
                ),
            ));
        }
        self.emit_network(&id, "destroy", None);
        if let Some(network) = self.networks.remove(&id) {
            self.note_object(Change::NetworkRemove, &id, network.labels);
        }
        Ok(())
    }

    /// Running containers on a network.
    fn members<'a>(
        &'a self,
        network: &'a str,
    ) -> impl Iterator<Item = (&'a Container, &'a Endpoint)> {
        self.containers.values().filter_map(move |container| {
            let mut endpoints = container.endpoints.values();
            let endpoint = endpoints.find(|e| *e.network == *network && !e.id.is_empty())?;
            Some((container, endpoint.as_ref()))
        })
    }

    /// `GET /networks/{id}`; the list leaves the containers out, as engines do since API 1.28.
    pub(super) fn inspect_network(&self, network: &Network, members: bool) -> Value {
        let mut containers = Map::new();
        if members {
            for (container, endpoint) in self.members(&network.id) {
                let bits = network.subnet.map_or(0, |subnet| subnet.bits);
                let address = endpoint.address.map(|address| format!("{address}/{bits}"));
                let entry = json!({
                    "Name": container.name,
                    "EndpointID": endpoint.id,
                    "MacAddress": endpoint.mac(),
                    "IPv4Address": address.unwrap_or_default(),
                    "IPv6Address": "",
                });
                containers.insert(container.id.to_string(), entry);
            }
        }
        network.inspect(containers)
    }

    pub(super) fn connect(
        &mut self,
        network: &str,
        container: &str,
        asked: Option<Value>,
    ) -> Answer<()> {
        let network = self.network(network)?;
        let (network_id, name) = (Arc::clone(&network.id), network.name.clone());
        let container = self.container_mut(container)?;
        let id = Arc::clone(&container.id);
        let known = container.endpoints.get(&name);
        if known.is_some_and(|endpoint| !endpoint.id.is_empty()) {
            return Err(Refusal::new(
                403,
                format!(
                    "endpoint with name {} already exists in network {name}",
                    container.name
                ),
            ));
        }
        let up = container.is_up();
        container
            .endpoints
            .insert(name, Box::new(Endpoint::new(network_id, asked)));
        if up {
            self.connect_all(&id)?;
        }
        Ok(())
    }

    pub(super) fn disconnect(&mut self, network: &str, container: &str) -> Answer<()> {
        let network = self.network(network)?;
        let (network_id, name) = (Arc::clone(&network.id), network.name.clone());
        let container = self.container_mut(container)?;
        let id = Arc::clone(&container.id);
        let Some(endpoint) = container.endpoints.remove(&name) else {
            return Err(Refusal::failed(format!(
                "container {id} is not connected to network {name}"
            )));
        };
        if let (Some(address), Some(network)) =
            (endpoint.address, self.networks.get_mut(&network_id))
        {
            network.give_back(address);
        }
        self.emit_network(&network_id, "disconnect", Some(&id));
        Ok(())
    }

    /// Brings all endpoints of a container up.
    pub(super) fn connect_all(&mut self, id: &Id) -> Answer<()> {
        let container = self.container(id)?;
        let down = container
            .endpoints
            .iter()
            .filter(|(_, endpoint)| endpoint.id.is_empty());
        let names: Vec<String> = down.map(|(name, _)| name.clone()).collect();
        for name in names {
            let network = Arc::clone(&self.network(&name)?.id);
            let endpoint_id = self.next_id("endpoint").to_string();
            let container = self
                .containers
                .get_mut(id)
                .ok_or_else(|| Refusal::no_container(id))?;
            let Some(endpoint) = container.endpoints.get_mut(&name) else {
                continue;
            };
            if let Some(found) = self.networks.get_mut(&network) {
                let address = found.take_address(endpoint.wanted());
                if address.is_none() && found.subnet.is_some() {
                    return Err(Refusal::conflict(match endpoint.wanted() {
                        Some(_) => "Address already in use".to_owned(),
                        None => format!("no available IPv4 addresses on network {name}"),
                    }));
                }
                endpoint.address = address;
            }
            endpoint.network = Arc::clone(&network);
            endpoint.id = endpoint_id;
            self.emit_network(&network, "connect", Some(id));
        }
        Ok(())
    }

    /// Opens the host ports a container wants.
    pub(super) fn publish(&mut self, id: &Id) -> Answer<()> {
        let container = self.container(id)?;
        if container.spec.network_mode == "host" || container.spec.network_mode == "none" {
            return Ok(());
        }
        let spec = &container.spec;
        let name = container.name.clone();
        let mut wishes: Vec<Published> = spec
            .bindings
            .iter()
            .map(|binding| Published {
                port: binding.port.clone(),
                address: binding.address.clone(),
                host_port: binding.host_port,
            })
            .collect();
        if spec.publish_all {
            let bound = |port: &Port| spec.bindings.iter().any(|binding| binding.port == *port);
            wishes.extend(
                spec.exposed
                    .iter()
                    .filter(|port| !bound(port))
                    .map(|port| Published {
                        port: port.clone(),
                        address: String::new(),
                        host_port: 0,
                    }),
            );
        }
        for mut wish in wishes {
            if wish.address.is_empty() {
                "0.0.0.0".clone_into(&mut wish.address);
            }
            if wish.host_port == 0 {
                wish.host_port = self.free_port(&wish.port.protocol);
            } else if self
                .ports
                .contains(&(wish.host_port, wish.port.protocol.clone()))
            {
                return Err(Refusal::failed(format!(
                    "driver failed programming external connectivity on endpoint {name} ({id}): \
                     Bind for {}:{} failed: port is already allocated",
                    wish.address, wish.host_port
                )));
            }
            self.ports
                .insert((wish.host_port, wish.port.protocol.clone()));
            self.container_mut(id)?.published.push(wish);
        }
        Ok(())
    }

    fn free_port(&mut self, protocol: &str) -> u16 {
        loop {
            self.next_port = self.next_port.checked_add(1).unwrap_or(49_153);
            if !self.ports.contains(&(self.next_port, protocol.to_owned())) {
                return self.next_port;
            }
        }
    }

    /// Takes a container off its networks and closes its ports.
    pub(super) fn disconnect_all(&mut self, id: &Id) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        for published in std::mem::take(&mut container.published) {
            self.ports
                .remove(&(published.host_port, published.port.protocol));
        }
        let mut left = Vec::new();
        for endpoint in container.endpoints.values_mut() {
            let address = endpoint.address.take();
            if !std::mem::take(&mut endpoint.id).is_empty() {
                left.push(Arc::clone(&endpoint.network));
            }
            if let (Some(address), Some(network)) =
                (address, self.networks.get_mut(&endpoint.network))
            {
                network.give_back(address);
            }
        }
        for network in left {
            self.emit_network(&network, "disconnect", Some(id));
        }
    }

    pub(super) fn emit_network(
        &mut self,
        network: &Id,
        action: &'static str,
        container: Option<&Id>,
    ) {
        let Some(found) = self.networks.get(network) else {
            return;
        };
        let mut attributes = vec![
            ("name".into(), found.name.clone()),
            ("type".into(), found.driver.clone()),
        ];
        if let Some(container) = container {
            attributes.insert(0, ("container".into(), container.to_string()));
        }
        self.emit(Kind::Network, action, Arc::clone(network), attributes);
    }
}

/// What an engine outside swarm mode says to requests of swarm mode.
pub(super) fn not_a_swarm_manager() -> Refusal {
    Refusal::new(
        503,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
         connect this node to swarm and try again.",
    )
}
