//! The engine as a whole: ping, version, info, events, disk usage.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, PRAGMA};
use serde_json::{Value, json};
use swarm_core::time::Wall;

use super::super::clock::{between, parse_timestamp, rfc3339};
use super::super::container::Phase;
use super::super::events::{Event, Selection};
use super::super::list::Query;
use super::super::options::ApiVersion;
use super::super::refusal::{Answer, Refusal};
use super::super::state::State;
use super::{Call, Reply, empty, full, ok, streamed, with_body};
use crate::unfold::unfold;

const GO_VERSION: &str = "go1.19.8";
const COMMIT: &str = "5d6db84";

pub(super) fn ping(head: bool) -> Reply {
    let body = if head { empty() } else { full("OK") };
    let mut response = with_body(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    );
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert("swarm", HeaderValue::from_static("inactive"));
    headers.insert("builder-version", HeaderValue::from_static("1"));
    Ok(response)
}

pub(super) fn version(call: &Call) -> Reply {
    let state = call.engine.current();
    let options = &state.options;
    let built = "2023-04-04T18:18:43.000000000+00:00";
    ok(&json!({
        "Platform": {"Name": "Docker Engine - Community"},
        "Components": [{
            "Name": "Engine",
            "Version": options.version,
            "Details": {
                "ApiVersion": options.api_version.to_string(),
                "Arch": "amd64",
                "BuildTime": built,
                "Experimental": "false",
                "GitCommit": COMMIT,
                "GoVersion": GO_VERSION,
                "KernelVersion": options.kernel_version,
                "MinAPIVersion": ApiVersion::MIN.to_string(),
                "Os": "linux",
            },
        }],
        "Version": options.version,
        "ApiVersion": options.api_version.to_string(),
        "MinAPIVersion": ApiVersion::MIN.to_string(),
        "GitCommit": COMMIT,
        "GoVersion": GO_VERSION,
        "Os": "linux",
        "Arch": "amd64",
        "KernelVersion": options.kernel_version,
        "BuildTime": built,
    }))
}

pub(super) fn info(call: &Call) -> Reply {
    let state = call.engine.current();
    let mut info = engine_info(&state);
    if let (Some(info), Some(more)) = (info.as_object_mut(), host_info(&state).as_object()) {
        info.extend(more.clone());
    }
    ok(&info)
}

fn engine_info(state: &State) -> Value {
    let options = &state.options;
    let count = |phases: &[Phase]| {
        let containers = state.containers.values();
        containers
            .filter(|container| phases.contains(&container.phase))
            .count()
    };
    json!({
        "ID": state.faults.daemon_id.as_ref().unwrap_or(&options.id),
        "Containers": state.containers.len(),
        "ContainersRunning": count(&[Phase::Running]),
        "ContainersPaused": count(&[Phase::Paused]),
        "ContainersStopped": count(&[Phase::Created, Phase::Exited, Phase::Dead]),
        "Images": state.images.len(),
        "Driver": options.driver,
        "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
        "SystemStatus": null,
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "ipvlan", "macvlan", "null", "overlay"],
            "Authorization": null,
            "Log": ["json-file", "local", "none"],
        },
        "MemoryLimit": true,
        "SwapLimit": true,
        "KernelMemory": true,
        "CpuCfsPeriod": true,
        "CpuCfsQuota": true,
        "CPUShares": true,
        "CPUSet": true,
        "PidsLimit": true,
        "IPv4Forwarding": true,
        "BridgeNfIptables": true,
        "BridgeNfIp6tables": true,
        "Debug": false,
        "NFd": 26,
        "OomKillDisable": true,
        "NGoroutines": 38,
        "SystemTime": rfc3339(state.wall()),
        "LoggingDriver": "json-file",
        "CgroupDriver": "systemd",
        "CgroupVersion": "2",
        "NEventsListener": 0,
    })
}

