//! Images, networks and volumes of all engines: lists and lookup (spec/classic.md sections 7.1 to 7.4).

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::filters::{Filters, QueryError};
use super::image::{Image, Reference};
use super::network::Network;
use super::volume::Volume;
use super::{Cluster, Engine};
use crate::api::{ApiVersion, Query};
use crate::json::{self, JsonError, RawObject};

/// Up to this version the query `filter` of the image list is a `reference` filter.
const LEGACY_FILTER: ApiVersion = ApiVersion::new(1, 28);

/// One image of the cluster: records of several engines with the same ID.
struct Merged<'a> {
    first: &'a Image,
    tags: BTreeSet<&'a str>,
    digests: BTreeSet<&'a str>,
}

impl Cluster {
    /// The answer to `GET /images/json`.
    ///
    /// # Errors
    /// [`QueryError`] for unusable filters.
    pub fn list_images(
        &self,
        query: &Query,
        version: Option<ApiVersion>,
    ) -> Result<String, QueryError> {
        let filters = Filters::parse(&query.value("filters").unwrap_or_default())?;
        filters.check(&["before", "dangling", "label", "node", "reference", "since"])?;
        let dangling = filters.flag("dangling")?;
        let all = query.flag("all") || dangling.is_some();
        let mut references = globs(filters.values("reference"))?;
        if version.is_none_or(|version| version < LEGACY_FILTER) {
            let legacy = query.value("filter").filter(|text| !text.is_empty());
            references.extend(globs(legacy.iter().map(String::as_str))?);
        }
        let before = self.created_bounds(&filters, "before")?;
        let since = self.created_bounds(&filters, "since")?;
        let mut merged: BTreeMap<&str, Merged<'_>> = BTreeMap::new();
        for engine in self.validated() {
            if filters.has("node")
                && !filters.exact("node", engine.name())
                && !filters.exact("node", engine.id())
            {
                continue;
            }
            let wanted = engine.images().filter(|image| {
                (all || !image.is_nameless())
                    && dangling.is_none_or(|dangling| dangling == image.is_nameless())
                    && filters.labels("label", &image.labels)
                    && before.iter().all(|bound| image.created < *bound)
                    && since.iter().all(|bound| image.created > *bound)
                    && (references.is_empty() || named_like(image, &references))
            });
            for image in wanted {
                let one = merged.entry(&image.id).or_insert_with(|| Merged {
                    first: image,
                    tags: BTreeSet::new(),
                    digests: BTreeSet::new(),
                });
                one.tags.extend(image.tags.iter().map(String::as_str));
                one.digests.extend(image.digests.iter().map(String::as_str));
            }
        }
        let mut images: Vec<_> = merged.into_values().collect();
        images.sort_by_key(|image| (std::cmp::Reverse(image.first.created), &image.first.id));
        Ok(array(images.iter().map(Merged::to_json)))
    }

    fn created_bounds(&self, filters: &Filters, key: &str) -> Result<Vec<i64>, QueryError> {
        let created = |reference: &str| {
            self.validated()
                .flat_map(Engine::images)
                .find(|image| image.matches(reference))
                .map(|image| image.created)
                .ok_or_else(|| QueryError::Image {
                    key: key.to_owned(),
                    value: reference.to_owned(),
                })
        };
        filters.values(key).map(created).collect()
    }

    /// The engines that have an image, healthy ones first; a name without tag or digest means `:latest`, if some
    /// engine has that, else any tag.
    #[must_use]
    pub fn image_holders(&self, reference: &str) -> Vec<&Engine> {
        let holders = |reference: &str| -> Vec<&Engine> {
            self.validated()
                .filter(|engine| engine.images().any(|image| image.matches(reference)))
                .collect()
        };
        let mut found = Vec::new();
        if Reference::parse(reference).suffix.is_none() {
            found = holders(&format!("{reference}:latest"));
        }
        if found.is_empty() {
            found = holders(reference);
        }
        found.sort_by_key(|engine| !engine.is_healthy());
        found
    }

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
                .flat_map(|container| &container.networks)
                .any(|used| used.id == network.id)
    }

    /// The network called `reference`, on an engine that answers if there is one: by ID, by name, by
    /// `<engine>/<name>`, or by an unambiguous prefix of its ID; the first of these that matches anything decides.
    ///
    /// # Errors
    /// [`ObjectError`] when none or several match.
    pub fn network(&self, reference: &str) -> Result<(&Engine, &Network), ObjectError> {
        let short = |id: &str| {
            id == reference || (reference.len() == super::SHORT_ID && id.starts_with(reference))
        };
        let prefix = |id: &str| !reference.is_empty() && id.starts_with(reference);
        let mut hits = self.networks_like(|_, network| short(&network.id));
        if hits.is_empty() {
            hits =
                self.networks_like(|engine, network| qualifies(engine, &network.name, reference));
        }
        if hits.is_empty() {
            hits = self.networks_like(|_, network| prefix(&network.id));
        }
        let ids: BTreeSet<_> = hits.iter().map(|(_, network)| &network.id).collect();
        if ids.len() > 1 {
            let names = hits
                .iter()
                .map(|(engine, network)| (*engine, network.name.as_str()));
            return Err(ObjectError::ambiguous("network", reference, names));
        }
        hits.sort_by_key(|(engine, _)| !engine.is_healthy());
        let hit = hits.first().copied();
        hit.ok_or_else(|| ObjectError::not_found("network", reference))
    }

    fn networks_like(&self, hit: impl Fn(&Engine, &Network) -> bool) -> Vec<(&Engine, &Network)> {
        self.validated()
            .flat_map(|engine| engine.networks().map(move |network| (engine, network)))
            .filter(|(engine, network)| hit(engine, network))
            .collect()
    }

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
                .flat_map(|container| &container.mounts)
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

    /// The volume called `reference`, on an engine that answers if there is one. A volume of a driver other than
    /// `local` is the same on every engine; a local one on several engines needs `<engine>/<name>`.
    ///
    /// # Errors
    /// [`ObjectError`] when none or several match.
    pub fn volume(&self, reference: &str) -> Result<(&Engine, &Volume), ObjectError> {
        let mut hits: Vec<_> = self
            .validated()
            .flat_map(|engine| engine.volumes().map(move |volume| (engine, volume)))
            .filter(|(engine, volume)| qualifies(engine, &volume.name, reference))
            .collect();
        if hits.len() > 1 && hits.iter().all(|(_, volume)| volume.is_local()) {
            let names = hits
                .iter()
                .map(|(engine, volume)| (*engine, volume.name.as_str()));
            return Err(ObjectError::ambiguous("volume", reference, names));
        }
        hits.sort_by_key(|(engine, volume)| (volume.is_local(), !engine.is_healthy()));
        let hit = hits.first().copied();
        hit.ok_or_else(|| ObjectError::not_found("volume", reference))
    }
}

