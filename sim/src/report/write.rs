//! Writes a report to a directory, in every form.

use std::fs;
use std::io;
use std::path::Path;

use super::html::html;
use super::junit::junit;
use super::summary::summary;
use super::{Failure, Report};

/// The longest name of a failure's directory.
const NAME_MOST: usize = 80;

/// Writes `report.json`, `junit.xml`, `summary.md`, `index.html` and a directory in `failures/` for each failure.
/// Failures of an earlier report are removed.
///
/// # Errors
/// When `dir` cannot be written.
pub fn write(report: &Report, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let json = report.to_json().map_err(io::Error::other)?;
    fs::write(dir.join("report.json"), json)?;
    fs::write(dir.join("junit.xml"), junit(report))?;
    fs::write(dir.join("summary.md"), summary(report))?;
    fs::write(dir.join("index.html"), html(report))?;
    let failures = dir.join("failures");
    match fs::remove_dir_all(&failures) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut names: Vec<String> = Vec::new();
    for failure in &report.failures {
        let name = unused(&names, &directory(&failure.signature));
        write_failure(failure, &failures.join(&name))?;
        names.push(name);
    }
    Ok(())
}

fn write_failure(failure: &Failure, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let write = |name: &str, text: String| {
        if text.trim().is_empty() {
            return Ok(());
        }
        fs::write(dir.join(name), text)
    };
    let plan = |plan: &Option<crate::plan::Plan>| plan.as_ref().map(crate::plan::Plan::to_json);
    write("plan.json", plan(&failure.plan).unwrap_or_default())?;
    write(
        "plan.min.json",
        plan(&failure.minimised).unwrap_or_default(),
    )?;
    write("timeline.svg", failure.timeline.clone())?;
    write("scenario.rs", failure.scenario.clone())?;
    let mut slice = failure.slice.join("\n");
    if !failure.pending.is_empty() {
        slice = format!("{slice}\n\nwaiting for:\n{}", failure.pending.join("\n"));
    }
    write("slice.txt", format!("{slice}\n\n{}\n", failure.replay))
}

/// A signature as the name of a directory, whatever it holds.
fn directory(signature: &str) -> String {
    let plain = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => character,
        _ => '_',
    };
    let name: String = signature.chars().map(plain).take(NAME_MOST).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() {
        "unnamed".to_owned()
    } else {
        name.to_owned()
    }
}

fn unused(names: &[String], name: &str) -> String {
    let taken = |name: &String| names.contains(name);
    let numbered = (2..).map(|number| format!("{name}.{number}"));
    let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
    candidates.find(|name| !taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_signature_leaves_its_directory() {
        assert_eq!(directory("single-primary.twice"), "single-primary.twice");
        assert_eq!(directory("../../etc/x"), "_.._etc_x");
        assert_eq!(directory(""), "unnamed");
        let names = ["a".to_owned(), "a.2".to_owned()];
        assert_eq!(unused(&names, "a"), "a.3");
        assert_eq!(unused(&names, "b"), "b");
    }
}
