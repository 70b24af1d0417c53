//! The files of a container: what was copied in, over an image that has only the usual directories.

use std::collections::BTreeMap;

use bytes::Bytes;
use swarm_core::time::Wall;

use super::refusal::{Answer, Refusal};
use super::tar::{Entry, clean};

/// Copied-in data a container may hold.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What every image has.
const DIRECTORIES: [&str; 14] = [
    "", "bin", "dev", "etc", "home", "opt", "proc", "root", "run", "sys", "tmp", "usr", "var",
    "var/log",
];
const FILES: [(&str, &str); 3] = [
    ("etc/hosts", "127.0.0.1\tlocalhost\n"),
    ("etc/os-release", "NAME=\"swarm model\"\nID=model\n"),
    ("etc/resolv.conf", "nameserver 127.0.0.11\n"),
];

/// Files and directories that differ from the image, by path without leading slash.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    changed: BTreeMap<String, Entry>,
    bytes: usize,
}

impl Files {
    /// The content of a file.
    pub(super) fn content(&self, path: &str) -> Option<Bytes> {
        let entry = self.find(path)?;
        (!entry.directory).then_some(entry.data)
    }

    /// A file or directory by its absolute path.
    pub(super) fn find(&self, path: &str) -> Option<Entry> {
        let path = clean(path)?;
        if let Some(entry) = self.changed.get(&path) {
            return Some(entry.clone());
        }
        base().find(|entry| entry.path == path)
    }

    /// A file, or a directory with everything below, with paths relative to its parent.
    pub(super) fn tree(&self, path: &str) -> Option<Vec<Entry>> {
        let root = self.find(path)?;
        let strip = root.path.rfind('/').map_or(0, |slash| slash + 1);
        let below = format!("{}/", root.path);
        let inside = |entry: &Entry| root.path.is_empty() || entry.path.starts_with(&below);
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for entry in base().chain(self.changed.values().cloned()) {
            if entry.path == root.path || inside(&entry) {
                entries.insert(entry.path.clone(), entry);
            }
        }
        let relative = entries.into_values().map(|mut entry| {
            entry.path = entry.path.get(strip..).unwrap_or_default().to_owned();
            entry
        });
        Some(relative.filter(|entry| !entry.path.is_empty()).collect())
    }

    /// Unpacks `entries` below the directory `path`.
    pub(super) fn unpack(&mut self, path: &str, entries: Vec<Entry>) -> Answer<()> {
        let target = self
            .find(path)
            .ok_or_else(|| Refusal::missing(format!("Could not find the file {path}")))?;
        if !target.directory {
            return Err(Refusal::bad(format!(
                "extraction point is not a directory: {path}"
            )));
        }
        let added: usize = entries.iter().map(|entry| entry.data.len()).sum();
        if self.bytes.saturating_add(added) > MAX_BYTES {
            return Err(Refusal::failed("no space left on device"));
        }
        for mut entry in entries {
            if !target.path.is_empty() {
                entry.path = format!("{}/{}", target.path, entry.path);
            }
            let path = entry.path.trim_end_matches('/').to_owned();
            if entry.directory && self.find(&path).is_some() {
                continue;
            }
            entry.path.clone_from(&path);
            // The body arrived as one buffer; keeping a slice would keep all of it.
            entry.data = Bytes::copy_from_slice(&entry.data);
            self.bytes += entry.data.len();
            if let Some(old) = self.changed.insert(path, entry) {
                self.bytes -= old.data.len();
            }
        }
        Ok(())
    }

    /// Bytes copied in.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The changed paths with Docker's kind: 0 modified, 1 added.
    pub(super) fn changes(&self) -> Vec<(String, u8)> {
        let mut changes = BTreeMap::new();
        for path in self.changed.keys() {
            let known = base().any(|entry| entry.path == *path);
            changes.insert(format!("/{path}"), u8::from(!known));
            let parents = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
            for parent in parents.filter(|parent| !self.changed.contains_key(*parent)) {
                changes.insert(format!("/{parent}"), 0);
            }
        }
        changes.into_iter().collect()
    }
}

fn base() -> impl Iterator<Item = Entry> {
    let entry = |path: &str, directory, mode, data: &'static str| Entry {
        path: path.to_owned(),
        directory,
        mode,
        modified: Wall(0),
        data: Bytes::from_static(data.as_bytes()),
    };
    let directories = DIRECTORIES
        .iter()
        .map(move |path| entry(path, true, 0o755, ""));
    directories.chain(
        FILES
            .iter()
            .map(move |(path, data)| entry(path, false, 0o644, data)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, data: &'static str) -> Entry {
        Entry {
            path: path.to_owned(),
            directory: false,
            mode: 0o644,
            modified: Wall(0),
            data: Bytes::from_static(data.as_bytes()),
        }
    }

    #[test]
    fn what_is_unpacked_can_be_read_listed_and_shows_as_a_change() {
        let mut files = Files::default();
        files.unpack("/tmp", vec![file("a.txt", "hi")]).unwrap();
        assert_eq!(files.content("/tmp/a.txt").unwrap(), "hi");
        let paths: Vec<String> = files
            .tree("/tmp")
            .unwrap()
            .into_iter()
            .map(|e| e.path)
            .collect();
        assert_eq!(paths, ["tmp", "tmp/a.txt"]);
        assert_eq!(
            files.changes(),
            [("/tmp".to_owned(), 0), ("/tmp/a.txt".to_owned(), 1)]
        );
    }

    #[test]
    fn a_missing_or_plain_target_is_refused() {
        let mut files = Files::default();
        assert_eq!(files.unpack("/none", Vec::new()).unwrap_err().status, 404);
        assert_eq!(
            files.unpack("/etc/hosts", Vec::new()).unwrap_err().status,
            400
        );
    }
}