/// Why a reference does not lead to one network or volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Nothing matches.
    #[error("No such {kind}: {reference}")]
    NotFound {
        /// `network` or `volume`.
        kind: &'static str,
        /// What was asked for.
        reference: String,
    },
    /// Several match.
    #[error("several engines have a {kind} {reference}: write one of {}", candidates.join(", "))]
    Ambiguous {
        /// `network` or `volume`.
        kind: &'static str,
        /// What was asked for.
        reference: String,
        /// `<engine>/<name>` of each, at most ten.
        candidates: Vec<String>,
    },
}

/// How many candidates an error names.
const CANDIDATES_MAX: usize = 10;

impl ObjectError {
    fn not_found(kind: &'static str, reference: &str) -> Self {
        let reference = reference.to_owned();
        Self::NotFound { kind, reference }
    }

    fn ambiguous<'a>(
        kind: &'static str,
        reference: &str,
        places: impl Iterator<Item = (&'a Engine, &'a str)>,
    ) -> Self {
        Self::Ambiguous {
            kind,
            reference: reference.to_owned(),
            candidates: places
                .take(CANDIDATES_MAX)
                .map(|(engine, name)| format!("{}/{name}", engine.name()))
                .collect(),
        }
    }
}

/// Whether `reference` is `name`, `/name` or `<engine>/<name>`.
fn qualifies(engine: &Engine, name: &str, reference: &str) -> bool {
    let bare = super::bare(reference);
    bare == name
        || bare.split_once('/').is_some_and(|(node, rest)| {
            rest == name && (node == engine.name() || node == engine.id())
        })
}

fn shown_name(engine: &Engine, name: &str, local: bool) -> String {
    if local {
        format!("{}/{name}", engine.name())
    } else {
        name.to_owned()
    }
}

fn renamed(raw: &serde_json::value::RawValue, name: &str) -> String {
    let change = || -> Result<String, JsonError> {
        let mut object = RawObject::parse(raw.get().as_bytes())?;
        object.set("Name", json::raw(&name)?);
        Ok(object.to_json())
    };
    // The record was read as an object before; were that to fail now, the record as it came is still right.
    change().unwrap_or_else(|_| raw.get().to_owned())
}

impl Merged<'_> {
    fn to_json(&self) -> String {
        let change = || -> Result<String, JsonError> {
            let mut object = RawObject::parse(self.first.raw.get().as_bytes())?;
            if !self.tags.is_empty() {
                object.set("RepoTags", json::raw(&self.tags)?);
            }
            if !self.digests.is_empty() {
                object.set("RepoDigests", json::raw(&self.digests)?);
            }
            Ok(object.to_json())
        };
        change().unwrap_or_else(|_| self.first.raw.get().to_owned())
    }
}

fn array(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    format!("[{}]", items.join(","))
}

/// Shell patterns as regular expressions; `*` and `?` do not match `/`.
fn globs<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<Vec<Regex>, QueryError> {
    patterns
        .map(|pattern| {
            let mut text = String::from("^");
            for c in pattern.chars() {
                match c {
                    '*' => text.push_str("[^/]*"),
                    '?' => text.push_str("[^/]"),
                    '[' | ']' | '-' => text.push(c),
                    other => text.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
                }
            }
            text.push('$');
            Regex::new(&text).map_err(|_| QueryError::Value {
                key: "reference".to_owned(),
                value: pattern.to_owned(),
            })
        })
        .collect()
}

fn named_like(image: &Image, patterns: &[Regex]) -> bool {
    image.tags.iter().chain(&image.digests).any(|name| {
        let repository = Reference::parse(name).name;
        patterns
            .iter()
            .any(|pattern| pattern.is_match(name) || pattern.is_match(repository))
    })
}
