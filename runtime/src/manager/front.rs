//! The first look at a request: what concerns this manager itself, and everything else.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use swarm_core::election::Resignation;

use super::browser::Browsers;
use super::drain::Drains;
use super::health::Probe;
use super::metrics::{Metrics, method_label};
use super::peers::Peers;
use super::report::Reporter;
use super::status::{ACTIVATE_PATH, DRAIN_PATH, METRICS_PATH, STATUS_PATH, STEP_DOWN_PATH};
use crate::election::{Elector, PROMISE_PATH};
use crate::http::error::{error, json};
use crate::http::{Body, Handler, Peer, body};
use crate::platform::{BoxFuture, SharedPlatform};
use crate::proxy::Proxy;

pub(super) struct Front {
    pub(super) platform: SharedPlatform,
    pub(super) proxy: Arc<Proxy>,
    pub(super) reporter: Arc<Reporter>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) peers: Option<Arc<Peers>>,
    pub(super) elector: Option<Arc<Elector>>,
    pub(super) drains: Option<Arc<Drains>>,
    pub(super) browsers: Browsers,
}

impl Handler for Front {
    fn handle(
        self: Arc<Self>,
        request: Request<Body>,
        peer: Peer,
    ) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let browsers = self.browsers;
            let (method, begun) = (method_label(request.method()), self.platform.mono());
            let mut answer = match browsers.stop(&request) {
                Some(answer) => answer,
                None => self.answer(request, peer).await,
            };
            browsers.mark(answer.headers_mut());
            let took = self.platform.mono().since(begun);
            self.metrics.count(method, answer.status(), took);
            answer
        })
    }
}

impl Front {
    async fn answer(&self, request: Request<Body>, peer: Peer) -> Response<Body> {
        if let (&Method::GET | &Method::HEAD, Some(probe)) =
            (request.method(), Probe::at(request.uri().path()))
        {
            return probe.answer(&self.reporter);
        }
        match (request.method().clone(), request.uri().path()) {
            (Method::GET, STATUS_PATH) => self.status(&request, &peer),
            (Method::GET, METRICS_PATH) => self.metrics.answer(),
            (Method::POST, STEP_DOWN_PATH) => self.step_down(),
            (Method::POST, DRAIN_PATH) => self.drain(request.uri().query(), true).await,
            (Method::POST, ACTIVATE_PATH) => self.drain(request.uri().query(), false).await,
            (Method::POST, PROMISE_PATH) => self.promise(request, &peer).await,
            (
                _,
                STATUS_PATH | METRICS_PATH | STEP_DOWN_PATH | DRAIN_PATH | ACTIVATE_PATH
                | PROMISE_PATH,
            ) => error(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path takes another method",
            ),
            _ => self.proxy.handle(request, peer).await,
        }
    }

    fn status(&self, request: &Request<Body>, peer: &Peer) -> Response<Body> {
        if let Some(peers) = &self.peers {
            peers.heard(request.headers(), peer);
        }
        json(StatusCode::OK, &self.reporter.status())
    }

    async fn drain(&self, query: Option<&str>, drained: bool) -> Response<Body> {
        match &self.drains {
            Some(drains) => drains.set(query, drained).await,
            None => error(
                StatusCode::CONFLICT,
                "this manager has no store to keep drained engines in: its discovery has to be consul://, etcd:// or zk://",
            ),
        }
    }

    async fn promise(&self, request: Request<Body>, peer: &Peer) -> Response<Body> {
        match &self.peers {
            Some(peers) => peers.promise(request.into_body(), peer).await,
            None => error(
                StatusCode::CONFLICT,
                "this manager runs without --replication: it never takes over",
            ),
        }
    }

    /// Answers at once; the resignation itself takes as long as the store takes.
    fn step_down(&self) -> Response<Body> {
        let Some(elector) = self.elector.clone() else {
            return error(
                StatusCode::CONFLICT,
                "this manager runs without --replication: nobody could take over",
            );
        };
        if elector.acting().is_none() {
            return error(StatusCode::CONFLICT, "this manager is not the primary");
        }
        tracing::info!("Stepping down as an operator asked");
        let resign = async move { elector.resign(Resignation::StepDown).await };
        self.platform.spawn("step down", Box::pin(resign));
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::ACCEPTED;
        response
    }
}
