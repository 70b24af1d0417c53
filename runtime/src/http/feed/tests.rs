use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::http::client::ClientConfig;
use crate::http::testing::{TestPlatform, read_head};

/// What comes of an answer that arrives in these pieces, before the connection closes.
async fn fed(pieces: &[&[u8]]) -> Result<(u16, String, io::Result<bool>), FeedError> {
    let platform = TestPlatform::new();
    let to = TestPlatform::address("engine");
    let mut listener = platform.bind(&to);
    let client = Client::new(
        Arc::<TestPlatform>::clone(&platform),
        ClientConfig::default(),
    );
    let answer = async {
        let (mut io, _) = listener.recv().await.unwrap();
        let asked = read_head(&mut io).await;
        assert_eq!(
            asked,
            "GET /events?since=1 HTTP/1.1\r\nhost: engine:80\r\n\r\n"
        );
        for piece in pieces {
            // Nobody reads on after a refusal.
            let _ = io.write_all(piece).await;
        }
    };
    let open = Feed::open(&client, &to, "/events?since=1");
    let (opened, ()) = tokio::join!(open, answer);
    let (status, mut feed) = opened?;
    let mut body = Vec::new();
    let end = loop {
        match feed.read(|data| body.extend_from_slice(data)).await {
            Ok(true) => {}
            end => break end,
        }
    };
    Ok((status.as_u16(), String::from_utf8(body).unwrap(), end))
}

async fn body(answer: &str) -> String {
    let (status, body, end) = fed(&[answer.as_bytes()]).await.unwrap();
    assert_eq!(status, 200);
    assert!(!end.unwrap());
    body
}

#[tokio::test]
async fn a_body_ends_where_its_framing_says() {
    let head = "HTTP/1.1 200 OK\r\nServer: Docker\r\n";
    for (rest, expected) in [
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\nA;x=y\r\n two three\r\n0\r\n\r\nmore",
            "one two three",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\nTrailer: x\r\n\r\n",
            "1",
        ),
        ("Content-Length: 3\r\n\r\nonetwo", "one"),
        ("Content-Length: 0\r\n\r\none", ""),
        ("\r\nall of it", "all of it"),
    ] {
        assert_eq!(body(&format!("{head}{rest}")).await, expected);
    }
}

#[tokio::test]
async fn an_early_hint_is_passed_over() {
    let answer =
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(body(answer).await, "x");
}

#[tokio::test]
async fn what_is_no_answer_is_refused() {
    let long = format!(
        "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
        "x".repeat(4 * HEAD_BYTES)
    );
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        long.as_str(),
    ] {
        let failure = fed(&[answer.as_bytes()]).await.unwrap_err();
        assert!(matches!(failure, FeedError::Garbage(_)), "{failure}");
    }
    let failure = fed(&[b"HTTP/1.1 200 OK\r\n"]).await.unwrap_err();
    assert!(matches!(failure, FeedError::Broken(_)), "{failure}");
}

#[tokio::test]
async fn a_framing_that_is_none_breaks_the_body_off() {
    let long = "x".repeat(MAX_CHUNK_LINE + 1);
    for rest in [
        "x\r\n",
        "\r\n",
        "2\r\nabc\r\n",
        "1\na\r\n",
        long.as_str(),
        "-1\r\n",
    ] {
        let answer =
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n{rest}");
        let (_, body, end) = fed(&[answer.as_bytes()]).await.unwrap();
        assert!(body.starts_with('a'));
        assert_eq!(
            end.unwrap_err().kind(),
            io::ErrorKind::InvalidData,
            "{rest}"
        );
    }
}

proptest! {
    #[test]
    fn a_chunked_body_is_the_same_however_it_arrives(
        chunks in prop::collection::vec("[a-z\r\n]{1,40}", 0..8),
        piece in 1_usize..30,
    ) {
        let framed: String = chunks
            .iter()
            .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()))
            .collect();
        let framed = format!("{framed}0\r\n\r\n");
        let (mut deframer, mut body) = (Deframer::new(State::ChunkSize), Vec::new());
        let mut goes_on = true;
        for piece in framed.as_bytes().chunks(piece) {
            prop_assert!(goes_on);
            goes_on = deframer.take(piece, &mut |data| body.extend_from_slice(data)).unwrap();
        }
        prop_assert!(!goes_on);
        prop_assert_eq!(String::from_utf8(body).unwrap(), chunks.concat());
    }

    #[test]
    fn whatever_arrives_is_read_or_refused(data in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Head::parse(&data));
        for state in [State::ChunkSize, State::ChunkEnd, State::Trailers, State::Length { left: 7 }] {
            let mut taken = 0;
            let mut deframer = Deframer::new(state);
            drop(deframer.take(&data, &mut |part| taken += part.len()));
            prop_assert!(taken <= data.len() && deframer.line.len() <= MAX_CHUNK_LINE);
        }
    }
}
