//! Sessions (HA.md section 2.1).

use hyper::body::Frame;

use super::*;

/// HA.md section 2.1: defaults, bounds of the TTL, renewal and destruction.
#[tokio::test(start_paused = true)]
async fn sessions_are_created_renewed_listed_and_destroyed() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    let id = client
        .session(json!({ "Name": "s", "TTL": "15s", "LockDelay": "5s", "Behavior": "delete", "NodeChecks": [] }))
        .await;
    let info = client.get(&format!("/v1/session/info/{id}")).await;
    assert_eq!(
        info.json(),
        json!([{
            "ID": id, "Name": "s", "Node": "consul-1", "LockDelay": 5_000_000_000_u64, "Behavior": "delete",
            "TTL": "15s", "NodeChecks": [], "ServiceChecks": null, "CreateIndex": 11, "ModifyIndex": 11,
        }])
    );
    let renewed = client.put(&format!("/v1/session/renew/{id}"), "").await;
    assert_eq!(renewed.json()[0]["TTL"], json!("15s"));
    assert_eq!(
        client
            .get("/v1/session/list")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let of_node = client.get("/v1/session/node/consul-1").await;
    assert_eq!(of_node.json()[0]["ID"], json!(id));
    assert_eq!(
        client
            .put(&format!("/v1/session/destroy/{id}"), "")
            .await
            .text(),
        "true"
    );
    assert_eq!(
        client
            .put(&format!("/v1/session/destroy/{id}"), "")
            .await
            .text(),
        "true"
    );
    assert_eq!(
        client
            .put(&format!("/v1/session/renew/{id}"), "")
            .await
            .answer(),
        (404, format!("Session id '{id}' not found").as_str())
    );
    assert_eq!(client.put("/v1/session/renew/x", "").await.status, 500);
    let short = json!({ "TTL": "9s" }).to_string();
    assert_eq!(
        client.put("/v1/session/create", short).await.answer(),
        (
            500,
            "Invalid Session TTL '9000000000', must be between [10s=24h0m0s]"
        )
    );
}

/// HA.md section 2.2: a number below 1000 means seconds; the default is 15 s.
#[tokio::test(start_paused = true)]
async fn lock_delay_is_read_as_consul_reads_it() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    for (given, nanos) in [
        (json!({}), 15_000_000_000_i64),
        (json!({ "LockDelay": 7 }), 7_000_000_000),
        (json!({ "LockDelay": 1_000_000 }), 1_000_000),
        (json!({ "lockdelay": "1ms" }), 1_000_000),
        (json!({ "LockDelay": "0s" }), 0),
    ] {
        let id = client.session(given.clone()).await;
        let info = client.get(&format!("/v1/session/info/{id}")).await;
        assert_eq!(info.json()[0]["LockDelay"], json!(nanos), "{given}");
    }
}

/// HA.md section 2.1: a body without Content-Length is ignored, and the session never expires.
#[tokio::test(start_paused = true)]
async fn a_chunked_session_create_is_silently_a_default_session() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    let body = Bytes::from_static(b"{\"TTL\":\"10s\",\"Behavior\":\"delete\"}");
    let request = Request::put("/v1/session/create")
        .header("host", "consul")
        .body(Chunked(Some(body)).boxed())
        .unwrap();
    let created = client.try_send(request).await.unwrap();
    let id = created.json()["ID"].as_str().unwrap().to_owned();
    let info = client.get(&format!("/v1/session/info/{id}")).await.json();
    assert_eq!(
        (&info[0]["TTL"], &info[0]["Behavior"]),
        (&json!(""), &json!("release"))
    );
    assert_eq!(info[0]["NodeChecks"], json!(["serfHealth"]));
}

/// A body whose length the client does not state.
struct Chunked(Option<Bytes>);

impl hyper::body::Body for Chunked {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}
