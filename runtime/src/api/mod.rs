//! The Docker API of the acting primary: read from the warm view, passed through to the owning engine, or placed.
//!
//! [`Api::serve`] answers one parsed request. JSON is taken apart only where placement or naming needs it; everything
//! else reaches the engine and comes back as it is, with URLs rebuilt from parsed parts. Each request that changes
//! something passes the [`Gate`] before each of its steps.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Request, Response, StatusCode};
use swarm_core::api::{self as routes, ApiVersion, Fixed, Method, Route};
use swarm_core::cluster::{ClusterInfo, HostInfo, Replication, Role, Texts};
use swarm_core::config::Limits;
use swarm_core::scheduler::Scheduler;
use swarm_core::time::{Mono, Wall};
use tokio::sync::Semaphore;

use crate::http::{Body, body, headers};
use crate::platform::{BoxFuture, SharedPlatform};

mod affinity;
mod answer;
mod attempts;
mod bodies;
mod build;
mod containers;
mod copies;
mod create;
mod doubles;
mod engine;
mod events;
mod every;
mod execs;
mod fleet;
mod gate;
mod images;
mod join;
mod lines;
mod lists;
mod missing;
mod moves;
mod networks;
mod plan;
mod plugins;
mod progress;
mod pull;
mod rename;
mod reschedule;
mod route;
mod tallies;
#[cfg(test)]
mod tests;
mod upload;
mod volumes;

pub use answer::ApiError;
pub use fleet::{BeforeSend, Fleet, Look, SharedCluster};
pub use gate::{Gate, NotPrimary, OpenGate, Pass, SharedPass};

use answer::{Answer, json_text};

/// One request to be answered.
pub struct Call {
    /// Its head, parsed.
    pub request: routes::Request,
    /// The request itself: headers, body, and the client's half of a tunnel.
    pub http: Request<Body>,
    /// Names the request across attempts and managers; becomes the swarm ID of a container it creates.
    pub request_id: String,
    /// The epoch the manager believes in; `None` without replication.
    pub epoch: Option<u64>,
    /// Whether an earlier attempt of this request may have been carried out.
    pub repeat: bool,
    /// Completes when a tunnel has to end because another manager is primary.
    pub cancelled: BoxFuture<'static, ()>,
}

/// Nothing was sent to an engine: another manager may be asked instead.
#[derive(Debug)]
pub struct NotDispatched {
    /// The request's body, if nothing of it was read.
    pub body: Option<Body>,
}

/// Tells the role of this manager and, with replication, what it knows of the election.
pub type RoleSource = Arc<dyn Fn() -> (Role, Option<Replication>) + Send + Sync>;

/// What an [`Api`] was told to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// How often a create that an engine refused is tried again.
    pub create_retry: u32,
    /// What is allowed to clients and engines.
    pub limits: Limits,
}

/// The Docker API over all engines.
pub struct Api {
    platform: SharedPlatform,
    fleet: Arc<dyn Fleet>,
    gate: Arc<dyn Gate>,
    role: RoleSource,
    host: HostInfo,
    scheduler: Mutex<Scheduler>,
    settings: Settings,
    creates: Mutex<BTreeMap<String, create::Outcome>>,
    made: Mutex<doubles::Made>,
    /// Held while a network is created.
    networks: tokio::sync::Mutex<()>,
    builds: affinity::Builds,
    /// For the lists that are written in long pieces.
    quick_lists: Arc<Semaphore>,
    list_texts: Arc<Texts>,
    /// The number of the last move; see [`swarm_core::cluster::Move`].
    moves: AtomicU64,
    takeover: missing::Takeover,
    identity: HeaderValue,
    /// Events after this are remembered here, older ones by the engines only.
    started: Wall,
    /// The same instant on the monotonic clock.
    looks_since: Mono,
}

impl Api {
    /// An API over `fleet`.
    #[must_use]
    pub fn new(
        platform: SharedPlatform,
        fleet: Arc<dyn Fleet>,
        gate: Arc<dyn Gate>,
        role: RoleSource,
        host: HostInfo,
        scheduler: Scheduler,
        settings: Settings,
    ) -> Arc<Self> {
        let (started, looks_since) = (platform.wall(), platform.mono());
        let identity = format!("swarm/{} ({})", host.version, host.os);
        Arc::new(Self {
            platform,
            fleet,
            gate,
            role,
            scheduler: Mutex::new(scheduler),
            settings,
            creates: Mutex::default(),
            made: Mutex::default(),
            networks: tokio::sync::Mutex::default(),
            builds: affinity::Builds::default(),
            quick_lists: Arc::new(Semaphore::new(lists::QUICK_LISTS)),
            list_texts: Arc::new(Texts::new(lists::TEXTS_BYTES)),
            moves: AtomicU64::default(),
            takeover: missing::Takeover::default(),
            identity: HeaderValue::try_from(identity)
                .unwrap_or_else(|_| HeaderValue::from_static("swarm")),
            host,
            started,
            looks_since,
        })
    }

