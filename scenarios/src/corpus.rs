//! Minimised plans of former failures. Each is run again and again: what was mended stays mended.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use swarm_sim::plan::{PLAN_VERSION, Plan};
use swarm_sim::trace::RunHash;

use crate::scenario::{ScenarioError, known_version};

/// A plan that once broke a promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusEntry {
    /// The minimised plan.
    pub plan: Plan,
    /// Where the failure was found.
    pub found: Found,
    /// The commit that mended it; empty as long as nobody has.
    pub fixed: String,
    /// What went wrong, in a sentence or two.
    pub why: String,
}

/// Where a failure was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// At which commit.
    pub commit: String,
    /// By which seed, before it was minimised.
    pub seed: u64,
}

/// Why a folder is not a corpus.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file or the folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not an entry.
    #[error("{path}: {source}")]
    Entry {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ScenarioError,
    },
}

impl CorpusEntry {
    /// Reads an entry.
    ///
    /// # Errors
    /// When `text` is no entry, its plan is of another version than this program runs, or cannot be run.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let entry: Self = serde_json::from_str(text)?;
        known_version("plan", entry.plan.version, PLAN_VERSION)?;
        entry.plan.check()?;
        Ok(entry)
    }

    /// What the file of an entry that broke `signature` is called.
    #[must_use]
    pub fn file_name(&self, signature: &str) -> String {
        let hash = RunHash::of_text(&self.plan.to_json()).to_string();
        format!("{signature}-{}.json", hash.get(..8).unwrap_or_default())
    }

    /// The text [`CorpusEntry::parse`] reads.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain numbers and strings: serialising cannot fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// The corpus of this repository, if the program runs where it was built.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Reads every entry in `folder`, by file name, in order. Nothing in there is passed over but `README.md`.
///
/// # Errors
/// The first file that is not an entry.
pub fn load(folder: &Path) -> Result<Vec<(String, CorpusEntry)>, CorpusError> {
    let read = |path: &Path, source| CorpusError::Read {
        path: path.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for file in std::fs::read_dir(folder).map_err(|error| read(folder, error))? {
        paths.push(file.map_err(|error| read(folder, error))?.path());
    }
    paths.sort();
    let mut entries = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| read(&path, error))?;
        let entry =
            CorpusEntry::parse(&text).map_err(|source| CorpusError::Entry { path, source })?;
        entries.push((name, entry));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> CorpusEntry {
        CorpusEntry {
            plan: Plan::default(),
            found: Found {
                commit: "0123abc".into(),
                seed: u64::MAX,
            },
            fixed: String::new(),
            why: "Something went wrong.".into(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(CorpusEntry::parse(&entry().to_json()).unwrap(), entry());
    }

    #[test]
    fn unknown_versions_and_fields_fail() {
        for version in [0, PLAN_VERSION + 1] {
            let mut odd = entry();
            odd.plan.version = version;
            assert!(CorpusEntry::parse(&odd.to_json()).is_err(), "{version}");
        }
        let odd = entry().to_json().replace("\"why\"", "\"because\"");
        assert!(CorpusEntry::parse(&odd).is_err());
    }

    #[test]
    fn a_file_that_is_no_entry_fails_the_whole_corpus() {
        let folder = std::env::temp_dir().join(format!("swarm-corpus-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("README.md"), "text").unwrap();
        std::fs::write(folder.join("b.json"), entry().to_json()).unwrap();
        std::fs::write(folder.join("a.json"), entry().to_json()).unwrap();
        let names: Vec<String> = load(&folder)
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["a.json", "b.json"]);
        std::fs::write(folder.join("c.txt"), "{}").unwrap();
        let error = load(&folder).unwrap_err().to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains("c.txt"), "{error}");
    }
}
