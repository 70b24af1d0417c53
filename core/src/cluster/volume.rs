//! Volumes: what is known of one on an engine, and those of all engines (spec/classic.md section 7.3).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::filters::{Filters, QueryError};
use super::objects::{ObjectError, array, qualifies, renamed, shown_name};
use super::{Cluster, Engine};
use crate::api::Query;
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

impl Cluster {
    /// The answer to `GET /volumes`.
    ///
    /// # Errors
    /// [`QueryError`] for unusable filters.
    pub fn list_volumes(&self, query: &Query) -> Result<String, QueryError> {
        let filters = Filters::parse(&query.value("filters").unwrap_or_default())?;
        filters.check(&["dangling", "driver", "label", "name", "node"])?;
        let dangling = filters.flag("dangling")?;
        let mut shown = BTreeMap::new();
        for engine in self.validated() {
            let used: BTreeSet<&str> = engine
                .containers()
                .flat_map(|container| container.mounts.iter())
                .map(|mount| mount.name.as_str())
                .collect();
            let wanted = engine.volumes().filter(|volume| {
                filters.contains("name", &volume.name)
                    && filters.exact("driver", &volume.driver)
                    && filters.labels("label", &volume.labels)
                    && filters.exact("node", engine.name())
                    && dangling
                        .is_none_or(|dangling| dangling != used.contains(volume.name.as_str()))
            });
            for volume in wanted {
                let name = shown_name(engine, &volume.name, volume.is_local());
                let text = renamed(&volume.raw, &name);
                shown.entry((name, volume.driver.as_str())).or_insert(text);
            }
        }
        Ok(format!(
            "{{\"Volumes\":{},\"Warnings\":null}}",
            array(shown.into_values())
        ))
    }

    /// The volume called `reference` on each engine that has it, those that answer first. One create makes a volume on every engine, so a name on several of them is no
    /// ambiguity: `<engine>/<name>` means that of one engine.
    ///
    /// # Errors
    /// [`ObjectError`] when none matches.
    pub fn volume_holders(&self, reference: &str) -> Result<Vec<(&Engine, &Volume)>, ObjectError> {
        let mut hits: Vec<_> = self
            .validated()
            .flat_map(|engine| engine.volumes().map(move |volume| (engine, volume)))
            .filter(|(engine, volume)| qualifies(engine, &volume.name, reference))
            .collect();
        hits.sort_by_key(|(engine, volume)| (!engine.is_healthy(), volume.is_local()));
        if hits.is_empty() {
            return Err(ObjectError::not_found("volume", reference));
        }
        Ok(hits)
    }
}
