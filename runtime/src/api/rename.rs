//! Other containers, networks and volumes of a create request, called as one engine knows them.

use swarm_core::address::HostPort;
use swarm_core::cluster::Cluster;
use swarm_core::json::{self, JsonError, RawObject};
use swarm_core::scheduler::{Beside, Tie, on_engine};

/// Calls the containers in a list as the engine knows them; whether that changed anything.
pub(super) fn rename_list(
    object: &mut RawObject,
    member: &str,
    tie: Tie,
    cluster: &Cluster,
    engine: &HostPort,
) -> Result<bool, JsonError> {
    let texts: Vec<String> = object.read(member)?.unwrap_or_default();
    let renamed: Vec<String> = texts
        .iter()
        .map(|text| match Beside::parse(tie, text) {
            Some(beside) => beside.for_engine(cluster, engine),
            None => text.clone(),
        })
        .collect();
    let changed = renamed != texts;
    if changed {
        object.set(member, json::raw(&renamed)?);
    }
    Ok(changed)
}

/// Calls the volumes that are mounted by name as the engine knows them.
pub(super) fn rename_volumes(
    host: &mut RawObject,
    cluster: &Cluster,
    engine: &HostPort,
) -> Result<(), JsonError> {
    let binds: Vec<String> = host.read("Binds")?.unwrap_or_default();
    let renamed: Vec<String> = binds
        .iter()
        .map(|bind| match bind.split_once(':') {
            Some((source, rest)) => format!("{}:{rest}", own_name(cluster, engine, source)),
            None => bind.clone(),
        })
        .collect();
    if renamed != binds {
        host.set("Binds", json::raw(&renamed)?);
    }
    let mut mounts: Vec<RawObject> = host.read("Mounts")?.unwrap_or_default();
    let mut changed = false;
    for mount in &mut mounts {
        if mount.read::<String>("Type")?.as_deref() != Some("volume") {
            continue;
        }
        let source: String = mount.read("Source")?.unwrap_or_default();
        let own = own_name(cluster, engine, &source);
        if own != source {
            mount.set("Source", json::raw(&own)?);
            changed = true;
        }
    }
    if changed {
        let mounts: Result<Vec<_>, _> = mounts.iter().map(|mount| mount.to_raw()).collect();
        host.set("Mounts", json::raw(&mounts?)?);
    }
    Ok(())
}

/// The name of a network or volume without the engine in front (spec/classic.md section 4.6).
pub(super) fn own_name<'a>(cluster: &Cluster, engine: &HostPort, name: &'a str) -> &'a str {
    cluster
        .engine(engine)
        .and_then(|engine| on_engine(engine, name))
        .unwrap_or(name)
}
