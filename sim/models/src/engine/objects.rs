//! Images, networks and volumes: what can be done with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::container::{Container, Id};
use super::events::Kind;
use super::image::{Image, Reference, Version};
use super::network::{Endpoint, Network, Subnet};
use super::refusal::{Answer, Refusal};
use super::spec::{Spec, parse_json};
use super::state::State;
use super::volume::{Mount, MountKind, Volume};

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

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct VolumeRequest {
    name: Option<String>,
    driver: Option<String>,
    driver_opts: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
}

/// Images.
impl State {
    pub(super) fn image(&self, reference: &str) -> Answer<&Image> {
        self.images
            .values()
            .find(|image| image.answers_to(reference))
            .ok_or_else(|| {
                let name = Reference::parse(reference)
                    .map_or_else(|| reference.to_owned(), |name| name.to_string());
                Refusal::missing(format!("No such image: {name}"))
            })
    }

    /// Takes an image from the registry; whether it was new.
    pub(super) fn pull(&mut self, reference: &Reference) -> Answer<bool> {
        let name = reference.to_string();
        let missing = &self.faults.missing_images;
        if missing.contains(&name) || missing.contains(&reference.repository) {
            return Err(Refusal::missing(format!(
                "pull access denied for {}, repository does not exist or may require 'docker login': \
                 denied: requested access to the resource is denied",
                reference.repository
            )));
        }
        let new = self.image(&name).is_err();
        if new {
            let image = Image::fabricate(reference);
            let known = self
                .images
                .entry(Arc::clone(&image.id))
                .or_insert_with(|| image.clone());
            known.tags.extend(image.tags);
        }
        self.emit(
            Kind::Image,
            "pull",
            name.clone().into(),
            vec![("name".into(), reference.repository.clone())],
        );
        Ok(new)
    }

    pub(super) fn tag(&mut self, source: &str, repository: &str, tag: &str) -> Answer<()> {
        let id = Arc::clone(&self.image(source)?.id);
        let text = if tag.is_empty() {
            repository.to_owned()
        } else {
            format!("{repository}:{tag}")
        };
        let name = Reference::parse(&text)
            .ok_or_else(|| Refusal::bad("invalid reference format"))?
            .to_string();
        for image in self.images.values_mut() {
            image.tags.remove(&name);
        }
        if let Some(image) = self.images.get_mut(&id) {
            image.tags.insert(name.clone());
        }
        self.emit(Kind::Image, "tag", id, vec![("name".into(), name)]);
        Ok(())
    }

    /// Removes a name, and the image with its last one. The answer lists what was done.
    pub(super) fn remove_image(&mut self, reference: &str, force: bool) -> Answer<Value> {
        let image = self.image(reference)?;
        let id = Arc::clone(&image.id);
        let name = Reference::parse(reference).map(|name| name.to_string());
        let named = name.filter(|name| image.tags.contains(name) || image.digests.contains(name));
        let only_untag = named.is_some() && image.tags.len() > 1;
        if named.is_none() && image.tags.len() > 1 && !force {
            return Err(Refusal::conflict(format!(
                "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
                short(&id)
            )));
        }
        if !only_untag {
            self.check_unused(reference, &id, force)?;
        }
        let gone: Vec<String> = match named {
            Some(name) if only_untag => vec![name],
            _ => image_names(self.images.get(&id)),
        };
        let mut answer = Vec::new();
        for name in gone {
            if let Some(image) = self.images.get_mut(&id) {
                image.tags.remove(&name);
            }
            let attributes = vec![("name".into(), name.clone())];
            self.emit(Kind::Image, "untag", Arc::clone(&id), attributes);
            answer.push(json!({"Untagged": name}));
        }
        if !only_untag {
            self.images.remove(&id);
            answer.push(json!({"Deleted": id.as_ref()}));
            let attributes = vec![("name".into(), id.to_string())];
            self.emit(Kind::Image, "delete", id, attributes);
        }
        Ok(Value::Array(answer))
    }

    fn check_unused(&self, reference: &str, image: &str, force: bool) -> Answer<()> {
        let user = |container: &&Container| *container.image_id == *image;
        let running = self.containers.values().filter(user).find(|c| c.is_up());
        let any = self.containers.values().find(user);
        let (container, how) = match (running, any) {
            (Some(container), _) => (container, "cannot be forced"),
            (None, Some(container)) if !force => (container, "must be forced"),
            _ => return Ok(()),
        };
        let state = if container.is_up() {
            "running"
        } else {
            "stopped"
        };
        Err(Refusal::conflict(format!(
            "conflict: unable to remove repository reference \"{reference}\" ({how}) - container {} \
             is using its referenced image {} ({state})",
            short(&container.id),
            short(image)
        )))
    }

