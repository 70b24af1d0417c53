//! Networks and volumes.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::filters::Filters;
use super::super::network::Network;
use super::super::refusal::{Answer, Refusal};
use super::super::spec::parse_json;
use super::super::volume::Volume;
use super::{Call, Reply, created, no_content, ok, with_body};

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Connect {
    container: String,
    endpoint_config: Option<Value>,
    force: bool,
}

pub(super) fn list(call: &Call) -> Reply {
    let keys = ["dangling", "driver", "id", "label", "name", "scope", "type"];
    let filters = Filters::parse(call.query.text("filters"), &keys)?;
    for kind in filters.values("type") {
        if kind != "custom" && kind != "builtin" {
            return Err(Refusal::bad(format!("Invalid filter: 'type'='{kind}'")));
        }
    }
    let dangling = filters.flag("dangling")?;
    let (names, ids) = (filters.matcher("name"), filters.matcher("id"));
    let state = call.engine.current();
    let shows = |network: &&Network| {
        let kind = if network.is_builtin() {
            "builtin"
        } else {
            "custom"
        };
        let used = || {
            let mut containers = state.containers.values();
            containers.any(|c| c.endpoints.values().any(|e| e.network == network.id))
        };
        names.accepts(&network.name)
            && ids.accepts(&network.id)
            && filters.any("driver", |driver| driver == network.driver)
            && filters.any("scope", |scope| scope == network.scope)
            && filters.any("type", |wanted| wanted == kind)
            && filters.labels(|key| network.labels.get(key).map(String::as_str))
            && dangling.is_none_or(|wanted| wanted != (network.is_builtin() || used()))
    };
    let shown = state.networks.values().filter(shows);
    let shown: Vec<Value> = shown
        .map(|network| state.inspect_network(network, false))
        .collect();
    ok(&shown)
}

pub(super) fn inspect(call: &Call, name: &str) -> Reply {
    let state = call.engine.current();
    ok(&state.inspect_network(state.network(name)?, true))
}

pub(super) async fn create(mut call: Call) -> Reply {
    let body = call.body().await?;
    let id = call.engine.edit(|state| state.create_network(&body))?;
    created(&json!({"Id": id.as_ref(), "Warning": ""}))
}

pub(super) fn remove(call: &Call, name: &str) -> Reply {
    call.engine.edit(|state| state.remove_network(name))?;
    no_content()
}

pub(super) fn prune(call: &Call) -> Reply {
    let filters = Filters::parse(call.query.text("filters"), &["label", "label!", "until"])?;
    let removed = call.engine.edit(|state| {
        let custom = state.networks.values().filter(|network| {
            !network.is_builtin()
                && filters.labels(|key| network.labels.get(key).map(String::as_str))
        });
        let names: Vec<String> = custom.map(|network| network.name.clone()).collect();
        let unused = names
            .into_iter()
            .filter(|name| state.remove_network(name).is_ok());
        unused.collect::<Vec<_>>()
    });
    ok(&json!({"NetworksDeleted": removed}))
}

pub(super) async fn connect(mut call: Call, name: &str) -> Reply {
    let request: Connect = parse_json(&call.body().await?)?;
    call.engine
        .edit(|state| state.connect(name, &request.container, request.endpoint_config))?;
    Ok(with_body(http::StatusCode::OK, super::empty()))
}

pub(super) async fn disconnect(mut call: Call, name: &str) -> Reply {
    let request: Connect = parse_json(&call.body().await?)?;
    let done: Answer<()> = call
        .engine
        .edit(|state| state.disconnect(name, &request.container));
    match done {
        // With force the endpoint may be gone already.
        Err(refusal) if !(request.force && refusal.status == 500) => Err(refusal),
        Ok(()) | Err(_) => Ok(with_body(http::StatusCode::OK, super::empty())),
    }
}

pub(super) fn volumes(call: &Call) -> Reply {
    let keys = ["dangling", "driver", "label", "name"];
    let filters = Filters::parse(call.query.text("filters"), &keys)?;
    let dangling = filters.flag("dangling")?;
    let names = filters.matcher("name");
    let state = call.engine.current();
    let shows = |volume: &&Volume| {
        let label = |key: &str| volume.labels.as_ref()?.get(key).map(String::as_str);
        names.accepts(&volume.name)
            && filters.any("driver", |driver| driver == volume.driver)
            && filters.labels(label)
            && dangling.is_none_or(|wanted| wanted == state.volume_users(&volume.name).is_empty())
    };
    let shown: Vec<Value> = state
        .volumes
        .values()
        .filter(shows)
        .map(Volume::inspect)
        .collect();
    ok(&json!({"Volumes": shown, "Warnings": null}))
}

pub(super) async fn create_volume(mut call: Call) -> Reply {
    let body = call.body().await?;
    created(&call.engine.edit(|state| state.create_volume(&body))?)
}

pub(super) fn inspect_volume(call: &Call, name: &str) -> Reply {
    ok(&call.engine.current().volume(name)?.inspect())
}

pub(super) fn remove_volume(call: &Call, name: &str) -> Reply {
    let force = call.query.flag("force");
    call.engine.edit(|state| state.remove_volume(name, force))?;
    no_content()
}

pub(super) fn prune_volumes(call: &Call) -> Reply {
    let filters = Filters::parse(call.query.text("filters"), &["all", "label", "label!"])?;
    let removed = call.engine.edit(|state| {
        let volumes = state.volumes.values().filter(|volume| {
            filters.labels(|key| volume.labels.as_ref()?.get(key).map(String::as_str))
        });
        let names: Vec<String> = volumes.map(|volume| volume.name.clone()).collect();
        let unused = names
            .into_iter()
            .filter(|name| state.remove_volume(name, false).is_ok());
        unused.collect::<Vec<_>>()
    });
    ok(&json!({"VolumesDeleted": removed, "SpaceReclaimed": 0}))
}
