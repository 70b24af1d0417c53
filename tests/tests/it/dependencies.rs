//! Dependencies point one way, and the simulator never ships.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

#[test]
fn core_reaches_no_io() -> Result<()> {
    let graph = Graph::of_workspace()?;
    for forbidden in ["tokio", "hyper", "turmoil"] {
        let path = graph.path("swarm-core", forbidden);
        ensure!(
            path.is_none(),
            "swarm-core reaches {forbidden}: {}",
            path.unwrap_or_default().join(" -> ")
        );
    }
    Ok(())
}

#[test]
fn the_released_binary_reaches_no_simulator() -> Result<()> {
    let graph = Graph::of_workspace()?;
    let path = graph.path("swarm", "turmoil");
    ensure!(
        path.is_none(),
        "swarm reaches turmoil: {}",
        path.unwrap_or_default().join(" -> ")
    );
    Ok(())
}

#[test]
fn the_released_binary_has_no_planted_bugs() -> Result<()> {
    const FEATURE: &str = "swarm-core feature \"testbed\"";
    let released = features_of("swarm")?;
    ensure!(!released.contains(FEATURE), "swarm is built with {FEATURE}");
    // Otherwise the name of the feature has changed, and the check above says nothing.
    let simulated = features_of("swarm-sim")?;
    ensure!(simulated.contains(FEATURE), "swarm-sim lacks {FEATURE}");
    Ok(())
}

/// What `package` is built with, when it alone is asked for.
fn features_of(package: &str) -> Result<String> {
    let arguments = [
        "tree",
        "--locked",
        "-e",
        "features,no-dev",
        "--prefix",
        "none",
        "-p",
        package,
    ];
    cargo(&arguments)
}

/// Guards the first two tests: a graph without edges would pass them all.
#[test]
fn the_graph_knows_what_the_runtime_is_made_of() -> Result<()> {
    let graph = Graph::of_workspace()?;
    for expected in ["tokio", "hyper", "swarm-core", "swarm-models"] {
        ensure!(
            graph.path("swarm", expected).is_some(),
            "no path from swarm to {expected}"
        );
    }
    let path = graph.path("swarm", "swarm-tests");
    ensure!(
        path.is_none(),
        "a dev-dependency counted as a normal one: {path:?}"
    );
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("running cargo")?;
    ensure!(
        output.status.success(),
        "cargo {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Who needs whom to be built, with all features: normal and build dependencies, not those of tests.
struct Graph {
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn of_workspace() -> Result<Self> {
        let arguments = [
            "metadata",
            "--format-version=1",
            "--locked",
            "--all-features",
        ];
        let metadata: Value = serde_json::from_str(&cargo(&arguments)?)?;
        let names = array(&metadata, "packages")
            .iter()
            .filter_map(|package| Some((text(package, "id")?, text(package, "name")?)))
            .collect();
        let resolve = metadata
            .get("resolve")
            .context("metadata without a resolved graph")?;
        let edges = array(resolve, "nodes")
            .iter()
            .filter_map(|node| Some((text(node, "id")?, built_with(node))))
            .collect();
        Ok(Self { names, edges })
    }

    /// The names along a way from package `from` to package `to`, if there is one.
    fn path(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let (start, _) = self.names.iter().find(|(_, name)| *name == from)?;
        let mut seen = BTreeSet::from([start]);
        let mut ways = vec![vec![start]];
        while let Some(way) = ways.pop() {
            let last = way.last()?;
            if way.len() > 1 && self.names.get(*last).is_some_and(|name| name == to) {
                return Some(
                    way.iter()
                        .filter_map(|id| self.names.get(*id))
                        .cloned()
                        .collect(),
                );
            }
            for next in self.edges.get(*last).into_iter().flatten() {
                if seen.insert(next) {
                    ways.push(way.iter().copied().chain([next]).collect());
                }
            }
        }
        None
    }
}

fn built_with(node: &Value) -> Vec<String> {
    let is_built = |dependency: &&Value| {
        array(dependency, "dep_kinds")
            .iter()
            .any(|kind| text(kind, "kind").as_deref() != Some("dev"))
    };
    array(node, "deps")
        .iter()
        .filter(is_built)
        .filter_map(|dependency| text(dependency, "pkg"))
        .collect()
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}
