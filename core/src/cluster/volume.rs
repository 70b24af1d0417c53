//! What is known of one volume of an engine.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::JsonError;

/// A volume record of one engine.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Name on the engine.
    pub name: String,
    /// For instance `local`.
    pub driver: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    pub(super) raw: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    volumes: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    name: String,
    #[serde(default)]
    driver: String,
    labels: Option<BTreeMap<String, String>>,
}

impl Volume {
    /// Reads an engine's answer to `GET /volumes`.
    ///
    /// # Errors
    /// When it is not a list of volumes.
    pub fn parse_list(list: &[u8]) -> Result<Vec<Self>, JsonError> {
        let list: List = serde_json::from_slice(list)?;
        list.volumes
            .unwrap_or_default()
            .into_iter()
            .map(Self::from_raw)
            .collect()
    }

    /// Reads an engine's answer to `GET /volumes/{name}`.
    ///
    /// # Errors
    /// When it is not a volume.
    pub fn parse(inspect: &[u8]) -> Result<Self, JsonError> {
        Self::from_raw(serde_json::from_slice(inspect)?)
    }

    fn from_raw(raw: Box<RawValue>) -> Result<Self, JsonError> {
        let listed: Listed = serde_json::from_str(raw.get())?;
        Ok(Self {
            name: listed.name,
            driver: listed.driver,
            labels: listed.labels.unwrap_or_default(),
            raw,
        })
    }

    /// Whether it exists on its engine alone.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.driver == "local"
    }
}
