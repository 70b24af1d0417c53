//! Keys, transactions, tokens and what is malformed.

use super::*;

/// api-docs/kv#read-key: the fields, base64, `null` for an empty value, and the headers.
#[tokio::test(start_paused = true)]
async fn a_key_is_shown_with_its_indexes_and_headers() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    assert_eq!(
        client.put("/v1/kv/a/b?flags=42", "hello").await.answer(),
        (200, "true")
    );
    let got = client.get("/v1/kv/a/b").await;
    assert_eq!(
        got.text(),
        r#"[{"LockIndex":0,"Key":"a/b","Flags":42,"Value":"aGVsbG8=","CreateIndex":11,"ModifyIndex":11}]"#
    );
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("x-consul-index"), "11");
    assert_eq!(got.header("x-consul-knownleader"), "true");
    assert_eq!(got.header("x-consul-lastcontact"), "0");

    client.put("/v1/kv/empty", "").await;
    assert_eq!(
        client.get("/v1/kv/empty").await.json()[0]["Value"],
        Value::Null
    );
    let raw = client.get("/v1/kv/a/b?raw").await;
    assert_eq!(raw.answer(), (200, "hello"));
    let pretty = client.get("/v1/kv/a/b?pretty").await;
    assert!(
        pretty
            .text()
            .starts_with("[\n    {\n        \"LockIndex\": 0,")
    );
}

/// HA.md section 2.5: a missing key is a 404 with the index of the table, 1 on an empty one.
#[tokio::test(start_paused = true)]
async fn a_missing_key_is_404_with_an_index() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    let got = client.get("/v1/kv/k").await;
    assert_eq!((got.answer(), got.index()), ((404, ""), 1));
    client.put("/v1/kv/other", "v").await;
    assert_eq!(client.get("/v1/kv/k").await.index(), 11);
    assert_eq!(
        client.get("/v1/kv/").await.answer(),
        (400, "Missing key name")
    );
}

/// api-docs/kv: `recurse`, `keys`, `separator`, recursive delete.
#[tokio::test(start_paused = true)]
async fn keys_are_listed_and_deleted_by_prefix() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    for key in ["n/a:1", "n/b:2", "n/x/1", "n/x/2", "o"] {
        client.put(&format!("/v1/kv/{key}"), "v").await;
    }
    let keys = |got: Got| got.json();
    assert_eq!(
        keys(client.get("/v1/kv/n/?keys").await),
        json!(["n/a:1", "n/b:2", "n/x/1", "n/x/2"])
    );
    assert_eq!(
        keys(client.get("/v1/kv/n/?keys&separator=/").await),
        json!(["n/a:1", "n/b:2", "n/x/"])
    );
    let list = client.get("/v1/kv/n/x?recurse").await;
    assert_eq!(list.json().as_array().unwrap().len(), 2);
    assert_eq!(client.get("/v1/kv/none?recurse").await.status, 404);
    assert_eq!(client.get("/v1/kv/none?keys").await.status, 404);
    assert_eq!(
        client
            .send("DELETE", "/v1/kv/n/?recurse", "")
            .await
            .answer(),
        (200, "true")
    );
    assert_eq!(keys(client.get("/v1/kv/?keys").await), json!(["o"]));
}

