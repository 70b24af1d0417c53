//! What is known of one network of an engine.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

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
