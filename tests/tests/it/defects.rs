//! The table of classic Swarm's defects names guards that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

#[test]
fn every_row_has_a_guard_and_every_guard_exists() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace")?;
    let table = fs::read_to_string(root.join("DEFECTS.md"))?;
    let mut rows = BTreeSet::new();
    for line in table.lines().filter(|line| line.starts_with("| ")) {
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
    for (letter, last) in [("A", 23), ("S", 17), ("E", 20)] {
        for number in 1..=last {
            let row = format!("{letter}{number}");
            ensure!(rows.contains(&row), "{row} has no guard");
        }
    }
    Ok(())
}
