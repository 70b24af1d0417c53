//! The first look at a request: what concerns this manager itself, and everything else.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use swarm_core::election::Resignation;

use super::peers::Peers;
use super::report::Reporter;
use super::status::{STATUS_PATH, STEP_DOWN_PATH};
use crate::election::Elector;
use crate::http::error::error;
use crate::http::{Body, Handler, Peer, body};
use crate::platform::{BoxFuture, SharedPlatform};
use crate::proxy::Proxy;

pub(super) struct Front {
    pub(super) platform: SharedPlatform,
    pub(super) proxy: Arc<Proxy>,
    pub(super) reporter: Arc<Reporter>,
    pub(super) peers: Option<Arc<Peers>>,
    pub(super) elector: Option<Arc<Elector>>,
}

impl Handler for Front {
    fn handle(
        self: Arc<Self>,
        request: Request<Body>,
        peer: Peer,
    ) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            match (request.method().clone(), request.uri().path()) {
                (Method::GET, STATUS_PATH) => self.status(&request, &peer),
                (Method::POST, STEP_DOWN_PATH) => self.step_down(),
                (_, STATUS_PATH | STEP_DOWN_PATH) => error(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "this path takes another method",
                ),
                _ => self.proxy.handle(request, peer).await,
            }
        })
    }
}

impl Front {
    fn status(&self, request: &Request<Body>, peer: &Peer) -> Response<Body> {
        if let Some(peers) = &self.peers {
            peers.heard(request.headers(), peer);
        }
        match body::json(&self.reporter.status()) {
            Ok(body) => {
                let mut response = Response::new(body);
                let json = http::HeaderValue::from_static("application/json");
                response
                    .headers_mut()
                    .insert(http::header::CONTENT_TYPE, json);
                response
            }
            Err(problem) => error(StatusCode::INTERNAL_SERVER_ERROR, problem.to_string()),
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
