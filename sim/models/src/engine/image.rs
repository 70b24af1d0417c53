//! Images: names and IDs, fabricated when they are pulled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use swarm_core::rng::Random;
use swarm_core::time::Wall;

use super::clock::rfc3339;

/// One image. The same name has the same ID on every engine, as with a real registry.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// `sha256:` and 64 hex characters.
    pub(super) id: Arc<str>,
    pub(super) tags: BTreeSet<String>,
    /// The repository it was pulled from with its digest.
    pub(super) digests: Vec<String>,
    pub(super) created: Wall,
    /// Bytes.
    pub(super) size: u64,
    pub(super) command: Vec<String>,
    pub(super) entrypoint: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) comment: String,
    pub(super) parent: String,
}

/// An image name taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Repository in its short form, without `docker.io/library/`.
    pub(super) repository: String,
    /// Tag, or digest with its `sha256:`.
    pub(super) version: Version,
}

/// What follows the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Tag(String),
    Digest(String),
}

impl Reference {
    /// Reads a name; `None` if it cannot be one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("docker.io/").unwrap_or(text);
        let text = text.strip_prefix("library/").unwrap_or(text);
        let (repository, version) = if let Some((repository, digest)) = text.split_once('@') {
            let repository = repository
                .rsplit_once(':')
                .map_or(repository, |(name, tag)| {
                    if tag.contains('/') { repository } else { name }
                });
            (repository, Version::Digest(digest.to_owned()))
        } else {
            match text.rsplit_once(':') {
                Some((repository, tag)) if !tag.contains('/') => {
                    (repository, Version::Tag(tag.to_owned()))
                }
                _ => (text, Version::Tag("latest".to_owned())),
            }
        };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c);
        let (Version::Tag(tail) | Version::Digest(tail)) = &version;
        let tail_fits = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        // A colon in the last part of a path would be a second tag; before that it is a registry's port.
        let name = repository.rsplit('/').next().unwrap_or_default();
        let good = !name.is_empty()
            && !name.contains(':')
            && repository.chars().all(fits)
            && !tail.is_empty()
            && tail.chars().all(tail_fits);
        good.then(|| Self {
            repository: repository.to_owned(),
            version,
        })
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Version::Tag(tag) => write!(f, "{}:{tag}", self.repository),
            Version::Digest(digest) => write!(f, "{}@{digest}", self.repository),
        }
    }
}

impl Image {
    /// What a registry would have under `reference`.
    pub(super) fn fabricate(reference: &Reference) -> Self {
        let name = reference.to_string();
        let mut random = Random::new(0).fork(&format!("image/{name}"));
        let id = format!("sha256:{}", random.hex(32));
        let digest = match &reference.version {
            Version::Digest(digest) => digest.clone(),
            Version::Tag(_) => format!("sha256:{}", random.hex(32)),
        };
        let base = reference.repository.rsplit('/').next().unwrap_or_default();
        let command: &[&str] = match base {
            "alpine" | "busybox" => &["sh"],
            "ubuntu" | "debian" | "centos" | "fedora" => &["/bin/bash"],
            "hello-world" => &["/hello"],
            "nginx" => &["nginx", "-g", "daemon off;"],
            other => &[other],
        };
        Self {
            id: id.into(),
            tags: match &reference.version {
                Version::Tag(_) => BTreeSet::from([name]),
                Version::Digest(_) => BTreeSet::new(),
            },
            digests: vec![format!("{}@{digest}", reference.repository)],
            // Some day in 2023: the same on every engine, and older than any container.
            created: Wall(1_690_000_000_000_000_000 + random.below(10_000_000) * 1_000_000_000),
            size: 1_000_000 + random.below(200_000_000),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            entrypoint: Vec::new(),
            labels: BTreeMap::new(),
            comment: String::new(),
            parent: String::new(),
        }
    }

