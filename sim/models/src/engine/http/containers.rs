//! Containers: everything that is answered at once.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::container::{Id, Phase};
use super::super::filters::Filters;
use super::super::lifecycle::Stopping;
use super::super::list;
use super::super::refusal::{Answer, Refusal};
use super::super::spec::parse_json;
use super::super::state::State;
use super::{Call, Reply, created, json_response, lost, no_content, ok};

pub(super) fn list(call: &Call) -> Reply {
    let query = list::Query {
        all: call.query.flag("all"),
        size: call.query.flag("size"),
        limit: call.query.number("limit").unwrap_or(0),
        filters: Filters::parse(call.query.text("filters"), &list::KEYS)?,
    };
    let state = call.engine.current();
    let entries = state.list(&query)?;
    Ok(json_response(StatusCode::OK, &entries))
}

pub(super) async fn create(mut call: Call) -> Reply {
    let body = call.body().await?;
    let name = call.query.text("name");
    let (made, is_lost) = call.engine.edit(|state| {
        let made = state.create(name, &body);
        let is_lost = state.faults.lose_creates.contains(&state.create_requests);
        (made, is_lost)
    });
    if is_lost {
        return Err(lost());
    }
    created(&json!({"Id": made?.as_ref(), "Warnings": []}))
}

pub(super) fn inspect(call: &Call, name: &str) -> Reply {
    let state = call.engine.current();
    ok(&state.inspect(state.container(name)?, call.query.flag("size")))
}

pub(super) async fn start(mut call: Call, name: &str) -> Reply {
    // Old clients send a HostConfig here; engines have ignored it since API 1.24.
    call.body().await?;
    call.engine.edit(|state| state.start(name))?;
    no_content()
}

pub(super) async fn stop(call: &Call, name: &str) -> Reply {
    stop_container(call, name).await?;
    no_content()
}

/// Stops a container and waits until it is stopped.
async fn stop_container(call: &Call, name: &str) -> Answer<Id> {
    let (id, stopping) = call.engine.edit(|state| state.stop(name))?;
    if stopping == Stopping::Stubborn {
        let console = call
            .engine
            .current()
            .container(&id)
            .map(|c| c.console.clone())?;
        let exits = console.lock().exits;
        let ended = call
            .engine
            .until(|_| (console.lock().exits > exits).then_some(()));
        let grace = State::grace(call.query.number("t"));
        match grace {
            Some(grace) => tokio::select! {
                biased;
                () = ended => {}
                () = call.engine.host.sleep(grace.max(Duration::from_millis(1))) => {}
            },
            None => ended.await,
        }
        call.engine.edit(|state| state.stop_now(&id));
    }
    Ok(id)
}

pub(super) async fn restart(call: &Call, name: &str) -> Reply {
    let id = match stop_container(call, name).await {
        Ok(id) => id,
        // It does not run: restarting it is starting it.
        Err(refusal) if refusal == Refusal::unmodified() => call.engine.current().resolve(name)?,
        Err(refusal) => return Err(refusal),
    };
    call.engine.edit(|state| {
        state.start(&id)?;
        state.restarted(&id);
        Ok(())
    })?;
    no_content()
}

pub(super) fn kill(call: &Call, name: &str) -> Reply {
    let signal = call
        .query
        .text("signal")
        .filter(|signal| !signal.is_empty());
    call.engine
        .edit(|state| state.kill(name, signal.unwrap_or("KILL")))?;
    no_content()
}

pub(super) fn pause(call: &Call, name: &str) -> Reply {
    call.engine.edit(|state| state.pause(name))?;
    no_content()
}

pub(super) fn unpause(call: &Call, name: &str) -> Reply {
    call.engine.edit(|state| state.unpause(name))?;
    no_content()
}

pub(super) fn rename(call: &Call, name: &str) -> Reply {
    let to = call.query.text("name").unwrap_or_default();
    call.engine.edit(|state| state.rename(name, to))?;
    no_content()
}

pub(super) async fn update(mut call: Call, name: &str) -> Reply {
    let changes: Map<String, Value> = parse_json(&call.body().await?)?;
    call.engine.edit(|state| state.update(name, changes))?;
    ok(&json!({"Warnings": []}))
}

pub(super) fn remove(call: &Call, name: &str) -> Reply {
    let (force, volumes) = (call.query.flag("force"), call.query.flag("v"));
    if call.query.flag("link") {
        return Err(Refusal::failed("links are not supported by this engine"));
    }
    call.engine
        .edit(|state| state.remove(name, force, volumes))?;
    no_content()
}

pub(super) fn prune(call: &Call) -> Reply {
    let filters = Filters::parse(call.query.text("filters"), &["label", "label!", "until"])?;
    let removed = call.engine.edit(|state| {
        let stopped = state.newest_first().filter(|container| {
            let stopped = match container.phase {
                Phase::Created | Phase::Exited | Phase::Dead => true,
                Phase::Running | Phase::Paused => false,
            };
            stopped && filters.labels(|key| container.spec.labels.get(key).map(String::as_str))
        });
        let ids: Vec<Id> = stopped.map(|container| container.id.clone()).collect();
        ids.into_iter()
            .filter(|id| state.remove(id, false, false).is_ok())
            .collect::<Vec<_>>()
    });
    let removed: Vec<&str> = removed.iter().map(AsRef::as_ref).collect();
    ok(&json!({"ContainersDeleted": removed, "SpaceReclaimed": 0}))
}
