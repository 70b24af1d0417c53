//! The engines: whether each of them can be used.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarm_core::address::HostPort;
use swarm_core::config::Manage;
use swarm_core::engine::{SpecsReply, accept};

use super::findings::{Area, Findings};
use crate::commands::ask::each;
use crate::discovery::Source;
use crate::engine::describe;
use crate::manager::Legs;
use crate::platform::SharedPlatform;
use crate::store::{Cursor, Store};

/// Asks all engines that discovery lists; how many there are.
pub(super) async fn examine(
    platform: &SharedPlatform,
    config: &Manage,
    legs: &Legs,
    store: Option<Arc<dyn Store>>,
    findings: &mut Findings,
) -> usize {
    let Some(source) = Source::new(&config.discovery.discovery, store) else {
        return 0;
    };
    let listing = match source.list(&mut Cursor::default()).await {
        Ok(listing) => listing,
        Err(error) => {
            findings.failure(Area::Engines, format!("they cannot be listed: {error}"));
            return 0;
        }
    };
    for error in &listing.errors {
        findings.warning(Area::Engines, format!("an entry is ignored: {error}"));
    }
    let ask = |engine: HostPort| async {
        let reply = describe(platform, &legs.engines, &engine).await;
        let usable = reply.map_err(|error| error.reason).and_then(|reply| {
            accept(&engine, &reply.specs)?;
            Ok(reply)
        });
        (engine, usable)
    };
    let answers = each(listing.entries, ask).await;
    let mut usable = 0;
    let mut daemons: BTreeMap<String, HostPort> = BTreeMap::new();
    for (engine, answer) in &answers {
        match answer {
            Ok(reply) => {
                usable += 1;
                look_at(engine, reply, &mut daemons, findings);
            }
            Err(reason) => {
                // Most reasons name the engine already.
                let named = format!("engine {engine}: ");
                let reason = reason.strip_prefix(&named).unwrap_or(reason);
                findings.warning(Area::Engines, format!("{engine} cannot be used: {reason}"));
            }
        }
    }
    sum_up(usable, answers.len(), findings);
    answers.len()
}

fn look_at(
    engine: &HostPort,
    reply: &SpecsReply,
    daemons: &mut BTreeMap<String, HostPort>,
    findings: &mut Findings,
) {
    for warning in &reply.warnings {
        findings.warning(Area::Engines, warning);
    }
    if let Some(other) = daemons.insert(reply.specs.id.clone(), engine.clone()) {
        findings.warning(
            Area::Engines,
            format!(
                "{other} and {engine} have the same ID, so that only one of them is used: is it one engine at two \
                 addresses, or the copy of a machine (remove key.json or engine-id below /var/lib/docker or /etc/docker \
                 there and restart the engine)?"
            ),
        );
    }
}

fn sum_up(usable: usize, listed: usize, findings: &mut Findings) {
    match (usable, listed) {
        (_, 0) => findings.warning(
            Area::Engines,
            "none are listed: start 'swarm join' on the engines, or list them",
        ),
        (0, _) => findings.failure(Area::Engines, format!("none of {listed} can be used")),
        (usable, _) if usable == listed => {
            findings.ok(
                Area::Engines,
                format!("all {listed} answer and can be used"),
            );
        }
        _ => findings.ok(Area::Engines, format!("{usable} of {listed} can be used")),
    }
}
