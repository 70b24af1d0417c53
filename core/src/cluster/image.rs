//! What is known of one image of an engine.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::JsonError;

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

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _ = Reference::parse(&text).repository();
            let _ = Image::parse_list(text.as_bytes());
            let _ = image().matches(&text);
        }
    }
}
