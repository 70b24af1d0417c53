//! The HTTP API over one connection: routing, tokens, and how answers are framed.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderName, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Serialize;

use self::params::Params;
use super::Server;
use super::faults::Refusal;
use super::query::Answer;
use super::server::Failure;
use crate::BoxIo;
use crate::connection::{self, Cut};

mod agent;
mod kv;
mod params;
mod session;
#[cfg(test)]
mod tests;
mod txn;

type Reply = Response<Full<Bytes>>;

/// The largest value and the largest transaction (`kv_max_value_size`, `txn_max_req_len`).
const MAX_VALUE: usize = 512 * 1024;
/// Consul bounds only bodies that state their length; this bounds the memory of the others.
const MAX_CHUNKED: usize = 4 * 1024 * 1024;

const X_CONSUL_INDEX: HeaderName = HeaderName::from_static("x-consul-index");
const X_CONSUL_KNOWN_LEADER: HeaderName = HeaderName::from_static("x-consul-knownleader");
const X_CONSUL_LAST_CONTACT: HeaderName = HeaderName::from_static("x-consul-lastcontact");

/// Serves one connection until it ends or the server is killed.
pub(super) async fn serve(server: Server, io: BoxIo) {
    let answering = |request| {
        let server = server.clone();
        async move { answer(&server, request).await }
    };
    connection::serve(io, server.down(), answering).await;
}

async fn answer(server: &Server, request: Request<Incoming>) -> Result<Reply, Cut> {
    server.awake().await;
    let routed = route(server, request).await;
    // A server that was paused meanwhile does not answer before it goes on.
    server.awake().await;
    match routed {
        Ok(reply) => Ok(reply),
        Err(Failure::Answer(status, text)) => Ok(text_reply(status, text)),
        Err(Failure::Cut) => Err(Cut),
        Err(Failure::Silence) => std::future::pending().await,
    }
}

/// A request that was understood as far as its route.
pub(super) struct Call {
    path_rest: String,
    params: Params,
    access: Access,
    request: Request<Incoming>,
}

/// What the request's token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    All,
    Nothing,
}

impl Access {
    fn require(self) -> Result<(), Failure> {
        match self {
            Self::All => Ok(()),
            Self::Nothing => Err(Refusal::PermissionDenied.into()),
        }
    }
}

/// The endpoints, with the prefix they are registered under. One that ends in a slash takes the rest of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Kv,
    Txn,
    SessionCreate,
    SessionDestroy,
    SessionRenew,
    SessionInfo,
    SessionNode,
    SessionList,
    StatusLeader,
    StatusPeers,
    AgentSelf,
    CatalogNodes,
}

const ENDPOINTS: [(&str, Endpoint, &[Method]); 12] = {
    use Endpoint as E;
    const GET: &[Method] = &[Method::GET];
    const PUT: &[Method] = &[Method::PUT];
    [
        (
            "/v1/kv/",
            E::Kv,
            &[Method::GET, Method::PUT, Method::DELETE],
        ),
        ("/v1/txn", E::Txn, PUT),
        ("/v1/session/create", E::SessionCreate, PUT),
        ("/v1/session/destroy/", E::SessionDestroy, PUT),
        ("/v1/session/renew/", E::SessionRenew, PUT),
        ("/v1/session/info/", E::SessionInfo, GET),
        ("/v1/session/node/", E::SessionNode, GET),
        ("/v1/session/list", E::SessionList, GET),
        ("/v1/status/leader", E::StatusLeader, GET),
        ("/v1/status/peers", E::StatusPeers, GET),
        ("/v1/agent/self", E::AgentSelf, GET),
        ("/v1/catalog/nodes", E::CatalogNodes, GET),
    ]
};

