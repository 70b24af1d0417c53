//! A small HTTP/1.1 client: one connection per request, JSON, streams and upgrades.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use swarm::platform::BoxIo;
use swarm::tls::ClientTls;
use swarm_core::address::HostPort;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For connecting and for the head of the answer, and again for a body that is read whole.
pub const LIMIT: Duration = Duration::from_secs(60);

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text, with replacement characters where it is not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not JSON; the message holds status and body.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{}: {}", self.status, self.text()))
    }

    /// The answer itself when its status is a success.
    ///
    /// # Errors
    /// When the status is another; the message holds status and body.
    pub fn success(self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        bail!("{}: {}", self.status, self.text())
    }
}

/// Where to, and how to speak there.
#[derive(Clone)]
pub struct Server {
    /// Its address.
    pub address: SocketAddr,
    /// With TLS, if there is something to go by.
    pub tls: Option<Arc<ClientTls>>,
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.tls.is_some() { " with TLS" } else { "" };
        write!(f, "{}{how}", self.address)
    }
}

impl Server {
    async fn connect(&self) -> Result<BoxIo> {
        let stream = TcpStream::connect(self.address)
            .await
            .with_context(|| format!("connecting to {self}"))?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let to: HostPort = self.address.to_string().parse()?;
        Ok(tls.connect(&to, Box::new(stream)).await?)
    }
}

/// Sends a GET.
///
/// # Errors
/// When there is no whole answer within [`LIMIT`].
pub async fn get(server: impl Into<Server>, path: &str) -> Result<Answer> {
    send(server, request(Method::GET, path)?).await
}

/// Sends a DELETE.
///
/// # Errors
/// When there is no whole answer within [`LIMIT`].
pub async fn delete(server: impl Into<Server>, path: &str) -> Result<Answer> {
    send(server, request(Method::DELETE, path)?).await
}

/// Sends a POST without a body.
///
/// # Errors
/// When there is no whole answer within [`LIMIT`].
pub async fn post(server: impl Into<Server>, path: &str) -> Result<Answer> {
    send(server, request(Method::POST, path)?).await
}

/// Sends a POST with a JSON body.
///
/// # Errors
/// When there is no whole answer within [`LIMIT`].
pub async fn post_json(server: impl Into<Server>, path: &str, body: &Value) -> Result<Answer> {
    let mut request = request(Method::POST, path)?;
    request.headers_mut().insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    *request.body_mut() = Full::new(Bytes::from(body.to_string()));
    send(server, request).await
}

/// A request without a body, to be changed as needed and then sent.
///
/// # Errors
/// When `path` is not a valid target.
pub fn request(method: Method, path: &str) -> Result<Request<Full<Bytes>>> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(Full::default())
        .with_context(|| format!("target {path}"))
}

/// Sends `request` and reads the whole answer.
///
/// # Errors
/// When there is no whole answer within [`LIMIT`].
pub async fn send(server: impl Into<Server>, request: Request<Full<Bytes>>) -> Result<Answer> {
    let server = server.into();
    let what = format!("{} {} to {server}", request.method(), request.uri());
    let (head, body) = open(server, request).await?.into_parts();
    let body = timeout(LIMIT, body.collect())
        .await
        .map_err(|_| anyhow!("{what}: body unfinished after {LIMIT:?}"))?;
    let body = body
        .with_context(|| format!("{what}: reading the body"))?
        .to_bytes();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body,
    })
}

/// Sends `request` and returns once the head of the answer is there. Dropping the answer closes the connection.
///
/// # Errors
/// When there is no head within [`LIMIT`].
pub async fn open(
    server: impl Into<Server>,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>> {
    let server = server.into();
    let what = format!("{} {} to {server}", request.method(), request.uri());
    if !request.headers().contains_key(HOST) {
        let host = server.address.to_string().parse().context("host")?;
        request.headers_mut().insert(HOST, host);
    }
    let exchange = async {
        let stream = server.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        anyhow::Ok(sender.send_request(request).await?)
    };
    timeout(LIMIT, exchange)
        .await
        .map_err(|_| anyhow!("{what}: no answer after {LIMIT:?}"))?
        .with_context(|| what.clone())
}

/// Sends `request` with `Upgrade: protocol` and returns the raw stream after a 101.
///
/// # Errors
/// When the answer is another than 101; the message holds its body.
pub async fn upgrade(
    server: SocketAddr,
    mut request: Request<Full<Bytes>>,
    protocol: &'static str,
) -> Result<TokioIo<Upgraded>> {
    request
        .headers_mut()
        .insert(CONNECTION, http::HeaderValue::from_static("Upgrade"));
    request
        .headers_mut()
        .insert(UPGRADE, http::HeaderValue::from_static(protocol));
    let answer = open(server, request).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(TokioIo::new(
            hyper::upgrade::on(answer).await.context("upgrading")?,
        ));
    }
    let status = answer.status();
    let body = timeout(LIMIT, answer.into_body().collect())
        .await??
        .to_bytes();
    bail!(
        "no upgrade to {protocol}: {status}: {}",
        String::from_utf8_lossy(&body)
    )
}

/// One connection that is kept for many requests, one after the other.
pub struct Connection {
    server: Server,
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to `server`.
    ///
    /// # Errors
    /// When that fails.
    pub async fn open(server: impl Into<Server>) -> Result<Self> {
        let server = server.into();
        let stream = timeout(LIMIT, server.connect())
            .await
            .map_err(|_| anyhow!("no connection to {server} after {LIMIT:?}"))??;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { server, sender })
    }

    /// Whether the other side has closed it.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends `request` and reads the whole answer.
    ///
    /// # Errors
    /// When there is no whole answer within [`LIMIT`].
    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Answer> {
        let what = format!("{} {} to {}", request.method(), request.uri(), self.server);
        request.headers_mut().insert(
            HOST,
            self.server.address.to_string().parse().context("host")?,
        );
        let exchange = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        timeout(LIMIT, exchange)
            .await
            .map_err(|_| anyhow!("{what}: no answer after {LIMIT:?}"))?
            .with_context(|| what.clone())
    }
}

/// The lines of a streamed body, such as events.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

impl Lines {
    /// Reads the body of `answer` line by line.
    pub fn new(answer: Response<Incoming>) -> Self {
        Self {
            body: answer.into_body(),
            buffer: BytesMut::new(),
        }
    }

    /// The next line without its newline; `None` when the stream ended.
    ///
    /// # Errors
    /// When the stream breaks, or no whole line came within `limit`.
    pub async fn next(&mut self, limit: Duration) -> Result<Option<String>> {
        timeout(limit, self.read_line())
            .await
            .map_err(|_| anyhow!("no line after {limit:?}"))?
    }

    async fn read_line(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            let Some(frame) = self.body.frame().await else {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Ok(Some(
                    String::from_utf8_lossy(&self.buffer.split())
                        .trim_end()
                        .to_owned(),
                ));
            };
            if let Ok(data) = frame.context("reading the stream")?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}
