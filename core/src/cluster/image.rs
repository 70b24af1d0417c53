//! Images: what is known of one on an engine, and those of all engines (spec/classic.md section 7.4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regex::Regex;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::filters::{Filters, QueryError};
use super::objects::array;
use super::{Cluster, Engine};
use crate::api::{ApiVersion, Query};
use crate::json::{self, JsonError, RawObject};

/// An image record of one engine.
#[derive(Clone, Debug)]
pub struct Image {
    /// ID with its algorithm, for instance `sha256:…`.
    pub id: String,
    /// ID of the parent; empty if unknown.
    pub parent: String,
    /// For instance `alpine:3.20`; never `<none>:<none>`.
    pub tags: Vec<String>,
    /// For instance `alpine@sha256:…`; never `<none>@<none>`.
    pub digests: Vec<String>,
    /// Seconds since 1970.
    pub created: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    pub(super) raw: Box<RawValue>,
}

/// Images that many engines have, each kept once: the record of one is much the same everywhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    /// By ID the record read last.
    known: BTreeMap<String, Arc<Image>>,
    /// When there are as many, those that no engine has any more are dropped.
    sweep_at: usize,
}

const SWEEP_MIN: usize = 1024;

impl Images {
    /// The record that others have too, if it is the same.
    pub(super) fn share(&mut self, image: Image) -> Arc<Image> {
        let known = self.known.get(&image.id);
        if let Some(known) = known.filter(|known| known.raw.get() == image.raw.get()) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, image| Arc::strong_count(image) > 1);
            self.sweep_at = (self.known.len() * 2).max(SWEEP_MIN);
        }
        let image = Arc::new(image);
        self.known.insert(image.id.clone(), Arc::clone(&image));
        image
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    parent_id: String,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    created: i64,
    labels: Option<BTreeMap<String, String>>,
}

impl Image {
    /// Reads an engine's answer to `GET /images/json?all=1`.
    ///
    /// # Errors
    /// When it is not a list of images.
    pub fn parse_list(list: &[u8]) -> Result<Vec<Self>, JsonError> {
        let raws: Option<Vec<Box<RawValue>>> = serde_json::from_slice(list)?;
        raws.unwrap_or_default()
            .into_iter()
            .map(Self::from_raw)
            .collect()
    }

    fn from_raw(raw: Box<RawValue>) -> Result<Self, JsonError> {
        let listed: Listed = serde_json::from_str(raw.get())?;
        let real = |names: Option<Vec<String>>| {
            let mut names = names.unwrap_or_default();
            names.retain(|name| !name.starts_with("<none>"));
            names
        };
        Ok(Self {
            id: listed.id,
            parent: listed.parent_id,
            tags: real(listed.repo_tags),
            digests: real(listed.repo_digests),
            created: listed.created,
            labels: listed.labels.unwrap_or_default(),
            raw,
        })
    }

    /// Whether neither tag nor digest names it.
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.tags.is_empty() && self.digests.is_empty()
    }

    /// Whether `reference` means this image: by ID or its prefix of at least three characters, by tag, by digest, or,
    /// if it has neither tag nor digest, by repository with any tag (spec/classic.md section 7.4).
    #[must_use]
    pub fn matches(&self, reference: &str) -> bool {
        self.matches_id(reference) || self.matches_name(reference)
    }

    /// Whether `reference` is the ID or a prefix of it.
    #[must_use]
    pub fn matches_id(&self, reference: &str) -> bool {
        let hex = self
            .id
            .split_once(':')
            .map_or(self.id.as_str(), |(_, hex)| hex);
        self.id == reference
            || hex == reference
            || (reference.len() > 2
                && (hex.starts_with(reference)
                    || (reference.contains(':') && self.id.starts_with(reference))))
    }

    fn matches_name(&self, reference: &str) -> bool {
        let wanted = Reference::parse(reference);
        let hit = |name: &String| {
            let own = Reference::parse(name);
            own.repository() == wanted.repository()
                && (wanted.suffix.is_none() || wanted.suffix == own.suffix)
        };
        self.tags.iter().any(hit) || self.digests.iter().any(hit)
    }
}

/// A reference to an image, split at its tag or digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Registry and repository as written.
    pub name: &'a str,
    /// The digest after `@`, else the tag after `:`.
    pub suffix: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Splits at the first `@`, else at the last `:` that no `/` follows.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        if let Some((name, digest)) = text.split_once('@') {
            return Self {
                name,
                suffix: Some(digest),
            };
        }
        match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => Self {
                name,
                suffix: Some(tag),
            },
            Some(_) | None => Self {
                name: text,
                suffix: None,
            },
        }
    }

    /// The repository in the short form engines use in lists: without the default registry.
    #[must_use]
    pub fn repository(&self) -> &'a str {
        let rest = self
            .name
            .strip_prefix("docker.io/")
            .or_else(|| self.name.strip_prefix("index.docker.io/"))
            .unwrap_or(self.name);
        rest.strip_prefix("library/").unwrap_or(rest)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn image() -> Image {
        let list = r#"[{"Id":"sha256:abcdef0123","ParentId":"","RepoTags":["name:latest","reg:5000/a/b:1"],
            "RepoDigests":["name@sha256:ffff","<none>@<none>"],"Created":5,"Labels":null}]"#;
        Image::parse_list(list.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn images_are_matched_like_classic_swarm_does() {
        // spec/classic.md appendix B 18
        let image = image();
        for (reference, hit) in [
            ("sha256:abcdef0123", true),
            ("abcdef0123", true),
            ("abc", true),
            ("sha256:abc", true),
            ("ab", false),
            ("name", true),
            ("name:latest", true),
            ("docker.io/library/name", true),
            ("nam", false),
            ("name:other", false),
            ("name@sha256:ffff", true),
            ("name@sha256:fff", false),
            ("reg:5000/a/b", true),
            ("reg:5000/a/b:1", true),
            ("reg:5000/a/b:2", false),
        ] {
            assert_eq!(image.matches(reference), hit, "{reference}");
        }
        assert_eq!(image.digests.len(), 1);
    }

    #[test]
    fn images_are_kept_once_and_no_longer_than_an_engine_has_them() {
        let mut images = Images::default();
        let one = images.share(image());
        assert!(Arc::ptr_eq(&one, &images.share(image())));
        let other = r#"[{"Id":"sha256:abcdef0123","RepoTags":["another:name"]}]"#;
        let other = Image::parse_list(other.as_bytes()).unwrap().remove(0);
        let other = images.share(other);
        assert_eq!(other.tags, ["another:name"]);
        for number in 0..10 * SWEEP_MIN {
            let mut image = image();
            image.id = number.to_string();
            images.share(image);
        }
        assert!(images.known.len() <= SWEEP_MIN + 1);
        assert!(images.known.contains_key(&*other.id));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _ = Reference::parse(&text).repository();
            let _ = Image::parse_list(text.as_bytes());
            let _ = image().matches(&text);
        }
    }
}