async fn route(server: &Server, request: Request<Incoming>) -> Result<Reply, Failure> {
    let path = params::decode_path(request.uri().path())?;
    if let Some(clean) = params::cleaned(&path) {
        return Ok(redirect(&clean, request.uri().query()));
    }
    let params = Params::parse(request.uri().query().unwrap_or(""))?;
    let found = ENDPOINTS.iter().find_map(|(prefix, endpoint, methods)| {
        let rest = path.strip_prefix(prefix)?;
        (rest.is_empty() || prefix.ends_with('/')).then_some((*prefix, *endpoint, *methods, rest))
    });
    let Some((prefix, endpoint, methods, rest)) = found else {
        let text = "Invalid URL path: not a recognized HTTP API endpoint\n";
        return Err(Failure::Answer(404, text.to_owned()));
    };
    let method = request.method();
    if method == Method::OPTIONS {
        return Ok(with_allowed(text_reply(200, String::new()), methods));
    }
    if !methods.contains(method) {
        let reply = text_reply(405, format!("method {method} not allowed"));
        return Ok(with_allowed(reply, methods));
    }
    server.cluster.count(&format!("{method} {prefix}"));
    let writes = *method != Method::GET;
    let path_rest = rest.to_owned();
    if endpoint != Endpoint::Txn {
        refuse(server, writes)?;
    }
    let call = Call {
        access: access(server, &request, &params)?,
        path_rest,
        params,
        request,
    };
    match endpoint {
        Endpoint::Kv => kv::answer(server, call).await,
        Endpoint::Txn => txn::answer(server, call).await,
        Endpoint::SessionCreate => session::create(server, call).await,
        Endpoint::SessionDestroy => session::destroy(server, call).await,
        Endpoint::SessionRenew => session::renew(server, call).await,
        Endpoint::SessionInfo => session::info(server, call).await,
        Endpoint::SessionNode => session::of_node(server, call).await,
        Endpoint::SessionList => session::list(server, call).await,
        Endpoint::StatusLeader => agent::leader(server, &call),
        Endpoint::StatusPeers => agent::peers(server, &call),
        Endpoint::AgentSelf => agent::this(server, &call),
        Endpoint::CatalogNodes => agent::nodes(server, call).await,
    }
}

fn refuse(server: &Server, writes: bool) -> Result<(), Failure> {
    let refuse = server.fault(|faults| faults.refuse);
    match refuse.and_then(|refuse| refuse.to(writes)) {
        Some(refusal) => Err(refusal.into()),
        None => Ok(()),
    }
}

/// Looks the token up: the query parameter first, then `X-Consul-Token`, then a bearer token (HA.md section 2.7).
fn access(
    server: &Server,
    request: &Request<Incoming>,
    params: &Params,
) -> Result<Access, Failure> {
    let inner = server.cluster.lock();
    let Some(tokens) = &inner.tokens else {
        return Ok(Access::All);
    };
    let header = |name: HeaderName| request.headers().get(name)?.to_str().ok();
    let bearer = || {
        let (scheme, token) = header(AUTHORIZATION)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    };
    let token = params
        .get("token")
        .filter(|token| !token.is_empty())
        .or_else(|| header(HeaderName::from_static("x-consul-token")))
        .or_else(bearer)
        .unwrap_or("");
    if token.is_empty() {
        Ok(Access::Nothing)
    } else if tokens.contains(token) {
        Ok(Access::All)
    } else {
        Err(Refusal::AclNotFound.into())
    }
}

fn with_allowed(mut reply: Reply, methods: &[Method]) -> Reply {
    let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>();
    if let Ok(value) = HeaderValue::try_from(format!("OPTIONS,{}", allowed.join(","))) {
        reply.headers_mut().insert(ALLOW, value);
    }
    reply
}

/// As Go's router does with a path that is not clean.
fn redirect(clean: &str, query: Option<&str>) -> Reply {
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let mut reply = text_reply(301, String::new());
    if let Ok(value) = HeaderValue::try_from(format!("{}{query}", params::encode_path(clean))) {
        reply.headers_mut().insert(LOCATION, value);
    }
    reply
}

fn text_reply(status: u16, text: String) -> Reply {
    let content_type = "text/plain; charset=utf-8";
    reply(status, content_type, Bytes::from(text))
}

fn reply(status: u16, content_type: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static(content_type);
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

impl Call {
    /// A JSON answer, indented when the client asks for `?pretty`.
    fn json(&self, status: u16, value: &impl Serialize) -> Result<Reply, Failure> {
        self.params.json(status, value)
    }
}

/// Adds what Consul tells about a read.
fn with_meta(mut reply: Reply, answer: &Answer) -> Reply {
    let headers = reply.headers_mut();
    headers.insert(X_CONSUL_INDEX, HeaderValue::from(answer.index));
    with_contact(reply, answer.known_leader, answer.last_contact)
}

fn with_contact(mut reply: Reply, known_leader: bool, last_contact: Duration) -> Reply {
    let known = HeaderValue::from_static(if known_leader { "true" } else { "false" });
    let millis = u64::try_from(last_contact.as_millis()).unwrap_or(u64::MAX);
    let headers = reply.headers_mut();
    headers.insert(X_CONSUL_KNOWN_LEADER, known);
    headers.insert(X_CONSUL_LAST_CONTACT, HeaderValue::from(millis));
    reply
}
