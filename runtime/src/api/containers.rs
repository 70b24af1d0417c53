//! Requests about one container: found in the view, passed to the engine that owns it.

use std::net::IpAddr;

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use swarm_core::address::HostPort;
use swarm_core::api::{ApiVersion, ContainerAction};
use swarm_core::cluster::{Engine, LookupError, human};
use swarm_core::json::{self, JsonError, RawObject};
use swarm_core::scheduler::ReservationId;
use swarm_core::time::Wall;

use super::answer::{Answer, ApiError, json_text};
use super::engine::Target;
use super::{Api, Call};
use crate::http::client::SendOptions;
use crate::http::{Body, body};

/// What an inspect answer may take.
pub(super) const INSPECT_BYTES_MAX: usize = 4 << 20;

/// `Node` in an inspect answer (spec/classic.md section 4.5).
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NodeJson<'a> {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "IP")]
    ip: String,
    addr: String,
    name: &'a str,
    cpus: u64,
    memory: u64,
    labels: &'a std::collections::BTreeMap<String, String>,
}

impl Api {
    /// The container called `name` and its engine, which must answer.
    pub(super) async fn locate(
        &self,
        name: &str,
        version: Option<ApiVersion>,
        epoch: Option<u64>,
    ) -> Result<(Target, String), ApiError> {
        if let Some(found) = self.located(name, version)? {
            return Ok(found);
        }
        if self.may_be_missed(epoch) {
            self.look_for(name, version).await?;
        }
        let found = self.located(name, version)?;
        Ok(found.ok_or_else(|| LookupError::NotFound(name.to_owned()))?)
    }

    fn located(
        &self,
        name: &str,
        version: Option<ApiVersion>,
    ) -> Result<Option<(Target, String)>, ApiError> {
        let cluster = self.fleet.cluster().read();
        let (engine, container) = match cluster.container(name) {
            Err(LookupError::NotFound(_)) => return Ok(None),
            found => found?,
        };
        let target = Target::healthy(&cluster, engine, version, &format!("container {name}"))?;
        Ok(Some((target, container.id.to_string())))
    }

    pub(super) async fn pass_container(
        &self,
        name: &str,
        action: ContainerAction,
        call: Call,
    ) -> Answer {
        let (target, id) = self.locate(name, call.request.version, call.epoch).await?;
        let path = self.engine_path(&call, &id, &target)?;
        if action == ContainerAction::Start
            && call.repeat
            && let Some(answer) = self.start_before(&target, &id).await?
        {
            return Ok(answer);
        }
        let before = self.last_start(&target.address, &id);
        let response = self
            .pass(&target, call, &path, patience(self, action))
            .await?;
        let status = response.status();
        if action == ContainerAction::Start && status.is_success() {
            self.see_start(&target.address, &id, before).await;
        } else if changes_state(action) {
            self.refresh_after(&target.address, &id, status).await;
        }
        Ok(response)
    }

    /// What an earlier attempt at a start has come to, as far as that shows; `None` if the container never ran, and is to
    /// be started. One that runs is not asked to: it may have ended by then, and would run a second time.
    async fn start_before(
        &self,
        target: &Target,
        id: &str,
    ) -> Result<Option<Response<Body>>, ApiError> {
        let path = format!("/containers/{id}/json");
        let (status, text) = self.ask(target, &path, "", INSPECT_BYTES_MAX).await?;
        match status {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::OK => {}
            _ => return Err(unusable(target, &format!("GET {path} answered {status}"))),
        }
        match run_of(&text).map_err(|error| unusable(target, &error.to_string()))? {
            Run::Never => Ok(None),
            Run::Now => {
                self.fleet.refresh_container(&target.address, id).await;
                let mut answer = Response::new(body::empty());
                *answer.status_mut() = StatusCode::NOT_MODIFIED;
                Ok(Some(answer))
            }
            Run::Ended => Err(ApiError::new(
                StatusCode::BAD_GATEWAY,
                format!(
                    "the primary changed, and container {id} has run and ended; it is not known whether because of \
                     this start or before it. Check with `docker inspect {id}` before you repeat it"
                ),
            )),
        }
    }

    /// Waits until the view shows a later start than `before`. The event of a start has most often made the manager read
    /// the container already, or it does at the moment: reading it once more would be half of a start's work.
    async fn see_start(&self, engine: &HostPort, id: &str, before: Option<Wall>) {
        let is_seen = || self.last_start(engine, id) > before;
        if is_seen() {
            return;
        }
        self.fleet.join_container(engine, id).await;
        if !is_seen() {
            self.fleet.refresh_container(engine, id).await;
        }
    }

