//! The gateway over one connection: routing, and how answers are framed.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Server;
use super::faults::{Code, Refusal};
use super::server::Failure;
use crate::BoxIo;
use crate::connection::{self, Cut};

mod ask;
#[cfg(test)]
mod tests;
pub(super) mod wire;

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Reply = Response<Body>;

/// `--max-request-bytes`.
const MAX_REQUEST: usize = 3 * 1024 * 1024 / 2;

/// A request with this header, which the gateway passes on as gRPC's metadata, is turned down by a member without a
/// leader, and its watch ends (etcd.io/docs/v3.4/learning/api_guarantees is silent; `clientv3.WithRequireLeader`).
const REQUIRE_LEADER: &str = "grpc-metadata-hasleader";

/// Serves one connection until it ends or the member does.
pub(super) async fn serve(server: Server, io: BoxIo) {
    let answering = |request| {
        let server = server.clone();
        async move { answer(&server, request).await }
    };
    connection::serve(io, server.ended(), answering).await;
}

/// The calls that are served, by their paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Range,
    Put,
    DeleteRange,
    Txn,
    Compaction,
    Watch,
    Grant,
    KeepAlive,
    Revoke,
    Authenticate,
}

const ENDPOINTS: [(&str, Endpoint); 10] = [
    ("/v3/kv/range", Endpoint::Range),
    ("/v3/kv/put", Endpoint::Put),
    ("/v3/kv/deleterange", Endpoint::DeleteRange),
    ("/v3/kv/txn", Endpoint::Txn),
    ("/v3/kv/compaction", Endpoint::Compaction),
    ("/v3/watch", Endpoint::Watch),
    ("/v3/lease/grant", Endpoint::Grant),
    ("/v3/lease/keepalive", Endpoint::KeepAlive),
    ("/v3/lease/revoke", Endpoint::Revoke),
    ("/v3/auth/authenticate", Endpoint::Authenticate),
];

impl Endpoint {
    /// Its answer is a stream, whose errors have a form of their own.
    const fn streams(self) -> bool {
        matches!(self, Self::Watch | Self::KeepAlive)
    }
}

async fn answer(server: &Server, request: Request<Incoming>) -> Result<Reply, Cut> {
    server.awake().await;
    let path = request.uri().path();
    let found = ENDPOINTS.iter().find(|(known, _)| *known == path);
    let Some((path, endpoint)) = found else {
        // The old API is served by another router; without `--enable-v2` it knows nothing.
        let old = path.starts_with("/v2/");
        let text = if old {
            "404 page not found\n"
        } else {
            "Not Found\n"
        };
        return Ok(plain(404, text));
    };
    if request.method() != Method::POST {
        return Ok(plain(405, "Method Not Allowed\n"));
    }
    server.cluster.count(path);
    let answered = carry_out(server, *endpoint, request).await;
    // A member that was paused meanwhile does not answer before it goes on.
    server.awake().await;
    match answered {
        Ok(reply) => Ok(reply),
        Err(Failure::Answer(code, text)) => {
            let body = if endpoint.streams() {
                wire::stream_error(&Failure::Answer(code, text))
            } else {
                Bytes::from(wire::error(code.number(), &text).to_string())
            };
            Ok(with_body(code.status().0, body))
        }
        Err(Failure::Cut) => Err(Cut),
        Err(Failure::Silence) => std::future::pending().await,
    }
}

async fn carry_out(
    server: &Server,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Result<Reply, Failure> {
    let required = request.headers().get(REQUIRE_LEADER);
    let requires_leader = required.is_some_and(|value| value == "true");
    let body = read_body(request.into_body()).await?;
    if requires_leader && server.cluster.lock().leader_of(server.id).is_none() {
        return Err(Refusal::NoLeader.into());
    }
    match endpoint {
        Endpoint::Range => ask::range(server, parse(&body)?).await,
        Endpoint::Put => ask::put(server, parse(&body)?).await,
        Endpoint::DeleteRange => ask::delete_range(server, parse(&body)?).await,
        Endpoint::Txn => ask::txn(server, parse(&body)?).await,
        Endpoint::Compaction => ask::compaction(server, parse(&body)?).await,
        Endpoint::Watch => ask::watch(server, parse(&body)?, requires_leader),
        Endpoint::Grant => ask::grant(server, parse(&body)?).await,
        Endpoint::KeepAlive => ask::keep_alive(server, parse(&body)?).await,
        Endpoint::Revoke => ask::revoke(server, parse(&body)?).await,
        Endpoint::Authenticate => Err(Failure::answer(
            Code::FailedPrecondition,
            "etcdserver: authentication is not enabled",
        )),
    }
}

fn refuse(server: &Server, writes: bool) -> Result<(), Failure> {
    let refuse = server.fault(|faults| faults.refuse);
    match refuse.and_then(|refuse| refuse.to(writes)) {
        Some(refusal) => Err(refusal.into()),
        None => Ok(()),
    }
}

async fn read_body(body: Incoming) -> Result<Bytes, Failure> {
    match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::answer(
            Code::InvalidArgument,
            "etcdserver: request is too large",
        )),
        // The client broke off: there is nobody to answer.
        Err(_broken) => Err(Failure::Cut),
    }
}

/// Reads a question; nothing at all is one without members.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        // Etcd takes such members; to serve a part of what was asked would be worse than to refuse.
        let unknown = text.contains("unknown field") || text.contains("unknown variant");
        let code = if unknown {
            Code::Unimplemented
        } else {
            Code::InvalidArgument
        };
        Failure::answer(code, text)
    })
}

fn plain(status: u16, text: &'static str) -> Reply {
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    let mut reply = with_body(status, Bytes::from_static(text.as_bytes()));
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

fn json(answer: &impl Serialize) -> Reply {
    // Plain numbers and strings: serialising cannot fail.
    with_body(200, serde_json::to_vec(answer).unwrap_or_default().into())
}

fn with_body(status: u16, body: Bytes) -> Reply {
    let mut reply = streamed(Full::new(body).boxed_unsync());
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply
}

fn streamed(body: Body) -> Reply {
    let mut reply = Response::new(body);
    let content_type = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}
