//! Raw bytes against a real server: what is answered, and which requests its handler gets to see.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;
use crate::http::body::{Body, collect_limited};
use crate::http::error::{error, text};
use crate::http::server::{Handler, Peer, Server, ServerConfig};
use crate::http::testing::TestPlatform;
use crate::platform::BoxFuture;

/// Records requests that arrived whole.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Handler for Recorder {
    fn handle(
        self: Arc<Self>,
        request: Request<Body>,
        _: Peer,
    ) -> BoxFuture<'static, http::Response<Body>> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            match collect_limited(body, 1 << 20).await {
                Ok(body) => {
                    let body = String::from_utf8_lossy(&body);
                    let line = format!("{} {} {body}", parts.method, parts.uri);
                    self.0.lock().unwrap().push(line);
                    text(http::StatusCode::OK, "ok")
                }
                Err(failure) => error(http::StatusCode::BAD_REQUEST, failure.to_string()),
            }
        })
    }
}

struct Outcome {
    statuses: Vec<u16>,
    seen: Vec<String>,
}

/// Sends `bytes` in pieces of `piece`, closes that direction and reads to the end.
async fn outcome(bytes: &[u8], piece: usize) -> Outcome {
    let recorder = Arc::new(Recorder::default());
    let server = Server::new(
        TestPlatform::new(),
        ServerConfig::default(),
        Arc::clone(&recorder) as Arc<dyn Handler>,
    );
    let (ours, theirs) = duplex(piece.max(1));
    server.serve_stream(Box::new(theirs), "test");
    let (mut read, mut write) = tokio::io::split(ours);
    let mut answer = Vec::new();
    let (_, _) = tokio::join!(
        async {
            // The server may stop reading: an error here is an outcome, not a failure.
            if write.write_all(bytes).await.is_ok() {
                let _ = write.shutdown().await;
            }
        },
        read.read_to_end(&mut answer),
    );
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let statuses = answer
        .match_indices("HTTP/1.")
        .filter_map(|(at, _)| answer[at + "HTTP/1.x ".len()..][..3].parse().ok())
        .collect();
    let seen = recorder.0.lock().unwrap().clone();
    Outcome { statuses, seen }
}

async fn check(bytes: &str, statuses: &[u16], seen: &[&str]) {
    for piece in [1, 7, 64 * 1024] {
        let found = outcome(bytes.as_bytes(), piece).await;
        assert_eq!(found.statuses, statuses, "{bytes:?} in pieces of {piece}");
        assert_eq!(found.seen, seen, "{bytes:?} in pieces of {piece}");
    }
}

/// A second request that must never be seen.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Heads (and starts of bodies) that are refused outright.
const REFUSED: &[&str] = &[
    // Content-Length and Transfer-Encoding together, in any order and spelling.
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING: CHUNKED\r\ncontent-length: 0\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\ntransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: identity\r\n\r\n",
    // More than one Transfer-Encoding, or one that is not exactly chunked.
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
    // Content-Length twice, or not a plain number.
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3 4\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3.0\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
    // HTTP/1.0.
    "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a\r\n\r\nabc",
    "PUT / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    // Line folding and line ends.
    "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\tb: 2\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\n",
    "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: 1\nContent-Length: 5\r\n\r\nabcde",
    "GET / HTTP/1.1\r\nHost: a\r\nX: 1\rContent-Length: 5\r\n\r\nabcde",
    "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\r\n\r\n",
    "GET / HTTP/1.1\rHost: a\r\r",
    // Field names.
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\n: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nX\0Y: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    // Targets and methods.
    "GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET other:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT other:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET info HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /# HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    // Hosts and versions.
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "GET /\r\n\r\n",
    "GET / http/1.1\r\nHost: a\r\n\r\n",
];