    /// Whether `wanted` is a name, digest or unique ID form of this image.
    pub(super) fn answers_to(&self, wanted: &str) -> bool {
        let hex = self.id.strip_prefix("sha256:").unwrap_or(&self.id);
        let wanted_hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
        let by_id = wanted_hex.len() >= 4
            && hex.starts_with(wanted_hex)
            && wanted_hex.bytes().all(|b| b.is_ascii_hexdigit());
        by_id
            || Reference::parse(wanted).is_some_and(|reference| {
                let name = reference.to_string();
                self.tags.contains(&name) || self.digests.contains(&name)
            })
    }

    /// An entry of `GET /images/json`.
    pub(super) fn summary(&self, containers: i64) -> Value {
        json!({
            "Containers": containers,
            "Created": self.created.seconds(),
            "Id": self.id.as_ref(),
            "Labels": if self.labels.is_empty() { Value::Null } else { json!(self.labels) },
            "ParentId": self.parent,
            "RepoDigests": self.digests,
            "RepoTags": if self.tags.is_empty() && self.digests.is_empty() {
                json!(["<none>:<none>"])
            } else {
                json!(self.tags)
            },
            "SharedSize": -1,
            "Size": self.size,
            "VirtualSize": self.size,
        })
    }

    /// `GET /images/{name}/json`.
    pub(super) fn inspect(&self) -> Value {
        json!({
            "Id": self.id.as_ref(),
            "RepoTags": self.tags,
            "RepoDigests": self.digests,
            "Parent": self.parent,
            "Comment": self.comment,
            "Created": rfc3339(self.created),
            "Container": "",
            "DockerVersion": "20.10.24",
            "Author": "",
            "Config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Cmd": self.command,
                "Entrypoint": if self.entrypoint.is_empty() { Value::Null } else { json!(self.entrypoint) },
                "Image": self.parent,
                "Volumes": null,
                "WorkingDir": "",
                "OnBuild": null,
                "Labels": self.labels,
            },
            "Architecture": "amd64",
            "Os": "linux",
            "Size": self.size,
            "VirtualSize": self.size,
            "GraphDriver": {"Data": null, "Name": "overlay2"},
            "RootFS": {"Type": "layers", "Layers": [self.id.as_ref()]},
            "Metadata": {"LastTagTime": crate::engine::clock::NEVER},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_have_one_form() {
        for (text, form) in [
            ("busybox", "busybox:latest"),
            ("docker.io/library/busybox", "busybox:latest"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("localhost:5000/a/b:1.0", "localhost:5000/a/b:1.0"),
            ("a@sha256:abcd", "a@sha256:abcd"),
            ("a:1@sha256:abcd", "a@sha256:abcd"),
        ] {
            assert_eq!(Reference::parse(text).unwrap().to_string(), form);
        }
        assert_eq!(Reference::parse("Upper"), None);
        assert_eq!(Reference::parse(""), None);
    }

    #[test]
    fn an_image_is_the_same_everywhere_and_answers_to_its_names() {
        let image = Image::fabricate(&Reference::parse("busybox:1").unwrap());
        let again = Image::fabricate(&Reference::parse("docker.io/library/busybox:1").unwrap());
        assert_eq!(image.id, again.id);
        assert_eq!(image.id.len(), 71);
        let short = image.id.get(7..19).unwrap();
        assert!(image.answers_to("busybox:1") && image.answers_to(short));
        assert!(!image.answers_to("busybox") && !image.answers_to("beef1234"));
    }

    #[test]
    fn a_name_with_two_tags_is_refused() {
        assert_eq!(Reference::parse("0::@a"), None);
        assert_eq!(Reference::parse("a:b:c"), None);
        assert!(Reference::parse("registry:5000/a:b").is_some());
    }

    proptest! {
        #[test]
        fn any_name_is_read_or_refused_and_keeps_its_form(text in "[a-z:@/.0-9-]{0,40}") {
            if let Some(reference) = Reference::parse(&text) {
                let form = reference.to_string();
                if let Some(again) = Reference::parse(&form) {
                    prop_assert_eq!(again.to_string(), form);
                }
            }
        }
    }
}
