//! The tables of defects and threats name guards that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

#[test]
fn every_defect_of_classic_swarm_has_a_guard_that_exists() -> Result<()> {
    let rows = rows("DEFECTS.md")?;
    for (letter, last) in [("A", 23), ("S", 17), ("E", 20)] {
        for number in 1..=last {
            let row = format!("{letter}{number}");
            ensure!(rows.contains(&row), "{row} has no guard");
        }
    }
    Ok(())
}

#[test]
fn every_threat_has_a_guard_that_exists() -> Result<()> {
    let rows = rows("THREATS.md")?;
    ensure!(rows.len() > 10, "the table was not read: {rows:?}");
    Ok(())
}

/// The names of the rows of a table, each of whose guards exists.
fn rows(table: &str) -> Result<BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace")?;
    let text = fs::read_to_string(root.join(table))?;
    let mut rows = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, row, _, guard, _] = cells.as_slice() else {
            anyhow::bail!("not a row: {line}");
        };
        rows.insert((*row).to_owned());
        for named in guard.split('`').filter(|text| text.contains(".rs::")) {
            let (file, test) = named.split_once("::").context("a test")?;
            let code = fs::read_to_string(root.join(file)).with_context(|| named.to_owned())?;
            ensure!(code.contains(&format!("fn {test}(")), "{named} is gone");
        }
    }
    Ok(rows)
}