#[tokio::test(start_paused = true)]
async fn ambiguous_requests_end_in_400_and_nothing_behind_them_is_read() {
    for refused in REFUSED {
        check(&format!("{refused}{SMUGGLED}"), &[400], &[]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_leaves_the_answer_before_it_intact() {
    for refused in REFUSED {
        let bytes = format!("GET /first HTTP/1.1\r\nHost: a\r\n\r\n{refused}{SMUGGLED}");
        check(&bytes, &[200, 400], &["GET /first "]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn broken_chunks_never_complete_a_request() {
    let head = "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\n\r\n",
        "3\r\nabc\r\n0\r\n\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        ";x\r\nabc\r\n0\r\n\r\n",
        "g\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "3;x\n\r\nabc\r\n0\r\n\r\n",
        "3;x\ry\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nX : 1\r\n\r\n",
        "3\r\nabc\r\n0\r\n folded\r\n\r\n",
        "3\r\nabc\r\n0\r\nX: 1\n\r\n",
    ] {
        for piece in [1, 64 * 1024] {
            let found = outcome(format!("{head}{chunks}{SMUGGLED}").as_bytes(), piece).await;
            assert_eq!(found.statuses, [400], "{chunks:?} in pieces of {piece}");
            assert!(found.seen.is_empty(), "{chunks:?} in pieces of {piece}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn proper_requests_pass_also_pipelined() {
    check(
        "\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
         POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /\
         POST /3 HTTP/1.1\r\nHost: a\r\ntransfer-encoding:\tChunked \r\n\r\n\
         3;ext=\"x\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n\
         POST /4 HTTP/1.1\r\nHost:a\r\nContent-Length: 0\r\n\r\n\
         HEAD /5 HTTP/1.1\r\nHost: a\r\n\r\n",
        &[200, 200, 200, 200, 200],
        &[
            "GET /1 ",
            "POST /2 GET /",
            "POST /3 abc0123456789",
            "POST /4 ",
            "HEAD /5 ",
        ],
    )
    .await;
    check("GET /old HTTP/1.0\r\n\r\n", &[200], &["GET /old "]).await;
    check(
        "POST /old HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
        &[200],
        &["POST /old hi"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_behind_a_request_whose_upgrade_was_not_granted() {
    let upgrade = "POST /attach HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    check(&format!("{upgrade}{SMUGGLED}"), &[200], &["POST /attach "]).await;
    let with_body = "POST /exec HTTP/1.1\r\nHost: a\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}";
    check(
        &format!("{with_body}{SMUGGLED}"),
        &[200],
        &["POST /exec {}"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn heads_beyond_the_limits_end_in_431() {
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(64 * 1024)
    );
    check(&format!("{long}{SMUGGLED}"), &[431], &[]).await;
    let many = "X: 1\r\n".repeat(101);
    check(
        &format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n{SMUGGLED}"),
        &[431],
        &[],
    )
    .await;
    let fits = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(63 * 1024)
    );
    check(&fits, &[200], &["GET / "]).await;
}

/// The verdict on `bytes` read in pieces.
fn verdict(bytes: &[u8], pieces: &[usize]) -> Option<usize> {
    let mut scanner = Scanner::new(1024);
    let mut from = 0;
    let mut sizes = pieces.iter().cycle();
    while from < bytes.len() {
        let to = bytes.len().min(from + (*sizes.next().unwrap()).max(1));
        if let Err(at) = scanner.scan(&bytes[from..to]) {
            assert!(at < to - from, "the offset lies within the data");
            return Some(from + at);
        }
        from = to;
    }
    None
}

/// Pieces of requests, good and bad, to be strung together.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        Just(&b"GET / HTTP/1.1\r\n"[..]),
        Just(&b"POST /x HTTP/1.1\r\n"[..]),
        Just(&b"Host: a\r\n"[..]),
        Just(&b"Content-Length: 5\r\n"[..]),
        Just(&b"Content-Length: 0\r\n"[..]),
        Just(&b"Transfer-Encoding: chunked\r\n"[..]),
        Just(&b"Transfer-Encoding: x\r\n"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\n"[..]),
        Just(&b"\r"[..]),
        Just(&b" "[..]),
        Just(&b"5\r\nabcde\r\n"[..]),
        Just(&b"0\r\n\r\n"[..]),
        Just(&b"abcde"[..]),
        Just(&b"\0"[..]),
        Just(&b":"[..]),
    ];
    prop::collection::vec(fragment, 0..24).prop_map(|parts| parts.concat())
}

/// A request and what the [`Recorder`] writes about it.
fn proper_request() -> impl Strategy<Value = (Vec<u8>, String)> {
    let body = prop::option::of((
        prop::collection::vec("[ -~\r\n]{1,40}", 0..4),
        any::<bool>(),
    ));
    ("/[a-z0-9]{0,8}", body).prop_map(|(path, body)| {
        let Some((parts, chunked)) = body else {
            let raw = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            return (raw.into_bytes(), format!("GET {path} "));
        };
        let whole = parts.concat();
        let mut raw = format!("POST {path} HTTP/1.1\r\nHost: a\r\n");
        if chunked {
            raw += "Transfer-Encoding: chunked\r\n\r\n";
            for part in &parts {
                raw += &format!("{:x}\r\n{part}\r\n", part.len());
            }
            raw += "0\r\n\r\n";
        } else {
            raw += &format!("Content-Length: {}\r\n\r\n{whole}", whole.len());
        }
        (raw.into_bytes(), format!("POST {path} {whole}"))
    })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

proptest! {
    #[test]
    fn the_verdict_does_not_depend_on_how_the_bytes_are_cut(
        bytes in prop_oneof![fragments(), prop::collection::vec(any::<u8>(), 0..200)],
        pieces in prop::collection::vec(1_usize..9, 1..6),
    ) {
        prop_assert_eq!(verdict(&bytes, &[usize::MAX]), verdict(&bytes, &pieces));
    }

}

proptest! {
    // Each case runs whole servers.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_sequence_of_proper_requests_passes_unchanged(
        requests in prop::collection::vec(proper_request(), 1..6),
        piece in prop_oneof![1_usize..50, Just(64 * 1024)],
    ) {
        let raw: Vec<u8> = requests.iter().flat_map(|(raw, _)| raw.clone()).collect();
        let expected: Vec<String> = requests.into_iter().map(|(_, seen)| seen).collect();
        let found = block_on(outcome(&raw, piece));
        prop_assert_eq!(found.seen, expected.clone());
        prop_assert_eq!(found.statuses, vec![200; expected.len()]);
    }

    /// A refused stream ends in an error answer, and the handler sees at most what came before the violation.
    #[test]
    fn no_request_begins_behind_a_violation(bytes in fragments()) {
        let found = block_on(outcome(&bytes, 64 * 1024));
        if let Some(at) = verdict(&bytes, &[usize::MAX]) {
            let before = block_on(outcome(&bytes[..at], 64 * 1024));
            prop_assert_eq!(found.seen, before.seen);
        }
    }
}
