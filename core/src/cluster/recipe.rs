//! What a container is made of, kept for those that may have to be made again elsewhere.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::container::{Container, SHORT_ID, shares_to_cpus};
use crate::json::{self, JsonError, RawObject};

/// A container's configuration as its engine told it.
#[derive(Clone, Debug)]
pub struct Recipe {
    config: RawObject,
    host: RawObject,
    /// The networks it is in, with what was asked for there.
    networks: BTreeMap<String, Value>,
}

/// How to make a container again.
#[derive(Clone, Debug)]
pub struct Remake {
    /// The body of a create request.
    pub body: RawObject,
    /// The networks to be joined after the creation: engines take one in a create request.
    pub networks: BTreeMap<String, Value>,
    /// All its networks.
    pub all_networks: Vec<String>,
}

/// What of an endpoint was asked for; the rest is what came of it.
const ENDPOINT_WISHES: [&str; 4] = ["IPAMConfig", "Links", "Aliases", "DriverOpts"];

/// The members of `HostConfig` that name another container behind `container:`.
const MODES: [&str; 3] = ["NetworkMode", "IpcMode", "PidMode"];

impl Recipe {
    /// Reads an answer to `GET /containers/{id}/json`.
    ///
    /// # Errors
    /// [`JsonError`] when it is not what an engine answers.
    pub fn parse(inspect: &[u8]) -> Result<Self, JsonError> {
        let inspect = RawObject::parse(inspect)?;
        let settings: RawObject = inspect.read("NetworkSettings")?.unwrap_or_default();
        let networks: BTreeMap<String, Option<Map<String, Value>>> =
            settings.read("Networks")?.unwrap_or_default();
        let wishes = |endpoint: Option<Map<String, Value>>| {
            let mut endpoint = endpoint.unwrap_or_default();
            endpoint
                .retain(|name, value| ENDPOINT_WISHES.contains(&name.as_str()) && !value.is_null());
            Value::Object(endpoint)
        };
        Ok(Self {
            config: inspect.read("Config")?.unwrap_or_default(),
            host: inspect.read("HostConfig")?.unwrap_or_default(),
            networks: networks
                .into_iter()
                .map(|(name, endpoint)| (name, wishes(endpoint)))
                .collect(),
        })
    }

    /// The references to other containers it cannot be made without.
    ///
    /// # Errors
    /// [`JsonError`] when the configuration is not what an engine answers.
    pub fn ties(&self) -> Result<Vec<String>, JsonError> {
        let mut ties = Vec::new();
        for link in self.texts("Links")? {
            ties.push(reference(&plain_link(&link)).0.to_owned());
        }
        for from in self.texts("VolumesFrom")? {
            ties.push(reference(&from).0.to_owned());
        }
        for member in MODES {
            let mode: String = self.host.read(member)?.unwrap_or_default();
            ties.extend(mode.strip_prefix("container:").map(str::to_owned));
        }
        Ok(ties)
    }

    /// The request that makes `container` again. `cpus` are those of its engine; `successor` tells what took the place of
    /// a container that is called by its ID.
    ///
    /// # Errors
    /// [`JsonError`] when the configuration is not what an engine answers.
    pub fn remake(
        &self,
        container: &Container,
        cpus: u64,
        successor: impl Fn(&str) -> Option<String>,
    ) -> Result<Remake, JsonError> {
        let mut body = self.config.clone();
        let short = container.id.get(..SHORT_ID).unwrap_or(&container.id);
        if self.config.read::<String>("Hostname")?.as_deref() == Some(short) {
            body.remove("Hostname");
        }
        let mut host = self.host.clone();
        self.turn_references(&mut host, successor)?;
        let shares: u64 = host.read("CpuShares")?.unwrap_or(0);
        if shares > 0 && container.swarm_id().is_some() {
            // What swarm sent was CPUs, as their part of that engine.
            host.set("CpuShares", json::raw(&shares_to_cpus(shares, cpus))?);
        }
        body.set("HostConfig", host.to_raw()?);
        let mut networks = self.endpoints(short);
        let all_networks = networks.keys().cloned().collect();
        let mode: String = self.host.read("NetworkMode")?.unwrap_or_default();
        let first = match mode.as_str() {
            "" | "default" => "bridge",
            named => named,
        };
        if let Some(endpoint) = networks.remove(first)
            && first != "bridge"
            && first != "host"
            && first != "none"
        {
            let endpoints = serde_json::json!({"EndpointsConfig": {first: endpoint}});
            body.set("NetworkingConfig", json::raw(&endpoints)?);
        }
        if mode.starts_with("container:") {
            networks.clear();
        }
        Ok(Remake {
            body,
            networks,
            all_networks,
        })
    }

    /// Engines call each container by its short ID in its networks; a new one has another.
    fn endpoints(&self, short: &str) -> BTreeMap<String, Value> {
        let mut networks = self.networks.clone();
        for endpoint in networks.values_mut() {
            if let Some(aliases) = endpoint.get_mut("Aliases").and_then(Value::as_array_mut) {
                aliases.retain(|alias| alias.as_str() != Some(short));
            }
        }
        networks
    }

