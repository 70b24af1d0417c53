//! A store server that gives the answers of an input.

use std::sync::Arc;
use std::time::Duration;

use swarm::platform::Platform;
use swarm::store::{Cursor, Store};
use swarm_core::address::HostPort;
use swarm_core::discovery::Listing;
use swarm_core::election::Record;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::bytes::sections;
use super::memory::{self, Dialled, Memory};

/// Sections divided by lines of `---`: a line with the status and the index, then the body.
pub(super) fn answers(bytes: &[u8]) -> Arc<[Answer]> {
    sections(bytes).into_iter().map(Answer::read).collect()
}

/// One answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    index: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    fn read(section: &[u8]) -> Self {
        let (line, body) = match section.iter().position(|byte| *byte == b'\n') {
            Some(at) => section.split_at(at + 1),
            None => (section, &[][..]),
        };
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        let (status, index) = line.split_once(' ').unwrap_or((line, ""));
        let status = status
            .parse()
            .ok()
            .filter(|status| (200..=599).contains(status));
        Self {
            status: status.unwrap_or(200),
            index: index.chars().filter(char::is_ascii_graphic).collect(),
            body: body.to_vec(),
        }
    }

    pub(super) fn is_success(&self) -> bool {
        (200..=299).contains(&self.status)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!(
            "HTTP/1.1 {} X\r\nX-Consul-Index: {}\r\nContent-Length: {}\r\n\r\n",
            self.status,
            self.index,
            self.body.len()
        )
        .into_bytes();
        // These have no body (RFC 9110 section 6.4.1).
        if ![204, 304].contains(&self.status) {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// Serves whoever connects with `answers`, one after the other, the last again and again.
pub(super) fn play(memory: &Arc<Memory>, mut dialled: Dialled, answers: Arc<[Answer]>) {
    let serve = async move {
        let mut next = 0;
        while let Some(io) = dialled.recv().await {
            next = connection(io, &answers, next).await;
        }
    };
    memory.spawn("server", Box::pin(serve));
}

/// Answers until the client closes, from the answer `next` on. The next one after that.
async fn connection(mut io: DuplexStream, answers: &[Answer], mut next: usize) -> usize {
    // The bodies of requests are read as part of the next head.
    while memory::read_head(&mut io).await.ends_with(b"\r\n\r\n") {
        let answer = answers.get(next).or_else(|| answers.last());
        let answer = answer.map(Answer::bytes).unwrap_or_default();
        next += 1;
        if io.write_all(&answer).await.is_err() {
            break;
        }
    }
    next
}

/// A record to swap in.
pub(super) fn record() -> Record {
    Record {
        cluster: "c".to_owned(),
        epoch: 1,
        holder: HostPort::localhost(),
        instance: "i".to_owned(),
        nonce: "n".to_owned(),
        beat: 0,
        lease_ms: 2_000,
        released: false,
        failsafe: false,
        members: Vec::new(),
    }
}

/// Asks for what may end in any way but a panic: `p` for a classic manager, `e` for engines; `r` and `d` register and
/// deregister one.
pub(super) async fn ask(store: &dyn Store, operation: u8) {
    let (engine, ttl) = (HostPort::localhost(), Duration::from_secs(60));
    let mut cursor = Cursor::default();
    match operation {
        b'e' => {
            for _ in 0..2 {
                if let Ok(found) = store.watch_engines(&mut cursor).await {
                    let _ = Listing::of(found.iter().map(String::as_str));
                }
            }
        }
        b'r' => {
            let _ = store.register(&engine, ttl).await;
            let _ = store.register(&engine, ttl).await;
        }
        b'd' => {
            let _ = store.register(&engine, ttl).await;
            let _ = store.deregister(&engine).await;
        }
        _ => {
            let _ = store.classic_primary().await;
        }
    }
}
