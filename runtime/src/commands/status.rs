//! `swarm status`

mod report;

use std::collections::BTreeSet;

use anyhow::bail;
use swarm_core::address::HostPort;
use swarm_core::config::{Client, Endpoint};

use super::ask::{Asker, Shown, each};
use crate::cli::write_or_ignore;
use crate::manager::status::ManagerStatus;
use crate::platform::SharedPlatform;
use report::{Found, Report};

/// More managers than this are not asked: a wrong or hostile answer may name any number.
const MANAGERS_MAX: usize = 64;

/// Prints the role of a manager and of all managers it knows, their engines, and whether they agree.
///
/// # Errors
/// When the manager cannot be asked, or no primary can be reached; what was found is printed all the same.
pub async fn status(platform: SharedPlatform, config: Client) -> anyhow::Result<()> {
    let asker = Asker::of(&platform, &config)?;
    let report = Report::new(survey(&asker, &config.endpoint).await?);
    let text = if config.json {
        report.json()?
    } else {
        report.text()
    };
    write_or_ignore(&mut std::io::stdout(), &text);
    if report.has_primary() {
        return Ok(());
    }
    bail!("no primary can be reached from here")
}

/// Asks `first`, then all managers that it names, then those that these name.
async fn survey(asker: &Asker, first: &Endpoint) -> anyhow::Result<Vec<Found>> {
    let shown = Shown(first).to_string();
    let status = match asker.status(first).await {
        Ok(status) => status,
        Err(error) => bail!(
            "cannot ask the manager at {shown}: {error:#}. Name a running manager with --host or DOCKER_HOST"
        ),
    };
    let mut asked = BTreeSet::from([shown.clone()]);
    let mut wanted = named_by(&status, &asked);
    let mut found = vec![Found {
        address: shown,
        answer: Ok(status),
    }];
    while !wanted.is_empty() && asked.len() < MANAGERS_MAX {
        wanted.truncate(MANAGERS_MAX - asked.len());
        asked.extend(wanted.iter().map(ToString::to_string));
        let answers = each(wanted, |address| ask(asker, address)).await;
        wanted = answers
            .iter()
            .filter_map(|found| found.answer.as_ref().ok())
            .flat_map(|status| named_by(status, &asked))
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        found.extend(answers);
    }
    Ok(found)
}

/// The managers a status names, without those that were asked already.
pub(super) fn named_by(status: &ManagerStatus, asked: &BTreeSet<String>) -> Vec<HostPort> {
    let mut named: Vec<HostPort> = status
        .members
        .iter()
        .chain(&status.primary)
        .chain(&status.advertise)
        .filter_map(|address| address.parse().ok())
        .filter(|address: &HostPort| !asked.contains(&address.to_string()))
        .collect();
    named.sort_unstable();
    named.dedup();
    named
}

async fn ask(asker: &Asker, address: HostPort) -> Found {
    let address = Endpoint::Tcp(address);
    let answer = asker.status(&address).await;
    Found {
        address: Shown(&address).to_string(),
        answer: answer.map_err(|error| format!("{error:#}")),
    }
}