    /// Answers one request as the acting primary.
    ///
    /// # Errors
    /// [`NotDispatched`] when the gate is closed: nothing was sent to an engine.
    pub async fn serve(self: Arc<Self>, call: Call) -> Result<Response<Body>, NotDispatched> {
        // `No such container` and a list without what runs would be lies until then.
        self.fleet.first_look().await;
        let answer = match self.check_version(call.request.version) {
            Ok(()) => Arc::clone(&self).route(call).await,
            Err(refused) => Err(refused),
        };
        let mut response = match answer {
            Ok(response) => response,
            Err(failure) => failure
                .into_response()
                .map_err(|body| NotDispatched { body })?,
        };
        self.identify(&mut response);
        Ok(response)
    }

    /// Answers what every manager answers by itself, primary or not; `None` for any other route.
    #[must_use]
    pub fn local(&self, request: &routes::Request) -> Option<Response<Body>> {
        let mut response = if request.route == Route::Fixed(Fixed::Ping) {
            self.ping(request.method)
        } else if request.route == Route::Fixed(Fixed::Info) {
            self.check_version(request.version)
                .and_then(|()| self.info())
                .or_else(ApiError::into_response)
                .unwrap_or_else(|_| Response::new(body::empty()))
        } else {
            return None;
        };
        self.identify(&mut response);
        Some(response)
    }

    /// Refuses what no engine can be asked in (SECURITY.md, "API-version confusion"), in Docker's words.
    fn check_version(&self, version: Option<ApiVersion>) -> Result<(), ApiError> {
        let Some(version) = version else {
            return Ok(());
        };
        let cluster = self.fleet.cluster().read();
        let (oldest, newest) = cluster.api_versions();
        let refuse = |text| Err(ApiError::new(StatusCode::BAD_REQUEST, text));
        if version < oldest {
            return refuse(format!(
                "client version {version} is too old. Minimum supported API version is {oldest}, please upgrade your \
                 client to a newer version"
            ));
        }
        match newest {
            Some(newest) if version > newest => refuse(format!(
                "client version {version} is too new. Maximum supported API version is {newest}"
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn ping(&self, method: Method) -> Response<Body> {
        let text = match method {
            Method::Head => body::empty(),
            Method::Get | Method::Post | Method::Put | Method::Delete => body::full("OK"),
        };
        let mut response = Response::new(text);
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_static("no-cache, no-store, must-revalidate"),
        );
        let own = [
            ("docker-experimental", "false"),
            ("pragma", "no-cache"),
            ("swarm", "inactive"),
        ];
        for (name, value) in own {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        response
    }

    fn info(&self) -> Answer {
        let (role, replication) = (self.role)();
        let scheduler = self.scheduler();
        let strategy = scheduler.strategy().to_string();
        let filters: Vec<_> = scheduler
            .filters()
            .iter()
            .map(ToString::to_string)
            .collect();
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        let cluster = self.fleet.cluster().read();
        let info = ClusterInfo {
            cluster: &cluster,
            host: &self.host,
            role,
            replication,
            strategy: &strategy,
            filters: &filters,
            overcommit: scheduler.overcommit(),
            listeners: self.fleet.subscribers(),
            now: self.platform.wall(),
        };
        let text = info.to_json().map_err(|failure| {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, failure.to_string())
        })?;
        Ok(json_text(StatusCode::OK, text))
    }

    /// Puts what every answer carries on it: one `Api-Version`, the server, and the system containers run on.
    pub(crate) fn identify(&self, response: &mut Response<Body>) {
        let version = self.fleet.cluster().read().api_version().to_string();
        let version =
            HeaderValue::try_from(version).unwrap_or_else(|_| HeaderValue::from_static("1.24"));
        let headers = response.headers_mut();
        headers::set_identity(headers, &version, &self.identity);
        headers.insert(
            HeaderName::from_static("ostype"),
            HeaderValue::from_static("linux"),
        );
    }

    fn scheduler(&self) -> MutexGuard<'_, Scheduler> {
        // Whoever panicked holding it left at most a reservation behind.
        self.scheduler
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
