//! The HTTP of the engines: as little as a manager needs, at as little cost as may be.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use swarm_core::api::Query;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fleet::{self, Fleet};

/// A request, read to its end.
struct Asked {
    method: String,
    path: String,
    query: Query,
    body: Vec<u8>,
}

enum Reply {
    Json(&'static str, String),
    Events,
}

/// Answers what comes over one connection to engine number `index`, until it closes.
pub(crate) async fn connection(fleet: Arc<Fleet>, index: u32, mut stream: TcpStream) {
    let mut buffer = BytesMut::with_capacity(1024);
    loop {
        let Some(asked) = read(&mut stream, &mut buffer).await else {
            return;
        };
        let sent = match answer(&fleet, index, &asked) {
            Reply::Json(status, text) => stream.write_all(&written(status, &text)).await,
            Reply::Events => return events(&fleet, index, stream).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

fn answer(fleet: &Fleet, index: u32, asked: &Asked) -> Reply {
    let path = asked.path.trim_start_matches('/');
    let versioned = path.strip_prefix("v1.");
    let path = versioned.map_or(path, |rest| {
        rest.split_once('/').map_or("", |(_, path)| path)
    });
    let parts: Vec<&str> = path.split('/').collect();
    let found = match (asked.method.as_str(), parts.as_slice()) {
        (_, ["_ping"]) => return Reply::Json("200 OK", "OK".to_owned()),
        ("GET", ["version"]) => Some(fleet::VERSION.to_owned()),
        ("GET", ["info"]) => Some(fleet::info(index)),
        ("GET", ["events"]) => return Reply::Events,
        ("GET", ["images", "json"]) => Some(fleet::images()),
        ("GET", ["networks"]) => Some(fleet::networks()),
        ("GET", ["volumes"]) => Some(r#"{"Volumes":[],"Warnings":null}"#.to_owned()),
        ("GET", ["containers", "json"]) => {
            let filters = asked.query.value("filters").unwrap_or_default();
            let filters: serde_json::Value = serde_json::from_str(&filters).unwrap_or_default();
            let wanted = filters.pointer("/id/0").and_then(|id| id.as_str());
            fleet.list(index, wanted)
        }
        ("GET", ["containers", id, "json"]) => fleet.inspect(index, id),
        ("POST", ["containers", "create"]) => {
            let made = fleet.create(index, asked.query.value("name"), &asked.body);
            return match made {
                Some(id) => {
                    let text = format!(r#"{{"Id":"{id}","Warnings":[]}}"#);
                    Reply::Json("201 Created", text)
                }
                None => Reply::Json("400 Bad Request", r#"{"message":"not JSON"}"#.to_owned()),
            };
        }
        ("POST", ["containers", id, "start"]) if fleet.start(index, id).is_some() => {
            return Reply::Json("204 No Content", String::new());
        }
        ("POST", ["_bench", "events", count]) => {
            fleet.burst(count.parse().unwrap_or(0));
            Some("{}".to_owned())
        }
        _ => None,
    };
    match found {
        Some(text) => Reply::Json("200 OK", text),
        None => Reply::Json(
            "404 Not Found",
            r#"{"message":"page not found"}"#.to_owned(),
        ),
    }
}

fn written(status: &str, text: &str) -> Vec<u8> {
    // Without a body, and so without its length.
    let length = match status.starts_with("204") {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", text.len()),
    };
    format!(
        "HTTP/1.1 {status}\r\nApi-Version: 1.43\r\nContent-Type: application/json\r\nDocker-Experimental: \
         false\r\nOstype: linux\r\nServer: Docker/24.0.7 (linux)\r\n{length}\r\n{text}"
    )
    .into_bytes()
}

async fn events(fleet: &Fleet, index: u32, mut stream: TcpStream) {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let Some(mut news) = fleet.listen(index) else {
        return;
    };
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let mut nothing = [0; 1];
    loop {
        tokio::select! {
            biased;
            line = news.recv() => {
                let Some(mut line) = line.map(Vec::from) else { return };
                while let Ok(more) = news.try_recv() {
                    line.extend_from_slice(&more);
                }
                if stream.write_all(&line).await.is_err() {
                    return;
                }
            }
            // Whoever listens says nothing more, until it leaves.
            _ = stream.read(&mut nothing) => return,
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<Asked> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(buffer.get(..end)?).into_owned();
    buffer.advance(end);
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?, first.next()?);
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer.split_to(length).to_vec();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some(Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        query: Query::new(query),
        body,
    })
}