/// HA.md section 2.3: PUT with cas, acquire and release answers true or false; combining them is refused.
#[tokio::test(start_paused = true)]
async fn conditional_writes_say_whether_they_happened() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    let session = client.session(json!({ "TTL": "10s" })).await;
    assert_eq!(client.put("/v1/kv/k?cas=5", "v").await.text(), "false");
    assert_eq!(client.put("/v1/kv/k?cas=0", "v").await.text(), "true");
    let acquire = format!("/v1/kv/k?acquire={session}");
    assert_eq!(client.put(&acquire, "v").await.text(), "true");
    let held = client.get("/v1/kv/k").await.json();
    assert_eq!(held[0]["Session"], json!(session));
    let release = format!("/v1/kv/k?release={session}");
    assert_eq!(client.put(&release, "v").await.text(), "true");
    assert_eq!(client.put(&release, "v").await.text(), "false");
    assert_eq!(
        client.put("/v1/kv/k?release=x&cas=1", "v").await.answer(),
        (400, "Conflicting flags: cas=1&release=x\n")
    );
    let unknown = "aaaaaaaa-0000-4000-8000-000000000001";
    assert_eq!(
        client
            .put(&format!("/v1/kv/k?acquire={unknown}"), "v")
            .await
            .answer(),
        (
            500,
            format!("raft apply failed: invalid session {unknown:?}").as_str()
        )
    );
    assert_eq!(
        client.send("DELETE", "/v1/kv/k?cas=3", "").await.text(),
        "false"
    );
    assert_eq!(
        client.send("DELETE", "/v1/kv/none?cas=3", "").await.text(),
        "true"
    );
}

/// HA.md section 2.4: the shape of both answers of a transaction.
#[tokio::test(start_paused = true)]
async fn a_transaction_answers_with_results_or_with_errors() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    let done = client.put("/v1/txn", cas("R", "v", 0)).await;
    assert_eq!(
        done.answer(),
        (
            200,
            r#"{"Results":[{"KV":{"LockIndex":0,"Key":"R","Flags":0,"Value":null,"CreateIndex":11,"ModifyIndex":11}}],"Errors":null}"#
        )
    );
    let stale = client.put("/v1/txn", cas("R", "w", 0)).await;
    assert_eq!(
        stale.answer(),
        (
            409,
            r#"{"Results":null,"Errors":[{"OpIndex":0,"What":"failed to set key \"R\", index is stale"}]}"#
        )
    );
    assert_eq!(bench.cluster.index(), 12);
    let read = json!([{ "kv": { "verb": "get", "KEY": "R" } }]).to_string();
    let read = client.put("/v1/txn", read).await;
    assert_eq!(read.json()["Results"][0]["KV"]["Value"], json!("dg=="));
    assert_eq!(read.header("x-consul-knownleader"), "true");
    assert_eq!(bench.cluster.index(), 12);
}

/// HA.md sections 2.3 and 2.4, api-docs/txn: 64 operations, 512 KiB.
#[tokio::test(start_paused = true)]
async fn limits_are_413() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    let op = json!({ "KV": { "Verb": "set", "Key": "k" } });
    let ops = |count| Value::from(vec![op.clone(); count]).to_string();
    assert_eq!(client.put("/v1/txn", ops(64)).await.status, 200);
    assert_eq!(
        client.put("/v1/txn", ops(65)).await.answer(),
        (413, "Transaction contains too many operations (65 > 64)")
    );
    assert_eq!(
        client.put("/v1/kv/k", vec![0; 512 * 1024]).await.status,
        200
    );
    let large = client.put("/v1/kv/k", vec![0; 512 * 1024 + 1]).await;
    assert_eq!(large.status, 413);
    assert!(
        large
            .text()
            .starts_with("Request body(524289 bytes) too large, max size: 524288 bytes.")
    );
    let mut client = bench.client(0).await;
    assert_eq!(
        client
            .put("/v1/txn", vec![b' '; 512 * 1024 + 1])
            .await
            .status,
        413
    );
}

