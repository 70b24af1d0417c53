//! Replays the corpora of the fuzz targets, finds of the past among them, without a fuzzer.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use swarm_sim::fuzzing::TARGETS;

/// A seed is read by people and replayed on every change.
const SEED_BYTES_MAX: usize = 4 * 1024;
const SEEDS_MAX: usize = 250;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The names in a folder, without what starts with a dot.
fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

fn targets() -> BTreeSet<String> {
    TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect()
}

#[test]
fn programs_corpora_and_harnesses_go_by_the_same_names() {
    let targets = targets();
    assert_eq!(targets.len(), TARGETS.len(), "a name is there twice");
    let programs: BTreeSet<String> = names(&fuzz().join("fuzz_targets"))
        .into_iter()
        .map(|file| file.strip_suffix(".rs").unwrap().to_owned())
        .collect();
    assert_eq!(programs, targets);
    assert_eq!(names(&fuzz().join("corpus")), targets);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let declared: BTreeSet<String> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"))
        .map(|rest| rest.strip_suffix(".rs\"").unwrap().to_owned())
        .collect();
    assert_eq!(declared, targets);
    for name in &targets {
        let path = fuzz().join("fuzz_targets").join(format!("{name}.rs"));
        let program = fs::read_to_string(path).unwrap();
        let calls = format!("swarm_sim::fuzzing::{name}(bytes)");
        assert!(program.contains(&calls), "{name} runs another harness");
    }
}

#[test]
fn every_seed_of_every_corpus_passes() {
    let mut failed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for target in TARGETS {
        let folder = fuzz().join("corpus").join(target.name);
        let seeds = names(&folder);
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        assert!(seeds.len() <= SEEDS_MAX, "{}: minimise it", target.name);
        for seed in seeds {
            let bytes = fs::read(folder.join(&seed)).unwrap();
            assert!(bytes.len() <= SEED_BYTES_MAX, "{}/{seed}", target.name);
            if catch_unwind(|| (target.run)(&bytes)).is_err() {
                failed.entry(target.name.to_owned()).or_default().push(seed);
            }
        }
    }
    assert!(failed.is_empty(), "these seeds fail: {failed:#?}");
}