    fn turn_references(
        &self,
        host: &mut RawObject,
        successor: impl Fn(&str) -> Option<String>,
    ) -> Result<(), JsonError> {
        let turn = |text: &str| {
            let (called, rest) = reference(text);
            let called = successor(called).unwrap_or_else(|| called.to_owned());
            called + rest
        };
        let links = self.texts("Links")?;
        if !links.is_empty() {
            let links: Vec<_> = links.iter().map(|link| turn(&plain_link(link))).collect();
            host.set("Links", json::raw(&links)?);
        }
        let from = self.texts("VolumesFrom")?;
        if !from.is_empty() {
            let from: Vec<_> = from.iter().map(|from| turn(from)).collect();
            host.set("VolumesFrom", json::raw(&from)?);
        }
        for member in MODES {
            let mode: String = self.host.read(member)?.unwrap_or_default();
            if let Some(called) = mode.strip_prefix("container:") {
                host.set(member, json::raw(&format!("container:{}", turn(called)))?);
            }
        }
        Ok(())
    }

    fn texts(&self, member: &str) -> Result<Vec<String>, JsonError> {
        Ok(self.host.read(member)?.unwrap_or_default())
    }
}

/// What a value calls the other container, and the rest.
fn reference(text: &str) -> (&str, &str) {
    text.split_at(text.find(':').unwrap_or(text.len()))
}

/// A link as it is asked for: engines answer `/db:/web/alias` for `db:alias`.
fn plain_link(link: &str) -> String {
    let (called, rest) = reference(link);
    let alias = match rest.rsplit_once('/') {
        Some((_, alias)) => alias,
        None => rest.trim_start_matches(':'),
    };
    let called = super::container::bare(called);
    if alias.is_empty() {
        called.to_owned()
    } else {
        format!("{called}:{alias}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{Described, cluster};
    use super::*;

    fn remade(
        described: &Described,
        successor: impl Fn(&str) -> Option<String>,
    ) -> (Value, Remake) {
        let mut view = cluster(&[(4, 1)]);
        described.put(&mut view, 0);
        let (_, container) = view.container("web").unwrap();
        let recipe = Recipe::parse(described.inspect.to_string().as_bytes()).unwrap();
        let remake = recipe.remake(container, 4, successor).unwrap();
        let body = serde_json::from_str(&remake.body.to_json()).unwrap();
        (body, remake)
    }

    #[test]
    fn configuration_stays_and_what_the_old_engine_made_up_goes() {
        // spec/classic.md section 10.5, E11
        let mut web = Described::new("0123456789abcdef", "web").swarm_id("key");
        web.inspect["Config"]["Hostname"] = "0123456789ab".into();
        web.inspect["Config"]["Odd"] = json!([1, null]);
        web.inspect["HostConfig"] = json!({"CpuShares": 512, "NetworkMode": "front", "Binds": ["data:/d"],
            "Links": ["/db:/web/store", "/cache:/web/cache"], "IpcMode": "private"});
        web.inspect["NetworkSettings"] = json!({"Networks": {
            "front": {"Aliases": ["0123456789ab", "www"], "IPAddress": "10.0.0.7", "NetworkID": "n1",
                "IPAMConfig": {"IPv4Address": "10.0.0.7"}, "Links": null},
            "back": {"Aliases": null, "IPAMConfig": null, "MacAddress": "02:42"}}});
        let (body, remake) = remade(&web, |_| None);
        assert_eq!(body["Hostname"], Value::Null);
        assert_eq!(body["Odd"], json!([1, null]));
        assert_eq!(body["Labels"]["com.docker.swarm.id"], "key");
        let host = &body["HostConfig"];
        assert_eq!(host["CpuShares"], 2);
        assert_eq!(host["Links"], json!(["db:store", "cache:cache"]));
        assert_eq!(host["Binds"], json!(["data:/d"]));
        assert_eq!(
            body["NetworkingConfig"]["EndpointsConfig"],
            json!({"front": {"Aliases": ["www"], "IPAMConfig": {"IPv4Address": "10.0.0.7"}}})
        );
        assert_eq!(
            remake.networks,
            BTreeMap::from([("back".to_owned(), json!({}))])
        );
        assert_eq!(remake.all_networks, ["back", "front"]);
    }

    #[test]
    fn a_hostname_of_the_users_own_stays() {
        let mut web = Described::new("0123456789abcdef", "web");
        web.inspect["Config"]["Hostname"] = "mine".into();
        web.inspect["HostConfig"]["CpuShares"] = 512.into();
        let (body, remake) = remade(&web, |_| None);
        assert_eq!(body["Hostname"], "mine");
        // Made past swarm: shares are shares.
        assert_eq!(body["HostConfig"]["CpuShares"], 512);
        assert_eq!(body["NetworkingConfig"], Value::Null);
        assert!(remake.networks.is_empty());
    }

    #[test]
    fn other_containers_are_called_by_what_took_their_place() {
        let mut web = Described::new("0123456789abcdef", "web");
        web.inspect["HostConfig"] =
            json!({"NetworkMode": "container:old", "VolumesFrom": ["old:ro", "db"]});
        web.inspect["NetworkSettings"] = json!({"Networks": {}});
        let (body, _) = remade(&web, |called| (called == "old").then(|| "new".to_owned()));
        assert_eq!(body["HostConfig"]["NetworkMode"], "container:new");
        assert_eq!(body["HostConfig"]["VolumesFrom"], json!(["new:ro", "db"]));
        let recipe = Recipe::parse(web.inspect.to_string().as_bytes()).unwrap();
        assert_eq!(recipe.ties().unwrap(), ["old", "db", "old"]);
    }
}