/// What is malformed is named and harms nobody.
#[tokio::test(start_paused = true)]
async fn malformed_requests_get_a_clear_error() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    for (method, uri, body, status, text) in [
        ("PUT", "/v1/txn", "{", 400, "Failed to parse body"),
        (
            "PUT",
            "/v1/txn",
            "[{\"KV\":7}]",
            400,
            "Failed to parse body",
        ),
        ("PUT", "/v1/txn", "[{\"Node\":{}}]", 501, "keys only"),
        (
            "PUT",
            "/v1/session/create",
            "[]",
            400,
            "Request decode failed",
        ),
        (
            "PUT",
            "/v1/session/create",
            "{\"Behavior\":\"x\"}",
            500,
            "Invalid Behavior setting 'x'",
        ),
        ("GET", "/v1/kv/k?wait=10", "", 400, "Invalid wait time"),
        ("GET", "/v1/kv/k?index=x", "", 400, "Invalid index"),
        (
            "GET",
            "/v1/kv/k?stale&consistent",
            "",
            400,
            "Cannot specify ?stale with ?consistent",
        ),
        ("GET", "/v1/kv/k%zz", "", 400, "invalid URL escape"),
        ("GET", "/v1/kv/%ff", "", 400, "not UTF-8"),
        ("PUT", "/v1/kv/k?cas=x", "", 500, "ParseUint"),
        ("POST", "/v1/kv/k", "", 405, "method POST not allowed"),
        ("GET", "/v1/nothing", "", 404, "Invalid URL path"),
        ("GET", "/v1/kv//k?x=1", "", 301, ""),
    ] {
        let got = client.send(method, uri, body).await;
        assert_eq!(got.status, status, "{method} {uri}: {got:?}");
        assert!(got.text().contains(text), "{method} {uri}: {got:?}");
    }
    let moved = client.get("/v1/kv//k?x=1").await;
    assert_eq!(moved.header("location"), "/v1/kv/k?x=1");
}

/// HA.md section 2.7: the three ways to give a token, and the three answers.
#[tokio::test(start_paused = true)]
async fn a_token_decides_what_is_answered() {
    let bench = Bench::new(Options {
        tokens: Some(BTreeSet::from(["good".to_owned()])),
        ..Options::default()
    });
    let mut client = bench.client(0).await;
    let mut with = async |header: &'static str, value: &'static str, uri: &str| {
        let mut request = request("PUT", uri, "v");
        request.headers_mut().insert(header, value.parse().unwrap());
        let got = client.try_send(request).await.unwrap();
        (got.status, got.text().to_owned())
    };
    let yes = (200, "true".to_owned());
    assert_eq!(with("x-consul-token", "good", "/v1/kv/k").await, yes);
    assert_eq!(with("authorization", "Bearer good", "/v1/kv/k").await, yes);
    assert_eq!(with("x-other", "", "/v1/kv/k?token=good").await, yes);
    assert_eq!(
        with("x-consul-token", "bad", "/v1/kv/k").await,
        (403, "ACL not found".to_owned())
    );
    assert_eq!(
        with("x-other", "", "/v1/kv/k").await,
        (403, "Permission denied".to_owned())
    );
    // Without rights a transaction fails operation by operation, and lists look empty.
    let denied = client.put("/v1/txn", cas("k", "v", 0)).await;
    assert_eq!(denied.status, 409);
    assert_eq!(
        denied.json()["Errors"][0]["What"],
        json!("Permission denied")
    );
    assert_eq!(client.get("/v1/kv/?recurse").await.status, 404);
    assert_eq!(client.get("/v1/session/list").await.text(), "[]");
    assert_eq!(client.get("/v1/status/leader").await.status, 200);
}

/// api-docs/status, api-docs/agent#read-configuration, api-docs/catalog#list-nodes.
#[tokio::test(start_paused = true)]
async fn a_client_finds_its_way() {
    let bench = Bench::three();
    let mut client = bench.client(1).await;
    assert_eq!(
        client.get("/v1/status/leader").await.text(),
        "\"127.0.0.1:8300\""
    );
    assert_eq!(
        client
            .get("/v1/status/peers")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let this = client.get("/v1/agent/self").await.json();
    assert_eq!(this["Config"]["Version"], json!("1.10.11"));
    assert_eq!(this["Config"]["NodeName"], json!("consul-2"));
    assert_eq!(
        client.get("/v1/catalog/nodes").await.json()[2]["Node"],
        json!("consul-3")
    );
    let requests = bench.cluster.requests();
    assert_eq!(requests.get("GET /v1/status/leader"), Some(&1));
}