    /// Makes an image of a container.
    pub(super) fn commit(
        &mut self,
        container: &str,
        name: Option<&str>,
        comment: &str,
    ) -> Answer<Id> {
        let found = self.container(container)?;
        let container = Arc::clone(&found.id);
        let (parent, image, labels) = (
            found.image_id.to_string(),
            found.spec.image.clone(),
            found.spec.labels.as_ref().clone(),
        );
        let reference = match name.filter(|name| !name.is_empty()) {
            Some(name) => Some(
                Reference::parse(name).ok_or_else(|| Refusal::bad("invalid reference format"))?,
            ),
            None => None,
        };
        let id: Id = format!("sha256:{}", self.next_id("image")).into();
        let mut made = self.image(&image).cloned().unwrap_or_else(|_| {
            Image::fabricate(&Reference {
                repository: "scratch".to_owned(),
                version: Version::Tag("latest".to_owned()),
            })
        });
        made.id = Arc::clone(&id);
        made.tags = BTreeSet::new();
        made.digests = Vec::new();
        made.created = self.wall();
        made.labels = labels;
        comment.clone_into(&mut made.comment);
        made.parent = parent;
        self.images.insert(Arc::clone(&id), made);
        self.emit_container(&container, "commit", &[("comment", comment.to_owned())]);
        if let Some(reference) = reference {
            self.tag(&id, &reference.to_string(), "")?;
        }
        Ok(id)
    }
}

/// Networks.
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
        self.networks.remove(&id);
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
            Some((container, endpoint))
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
            .insert(name, Endpoint::new(network_id, asked));
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
}

/// Volumes.
impl State {
    pub(super) fn create_volume(&mut self, body: &[u8]) -> Answer<Value> {
        let request: VolumeRequest = if body.is_empty() {
            VolumeRequest::default()
        } else {
            parse_json(body)?
        };
        let driver = request.driver.filter(|driver| !driver.is_empty());
        let driver = driver.unwrap_or_else(|| "local".to_owned());
        if driver != "local" {
            return Err(Refusal::failed(format!(
                "create {}: error looking up volume plugin {driver}: plugin \"{driver}\" not found",
                request.name.unwrap_or_default()
            )));
        }
        let name = match request.name.filter(|name| !name.is_empty()) {
            Some(name) => name,
            None => self.next_id("volume").to_string(),
        };
        let volume = self.ensure_volume(&name, false);
        if volume.labels.is_none() {
            volume.labels = request.labels.filter(|labels| !labels.is_empty());
            volume.options = request.driver_opts.filter(|options| !options.is_empty());
        }
        Ok(volume.inspect())
    }

    fn ensure_volume(&mut self, name: &str, anonymous: bool) -> &mut Volume {
        if !self.volumes.contains_key(name) {
            let attributes = vec![("driver".into(), "local".to_owned())];
            self.emit(Kind::Volume, "create", name.into(), attributes);
        }
        let created = self.wall();
        self.volumes
            .entry(name.to_owned())
            .or_insert_with(|| Volume {
                name: name.to_owned(),
                driver: "local".to_owned(),
                created,
                labels: None,
                options: None,
                anonymous,
            })
    }

    /// Creates the volumes a new container mounts, naming the anonymous ones.
    pub(super) fn make_volumes(&mut self, mounts: &mut [Mount]) {
        for mount in mounts {
            if let MountKind::Volume(name) = &mut mount.kind {
                let anonymous = name.is_none();
                let name = match name {
                    Some(name) => name.clone(),
                    None => name.insert(self.next_id("volume").to_string()).clone(),
                };
                self.ensure_volume(&name, anonymous);
            }
        }
    }

    pub(super) fn volume(&self, name: &str) -> Answer<&Volume> {
        self.volumes
            .get(name)
            .ok_or_else(|| Refusal::missing(format!("get {name}: no such volume")))
    }

    pub(super) fn volume_users(&self, name: &str) -> Vec<Id> {
        let mounts = |spec: &Spec| spec.mounts.iter().any(|mount| mount.volume() == Some(name));
        let users = self.containers.values().filter(|c| mounts(&c.spec));
        users.map(|container| Arc::clone(&container.id)).collect()
    }

    pub(super) fn remove_volume(&mut self, name: &str, force: bool) -> Answer<()> {
        if !self.volumes.contains_key(name) {
            return match force {
                true => Ok(()),
                false => self.volume(name).map(|_| ()),
            };
        }
        let users = self.volume_users(name);
        if !users.is_empty() {
            return Err(Refusal::conflict(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            )));
        }
        self.volumes.remove(name);
        let attributes = vec![("driver".into(), "local".to_owned())];
        self.emit(Kind::Volume, "destroy", name.into(), attributes);
        Ok(())
    }

    pub(super) fn drop_anonymous_volume(&mut self, name: &str) {
        let anonymous = self
            .volumes
            .get(name)
            .is_some_and(|volume| volume.anonymous);
        if anonymous && self.volume_users(name).is_empty() {
            // It exists and nobody uses it, so this cannot be refused.
            let _ = self.remove_volume(name, true);
        }
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

/// The first twelve characters of an ID.
pub(super) fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

fn image_names(image: Option<&Image>) -> Vec<String> {
    image.map_or_else(Vec::new, |image| image.tags.iter().cloned().collect())
}