fn host_info(state: &State) -> Value {
    let options = &state.options;
    let commit = |id: &str| json!({"ID": id, "Expected": id});
    json!({
        "KernelVersion": options.kernel_version,
        "OperatingSystem": options.operating_system,
        "OSVersion": "12",
        "OSType": "linux",
        "Architecture": "x86_64",
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "AllowNondistributableArtifactsCIDRs": [],
            "AllowNondistributableArtifactsHostnames": [],
            "InsecureRegistryCIDRs": ["127.0.0.0/8"],
            "IndexConfigs": {"docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": true, "Official": true}},
            "Mirrors": [],
        },
        "NCPU": options.cpus,
        "MemTotal": options.memory_bytes,
        "GenericResources": null,
        "DockerRootDir": "/var/lib/docker",
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": options.name,
        "Labels": options.labels,
        "ExperimentalBuild": false,
        "ServerVersion": options.version,
        "ClusterStore": if options.cluster_store { "consul://" } else { "" },
        "Runtimes": {"runc": {"path": "runc"}},
        "DefaultRuntime": "runc",
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": false,
            "Error": "",
            "RemoteManagers": null,
        },
        "LiveRestoreEnabled": false,
        "Isolation": "",
        "InitBinary": "docker-init",
        "ContainerdCommit": commit("1.6.20"),
        "RuncCommit": commit("1.1.5"),
        "InitCommit": commit("0.19.0"),
        "SecurityOptions": ["name=apparmor", "name=seccomp,profile=default", "name=cgroupns"],
        "Warnings": null,
    })
}

/// Where a subscriber is.
struct Subscription {
    position: u64,
    over: bool,
}

pub(super) fn events(call: &Call) -> Reply {
    let (since, until) = (event_time(call, "since")?, event_time(call, "until")?);
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(Refusal::bad(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            since.seconds(),
            until.seconds()
        )));
    }
    let selection = Selection::parse(call.query.text("filters"))?;
    let (position, cuts) = {
        let state = call.engine.current();
        let position = match (since, until) {
            (None, None) => state.events.end(),
            (since, _) => state.events.position(since.unwrap_or(Wall(0))),
        };
        (position, state.event_cuts)
    };
    let start = Subscription {
        position,
        over: false,
    };
    let engine = Arc::clone(&call.engine);
    let body = unfold(start, move |mut subscription| {
        let (engine, selection) = (Arc::clone(&engine), selection.clone());
        Box::pin(async move {
            if subscription.over {
                return None;
            }
            let deadline = until.map(|until| {
                let now = engine.current().wall();
                engine.host.sleep(between(now, until))
            });
            let found = engine.until(|state| {
                if state.event_cuts != cuts {
                    return Some(None);
                }
                let lines = collect(state, &mut subscription, &selection, until);
                (!lines.is_empty() || subscription.over).then_some(Some(lines))
            });
            let lines = match deadline {
                None => found.await?,
                Some(deadline) => tokio::select! {
                    biased;
                    lines = found => lines?,
                    () = deadline => return None,
                },
            };
            Some((Bytes::from(lines), subscription))
        })
    });
    streamed("application/json", body)
}

/// The lines of all events that are there.
fn collect(
    state: &State,
    subscription: &mut Subscription,
    selection: &Selection,
    until: Option<Wall>,
) -> Vec<u8> {
    let mut lines = Vec::new();
    while let Some(event) = state.events.read(&mut subscription.position) {
        let event: &Event = &event;
        if until.is_some_and(|until| event.at > until) {
            subscription.over = true;
            break;
        }
        if selection.accepts(event) {
            lines.extend_from_slice(&event.to_line());
        }
    }
    lines
}

fn event_time(call: &Call, key: &str) -> Answer<Option<Wall>> {
    match call
        .query
        .text(key)
        .filter(|text| !text.is_empty() && *text != "0")
    {
        None => Ok(None),
        Some(text) => parse_timestamp(text)
            .map(Some)
            .ok_or_else(|| Refusal::bad(format!("invalid value for \"{key}\": \"{text}\""))),
    }
}

pub(super) fn disk_usage(call: &Call) -> Reply {
    let state = call.engine.current();
    let query = Query {
        all: true,
        size: true,
        ..Query::default()
    };
    let images: Vec<Value> = state
        .images
        .values()
        .map(|image| {
            let users = state
                .containers
                .values()
                .filter(|c| c.image_id == image.id)
                .count();
            image.summary(i64::try_from(users).unwrap_or(i64::MAX))
        })
        .collect();
    let volumes: Vec<Value> = state
        .volumes
        .values()
        .map(|volume| {
            let mut view = volume.inspect();
            let users = state.volume_users(&volume.name).len();
            if let Some(view) = view.as_object_mut() {
                view.insert("UsageData".into(), json!({"Size": 0, "RefCount": users}));
            }
            view
        })
        .collect();
    let layers: u64 = state.images.values().map(|image| image.size).sum();
    ok(&json!({
        "LayersSize": layers,
        "Images": images,
        "Containers": state.list(&query)?,
        "Volumes": volumes,
        "BuildCache": [],
        "BuilderSize": 0,
    }))
}

pub(super) fn login() -> Reply {
    ok(&json!({"Status": "Login Succeeded", "IdentityToken": ""}))
}
