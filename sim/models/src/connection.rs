//! HTTP over one connection of a store's server.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use tokio::sync::oneshot;

use crate::{BoxIo, Host};

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
pub(crate) struct Cut;

/// Serves one connection until it ends or the server does.
pub(crate) async fn serve<B, A>(
    io: BoxIo,
    server_ends: impl Future<Output = ()>,
    answer: impl Fn(Request<Incoming>) -> A,
) where
    B: Body<Data = Bytes, Error = std::convert::Infallible> + 'static,
    A: Future<Output = Result<Response<B>, Cut>>,
{
    let connection = http1::Builder::new()
        .max_headers(100)
        .max_buf_size(64 * 1024)
        .auto_date_header(false)
        // What was asked is done even if whoever asked has hung up since, as by Go's server.
        .half_close(true)
        .serve_connection(TokioIo::new(io), service_fn(answer));
    tokio::select! {
        biased;
        () = server_ends => {}
        // What went wrong on the connection is the client's to notice.
        _ended = connection => {}
    }
}

/// Carries something out even when whoever asked for it goes away meanwhile. `None` when the host has ended.
pub(crate) async fn detached<T: Send + 'static>(
    host: &dyn Host,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    host.spawn(Box::pin(async move {
        // Nobody listens when the client has gone.
        answer.send(work.await).ok();
    }));
    answered.await.ok()
}
