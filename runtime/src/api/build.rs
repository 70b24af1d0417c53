//! Building images: on the engine that placement chooses, with all that belongs to one build (spec/classic.md section 4.9).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use swarm_core::address::HostPort;
use swarm_core::api::{ApiVersion, Query};
use swarm_core::cluster::Resources;
use swarm_core::engine::Part;
use swarm_core::scheduler::{self, Carried};

use super::affinity::{Bond, Held};
use super::answer::{Answer, ApiError};
use super::bodies::bad;
use super::engine::Target;
use super::{Api, Call};
use crate::http::Body;
use crate::http::body::{BodyError, channel};
use crate::http::client::SendOptions;

/// How long a request that belongs to a build waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a session waits for a build that names it while there is a control connection, to which it may belong.
const GLANCE: Duration = Duration::from_millis(300);

/// Names the session that a connection is for.
const SESSION: &str = "x-docker-expose-session-uuid";

/// What a build ID starts with when the request only brings the files of the build with the rest of the ID.
const UPLOAD: &str = "upload-request:";

/// Output of a build that waits for a slow client.
const QUEUE: usize = 16;

impl Api {
    pub(super) async fn build(self: Arc<Self>, mut call: Call) -> Answer {
        let query = &call.request.query;
        let version = call.request.version;
        let named = |key: &str| query.value(key).filter(|value| !value.is_empty());
        let (session, id) = (named("session"), named("buildid"));
        let (target, query) = match id.as_ref().and_then(|id| id.strip_prefix(UPLOAD)) {
            Some(id) => {
                let engine = self.build_under_way(id).await?;
                (self.reach(&engine, version)?, query.clone())
            }
            None => self.place_build(query, session.as_deref(), version)?,
        };
        call.request.query = query;
        let bonds = [session.map(Bond::Session), id.map(Bond::Build)];
        let held: Vec<Held> = bonds
            .into_iter()
            .flatten()
            .map(|bond| self.builds.hold(bond, &target.address))
            .collect();
        let path = call.request.route.path(Some(target.version));
        let response = self
            .pass(&target, call, &path, SendOptions::endless())
            .await?;
        Ok(self.relay(response, target, held))
    }

    /// The engine for a build, and its query without the expressions that chose it.
    fn place_build(
        &self,
        query: &Query,
        session: Option<&str>,
        version: Option<ApiVersion>,
    ) -> Result<(Target, Query), ApiError> {
        let (query, request) = read(query)?;
        let bound = session.and_then(|id| self.builds.engine(&Bond::Session(id.to_owned())));
        let mut scheduler = self.scheduler();
        let cluster = self.fleet.cluster().read();
        let mut addresses = scheduler
            .rank(&cluster, &request)?
            .ranked
            .into_iter()
            .map(|candidate| candidate.address);
        let chosen = match &bound {
            Some(bound) => addresses.find(|address| *address == bound),
            None => addresses.next(),
        };
        let engine = chosen.and_then(|address| cluster.engine(address));
        let engine = engine.ok_or_else(|| {
            bad("the session of the build is on an engine that the build may not be placed on")
        })?;
        let target = Target::healthy(&cluster, engine, version, "the build")?;
        Ok((target, query))
    }

    pub(super) async fn cancel_build(&self, call: Call) -> Answer {
        let id = call.request.query.value("id").unwrap_or_default();
        if id.is_empty() {
            return Err(bad("build ID not provided"));
        }
        let engine = self.build_under_way(&id).await?;
        let target = self.reach(&engine, call.request.version)?;
        let path = call.request.route.path(Some(target.version));
        self.pass(&target, call, &path, self.work()).await
    }

    /// A session goes where its build goes. One that no build names, and that no control connection may have opened, goes
    /// to any engine.
    pub(super) async fn build_session(&self, call: Call) -> Answer {
        let id = call.http.headers().get(SESSION);
        let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
        if id.is_empty() {
            return Err(bad("no session ID provided"));
        }
        let bond = Bond::Session(id.to_owned());
        let control = self.builds.engine(&Bond::Control);
        let patience = if control.is_some() { GLANCE } else { PATIENCE };
        let build = self.builds.wait(&*self.platform, &bond, patience).await;
        self.build_tunnel(build.or(control), bond, call).await
    }

    /// Control connections all go to one engine: what they carry names its sessions where nobody looks.
    pub(super) async fn build_control(&self, call: Call) -> Answer {
        let engine = self.builds.engine(&Bond::Control);
        self.build_tunnel(engine, Bond::Control, call).await
    }

