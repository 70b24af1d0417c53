//! Volumes and what containers mount.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use swarm_core::time::Wall;

/// A named or anonymous volume.
#[derive(Clone, Debug)]
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) driver: String,
    pub(super) created: Wall,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) options: Option<BTreeMap<String, String>>,
    /// Created for one container and removed with it on `rm -v`.
    pub(super) anonymous: bool,
}

/// A mount of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) kind: MountKind,
    pub(super) destination: String,
    pub(super) mode: String,
    pub(super) writable: bool,
}

/// Where a mount's content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MountKind {
    /// A path of the host.
    Bind(String),
    /// A volume by name; `None` for an anonymous one that has none yet.
    Volume(Option<String>),
    /// Memory.
    Tmpfs,
}

impl Volume {
    /// `GET /volumes/{name}`.
    pub(super) fn inspect(&self) -> Value {
        json!({
            "CreatedAt": self.created.rfc3339(),
            "Driver": self.driver,
            "Labels": self.labels,
            "Mountpoint": mount_point(&self.name),
            "Name": self.name,
            "Options": self.options,
            "Scope": "local",
        })
    }
}

impl Mount {
    /// Reads `source:/destination[:mode]` or `/destination`, the form of `HostConfig.Binds`.
    pub(super) fn parse_bind(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, destination, mode) = match parts.as_slice() {
            [destination] => ("", *destination, ""),
            [source, destination] => (*source, *destination, ""),
            [source, destination, mode] => (*source, *destination, *mode),
            _ => return None,
        };
        if !destination.starts_with('/') {
            return None;
        }
        let kind = match source {
            "" => MountKind::Volume(None),
            path if path.starts_with('/') => MountKind::Bind(path.to_owned()),
            name => MountKind::Volume(Some(name.to_owned())),
        };
        Some(Self {
            kind,
            destination: destination.to_owned(),
            mode: mode.to_owned(),
            writable: !mode.split(',').any(|word| word == "ro"),
        })
    }

    /// The volume, if it is one and has its name.
    pub(super) fn volume(&self) -> Option<&str> {
        match &self.kind {
            MountKind::Volume(name) => name.as_deref(),
            MountKind::Bind(_) | MountKind::Tmpfs => None,
        }
    }

    /// An entry of `Mounts`.
    pub(super) fn inspect(&self) -> Value {
        let (kind, source) = match &self.kind {
            MountKind::Bind(path) => ("bind", path.clone()),
            MountKind::Volume(name) => ("volume", mount_point(name.as_deref().unwrap_or_default())),
            MountKind::Tmpfs => ("tmpfs", String::new()),
        };
        let mut mount = json!({
            "Type": kind,
            "Source": source,
            "Destination": self.destination,
            "Mode": self.mode,
            "RW": self.writable,
            "Propagation": if kind == "bind" { "rprivate" } else { "" },
        });
        if let (Some(name), Some(mount)) = (self.volume(), mount.as_object_mut()) {
            mount.insert("Name".into(), name.into());
            mount.insert("Driver".into(), "local".into());
        }
        mount
    }
}

fn mount_point(name: &str) -> String {
    format!("/var/lib/docker/volumes/{name}/_data")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn binds_name_volumes_or_paths() {
        let volume = Mount::parse_bind("data:/data:ro").unwrap();
        assert_eq!((volume.volume(), volume.writable), (Some("data"), false));
        let bind = Mount::parse_bind("/srv:/data").unwrap();
        assert_eq!(bind.kind, MountKind::Bind("/srv".to_owned()));
        assert_eq!(Mount::parse_bind("a:b"), None);
    }

    proptest! {
        #[test]
        fn any_bind_is_read_or_refused(text in "\\PC{0,30}") {
            let _ = Mount::parse_bind(&text);
        }
    }
}
