//! What `swarm status` shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use swarm_core::duration::GoDuration;

use crate::commands::ask::printable;
use crate::manager::status::{CertificateStatus, EngineStatus, ManagerStatus};

/// A manager that was asked.
pub(super) struct Found {
    /// Where.
    pub(super) address: String,
    /// Its status, or why there is none.
    pub(super) answer: Result<ManagerStatus, String>,
}

/// All managers that were asked, each once.
pub(super) struct Report {
    managers: Vec<Found>,
}

/// The form for scripts.
#[derive(Serialize)]
struct Document<'a> {
    /// The primary that answered.
    primary: Option<&'a str>,
    /// Whether all managers that answered name the same primary.
    agreed: bool,
    managers: Vec<DocumentManager<'a>>,
}

#[derive(Serialize)]
struct DocumentManager<'a> {
    address: &'a str,
    error: Option<&'a str>,
    status: Option<&'a ManagerStatus>,
}

impl Report {
    /// The first of `found` is the manager the user named.
    pub(super) fn new(found: Vec<Found>) -> Self {
        let mut managers: Vec<Found> = Vec::new();
        // The address a manager advertises says more than the one it was asked at, which comes first.
        for one in found.into_iter().rev() {
            let known = one.answer.as_ref().is_ok_and(|status| {
                let same = |other: &Found| {
                    let other = other.answer.as_ref();
                    other.is_ok_and(|other| other.instance == status.instance)
                };
                managers.iter().any(same)
            });
            if !known {
                managers.push(one);
            }
        }
        managers.sort_by(|a, b| a.address.cmp(&b.address));
        Self { managers }
    }

    /// Whether a manager that answered acts as primary.
    pub(super) fn has_primary(&self) -> bool {
        self.primary().is_some()
    }

    /// For scripts.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        let document = Document {
            primary: self.primary().map(|(address, _)| address),
            agreed: self.agreed(),
            managers: self
                .managers
                .iter()
                .map(|found| DocumentManager {
                    address: &found.address,
                    error: found.answer.as_ref().err().map(String::as_str),
                    status: found.answer.as_ref().ok(),
                })
                .collect(),
        };
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = self.manager_table();
        for (address, status) in self.reached() {
            for one in &status.unreachable {
                let _ = writeln!(
                    text,
                    "{address} cannot reach {}: {}",
                    printable(&one.member),
                    printable(&one.reason)
                );
            }
        }
        for (address, status) in self.reached() {
            if status.is_primary()
                && let Some(failsafe) = &status.failsafe
            {
                text.push_str(&failsafe_line(address, failsafe));
            }
        }
        for (address, status) in self.reached() {
            if let Some(certificate) = &status.certificate {
                text.push_str(&certificate_line(address, certificate));
            }
        }
        text.push_str(&self.disagreement());
        let best = self.primary().or_else(|| self.reached().next());
        if let Some((address, status)) = best {
            let _ = write!(
                text,
                "\nEngines, as {address} sees them:\n{}",
                engines(&status.engines)
            );
        }
        text
    }

    fn reached(&self) -> impl Iterator<Item = (&str, &ManagerStatus)> {
        self.managers.iter().filter_map(|found| {
            let status = found.answer.as_ref().ok()?;
            Some((found.address.as_str(), status))
        })
    }

    /// Of two that both say so, for a moment in which the role moves on, the later one.
    fn primary(&self) -> Option<(&str, &ManagerStatus)> {
        self.reached()
            .filter(|(_, status)| status.is_primary())
            .max_by_key(|(_, status)| status.epoch)
    }

    fn manager_table(&self) -> String {
        let mut rows = vec![row([
            "MANAGER",
            "ROLE",
            "EPOCH",
            "LEASE LEFT",
            "PRIMARY",
            "VERSION",
        ])];
        let mut notes = String::new();
        for found in &self.managers {
            match &found.answer {
                Ok(status) => rows.push(row([
                    &found.address,
                    &status.role,
                    &status.epoch.to_string(),
                    &lease_left(status),
                    status.primary.as_deref().unwrap_or("none known"),
                    &status.version,
                ])),
                Err(reason) => {
                    let _ = writeln!(
                        notes,
                        "{} does not answer: {}",
                        found.address,
                        printable(reason)
                    );
                }
            }
        }
        table(&rows) + &notes
    }

    /// Who believes what. Managers without `--replication` believe in nobody.
    fn beliefs(&self) -> BTreeMap<Option<&str>, Vec<&str>> {
        let mut beliefs: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (address, status) in self.reached() {
            if status.advertise.is_some() {
                let belief = beliefs.entry(status.primary.as_deref()).or_default();
                belief.push(address);
            }
        }
        beliefs
    }

    fn agreed(&self) -> bool {
        self.beliefs().len() < 2 && self.acting().len() < 2
    }

    fn acting(&self) -> BTreeSet<&str> {
        self.reached()
            .filter(|(_, status)| status.is_primary())
            .map(|(address, _)| address)
            .collect()
    }

    fn disagreement(&self) -> String {
        if self.agreed() {
            return String::new();
        }
        let mut text =
            "\nThe managers disagree about the primary (normal only while the role changes):\n"
                .to_owned();
        for (primary, believers) in self.beliefs() {
            let primary = primary.map_or_else(|| "none".to_owned(), printable);
            let _ = writeln!(text, "  {primary}, say {}", believers.join(", "));
        }
        let acting = self.acting();
        if acting.len() > 1 {
            let acting: Vec<&str> = acting.into_iter().collect();
            let _ = writeln!(text, "  acting as primary: {}", acting.join(", "));
        }
        text
    }
}

fn failsafe_line(address: &str, failsafe: &str) -> String {
    match failsafe {
        "active" => format!(
            "Failsafe: active, {address} acts on without the store by the promises of all members\n"
        ),
        other => format!("Failsafe: {}\n", printable(other)),
    }
}

fn certificate_line(address: &str, certificate: &CertificateStatus) -> String {
    let ends = printable(&certificate.ends);
    match certificate.days_left {
        left if left < 0 => format!("The certificate of {address} ended at {ends}\n"),
        left => format!("The certificate of {address} ends at {ends}, in {left} days\n"),
    }
}

fn lease_left(status: &ManagerStatus) -> String {
    status.lease_left_ms.map_or_else(
        || "-".to_owned(),
        |left| GoDuration::from(Duration::from_millis(left)).to_string(),
    )
}

fn engines(engines: &[EngineStatus]) -> String {
    if engines.is_empty() {
        return "  none\n".to_owned();
    }
    let mut rows = vec![row(["ENGINE", "ADDRESS", "STATE", "ERROR"])];
    let mut engines: Vec<&EngineStatus> = engines.iter().collect();
    engines.sort_by_key(|engine| (&engine.name, &engine.address));
    for engine in engines {
        let name = if engine.name.is_empty() {
            "(unknown)"
        } else {
            &engine.name
        };
        let error = engine.error.as_deref().unwrap_or("-");
        let state = match engine.drained {
            true => format!("{}, drained", engine.state),
            false => engine.state.clone(),
        };
        rows.push(row([name, &engine.address, &state, error]));
    }
    table(&rows)
}

fn row<const COLUMNS: usize>(cells: [&str; COLUMNS]) -> Vec<String> {
    cells.into_iter().map(printable).collect()
}

/// Columns as wide as their widest cell, two blanks between them.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
