//! What engines and other managers answer, through the shipping client.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use swarm::http::body::{self, collect_limited};
use swarm::http::client::{ClientConfig, SendError};
use swarm::http::{Body, Client};
use swarm::platform::Platform;
use swarm_core::address::HostPort;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::memory::{self, Dialled, Memory};
use super::reference;
use std::time::Duration;

/// A response is what a second reader makes of the bytes, and what is behind it never answers the next request.
///
/// The first byte chooses the method: `H` for HEAD, `P` for POST, any other for GET.
///
/// # Panics
/// When that is not so.
pub fn http_response(bytes: &[u8]) {
    let (choice, answer) = bytes.split_first().unwrap_or((&b'G', &[]));
    let method = match choice {
        b'H' => Method::HEAD,
        b'P' => Method::POST,
        _ => Method::GET,
    };
    let expected = reference::response(answer, method == Method::HEAD);
    let (first, second) = memory::run(async |memory, dialled| {
        play(&memory, dialled, answer.to_vec());
        let client = Client::new(memory, ClientConfig::default());
        (ask(&client, method).await, ask(&client, Method::GET).await)
    });
    if let (Ok(found), Some((expected, _))) = (&first, &expected) {
        // Nobody asks for another protocol here.
        let status = match expected.start.as_str() {
            "101" => "502",
            status => status,
        };
        assert_eq!(found.0.to_string(), status);
        if let Some(body) = found.1.as_ref().filter(|_| status != "502") {
            assert_eq!(body, &expected.body);
        }
    }
    let certain = expected.filter(|(response, _)| response.plain);
    if let Some((_, behind)) = &certain {
        let complete = first.as_ref().is_ok_and(|(_, body)| body.is_some());
        assert!(complete, "a plain response is refused: {first:?}");
        assert!(!behind.is_empty() || second.is_ok(), "{second:?}");
    }
    match second {
        Ok(second) => assert_eq!(second, (200, Some(Bytes::from_static(b"second")))),
        Err(error) => assert!(first.is_ok(), "nothing was left over: {error}"),
    }
}

const SECOND: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond";

/// The status, and the body if it came to its end.
async fn ask(client: &Client, method: Method) -> Result<(u16, Option<Bytes>), SendError> {
    let body = if method == Method::POST {
        body::full("abc")
    } else {
        body::empty()
    };
    let mut request: Request<Body> = Request::new(body);
    *request.method_mut() = method;
    let response = client.send(&HostPort::localhost(), request).await?;
    let status = response.status().as_u16();
    let body = collect_limited(response.into_body(), 1 << 20).await;
    Ok((status, body.ok()))
}

/// Answers the first request with `answer` and each later one properly.
pub(super) fn play(memory: &Arc<Memory>, mut dialled: Dialled, answer: Vec<u8>) {
    let host = Arc::clone(memory);
    let mut first = Some(answer);
    let accept = async move {
        while let Some(io) = dialled.recv().await {
            host.spawn("peer", Box::pin(peer(io, first.take())));
        }
    };
    memory.spawn("accept", Box::pin(accept));
}

/// A response without a length ends with the connection, so a silent one is closed after a while.
async fn peer(mut io: DuplexStream, first: Option<Vec<u8>>) {
    let mut answer = first.as_deref().unwrap_or(SECOND);
    loop {
        let head = tokio::select! {
            biased;
            head = memory::read_head(&mut io) => head,
            () = memory::wait(Duration::from_secs(30)) => break,
        };
        if !head.ends_with(b"\r\n\r\n") || io.write_all(answer).await.is_err() {
            break;
        }
        answer = SECOND;
    }
    let _ = io.shutdown().await;
    let _ = memory::read_all(&mut io).await;
}
