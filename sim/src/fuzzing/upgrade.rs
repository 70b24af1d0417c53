//! Tunnels: what is behind a request to switch protocols, and behind the answer to it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use swarm::http::client::{ClientConfig, SendOptions};
use swarm::http::error::error;
use swarm::http::headers::remove_hop_by_hop;
use swarm::http::server::ServerConfig;
use swarm::http::upgrade::UpgradePair;
use swarm::http::{Body, Client, Handler, Peer, Server};
use swarm::platform::{BoxFuture, Platform, SharedPlatform};
use swarm_core::address::HostPort;
use tokio::io::duplex;

use super::bytes::sections;
use super::memory::{self, Dialled, Memory};
use super::reference;

/// Bytes behind the request reach the upstream if it agreed to switch to what was asked for, all of them and as they
/// are; otherwise none does, and none is read as a request.
///
/// The first byte chooses what is asked for: `t` for tcp, `h` for h2c, `w` for websocket, `u` for something unknown, `c`
/// for tcp without `Connection: Upgrade`; in upper case with a body. Up to a line of `---` follows what is behind the
/// request; the rest is what the upstream answers.
///
/// # Panics
/// When that is not so.
pub fn upgrade(bytes: &[u8]) {
    let (choice, rest) = bytes.split_first().unwrap_or((&b't', &[]));
    let sections = sections(rest);
    let behind = sections.first().copied().unwrap_or_default();
    let asked = Asked::of(*choice);
    let usual = format!(
        "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: {}\r\n\r\n",
        asked.protocol
    );
    let answer = sections.get(1).copied().unwrap_or(usual.as_bytes());
    let found = exchange(&asked, behind, answer);
    assert!(found.requests <= 1, "what is behind was read as a request");

    let upstream = found.upstream.strip_prefix(asked.body.as_bytes());
    let answered = reference::response(&found.client, false);
    let switched = answered.filter(|(answered, _)| answered.start == "101");
    let Some((_, received)) = switched else {
        let nothing = found.upstream.is_empty() || upstream == Some(&[]);
        assert!(nothing, "without a tunnel: {:?}", found.upstream);
        return;
    };
    let agreed = reference::lenient_response_head(answer).filter(|(head, _)| {
        let same = |value: &[u8]| value.eq_ignore_ascii_case(asked.protocol.as_bytes());
        head.start == "101" && head.count("upgrade") == 1 && head.values("upgrade").all(same)
    });
    assert!(agreed.is_some() && asked.allowed, "nobody agreed to switch");
    assert_eq!(agreed.map(|(_, rest)| rest), Some(received));
    assert_eq!(upstream, Some(behind), "what the upstream received");
}

struct Asked {
    protocol: &'static str,
    connection: &'static str,
    allowed: bool,
    body: &'static str,
}

impl Asked {
    fn of(choice: u8) -> Self {
        let (protocol, allowed) = match choice.to_ascii_lowercase() {
            b'h' => ("h2c", true),
            b'w' => ("websocket", true),
            b'u' => ("unknown", false),
            b'c' => ("tcp", false),
            _ => ("tcp", true),
        };
        Self {
            protocol,
            connection: if choice.eq_ignore_ascii_case(&b'c') {
                "keep-alive"
            } else {
                "Upgrade"
            },
            allowed,
            body: if choice.is_ascii_uppercase() {
                "{}"
            } else {
                ""
            },
        }
    }

    fn head(&self) -> String {
        format!(
            "POST /attach HTTP/1.1\r\nHost: a\r\nConnection: {}\r\nUpgrade: {}\r\nContent-Length: {}\r\n\r\n{}",
            self.connection,
            self.protocol,
            self.body.len(),
            self.body
        )
    }
}

struct Found {
    /// How many requests the manager saw.
    requests: usize,
    /// What the client received.
    client: Vec<u8>,
    /// What the upstream received behind the head of the request.
    upstream: Vec<u8>,
}

fn exchange(asked: &Asked, behind: &[u8], answer: &[u8]) -> Found {
    let requests = Arc::new(AtomicUsize::new(0));
    let upstream = Arc::new(Mutex::new(Vec::new()));
    let client = memory::run(async |memory, dialled| {
        play(&memory, dialled, answer.to_vec(), Arc::clone(&upstream));
        let pass = Pass {
            platform: memory.clone(),
            client: Client::new(memory.clone(), ClientConfig::default()),
            requests: Arc::clone(&requests),
        };
        let server = Server::new(memory, ServerConfig::default(), Arc::new(pass));
        let (client, io) = duplex(16 * 1024);
        server.serve_stream(Box::new(io), "client");
        let (mut read, mut write) = tokio::io::split(client);
        let sent = [asked.head().as_bytes(), behind].concat();
        let ((), received) = tokio::join!(
            memory::write_and_close(&mut write, &sent),
            memory::read_all(&mut read)
        );
        // What is on its way arrives.
        memory::wait(Duration::from_secs(300)).await;
        received
    });
    let upstream = std::mem::take(&mut *upstream.lock().unwrap_or_else(PoisonError::into_inner));
    Found {
        requests: requests.load(Ordering::Relaxed),
        client,
        upstream,
    }
}

/// Answers each connection with `answer` and notes what comes behind the head.
fn play(memory: &Arc<Memory>, mut dialled: Dialled, answer: Vec<u8>, noted: Arc<Mutex<Vec<u8>>>) {
    let accept = async move {
        while let Some(mut io) = dialled.recv().await {
            memory::read_head(&mut io).await;
            let (mut read, mut write) = tokio::io::split(io);
            let ((), received) = tokio::join!(
                memory::write_and_close(&mut write, &answer),
                memory::read_all(&mut read)
            );
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.extend_from_slice(&received);
        }
    };
    memory.spawn("upstream", Box::pin(accept));
}

/// Passes each request on, as the manager does for an engine.
struct Pass {
    platform: SharedPlatform,
    client: Client,
    requests: Arc<AtomicUsize>,
}

impl Handler for Pass {
    fn handle(
        self: Arc<Self>,
        mut request: Request<Body>,
        _: Peer,
    ) -> BoxFuture<'static, Response<Body>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let pair = match UpgradePair::take(&mut request) {
                Ok(pair) => pair,
                Err(unknown) => return error(StatusCode::BAD_REQUEST, unknown.to_string()),
            };
            remove_hop_by_hop(request.headers_mut());
            let mut options = SendOptions::endless();
            if let Some(pair) = &pair {
                pair.ask(request.headers_mut());
                options = SendOptions::upgrade();
            }
            let to = HostPort::localhost();
            let sent = self.client.send_with(&to, request, options, || {
                Ok::<_, std::convert::Infallible>(())
            });
            match (sent.await, pair) {
                (Ok(response), Some(pair)) => {
                    pair.answer(&self.platform, response, std::future::pending())
                }
                (Ok(mut response), None) => {
                    remove_hop_by_hop(response.headers_mut());
                    response
                }
                (Err(failure), _) => error(StatusCode::BAD_GATEWAY, failure.to_string()),
            }
        })
    }
}
