//! A client that attaches to a container, types numbered lines into it and reads what comes back.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use swarm::http::body;
use swarm::http::client::SendOptions;
use swarm::platform::timeout;
use swarm_core::rng::Random;
use swarm_models::engine::Change;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ClientHost;
use super::asker::{Ask, Asker, not_answered, told};
use super::frames::{Frames, Lines};
use crate::history::{Nature, Told};

/// A line that has not come back after so long is not waited for.
const ECHO: Duration = Duration::from_secs(15);

pub(super) async fn work(host: ClientHost) {
    let mut random = host.random.fork("attacher");
    let asker = Asker::new(host);
    loop {
        session(&asker, &mut random).await;
        asker.pause().await;
    }
}

/// A container that gives back what it is given, attached to once or twice, and removed.
async fn session(asker: &Asker, random: &mut Random) -> Option<()> {
    let config = json!({
        "Image": "busybox", "Cmd": ["cat"], "OpenStdin": true, "StdinOnce": true, "AttachStdin": true,
    });
    let made = asker.create(config, |_| None).await;
    if !made.is_done() {
        return None;
    }
    let answer: Value = serde_json::from_slice(&made.body).ok()?;
    let id = answer.get("Id")?.as_str()?.to_owned();
    let path = |rest: &str| format!("/v1.41/containers/{id}{rest}");
    for first in [true, false] {
        // What reads stops when its input ends: it is started anew for each who attaches.
        let ask = Ask::new(Method::POST, path("/start"), Nature::Repeatable);
        let started = asker.change(made.id, Change::Start, "", ask).await;
        if !matches!(started.told, Told::Done | Told::Rejected) {
            break;
        }
        if let Some(upgraded) = attach(asker, path("/attach?stream=1&stdin=1&stdout=1")).await {
            Tunnel::new(asker, upgraded, first).live(random).await;
        }
        asker.pause().await;
    }
    let ask = Ask::new(Method::DELETE, path("?force=1"), Nature::Repeatable);
    asker.change(made.id, Change::Remove, "", ask).await;
    Some(())
}

async fn attach(asker: &Asker, path: String) -> Option<Upgraded> {
    let ask = Ask::new(Method::POST, path, Nature::Read);
    let id = asker.begin(&ask);
    let mut request = Request::new(body::empty());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = ask.path.parse().ok()?;
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    let answer = asker.respond(request, SendOptions::upgrade());
    let limit = asker.patience() * 2;
    match timeout(asker.host.platform.as_ref(), limit, answer).await {
        Ok(Ok(mut response)) => {
            let status = response.status();
            asker.heard(id, told(status), status.as_u16(), Bytes::new());
            if status != StatusCode::SWITCHING_PROTOCOLS {
                return None;
            }
            hyper::upgrade::on(&mut response).await.ok()
        }
        Ok(Err(failure)) => {
            asker.heard(id, not_answered(&failure), 0, Bytes::new());
            None
        }
        Err(_) => {
            asker.ledger().gave_up(id);
            None
        }
    }
}

/// What came out of a tunnel.
enum Came {
    Line(Bytes),
    End,
    Broken,
}

struct Tunnel<'a> {
    asker: &'a Asker,
    io: TokioIo<Upgraded>,
    number: u64,
    /// Nobody else has typed into this container: every line must be one of this tunnel's.
    alone: bool,
    frames: Frames,
    lines: Lines,
}

impl<'a> Tunnel<'a> {
    fn new(asker: &'a Asker, upgraded: Upgraded, alone: bool) -> Self {
        let number = asker.ledger().tunnel_opened(asker.host.id);
        Self {
            asker,
            io: TokioIo::new(upgraded),
            number,
            alone,
            frames: Frames::default(),
            lines: Lines::default(),
        }
    }

    /// Types and reads for a while; then closes the input and reads to the end, or just leaves.
    async fn live(mut self, random: &mut Random) {
        let count = random.between(1, 200);
        let mut whole = true;
        for at in 0..count {
            let last = at + 1 == count;
            if !self.exchange(at, last && random.chance(500)).await {
                whole = false;
                break;
            }
            if !last {
                self.asker.pause().await;
            }
        }
        self.asker.ledger().tunnel_ended(self.number, whole);
    }

    /// Types a line and reads it, and with `end` the end of the output after the end of the input.
    async fn exchange(&mut self, at: u64, end: bool) -> bool {
        let line = format!("t{}-{at}", self.number);
        let written = self.asker.ledger().now();
        let typed = async {
            self.io.write_all(format!("{line}\n").as_bytes()).await?;
            self.io.flush().await?;
            if end {
                self.io.shutdown().await?;
            }
            Ok::<(), std::io::Error>(())
        };
        let platform = self.asker.host.platform.clone();
        if !matches!(timeout(platform.as_ref(), ECHO, typed).await, Ok(Ok(()))) {
            return false;
        }
        loop {
            match timeout(platform.as_ref(), ECHO, self.read()).await {
                Ok(Came::Line(came)) if came == line => break,
                Ok(Came::Line(came)) => {
                    if !self.passes_over(&came, &line) {
                        return false;
                    }
                }
                Ok(Came::End | Came::Broken) | Err(_) => return false,
            }
        }
        let (client, number) = (self.asker.host.id, self.number);
        self.asker.ledger().tunnel_echoed(client, number, written);
        if !end {
            return true;
        }
        match timeout(platform.as_ref(), ECHO, self.read()).await {
            Ok(Came::End) => true,
            Ok(Came::Line(came)) => self.passes_over(&came, "the end"),
            Ok(Came::Broken) | Err(_) => false,
        }
    }

    /// Whether the line may be what another tunnel left behind.
    fn passes_over(&self, came: &Bytes, expected: &str) -> bool {
        if self.alone {
            let what = format!(
                "{:?} came instead of {expected:?}",
                String::from_utf8_lossy(came)
            );
            self.asker.ledger().tunnel_garbled(self.number, &what);
        }
        !self.alone
    }

    async fn read(&mut self) -> Came {
        loop {
            while let Some(payload) = self.frames.next() {
                self.lines.push(&payload);
            }
            if let Some(line) = self.lines.next() {
                return Came::Line(line);
            }
            let mut buffer = [0; 4_096];
            match self.io.read(&mut buffer).await {
                Ok(0) => return Came::End,
                Ok(length) => self.frames.push(buffer.get(..length).unwrap_or_default()),
                Err(_) => return Came::Broken,
            }
        }
    }
}