    async fn build_tunnel(&self, engine: Option<HostPort>, bond: Bond, mut call: Call) -> Answer {
        let version = call.request.version;
        let target = match engine {
            Some(engine) => self.reach(&engine, version)?,
            None => self.favourite(version)?,
        };
        let held = self.builds.hold(bond, &target.address);
        let cancelled = std::mem::replace(&mut call.cancelled, Box::pin(std::future::pending()));
        // The bond lasts as long as the tunnel does.
        call.cancelled = Box::pin(async move {
            cancelled.await;
            drop(held);
        });
        let path = call.request.route.path(Some(target.version));
        self.pass(&target, call, &path, SendOptions::endless())
            .await
    }

    async fn build_under_way(&self, id: &str) -> Result<HostPort, ApiError> {
        let bond = Bond::Build(id.to_owned());
        let engine = self.builds.wait(&*self.platform, &bond, PATIENCE).await;
        engine.ok_or_else(|| {
            ApiError::new(
                StatusCode::NOT_FOUND,
                format!("no build {id} is under way here"),
            )
        })
    }

    fn reach(&self, engine: &HostPort, version: Option<ApiVersion>) -> Result<Target, ApiError> {
        let cluster = self.fleet.cluster().read();
        let engine = cluster
            .engine(engine)
            .ok_or_else(|| bad("the engine of the build has been removed"))?;
        Target::healthy(&cluster, engine, version, "the build")
    }

    /// Passes the output of a build on; before its end the new image is in the view.
    fn relay(
        self: &Arc<Self>,
        response: Response<Body>,
        target: Target,
        held: Vec<Held>,
    ) -> Response<Body> {
        let (parts, mut output) = response.into_parts();
        let (sender, body) = channel(QUEUE);
        let api = Arc::clone(self);
        let task = async move {
            let _held = held;
            loop {
                let frame = tokio::select! {
                    biased;
                    () = sender.closed() => return,
                    frame = output.frame() => frame,
                };
                let data = match frame {
                    None => break,
                    Some(Err(error)) => {
                        sender.fail(BodyError::Aborted(error.to_string())).await;
                        return;
                    }
                    Some(Ok(frame)) => frame.into_data(),
                };
                if let Ok(data) = data
                    && sender.send(data).await.is_err()
                {
                    return;
                }
            }
            api.fleet.refresh(&target.address, Part::Images).await;
            sender.finish();
        };
        self.platform.spawn("build", Box::pin(task));
        Response::from_parts(parts, body)
    }
}

/// What placement needs of a build; expressions are taken out of its arguments.
fn read(query: &Query) -> Result<(Query, scheduler::Request), ApiError> {
    let text = query.value("buildargs").unwrap_or_default();
    let arguments: Option<BTreeMap<String, Value>> = match text.as_str() {
        "" => None,
        // The engine says what is wrong with arguments that are none.
        text => serde_json::from_str(text).ok(),
    };
    let arguments = arguments.unwrap_or_default();
    let written = |(name, value): (&String, &Value)| match value.as_str() {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    };
    let all: Vec<String> = arguments.iter().map(written).collect();
    let carried = Carried::read(all.clone(), &BTreeMap::new()).map_err(bad)?;
    let memory = query.value("memory").and_then(|memory| memory.parse().ok());
    let request = scheduler::Request {
        resources: Resources {
            memory: memory.unwrap_or(0),
            ..Resources::default()
        },
        expressions: carried.expressions,
        ..scheduler::Request::default()
    };
    if carried.environment.len() == all.len() {
        return Ok((query.clone(), request));
    }
    let kept: BTreeMap<&String, &Value> = arguments
        .iter()
        .filter(|&argument| carried.environment.contains(&written(argument)))
        .collect();
    let kept = serde_json::to_string(&kept).map_err(bad)?;
    Ok((query.with("buildargs", &kept), request))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Result<(Option<String>, usize), ApiError> {
        let (query, request) = read(&Query::default().with("buildargs", text))?;
        Ok((
            query.value("buildargs"),
            request.expressions.constraints.len(),
        ))
    }

    #[test]
    fn expressions_leave_the_arguments_and_nothing_else_does() {
        let (kept, constraints) =
            arguments(r#"{"constraint:node":"=n1","A":"1","FROM_ENV":null}"#).unwrap();
        assert_eq!(kept.as_deref(), Some(r#"{"A":"1","FROM_ENV":null}"#));
        assert_eq!(constraints, 1);
        // Without any they pass as they came.
        let as_it_came = r#"{"B":"2", "A":null}"#;
        assert_eq!(
            arguments(as_it_came).unwrap().0.as_deref(),
            Some(as_it_came)
        );
        assert_eq!(
            arguments("nonsense").unwrap().0.as_deref(),
            Some("nonsense")
        );
        assert!(arguments(r#"{"constraint:node":"!n1"}"#).is_err());
    }
}
