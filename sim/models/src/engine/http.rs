//! The Engine API over HTTP/1.1.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, DATE, HeaderValue, SERVER, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Engine;
use super::options::ApiVersion;
use super::refusal::{Answer, Refusal};
use crate::{BoxFuture, BoxIo};

mod archive;
mod containers;
mod images;
mod logs;
mod networks;
mod processes;
mod query;
mod routes;
mod streams;
mod system;
mod transfer;

use query::Query;

/// What an answer carries.
type Body = UnsyncBoxBody<Bytes, Infallible>;
type Reply = Answer<Response<Body>>;

/// The most a JSON request body may hold.
const JSON_BYTES: usize = 4 << 20;
/// The most an archive to unpack may hold.
const ARCHIVE_BYTES: usize = 64 << 20;

/// What goes on with a connection after its 101.
type Tunnel = Arc<Mutex<Option<BoxFuture<()>>>>;

/// One request, taken apart.
struct Call {
    engine: Arc<Engine>,
    method: Method,
    version: ApiVersion,
    /// Path without version, percent-decoded, in parts.
    path: Vec<String>,
    query: Query,
    headers: HeaderMap,
    request: Request<Incoming>,
    tunnel: Tunnel,
}

/// The connection is to be cut instead of answered.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection cut by a fault")
    }
}

impl std::error::Error for Cut {}

/// Serves one connection until it ends.
pub(super) async fn serve(engine: &Arc<Engine>, mut io: BoxIo) {
    if engine.lock().faults.garbage {
        let mut some = [0; 512];
        if io.read(&mut some).await.is_ok_and(|read| read > 0) {
            // Whether the peer still listens to the nonsense does not matter.
            let _ = io.write_all(b"\x16\x03 this is not HTTP\r\n\r\n").await;
            let _ = io.shutdown().await;
        }
        return;
    }
    let tunnel = Tunnel::default();
    let service = hyper::service::service_fn(|request| {
        let engine = Arc::clone(engine);
        let tunnel = Arc::clone(&tunnel);
        async move { answer(engine, tunnel, request).await }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        // What was asked is done even if whoever asked has hung up since, as by Go's server.
        .half_close(true)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    // A client that goes away is no concern of the engine's.
    let _ = connection.await;
    let upgraded = tunnel.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(upgraded) = upgraded {
        upgraded.await;
    }
}

async fn answer(
    engine: Arc<Engine>,
    tunnel: Tunnel,
    request: Request<Incoming>,
) -> Result<Response<Body>, Cut> {
    let latency = engine.until(|state| Some(state.faults.latency)).await;
    if !latency.is_zero() {
        engine.host.sleep(latency).await;
    }
    if engine.lock().faults.garbage {
        return Err(Cut);
    }
    let head = request.method() == Method::HEAD;
    let mut response = match Call::new(&engine, tunnel, request) {
        Ok(call) => match routes::route(call).await {
            Ok(response) => response,
            Err(refusal) if refusal == lost() => return Err(Cut),
            Err(refusal) => refused(&refusal),
        },
        Err(refusal) => refused(&refusal),
    };
    if head && response.status().is_client_error() {
        *response.body_mut() = empty();
    }
    let (api, version, date) = {
        let state = engine.current();
        let options = &state.options;
        let server = format!("Docker/{} (linux)", options.version);
        (
            options.api_version.to_string(),
            server,
            state.wall().http_date(),
        )
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("api-version", api),
        (SERVER.as_str(), version),
        (DATE.as_str(), date),
    ] {
        if let (Ok(name), Ok(value)) = (
            http::HeaderName::try_from(name),
            HeaderValue::try_from(value),
        ) {
            headers.insert(name, value);
        }
    }
    headers.insert("docker-experimental", HeaderValue::from_static("false"));
    headers.insert("ostype", HeaderValue::from_static("linux"));
    Ok(response)
}

impl Call {
    fn new(engine: &Arc<Engine>, tunnel: Tunnel, request: Request<Incoming>) -> Answer<Self> {
        let max = engine.lock().options.api_version;
        let mut path: Vec<String> = request
            .uri()
            .path()
            .split('/')
            .skip(1)
            .map(query::decode_path)
            .collect();
        let mut version = max;
        let asked = path
            .first()
            .and_then(|first| first.strip_prefix('v')?.parse().ok());
        if let Some(asked) = asked {
            version = asked;
            path.remove(0);
        }
        if version > max {
            return Err(Refusal::bad(format!(
                "client version {version} is too new. Maximum supported API version is {max}"
            )));
        }
        if version < ApiVersion::MIN {
            return Err(Refusal::bad(format!(
                "client version {version} is too old. Minimum supported API version is {}, \
                 please upgrade your client to a newer version",
                ApiVersion::MIN
            )));
        }
        Ok(Self {
            engine: Arc::clone(engine),
            method: request.method().clone(),
            version,
            path,
            query: Query::parse(request.uri().query().unwrap_or_default()),
            headers: request.headers().clone(),
            request,
            tunnel,
        })
    }

    /// Reads a JSON body.
    async fn body(&mut self) -> Answer<Bytes> {
        self.read(JSON_BYTES).await
    }

    async fn read(&mut self, limit: usize) -> Answer<Bytes> {
        let body = Limited::new(self.request.body_mut(), limit).collect().await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|error| Refusal::bad(format!("cannot read the request body: {error}")))
    }

    /// Whether the client asks for a raw connection.
    fn wants_upgrade(&self) -> bool {
        let connection = self.headers.get(CONNECTION).and_then(|v| v.to_str().ok());
        self.headers.contains_key(UPGRADE)
            && connection.is_some_and(|text| text.to_ascii_lowercase().contains("upgrade"))
    }
}

/// What a handler returns for a create whose answer gets lost.
fn lost() -> Refusal {
    Refusal::new(0, "lost")
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::NOT_MODIFIED {
        return with_body(status, empty());
    }
    json_response(status, &json!({"message": refusal.message}))
}

fn with_body(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// An answer in JSON, with the line feed Docker puts behind it.
fn json_response(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    // These values are all serialisable; an empty body would show a mistake here at once.
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    let mut response = with_body(status, full(bytes));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn ok(value: &impl Serialize) -> Reply {
    Ok(json_response(StatusCode::OK, value))
}

fn created(value: &impl Serialize) -> Reply {
    Ok(json_response(StatusCode::CREATED, value))
}

fn no_content() -> Reply {
    Ok(with_body(StatusCode::NO_CONTENT, empty()))
}

/// An answer whose body comes bit by bit.
fn streamed(content_type: &'static str, body: Body) -> Reply {
    let mut response = with_body(StatusCode::OK, body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

fn empty() -> Body {
    Empty::new().boxed_unsync()
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}