    /// When the view saw the container start last.
    fn last_start(&self, engine: &HostPort, id: &str) -> Option<Wall> {
        let cluster = self.fleet.cluster().read();
        cluster.engine(engine)?.container(id)?.state.started
    }

    pub(super) fn engine_path(
        &self,
        call: &Call,
        id: &str,
        target: &Target,
    ) -> Result<String, ApiError> {
        let route = &call.request.route;
        route.engine_path(id, target.version).map_err(|error| {
            ApiError::new(
                StatusCode::BAD_GATEWAY,
                format!("engine {} reported an unusable ID: {error}", target.name),
            )
        })
    }

    /// Reads the container anew before the client sees the answer, so that what it asks next shows what it did.
    async fn refresh_after(&self, engine: &HostPort, id: &str, status: StatusCode) {
        if status.is_success() || status == StatusCode::NOT_FOUND {
            self.fleet.refresh_container(engine, id).await;
        }
    }

    pub(super) async fn inspect_container(&self, name: &str, call: Call) -> Answer {
        let (target, id) = self.locate(name, call.request.version, call.epoch).await?;
        let path = self.engine_path(&call, &id, &target)?;
        let response = self.pass(&target, call, &path, self.question()).await?;
        if response.status() != StatusCode::OK {
            return Ok(response);
        }
        let text = body::collect_limited(response.into_body(), INSPECT_BYTES_MAX)
            .await
            .map_err(|error| unusable(&target, &error.to_string()))?;
        let cluster = self.fleet.cluster().read();
        let Some(engine) = cluster.engine(&target.address) else {
            return Ok(json_text(StatusCode::OK, text));
        };
        let dressed =
            dress_inspect(&text, engine).map_err(|error| unusable(&target, &error.to_string()))?;
        Ok(json_text(StatusCode::OK, dressed))
    }

    pub(super) async fn remove_container(&self, name: &str, call: Call) -> Answer {
        let (target, id) = self.locate(name, call.request.version, call.epoch).await?;
        let path = self.engine_path(&call, &id, &target)?;
        let response = self.pass(&target, call, &path, self.work()).await?;
        if response.status().is_success() {
            let mut cluster = self.fleet.cluster().write();
            cluster.remove_container(&target.address, &id);
        } else {
            self.refresh_after(&target.address, &id, response.status())
                .await;
        }
        Ok(response)
    }

    pub(super) async fn rename_container(&self, name: &str, call: Call) -> Answer {
        let (target, id) = self.locate(name, call.request.version, call.epoch).await?;
        let new_name = call.request.query.value("name").unwrap_or_default();
        let _reserved = self.reserve_name(&new_name)?;
        let path = self.engine_path(&call, &id, &target)?;
        let response = self.pass(&target, call, &path, self.work()).await?;
        self.refresh_after(&target.address, &id, response.status())
            .await;
        Ok(response)
    }

    fn reserve_name(&self, name: &str) -> Result<Reserved<'_>, ApiError> {
        let mut scheduler = self.scheduler();
        let cluster = self.fleet.cluster().read();
        let id = scheduler.reserve_name(&cluster, name)?;
        Ok(Reserved { api: self, id })
    }

    pub(super) async fn create_exec(&self, name: &str, call: Call) -> Answer {
        let (target, id) = self.locate(name, call.request.version, call.epoch).await?;
        let path = self.engine_path(&call, &id, &target)?;
        let response = self.pass(&target, call, &path, self.work()).await?;
        if response.status() != StatusCode::CREATED {
            return Ok(response);
        }
        let (parts, answer) = response.into_parts();
        let text = body::collect_limited(answer, INSPECT_BYTES_MAX)
            .await
            .map_err(|error| unusable(&target, &error.to_string()))?;
        if let Some(exec) = id_in(&text) {
            let mut cluster = self.fleet.cluster().write();
            cluster.add_exec(&target.address, &id, &exec);
        }
        Ok(Response::from_parts(parts, body::full(text)))
    }
}

/// A reservation that ends with its holder.
pub(super) struct Reserved<'a> {
    pub(super) api: &'a Api,
    pub(super) id: ReservationId,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.api.scheduler().release(self.id);
    }
}

/// The `Id` of an answer like `{"Id":"…"}`.
pub(super) fn id_in(text: &[u8]) -> Option<String> {
    let object = RawObject::parse(text).ok()?;
    object.read::<String>("Id").ok().flatten()
}

fn unusable(target: &Target, error: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_GATEWAY,
        format!(
            "the answer of engine {} ({}) cannot be used: {error}",
            target.name, target.address
        ),
    )
}

/// Whether an inspected container has run.
enum Run {
    Never,
    Now,
    Ended,
}

