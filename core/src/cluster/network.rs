//! Networks: what is known of one on an engine, and those of all engines (spec/classic.md section 7.1).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::filters::{Filters, QueryError};
use super::objects::{ObjectError, array, qualifies, renamed, shown_name};
use super::{Cluster, Engine, SHORT_ID};
use crate::address::HostPort;
use crate::api::Query;
use crate::json::JsonError;

/// A network record of one engine.
#[derive(Clone, Debug)]
pub struct Network {
    /// Full ID.
    pub id: String,
    /// Name on the engine.
    pub name: String,
    /// `local`, `global` or `swarm`.
    pub scope: String,
    /// For instance `bridge` or `overlay`.
    pub driver: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    pub(super) raw: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    name: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    driver: String,
    labels: Option<BTreeMap<String, String>>,
}

impl Network {
    /// Reads an engine's answer to `GET /networks`.
    ///
    /// # Errors
    /// When it is not a list of networks.
    pub fn parse_list(list: &[u8]) -> Result<Vec<Self>, JsonError> {
        let raws: Option<Vec<Box<RawValue>>> = serde_json::from_slice(list)?;
        raws.unwrap_or_default()
            .into_iter()
            .map(Self::from_raw)
            .collect()
    }

    /// Reads an engine's answer to `GET /networks/{id}`.
    ///
    /// # Errors
    /// When it is not a network.
    pub fn parse(inspect: &[u8]) -> Result<Self, JsonError> {
        Self::from_raw(serde_json::from_slice(inspect)?)
    }

    fn from_raw(raw: Box<RawValue>) -> Result<Self, JsonError> {
        let listed: Listed = serde_json::from_str(raw.get())?;
        Ok(Self {
            id: listed.id,
            name: listed.name,
            scope: listed.scope,
            driver: listed.driver,
            labels: listed.labels.unwrap_or_default(),
            raw,
        })
    }

    /// Whether it exists on its engine alone.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.scope == "local"
    }

    /// Whether the engine made it by itself.
    #[must_use]
    pub fn is_builtin(&self) -> bool {
        matches!(self.name.as_str(), "none" | "host" | "bridge")
    }
}

impl Cluster {
    /// The answer to `GET /networks`.
    ///
    /// # Errors
    /// [`QueryError`] for unusable filters.
    pub fn list_networks(&self, query: &Query) -> Result<String, QueryError> {
        let filters = Filters::parse(&query.value("filters").unwrap_or_default())?;
        filters.check(&[
            "dangling", "driver", "id", "label", "name", "node", "scope", "type",
        ])?;
        if let Some(value) = filters
            .values("type")
            .find(|value| !matches!(*value, "custom" | "builtin"))
        {
            return Err(QueryError::Value {
                key: "type".to_owned(),
                value: value.to_owned(),
            });
        }
        let dangling = filters.flag("dangling")?;
        let names = filters.patterns("name")?;
        let ids = filters.patterns("id")?;
        let mut shown = BTreeMap::new();
        for engine in self.validated() {
            if !filters.exact("node", engine.name()) {
                continue;
            }
            for network in engine.networks() {
                let name = shown_name(engine, &network.name, network.is_local());
                let kind = if network.is_builtin() {
                    "builtin"
                } else {
                    "custom"
                };
                let wanted = (names.pass([network.name.as_str()])
                    || filters.values("name").any(|value| value == name))
                    && ids.pass([network.id.as_str()])
                    && filters.exact("driver", &network.driver)
                    && filters.exact("scope", &network.scope)
                    && filters.exact("type", kind)
                    && filters.labels("label", &network.labels)
                    && dangling.is_none_or(|dangling| dangling != self.network_in_use(network));
                if wanted {
                    shown
                        .entry(network.id.as_str())
                        .or_insert_with(|| renamed(&network.raw, &name));
                }
            }
        }
        Ok(array(shown.into_values()))
    }

    fn network_in_use(&self, network: &Network) -> bool {
        network.is_builtin()
            || self
                .validated()
                .flat_map(Engine::containers)
                .flat_map(|container| container.networks.iter())
                .any(|used| *used.id == *network.id)
    }

    /// The network called `reference`, on an engine that answers if there is one; see [`Cluster::network_holders`].
    ///
    /// # Errors
    /// [`ObjectError`] when none or several match.
    pub fn network(&self, reference: &str) -> Result<(&Engine, &Network), ObjectError> {
        let hits = self.network_holders(reference)?;
        let hit = hits.first().copied();
        hit.ok_or_else(|| ObjectError::not_found("network", reference))
    }

    /// The network called `reference` on each engine that has it, those that answer first: by ID, by name, by
    /// `<engine>/<name>`, or by an unambiguous prefix of its ID; the first of these that matches anything decides.
    ///
    /// # Errors
    /// [`ObjectError`] when none or several match.
    pub fn network_holders(
        &self,
        reference: &str,
    ) -> Result<Vec<(&Engine, &Network)>, ObjectError> {
        self.find_network(reference, |_| true)
    }

    /// The network of one engine that a user calls `reference`, as [`Cluster::network`] finds it in all of them.
    ///
    /// # Errors
    /// [`ObjectError`] when none or several match.
    pub fn network_on(&self, engine: &HostPort, reference: &str) -> Result<&Network, ObjectError> {
        let hits = self.find_network(reference, |own| own.address == *engine)?;
        let hit = hits.first().map(|(_, network)| *network);
        hit.ok_or_else(|| ObjectError::not_found("network", reference))
    }

    fn find_network(
        &self,
        reference: &str,
        wanted: impl Fn(&Engine) -> bool,
    ) -> Result<Vec<(&Engine, &Network)>, ObjectError> {
        let short = |id: &str| {
            id == reference || (reference.len() == SHORT_ID && id.starts_with(reference))
        };
        let prefix = |id: &str| !reference.is_empty() && id.starts_with(reference);
        let all = || {
            let engines = self.validated().filter(|engine| wanted(engine));
            engines.flat_map(|engine| engine.networks().map(move |network| (engine, network)))
        };
        let mut hits: Vec<_> = all().filter(|(_, network)| short(&network.id)).collect();
        if hits.is_empty() {
            let named = |(engine, network): &(&Engine, &Network)| {
                qualifies(engine, &network.name, reference)
            };
            hits = all().filter(named).collect();
        }
        if hits.is_empty() {
            hits = all().filter(|(_, network)| prefix(&network.id)).collect();
        }
        let ids: BTreeSet<_> = hits.iter().map(|(_, network)| &network.id).collect();
        if ids.len() > 1 {
            let names = hits
                .iter()
                .map(|(engine, network)| (*engine, network.name.as_str()));
            return Err(ObjectError::ambiguous("network", reference, names));
        }
        hits.sort_by_key(|(engine, _)| !engine.is_healthy());
        if hits.is_empty() {
            return Err(ObjectError::not_found("network", reference));
        }
        Ok(hits)
    }
}
