use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::tokio_host::{TokioHost, serve_tcp};

struct Fixture {
    host: Arc<TokioHost>,
    engine: Arc<Engine>,
}

struct Response {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Response {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Fixture {
    fn new() -> Self {
        Self::with(Options::new("e1"))
    }

    fn with(options: Options) -> Self {
        let host = Arc::new(TokioHost::new());
        let engine = Engine::new(host.clone(), options);
        Self { host, engine }
    }

    fn connect(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        self.host.spawn(self.engine.serve(Box::new(far)));
        near
    }

    /// Sends a request and reads everything up to the end of the connection.
    async fn raw(&self, request: &str) -> Vec<u8> {
        let mut io = self.connect();
        let mut answer = Vec::new();
        if io.write_all(request.as_bytes()).await.is_ok() {
            io.read_to_end(&mut answer).await.unwrap();
        }
        answer
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Response {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let path = path.replace('"', "%22");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: e\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        parse(&self.raw(&request).await)
    }

    async fn get(&self, path: &str) -> Response {
        self.call("GET", path, Value::Null).await
    }

    async fn post(&self, path: &str) -> Response {
        self.call("POST", path, Value::Null).await
    }

    async fn create(&self, name: &str, body: Value) -> Response {
        self.call(
            "POST",
            &format!("/v1.41/containers/create?name={name}"),
            body,
        )
        .await
    }

    async fn run(&self, name: &str, command: &[&str]) {
        let created = self
            .create(name, json!({"Image": "busybox", "Cmd": command}))
            .await;
        assert_eq!(created.status, 201, "{}", created.head);
        assert_eq!(
            self.post(&format!("/containers/{name}/start")).await.status,
            204
        );
    }

    /// Asks for an upgrade and reads the answer's head.
    async fn upgrade(&self, path: &str, body: &str) -> (DuplexStream, String) {
        let mut io = self.connect();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        io.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(io.read_u8().await.unwrap());
        }
        (io, String::from_utf8(head).unwrap())
    }

    fn phase(&self, name: &str) -> Phase {
        let containers = self.engine.containers();
        containers.iter().find(|c| c.name == name).unwrap().phase
    }
}

fn parse(answer: &[u8]) -> Response {
    let end = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a complete head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut body = answer[end + 4..].to_vec();
    if head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        body = unchunk(&body);
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, head, body }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|w| w == b"\r\n")
            .expect("a chunk size");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}

/// The payload of stream frames, by stream.
fn frames(mut rest: &[u8]) -> Vec<(u8, String)> {
    let mut found = Vec::new();
    while let [stream, 0, 0, 0, a, b, c, d, tail @ ..] = rest {
        let size = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        found.push((*stream, String::from_utf8(tail[..size].to_vec()).unwrap()));
        rest = &tail[size..];
    }
    assert!(rest.is_empty(), "{rest:?}");
    found
}

#[tokio::test(start_paused = true)]
async fn ping_carries_the_version_and_newer_or_older_clients_are_told() {
    let fixture = Fixture::new();
    for method in ["GET", "HEAD"] {
        let ping = fixture.call(method, "/_ping", Value::Null).await;
        assert_eq!(ping.status, 200);
        assert!(ping.head.contains("api-version: 1.41"), "{}", ping.head);
        assert!(ping.head.contains("ostype: linux"), "{}", ping.head);
        assert_eq!(
            ping.body,
            if method == "GET" {
                b"OK".to_vec()
            } else {
                Vec::new()
            }
        );
    }
    let newer = fixture.get("/v1.50/info").await;
    assert_eq!(newer.status, 400);
    assert_eq!(
        newer.message(),
        "client version 1.50 is too new. Maximum supported API version is 1.41"
    );
    let older = fixture.get("/v1.10/info").await;
    assert!(
        older
            .message()
            .contains("Minimum supported API version is 1.24")
    );
    assert_eq!(
        fixture.get("/v1.41/nonsense").await.message(),
        "page not found"
    );
}