fn run_of(text: &[u8]) -> serde_json::Result<Run> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Inspected {
        state: State,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct State {
        running: bool,
        started_at: String,
    }
    let Inspected { state } = serde_json::from_slice(text)?;
    Ok(match human::parse_time(&state.started_at) {
        _ if state.running => Run::Now,
        Some(_) => Run::Ended,
        None => Run::Never,
    })
}

/// Adds `Node` and puts the engine's address where a port is published on all of its interfaces.
fn dress_inspect(text: &[u8], engine: &Engine) -> Result<String, JsonError> {
    let specs = engine.specs.as_ref();
    let none = std::collections::BTreeMap::new();
    let node = NodeJson {
        id: format!("{}|{}", engine.id(), engine.address),
        ip: engine.ip_text(),
        addr: engine.address.to_string(),
        name: engine.name(),
        cpus: specs.map_or(0, |specs| specs.cpus),
        memory: specs.map_or(0, |specs| specs.memory),
        labels: specs.map_or(&none, |specs| &specs.labels),
    };
    let mut inspect = json::Members::parse(text)?;
    if let Some(settings) = inspect.get("NetworkSettings") {
        let mut settings = json::Members::parse(settings.get().as_bytes())?;
        if let Some(ports) = settings.get("Ports")
            && ports.get() != "null"
        {
            let ports = RawObject::parse(ports.get().as_bytes())?;
            settings.set("Ports", dress_ports(ports, &engine.ip_text())?);
            inspect.set("NetworkSettings", settings.to_raw()?);
        }
    }
    inspect.set("Node", json::raw(&node)?);
    Ok(inspect.to_json())
}

fn dress_ports(ports: RawObject, ip: &str) -> Result<Box<RawValue>, JsonError> {
    let mut dressed = ports.clone();
    for (port, bindings) in ports.iter() {
        let bindings: Option<Vec<RawObject>> = serde_json::from_str(bindings.get())?;
        let Some(bindings) = bindings else {
            continue;
        };
        let mut out = Vec::with_capacity(bindings.len());
        for mut binding in bindings {
            let host = binding.read::<String>("HostIp")?.unwrap_or_default();
            let specific = host
                .parse::<IpAddr>()
                .is_ok_and(|address| !address.is_unspecified());
            if !specific {
                binding.set("HostIp", json::raw(&ip)?);
            }
            out.push(binding.to_raw()?);
        }
        dressed.set(port, json::raw(&out)?);
    }
    dressed.to_raw()
}

/// How long the engine may take: what waits for a container has no limit.
fn patience(api: &Api, action: ContainerAction) -> SendOptions {
    match action {
        ContainerAction::Logs
        | ContainerAction::Stats
        | ContainerAction::Export
        | ContainerAction::ArchiveGet
        | ContainerAction::ArchivePut
        | ContainerAction::Attach
        | ContainerAction::AttachWebsocket
        | ContainerAction::Copy
        | ContainerAction::Restart
        | ContainerAction::Stop
        | ContainerAction::Wait => SendOptions::endless(),
        ContainerAction::Inspect
        | ContainerAction::Top
        | ContainerAction::Changes
        | ContainerAction::ArchiveHead
        | ContainerAction::CheckpointList => api.question(),
        ContainerAction::Exec
        | ContainerAction::Kill
        | ContainerAction::Pause
        | ContainerAction::Rename
        | ContainerAction::Resize
        | ContainerAction::Start
        | ContainerAction::Unpause
        | ContainerAction::Update
        | ContainerAction::CheckpointCreate
        | ContainerAction::Remove => api.work(),
    }
}

/// Whether the view of the container is out of date afterwards.
fn changes_state(action: ContainerAction) -> bool {
    match action {
        ContainerAction::Kill
        | ContainerAction::Pause
        | ContainerAction::Rename
        | ContainerAction::Restart
        | ContainerAction::Start
        | ContainerAction::Stop
        | ContainerAction::Unpause
        | ContainerAction::Update => true,
        ContainerAction::Inspect
        | ContainerAction::Top
        | ContainerAction::Logs
        | ContainerAction::Stats
        | ContainerAction::Changes
        | ContainerAction::Export
        | ContainerAction::ArchiveGet
        | ContainerAction::ArchiveHead
        | ContainerAction::ArchivePut
        | ContainerAction::AttachWebsocket
        | ContainerAction::Attach
        | ContainerAction::Copy
        | ContainerAction::Exec
        | ContainerAction::Resize
        | ContainerAction::Wait
        | ContainerAction::CheckpointList
        | ContainerAction::CheckpointCreate
        | ContainerAction::Remove => false,
    }
}
