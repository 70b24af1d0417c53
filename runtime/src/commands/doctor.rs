//! `swarm doctor`: looks at everything that `swarm manage` needs, and changes nothing.
//!
//! Each part of it asks as a manager would, with a manager's own clients: what works here works there.

mod engines;
mod findings;
mod managers;
mod store;

use anyhow::bail;
use swarm_core::config::Manage;

use crate::cli::write_or_ignore;
use crate::manager::Legs;
use crate::platform::SharedPlatform;
use findings::{Area, Findings};

/// What a manager needs besides one file for each engine, and another while it is asked something.
const FILES_BESIDES: u64 = 2_000;

/// Prints what a manager with `config` would find. `files` is how many files it could have open.
///
/// # Errors
/// When something was found that keeps a manager from doing its work; all findings are printed all the same.
pub async fn doctor(
    platform: SharedPlatform,
    config: Manage,
    json: bool,
    files: Option<u64>,
) -> anyhow::Result<()> {
    let findings = examine(&platform, &config, files).await;
    let text = if json {
        findings.json()?
    } else {
        findings.text()
    };
    write_or_ignore(&mut std::io::stdout(), &text);
    match findings.failures() {
        0 => Ok(()),
        1 => bail!("one check failed"),
        many => bail!("{many} checks failed"),
    }
}

async fn examine(platform: &SharedPlatform, config: &Manage, files: Option<u64>) -> Findings {
    let mut findings = Findings::default();
    for warning in &config.warnings {
        findings.warning(Area::Configuration, warning);
    }
    let legs = match Legs::new(platform, config) {
        Ok(legs) => legs,
        Err(error) => {
            findings.failure(Area::Certificates, error);
            return findings;
        }
    };
    certificates(platform, config, &legs, &mut findings);
    let stored = store::examine(platform, config, &mut findings).await;
    if let Some(replication) = &config.replication {
        let record = stored.record.as_ref();
        managers::examine(platform, replication, &legs, record, &mut findings).await;
    }
    let engines = engines::examine(platform, config, &legs, stored.store, &mut findings).await;
    open_files(engines, files, &mut findings);
    findings
}

fn certificates(platform: &SharedPlatform, config: &Manage, legs: &Legs, findings: &mut Findings) {
    let now = platform.wall();
    for certificate in legs.keeper.certificates() {
        match certificate.notice(now) {
            Some(notice) if certificate.ends < now => {
                findings.failure(Area::Certificates, notice);
            }
            Some(notice) => findings.warning(Area::Certificates, notice),
            None => {
                let (file, ends) = (&certificate.file, certificate.ends.rfc3339());
                let path = file.path.display();
                findings.ok(
                    Area::Certificates,
                    format!("{} {path} is good until {ends}", file.flag),
                );
            }
        }
    }
    for notice in legs.keeper.overdue_lists() {
        findings.warning(Area::Certificates, notice);
    }
    if let Some(warning) = legs.impostors(config) {
        findings.warning(Area::Certificates, warning);
    }
}

fn open_files(engines: usize, allowed: Option<u64>, findings: &mut Findings) {
    let needed = u64::try_from(engines).unwrap_or(u64::MAX).saturating_mul(2) + FILES_BESIDES;
    match allowed {
        Some(allowed) if allowed < needed => findings.warning(
            Area::Machine,
            format!(
                "a manager may open {allowed} files here, and needs up to {needed} for {engines} engines and their \
                 clients: raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd)"
            ),
        ),
        Some(allowed) => findings.ok(
            Area::Machine,
            format!("a manager may open {allowed} files here, and needs up to {needed}"),
        ),
        None => findings.ok(Area::Machine, "a manager may open any number of files here"),
    }
}

#[cfg(test)]
mod tests;