#[tokio::test(start_paused = true)]
async fn unknown_create_fields_come_back_in_inspect() {
    let fixture = Fixture::new();
    let body = json!({
        "Image": "busybox", "Cmd": ["top"], "Labels": {"a": "b"}, "Novel": {"deep": [1, 2]},
        "HostConfig": {"Memory": 5, "FutureKnob": "x", "RestartPolicy": {"Name": "always"}},
    });
    assert_eq!(fixture.create("web", body).await.status, 201);
    let seen = fixture.get("/containers/web/json").await.json();
    assert_eq!(seen["Config"]["Novel"], json!({"deep": [1, 2]}));
    assert_eq!(seen["HostConfig"]["FutureKnob"], "x");
    assert_eq!(seen["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert_eq!(seen["State"]["Status"], "created");
    assert_eq!(fixture.engine.creates_labelled("a", "b").len(), 1);
    assert_eq!(fixture.engine.requests()["POST /containers/create"], 1);
}

#[tokio::test(start_paused = true)]
async fn refusals_have_dockers_codes_and_texts() {
    let fixture = Fixture::new();
    fixture.run("web", &["top"]).await;
    let id = fixture.engine.containers()[0].id.clone();
    let twice = fixture.create("web", json!({"Image": "busybox"})).await;
    assert_eq!(twice.status, 409);
    assert_eq!(
        twice.message(),
        format!(
            "Conflict. The container name \"/web\" is already in use by container \"{id}\". \
             You have to remove (or rename) that container to be able to reuse that name."
        )
    );
    let no_image = fixture.create("x1", json!({"Image": "absent"})).await;
    assert_eq!(
        (no_image.status, no_image.message()),
        (404, "No such image: absent:latest".into())
    );
    let missing = fixture.get("/containers/nope/json").await;
    assert_eq!(
        (missing.status, missing.message()),
        (404, "No such container: nope".into())
    );
    let again = fixture.post("/containers/web/start").await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    let remove = fixture.call("DELETE", "/containers/web", Value::Null).await;
    assert_eq!(remove.status, 409);
    assert!(
        remove
            .message()
            .starts_with("You cannot remove a running container")
    );
    assert_eq!(fixture.post("/containers/web/stop").await.status, 204);
    assert_eq!(fixture.post("/containers/web/stop").await.status, 304);
    let filter = fixture
        .get("/containers/json?filters={\"bogus\":[\"1\"]}")
        .await;
    assert_eq!(
        (filter.status, filter.message()),
        (400, "invalid filter 'bogus'".into())
    );
    let short = fixture
        .get(&format!("/containers/{}/json", &id[..12]))
        .await;
    assert_eq!(short.json()["Id"], Value::from(id));
}

#[tokio::test(start_paused = true)]
async fn processes_follow_the_hosts_clock() {
    let fixture = Fixture::new();
    fixture.run("nap", &["sleep", "60"]).await;
    fixture.host.sleep(Duration::from_secs(59)).await;
    assert_eq!(fixture.phase("nap"), Phase::Running);
    let list = fixture.get("/containers/json").await.json();
    assert_eq!(list[0]["Status"], "Up 59 seconds");
    let waited = fixture.post("/containers/nap/wait").await.json();
    assert_eq!(waited["StatusCode"], 0);
    assert_eq!(fixture.phase("nap"), Phase::Exited);
    assert_eq!(fixture.get("/containers/json").await.json(), json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_pause_stops_the_clock_of_a_process() {
    let fixture = Fixture::new();
    fixture.run("nap", &["sleep", "10"]).await;
    fixture.host.sleep(Duration::from_secs(4)).await;
    assert_eq!(fixture.post("/containers/nap/pause").await.status, 204);
    fixture.host.sleep(Duration::from_secs(100)).await;
    assert_eq!(fixture.phase("nap"), Phase::Paused);
    assert_eq!(fixture.post("/containers/nap/unpause").await.status, 204);
    fixture.host.sleep(Duration::from_secs(5)).await;
    assert_eq!(fixture.phase("nap"), Phase::Running);
    fixture.host.sleep(Duration::from_secs(2)).await;
    assert_eq!(fixture.phase("nap"), Phase::Exited);
}

#[tokio::test(start_paused = true)]
async fn a_stop_terminates_and_kills_only_the_stubborn() {
    let fixture = Fixture::new();
    fixture.run("meek", &["top"]).await;
    fixture
        .run("stubborn", &["sh", "-c", "trap '' TERM; top"])
        .await;
    for name in ["meek", "stubborn"] {
        assert_eq!(
            fixture
                .post(&format!("/containers/{name}/stop?t=3"))
                .await
                .status,
            204
        );
    }
    let codes: Vec<i64> = fixture
        .engine
        .containers()
        .iter()
        .map(|c| c.exit_code)
        .collect();
    assert_eq!(codes, [143, 137]);
}

#[tokio::test(start_paused = true)]
async fn attach_passes_input_and_keeps_sending_after_a_half_close() {
    let fixture = Fixture::new();
    let body = json!({"Image": "busybox", "Cmd": ["sh", "-c", "cat; sleep 5; echo late; echo err >&2"],
        "OpenStdin": true, "StdinOnce": true});
    fixture.create("pipe", body).await;
    let path = "/v1.41/containers/pipe/attach?stream=1&stdin=1&stdout=1&stderr=1";
    let (mut io, head) = fixture.upgrade(path, "").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(
        head.contains("content-type: application/vnd.docker.raw-stream"),
        "{head}"
    );
    fixture.post("/containers/pipe/start").await;
    io.write_all(b"typed\n").await.unwrap();
    io.shutdown().await.unwrap();
    let mut output = Vec::new();
    io.read_to_end(&mut output).await.unwrap();
    let expected = [
        (1, "typed\n".to_owned()),
        (1, "late\n".to_owned()),
        (2, "err\n".to_owned()),
    ];
    assert_eq!(frames(&output), expected);
}

#[tokio::test(start_paused = true)]
async fn a_removed_container_still_delivers_its_last_output_and_code() {
    let fixture = Fixture::new();
    let body = json!({"Image": "busybox", "Cmd": ["sh", "-c", "echo bye; exit 9"],
        "HostConfig": {"AutoRemove": true}});
    fixture.create("gone", body).await;
    let path = "/v1.41/containers/gone/attach?stream=1&stdout=1&stderr=1";
    let (mut io, _) = fixture.upgrade(path, "").await;
    let wait = fixture.post("/containers/gone/wait?condition=removed");
    let (waited, started) = tokio::join!(wait, fixture.post("/containers/gone/start"));
    assert_eq!(started.status, 204);
    assert_eq!(waited.json()["StatusCode"], 9);
    let mut output = Vec::new();
    io.read_to_end(&mut output).await.unwrap();
    assert_eq!(frames(&output), [(1, "bye\n".to_owned())]);
    assert_eq!(fixture.engine.containers(), []);
}

#[tokio::test(start_paused = true)]
async fn exec_runs_beside_the_container_and_reports_its_code() {
    let mut options = Options::new("new");
    options.api_version = ApiVersion(1, 50);
    let fixture = Fixture::with(options);
    fixture.run("web", &["top"]).await;
    let body = json!({"Cmd": ["sh", "-c", "echo $WHO; cat; exit 6"], "AttachStdin": true,
        "AttachStdout": true, "Env": ["WHO=me"]});
    let exec = fixture.call("POST", "/containers/web/exec", body).await;
    let id = exec.json()["Id"].as_str().unwrap().to_owned();
    let (mut io, head) = fixture.upgrade(&format!("/exec/{id}/start"), "{}").await;
    assert!(
        head.contains("application/vnd.docker.multiplexed-stream"),
        "{head}"
    );
    io.write_all(b"in").await.unwrap();
    io.shutdown().await.unwrap();
    let mut output = Vec::new();
    io.read_to_end(&mut output).await.unwrap();
    assert_eq!(
        frames(&output),
        [(1, "me\n".to_owned()), (1, "in".to_owned())]
    );
    let seen = fixture.get(&format!("/exec/{id}/json")).await.json();
    assert_eq!(
        (&seen["ExitCode"], &seen["Running"]),
        (&json!(6), &json!(false))
    );
    let again = fixture
        .call("POST", &format!("/exec/{id}/start"), json!({}))
        .await;
    assert_eq!(again.status, 409);
}

#[tokio::test(start_paused = true)]
async fn events_replay_follow_and_can_be_cut() {
    let fixture = Fixture::new();
    fixture.run("web", &["top"]).await;
    let until = fixture.engine.current().wall().seconds() + 1;
    let filter = "{\"type\":[\"container\"]}";
    let past = fixture
        .get(&format!("/events?since=1&until={until}&filters={filter}"))
        .await;
    let actions: Vec<String> = past
        .lines()
        .iter()
        .map(|event| event["Action"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(actions, ["create", "start"]);

    let live = fixture.raw("GET /events HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n");
    let acts = async {
        fixture.host.sleep(Duration::from_millis(10)).await;
        fixture.post("/containers/web/kill").await;
        fixture.engine.cut_event_streams();
    };
    let (answer, ()) = tokio::join!(live, acts);
    let lines = parse(&answer).lines();
    let actions: Vec<&str> = lines
        .iter()
        .map(|event| event["Action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["kill", "die", "disconnect"]);
    assert_eq!(lines[1]["Actor"]["Attributes"]["exitCode"], "137");
    let times: Vec<u64> = lines
        .iter()
        .map(|event| event["timeNano"].as_u64().unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn logs_select_streams_tails_and_follow_to_the_end() {
    let fixture = Fixture::new();
    fixture
        .run("chat", &["sh", "-c", "echo e >&2; chatter 4 1000"])
        .await;
    let follow = fixture.get("/containers/chat/logs?stdout=1&follow=1").await;
    let lines: Vec<String> = frames(&follow.body)
        .into_iter()
        .map(|(_, line)| line)
        .collect();
    assert_eq!(lines, ["line 1\n", "line 2\n", "line 3\n", "line 4\n"]);
    let tail = fixture
        .get("/containers/chat/logs?stdout=1&stderr=1&tail=1&timestamps=1")
        .await;
    assert_eq!(
        frames(&tail.body),
        [(1, "2026-01-01T00:00:03.000000000Z line 4\n".to_owned())]
    );
    let stderr = fixture.get("/containers/chat/logs?stderr=1").await;
    assert_eq!(frames(&stderr.body), [(2, "e\n".to_owned())]);
    assert_eq!(fixture.get("/containers/chat/logs").await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn host_ports_are_exclusive_and_freed() {
    let fixture = Fixture::new();
    let body = json!({"Image": "nginx", "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}});
    for name in ["one", "two"] {
        fixture.create(name, body.clone()).await;
    }
    assert_eq!(fixture.post("/containers/one/start").await.status, 204);
    let taken = fixture.post("/containers/two/start").await;
    assert_eq!(taken.status, 500);
    assert!(
        taken.message().ends_with("port is already allocated"),
        "{}",
        taken.message()
    );
    let list = fixture
        .get("/containers/json?filters={\"publish\":[\"8000-9000\"]}")
        .await
        .json();
    assert_eq!(list[0]["Ports"][0]["PublicPort"], 8080);
    fixture
        .call("DELETE", "/containers/one?force=1", Value::Null)
        .await;
    assert_eq!(fixture.post("/containers/two/start").await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn a_network_in_use_stays_and_gives_addresses() {
    let fixture = Fixture::new();
    assert_eq!(
        fixture
            .call("POST", "/networks/create", json!({"Name": "n1"}))
            .await
            .status,
        201
    );
    let body = json!({"Image": "nginx", "HostConfig": {"NetworkMode": "n1"}});
    fixture.create("web", body).await;
    fixture.post("/containers/web/start").await;
    let seen = fixture.get("/containers/web/json").await.json();
    assert_eq!(
        seen["NetworkSettings"]["Networks"]["n1"]["IPAddress"],
        "172.18.0.2"
    );
    assert_eq!(
        fixture
            .call("DELETE", "/networks/n1", Value::Null)
            .await
            .status,
        403
    );
    fixture
        .call("DELETE", "/containers/web?force=1", Value::Null)
        .await;
    assert_eq!(
        fixture
            .call("DELETE", "/networks/n1", Value::Null)
            .await
            .status,
        204
    );
    let absent = json!({"Image": "nginx", "HostConfig": {"NetworkMode": "n1"}});
    fixture.create("lost", absent).await;
    let start = fixture.post("/containers/lost/start").await;
    assert_eq!(
        (start.status, start.message()),
        (404, "network n1 not found".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_create_can_fail_or_lose_its_answer() {
    let fixture = Fixture::new();
    fixture.engine.set_faults(|faults| {
        faults.fail_creates.insert(1, (500, "disk on fire".into()));
        faults.lose_creates.insert(2);
    });
    let body = json!({"Image": "busybox"});
    let failed = fixture.create("one", body.clone()).await;
    assert_eq!(
        (failed.status, failed.message()),
        (500, "disk on fire".into())
    );
    let text = body.to_string();
    let request = format!(
        "POST /containers/create?name=two HTTP/1.1\r\nHost: e\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    assert_eq!(fixture.raw(&request).await, b"");
    let names: Vec<String> = fixture
        .engine
        .creates()
        .into_iter()
        .map(|c| c.name)
        .collect();
    assert_eq!(names, ["two"]);
}

#[tokio::test(start_paused = true)]
async fn a_hung_engine_answers_when_it_thaws() {
    let fixture = Fixture::new();
    fixture.engine.set_faults(|faults| faults.hung = true);
    let thaw = async {
        fixture.host.sleep(Duration::from_secs(30)).await;
        fixture.engine.set_faults(|faults| faults.hung = false);
    };
    let before = fixture.host.mono();
    let (ping, ()) = tokio::join!(fixture.get("/_ping"), thaw);
    assert_eq!(ping.status, 200);
    assert_eq!(fixture.host.mono().since(before), Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_engine_cuts_connections_and_refuses_new_ones() {
    let fixture = Fixture::new();
    let live = fixture.raw("GET /events HTTP/1.1\r\nHost: e\r\n\r\n");
    let stop = async {
        fixture.host.sleep(Duration::from_secs(1)).await;
        fixture.engine.set_faults(|faults| faults.stopped = true);
    };
    let (answer, ()) = tokio::join!(live, stop);
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(
        fixture.raw("GET /_ping HTTP/1.1\r\nHost: e\r\n\r\n").await,
        b""
    );
    fixture.engine.set_faults(|faults| faults.stopped = false);
    assert_eq!(fixture.get("/_ping").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn garbage_latency_and_another_identity_can_be_had() {
    let fixture = Fixture::new();
    fixture.engine.set_faults(|faults| {
        faults.latency = Duration::from_secs(2);
        faults.daemon_id = Some("OTHER".into());
    });
    let before = fixture.host.mono();
    assert_eq!(fixture.get("/info").await.json()["ID"], "OTHER");
    assert_eq!(fixture.host.mono().since(before), Duration::from_secs(2));
    fixture.engine.set_faults(|faults| faults.garbage = true);
    let answer = fixture.raw("GET /info HTTP/1.1\r\nHost: e\r\n\r\n").await;
    assert!(!answer.is_empty() && !answer.starts_with(b"HTTP"));
}

#[tokio::test(start_paused = true)]
async fn the_same_requests_give_the_same_answers_and_engines_differ() {
    let mut seen = Vec::new();
    for name in ["e1", "e1", "e2"] {
        let fixture = Fixture::with(Options::new(name));
        for number in 0..3 {
            fixture.run(&format!("c{number}"), &["sleep", "5"]).await;
        }
        seen.push(fixture.get("/containers/json").await.body);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
}

#[tokio::test(start_paused = true)]
async fn files_are_put_found_and_fetched() {
    let fixture = Fixture::new();
    fixture.create("box", json!({"Image": "busybox"})).await;
    let file = tar::Entry {
        path: "note".into(),
        directory: false,
        mode: 0o640,
        modified: swarm_core::time::Wall(0),
        data: "text".into(),
    };
    let archive = tar::write(&[file]);
    let mut io = fixture.connect();
    let head = format!(
        "PUT /containers/box/archive?path=/tmp HTTP/1.1\r\nHost: e\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        archive.len()
    );
    io.write_all(head.as_bytes()).await.unwrap();
    io.write_all(&archive).await.unwrap();
    let mut answer = Vec::new();
    io.read_to_end(&mut answer).await.unwrap();
    assert_eq!(parse(&answer).status, 200);
    let got = fixture.get("/containers/box/archive?path=/tmp/note").await;
    assert!(got.head.contains("x-docker-container-path-stat: "));
    let entries = tar::read(&got.body.into()).unwrap();
    assert_eq!(
        (entries[0].path.as_str(), entries[0].data.as_ref()),
        ("note", &b"text"[..])
    );
    assert_eq!(
        fixture
            .call("HEAD", "/containers/box/archive?path=/no", Value::Null)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn an_engine_serves_over_loopback_tcp() {
    let fixture = Fixture::new();
    let (address, _running) = serve_tcp("127.0.0.1:0", fixture.engine.clone())
        .await
        .unwrap();
    let mut io = tokio::net::TcpSocket::new_v4()
        .unwrap()
        .connect(address)
        .await
        .unwrap();
    io.write_all(b"GET /info HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    io.read_to_end(&mut answer).await.unwrap();
    let info = parse(&answer).json();
    assert_eq!(
        (&info["Name"], &info["Swarm"]["LocalNodeState"]),
        (&json!("e1"), &json!("inactive"))
    );
}

#[tokio::test]
async fn what_was_changed_on_request_is_remembered_in_order() {
    let fixture = Fixture::new();
    let labels = json!({"Image": "busybox", "Cmd": ["sleep", "inf"], "Labels": {"key": "7"}});
    fixture.create("box", labels).await;
    for (method, path) in [
        ("POST", "/containers/box/start"),
        ("POST", "/containers/box/start"),
        ("POST", "/containers/box/kill?signal=USR1"),
        ("POST", "/containers/box/stop"),
        ("POST", "/containers/box/kill"),
        ("DELETE", "/containers/box"),
    ] {
        fixture.call(method, path, Value::Null).await;
    }
    let mut position = 0;
    let done = fixture.engine.mutations(&mut position);
    assert!(done.iter().all(|one| one.labels["key"] == "7"));
    let done: Vec<(Change, &str)> = done
        .iter()
        .map(|one| (one.change, one.detail.as_str()))
        .collect();
    assert_eq!(
        done,
        [
            (Change::Create, ""),
            (Change::Start, ""),
            (Change::Kill, "10"),
            (Change::Stop, ""),
            (Change::Remove, ""),
        ],
        "what was refused or changed nothing is not there"
    );
    assert_eq!(fixture.engine.mutations(&mut position), []);
}

#[tokio::test(start_paused = true)]
async fn a_pull_can_take_its_time() {
    let options = Options {
        pull_takes: Duration::from_secs(5),
        ..Options::new("e1")
    };
    let fixture = Fixture::with(options);
    let began = fixture.host.mono();
    let path = "/images/create?fromImage=web&tag=1";
    assert_eq!(fixture.call("POST", path, Value::Null).await.status, 200);
    let took = fixture.host.mono().since(began);
    assert_eq!(took.as_millis(), 5_000);
}
