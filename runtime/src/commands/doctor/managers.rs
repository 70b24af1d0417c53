//! The managers: those that the lease record names, and this one.

use std::collections::BTreeSet;

use swarm_core::address::HostPort;
use swarm_core::config::Replication;
use swarm_core::election::Record;

use super::findings::{Area, Findings};
use crate::commands::ask::each;
use crate::manager::status::ManagerStatus;
use crate::manager::{Legs, status_of};
use crate::platform::SharedPlatform;

type Answer = Result<ManagerStatus, String>;

pub(super) async fn examine(
    platform: &SharedPlatform,
    own: &Replication,
    legs: &Legs,
    record: Option<&Record>,
    findings: &mut Findings,
) {
    let own = &own.advertise;
    let mut named: BTreeSet<HostPort> = BTreeSet::from([own.clone()]);
    if let Some(record) = record {
        named.insert(record.holder.clone());
        named.extend(record.members.iter().cloned());
    }
    let ask = |manager: HostPort| async {
        let answer = status_of(platform, &legs.peers, &manager).await;
        (manager, answer)
    };
    let answers = each(named, ask).await;
    for (manager, answer) in &answers {
        match answer {
            Ok(status) => findings.ok(Area::Managers, described(manager, status)),
            Err(reason) if manager == own => {
                absent(platform, manager, reason, findings).await;
            }
            Err(reason)
                if record.is_some_and(|record| record.holder == *manager && !record.released) =>
            {
                findings.failure(
                    Area::Managers,
                    format!(
                        "{manager}, which holds the lease, cannot be reached from here: {reason}"
                    ),
                );
            }
            Err(reason) => findings.warning(
                Area::Managers,
                format!("{manager} cannot be reached from here: {reason}"),
            ),
        }
    }
    compare(&answers, findings);
}

fn described(manager: &HostPort, status: &ManagerStatus) -> String {
    let ManagerStatus {
        role,
        epoch,
        version,
        ..
    } = status;
    format!("{manager} runs swarm {version} as {role}, epoch {epoch}")
}

/// Nobody answers as a manager where this one would.
async fn absent(platform: &SharedPlatform, own: &HostPort, reason: &str, findings: &mut Findings) {
    match platform.connect(own).await {
        Ok(_) => findings.failure(
            Area::Managers,
            format!("something else answers at --advertise {own}: {reason}"),
        ),
        Err(_) => findings.ok(
            Area::Managers,
            format!("nothing answers at --advertise {own}: no manager runs there yet"),
        ),
    }
}

/// What they say of the cluster should be the same.
fn compare(answers: &[(HostPort, Answer)], findings: &mut Findings) {
    let statuses = || {
        answers
            .iter()
            .filter_map(|(_, answer)| answer.as_ref().ok())
    };
    let primaries: BTreeSet<&String> = statuses().filter_map(|one| one.primary.as_ref()).collect();
    if primaries.len() > 1 {
        let named: Vec<&str> = primaries.into_iter().map(String::as_str).collect();
        findings.warning(
            Area::Managers,
            format!(
                "they name different primaries, {}: right after a failover that passes, else see whether all of them \
                 reach the store",
                named.join(" and ")
            ),
        );
    }
    let versions: BTreeSet<&String> = statuses().map(|one| &one.version).collect();
    if versions.len() > 1 {
        findings.warning(
            Area::Managers,
            "they run different releases: finish the upgrade",
        );
    }
    for (manager, status) in answers
        .iter()
        .filter_map(|(at, answer)| Some((at, answer.as_ref().ok()?)))
    {
        for other in &status.unreachable {
            let (member, reason) = (&other.member, &other.reason);
            findings.warning(
                Area::Managers,
                format!("{manager} cannot reach {member}: {reason}"),
            );
        }
    }
}
