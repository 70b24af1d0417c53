use super::*;

#[tokio::test]
async fn a_container_lives_its_life_through_the_manager() {
    let rig = Rig::new(2).await;
    rig.create("web", &["top"]).await;
    // A name that is part of the path itself: spec/classic.md section 10.3, A1.
    rig.run("containers").await;
    assert_eq!(rig.names("").await, ["/node-1/containers"]);
    for (method, target, status) in [
        ("POST", "/v1.41/containers/web/start", 204),
        ("POST", "/v1.41/containers/web/start", 304),
        ("POST", "/v1.41/containers/web/pause", 204),
        ("POST", "/v1.41/containers/web/unpause", 204),
        ("GET", "/v1.41/containers/containers/top", 200),
        ("GET", "/v1.41/containers/containers/logs?stdout=1", 200),
        ("GET", "/v1.41/containers/containers/changes", 200),
        ("GET", "/v1.41/containers/containers/stats?stream=0", 200),
        ("POST", "/v1.41/containers/web/rename?name=shop", 204),
        ("POST", "/v1.41/containers/shop/stop?t=1", 204),
        ("POST", "/v1.41/containers/shop/wait", 200),
        ("DELETE", "/v1.41/containers/shop", 204),
        ("DELETE", "/v1.41/containers/shop", 404),
        ("POST", "/v1.41/containers/containers/kill", 204),
    ] {
        let reply = rig.ask(method, target).await;
        assert_eq!(reply.status, status, "{method} {target}: {reply:?}");
        assert_eq!(reply.headers.get_all("api-version").iter().count(), 1);
    }
    assert_eq!(rig.names("all=1").await, ["/node-1/containers"]);
    rig.close().await;
}

#[tokio::test]
async fn what_was_done_shows_in_the_very_next_list() {
    let rig = Rig::new(1).await;
    rig.run("one").await;
    for (action, query, names) in [
        ("pause", r#"filters={"status":["paused"]}"#, 1),
        ("unpause", r#"filters={"status":["running"]}"#, 1),
        ("kill", r#"filters={"status":["exited"]}"#, 1),
        ("start", "", 1),
    ] {
        let reply = rig
            .ask("POST", &format!("/v1.41/containers/one/{action}"))
            .await;
        assert_eq!(reply.status, 204, "{reply:?}");
        let query = query
            .replace('"', "%22")
            .replace('{', "%7B")
            .replace('}', "%7D");
        assert_eq!(rig.names(&query).await.len(), names, "{action}");
    }
    rig.close().await;
}

#[tokio::test]
async fn a_start_shows_in_the_very_next_list_whatever_was_being_read() {
    let rig = Rig::new(1).await;
    rig.run("one").await;
    for round in 0..30 {
        // Its events make the manager read the container while it is started again.
        rig.ask_engine(0, "POST", "/v1.41/containers/one/kill")
            .await;
        let reply = rig.ask("POST", "/v1.41/containers/one/start").await;
        assert_eq!(reply.status, 204, "{reply:?}");
        assert_eq!(rig.names("").await.len(), 1, "round {round}");
    }
    rig.close().await;
}

#[tokio::test]
async fn a_repeated_start_runs_nothing_a_second_time() {
    let rig = Rig::new(1).await;
    rig.create("brief", &["true"]).await;
    let again = async || {
        let headers = [("test-repeat", "1")];
        rig.send("POST", "/v1.41/containers/brief/start", &headers, "")
            .await
    };
    // The first attempt had not arrived.
    assert_eq!(again().await.status, 204);
    let ended = rig.ask("POST", "/v1.41/containers/brief/wait").await;
    assert_eq!(ended.status, 200);
    // It had, and the container has ended.
    let reply = again().await;
    assert_eq!(reply.status, 502, "{reply:?}");
    assert!(reply.text.contains("has run and ended"), "{reply:?}");
    // Whoever wants it may start it once more.
    let wanted = rig.ask("POST", "/v1.41/containers/brief/start").await;
    assert_eq!(wanted.status, 204);
    rig.create("long", &["top"]).await;
    for status in [204, 304] {
        let headers = [("test-repeat", "1")];
        let reply = rig
            .send("POST", "/v1.41/containers/long/start", &headers, "")
            .await;
        assert_eq!(reply.status, status, "{reply:?}");
    }
    // Two of the short one and one of the long one: what runs is not asked to, it might have ended by then.
    let asked = rig.doubles[0].requests();
    assert_eq!(
        asked.get("POST /containers/{}/start"),
        Some(&3),
        "{asked:?}"
    );
    rig.close().await;
}

#[tokio::test]
async fn inspect_names_the_engine_and_its_address() {
    let rig = Rig::new(1).await;
    let body = json!({"Image": "alpine", "Cmd": ["top"], "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}});
    rig.send(
        "POST",
        "/v1.41/containers/create?name=web",
        &[],
        &body.to_string(),
    )
    .await;
    rig.ask("POST", "/v1.41/containers/web/start").await;
    let inspect = rig.ask("GET", "/v1.41/containers/web/json").await.json();
    assert_eq!(inspect["Name"], "/web");
    assert_eq!(inspect["Node"]["Name"], "node-0");
    assert_eq!(inspect["Node"]["Addr"], rig.addresses[0].to_string());
    assert_eq!(inspect["Node"]["IP"], "127.0.0.1");
    assert_eq!(inspect["Node"]["Cpus"], 4);
    let id = inspect["Node"]["ID"].as_str().unwrap();
    assert_eq!(id, format!("{}|{}", rig.doubles[0].id(), rig.addresses[0]));
    let bindings = &inspect["NetworkSettings"]["Ports"]["80/tcp"];
    assert_eq!(bindings[0]["HostIp"], "127.0.0.1", "{bindings}");
    rig.close().await;
}

#[tokio::test]
async fn a_new_primary_asks_the_engines_before_it_says_that_there_is_no_such_container() {
    let rig = Rig::new(2).await;
    let id = rig.run("web").await;
    let address =
        &rig.addresses[usize::from(rig.doubles[1].containers().iter().any(|one| one.id == id))];
    let forget = || {
        let mut cluster = rig.engines.cluster().write();
        assert!(cluster.remove_container(address, &id));
    };
    for reference in ["web", &id, "node-0/web", "node-1/web"] {
        let known = rig
            .ask("GET", &format!("/v1.41/containers/{reference}/json"))
            .await;
        forget();
        let found = rig
            .ask("GET", &format!("/v1.41/containers/{reference}/json"))
            .await;
        assert_eq!(found.status, known.status, "{reference}");
        if found.status == 404 {
            rig.ask("GET", "/v1.41/containers/web/json").await;
        }
    }
    rig.close().await;
}

#[tokio::test]
async fn references_that_lead_nowhere_or_to_several_say_so() {
    let rig = Rig::new(2).await;
    let reply = rig.ask("GET", "/v1.41/containers/nobody/json").await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (404, "No such container: nobody")
    );
    let reply = rig.ask("POST", "/v1.41/exec/nobody/start").await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (404, "No such exec instance: nobody")
    );
    // Behind the manager's back two engines get containers of the same name.
    for address in &rig.addresses {
        let body = json!({"Image": "alpine", "Cmd": ["top"]}).to_string();
        let create = request(
            "POST",
            "/v1.41/containers/create?name=twin",
            &[("content-type", "application/json")],
            &body,
        );
        let response = rig.client.send(address, create).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    rig.until("both twins are seen", |cluster| {
        cluster.named("twin").count() == 2
    })
    .await;
    let reply = rig.ask("POST", "/v1.41/containers/twin/start").await;
    assert_eq!(reply.status, 400);
    assert!(reply.message().contains("node-0/twin"), "{reply:?}");
    assert_eq!(
        rig.ask("POST", "/v1.41/containers/node-1/twin/start")
            .await
            .status,
        204
    );
    rig.close().await;
}

#[tokio::test]
async fn a_container_of_an_engine_that_is_down_answers_503_with_the_reason() {
    let rig = Rig::new(2).await;
    rig.run("one").await;
    rig.run("two").await;
    rig.fail(0).await;
    let reply = rig.ask("POST", "/v1.41/containers/one/stop").await;
    assert_eq!(reply.status, 503);
    let start = format!(
        "container one is on engine node-0 ({}), which is Unhealthy",
        rig.addresses[0]
    );
    assert!(reply.message().starts_with(&start), "{reply:?}");
    assert_eq!(rig.names("").await, ["/node-1/two"]);
    assert_eq!(rig.names("all=1").await.len(), 2);
    rig.close().await;
}

#[tokio::test]
async fn an_engines_refusal_reaches_the_client_as_it_is() {
    let rig = Rig::new(1).await;
    rig.run("one").await;
    let reply = rig.ask("DELETE", "/v1.41/containers/one").await;
    assert_eq!(reply.status, 409);
    assert!(reply.message().contains("running"), "{reply:?}");
    rig.close().await;
}

#[tokio::test]
async fn renaming_to_a_name_in_use_anywhere_is_a_conflict() {
    let rig = Rig::new(2).await;
    rig.create("one", &["top"]).await;
    rig.create("two", &["top"]).await;
    let reply = rig
        .ask("POST", "/v1.41/containers/one/rename?name=two")
        .await;
    assert_eq!(reply.status, 409);
    assert!(
        reply
            .message()
            .starts_with("Conflict: The name two is already assigned.")
    );
    assert_eq!(rig.api.reserved(), 0);
    rig.close().await;
}

#[tokio::test]
async fn an_exec_instance_is_found_also_when_another_manager_made_it() {
    let rig = Rig::new(2).await;
    let id = rig.run("one").await;
    let body = json!({"Cmd": ["echo", "hi"], "AttachStdout": true}).to_string();
    let made = rig
        .send(
            "POST",
            "/v1.41/containers/one/exec",
            &[("content-type", "application/json")],
            &body,
        )
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let exec = made.json()["Id"].as_str().unwrap().to_owned();
    let found = rig.ask("GET", &format!("/v1.41/exec/{exec}/json")).await;
    assert_eq!(found.json()["ContainerID"], id.as_str());
    let number = rig
        .doubles
        .iter()
        .position(|double| !double.containers().is_empty())
        .unwrap();
    let create = request(
        "POST",
        &format!("/v1.41/containers/{id}/exec"),
        &[("content-type", "application/json")],
        &body,
    );
    let response = rig
        .client
        .send(&rig.addresses[number], create)
        .await
        .unwrap();
    let text = body::collect_limited(response.into_body(), 1 << 16)
        .await
        .unwrap();
    let exec = containers::id_in(&text).unwrap();
    let found = rig.ask("GET", &format!("/v1.41/exec/{exec}/json")).await;
    assert_eq!(found.json()["ContainerID"], id.as_str());
    rig.close().await;
}

#[tokio::test]
async fn attach_becomes_a_tunnel_with_half_close() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rig = Rig::new(1).await;
    let body = json!({"Image": "alpine", "Cmd": ["cat"], "OpenStdin": true, "StdinOnce": true, "AttachStdin": true}).to_string();
    rig.send("POST", "/v1.41/containers/create?name=cat", &[], &body)
        .await;
    let attach = request(
        "POST",
        "/v1.41/containers/cat/attach?stream=1&stdin=1&stdout=1",
        &[("connection", "Upgrade"), ("upgrade", "tcp")],
        "",
    );
    let mut response = rig.open(attach, true).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(
        rig.ask("POST", "/v1.41/containers/cat/start").await.status,
        204
    );
    let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
    let mut stream = hyper_util::rt::TokioIo::new(upgraded);
    stream.write_all(b"hello\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut out = Vec::new();
    stream.read_to_end(&mut out).await.unwrap();
    assert!(out.ends_with(b"hello\n"), "{out:?}");
    rig.close().await;
}

#[tokio::test]
async fn nothing_is_changed_when_the_gate_is_closed() {
    let rig = Rig::new(1).await;
    rig.run("one").await;
    rig.gate.open.store(false, Ordering::SeqCst);
    for (method, target) in [
        ("POST", "/v1.41/containers/one/stop"),
        ("POST", "/v1.41/containers/create"),
        ("POST", "/v1.41/images/create?fromImage=alpine&tag=3"),
        ("DELETE", "/v1.41/containers/one?force=1"),
    ] {
        let reply = rig.send(method, target, &[], r#"{"Image":"alpine"}"#).await;
        assert_eq!(reply.status, 421, "{method} {target}: {reply:?}");
    }
    // Looking needs no permission.
    assert_eq!(
        rig.ask("GET", "/v1.41/containers/one/json").await.status,
        200
    );
    assert_eq!(rig.names("").await, ["/node-0/one"]);
    assert_eq!(rig.doubles[0].containers().len(), 1);
    rig.close().await;
}

#[tokio::test]
async fn headers_of_the_connection_and_of_managers_do_not_reach_the_engine_or_the_client() {
    let mut map = HeaderMap::new();
    for name in [
        "connection",
        "x-swarm-epoch",
        "x_swarm_hop",
        "host",
        "content-length",
        "expect",
        "te",
    ] {
        map.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
    }
    map.insert("x-registry-auth", HeaderValue::from_static("kept"));
    map.insert("connection", HeaderValue::from_static("x-listed"));
    map.insert("x-listed", HeaderValue::from_static("x"));
    engine::clean_request(&mut map);
    assert_eq!(map.len(), 1);
    assert_eq!(map["x-registry-auth"], "kept");
}

#[tokio::test]
async fn what_is_nowhere_is_not_found_and_what_is_on_several_engines_is_named() {
    let rig = Rig::new(2).await;
    // What `docker inspect` asks for one after the other.
    for (target, message) in [
        ("containers/zz-1/json", "No such container: zz-1"),
        ("images/zz-1/json", "No such image: zz-1:latest"),
        ("networks/zz-1", "network zz-1 not found"),
        ("volumes/zz-1", "get zz-1: no such volume"),
    ] {
        let reply = rig.ask("GET", &format!("/v1.41/{target}")).await;
        assert_eq!(reply.status, 404, "{reply:?}");
        assert_eq!(reply.message(), message);
    }
    let reply = rig.ask("GET", "/v1.41/networks/bridge").await;
    assert_eq!(reply.status, 400);
    assert!(reply.message().contains("node-0/bridge"), "{reply:?}");
    rig.close().await;
}

/// spec/classic.md section 10.4, S15: two operations at a time could give one name twice.
#[tokio::test]
async fn s15_a_name_is_given_once_though_two_ask_at_the_same_time() {
    let rig = Rig::new(2).await;
    rig.create("one", &["true"]).await;
    rig.create("two", &["true"]).await;
    let (one, two) = tokio::join!(
        rig.ask("POST", "/v1.41/containers/one/rename?name=same"),
        rig.ask("POST", "/v1.41/containers/two/rename?name=same"),
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
    rig.close().await;
}

/// spec/classic.md section 10.3, A12: a detached exec was started by one request and followed by a stray tunnel.
#[tokio::test]
async fn a12_a_detached_exec_is_one_request_to_its_engine() {
    let rig = Rig::new(1).await;
    rig.run("web").await;
    let made = rig
        .post("/v1.41/containers/web/exec", &json!({"Cmd": ["true"]}))
        .await;
    let id = made.json()["Id"].as_str().unwrap().to_owned();
    let started = rig
        .post(&format!("/v1.41/exec/{id}/start"), &json!({"Detach": true}))
        .await;
    assert_eq!(started.status, 200, "{started:?}");
    let requests = rig.doubles[0].requests();
    assert_eq!(requests.get("POST /exec/{}/start"), Some(&1));
    rig.close().await;
}

/// spec/classic.md section 10.3, A18: nobody noticed that the client of a wait had left.
#[tokio::test]
async fn a18_a_wait_that_nobody_waits_for_ends_at_the_engine() {
    let rig = Rig::new(1).await;
    rig.run("web").await;
    let busy = || {
        let stats = rig.engines.client().stats(&rig.addresses[0]);
        stats.open - stats.idle
    };
    rig.until("only the event stream is open", |_| busy() == 1)
        .await;
    let wait = request("POST", "/v1.41/containers/web/wait", &[], "");
    let limit = Duration::from_secs(20);
    let waiting = timeout(&*rig.platform, limit, rig.open(wait, false)).await;
    assert_eq!(busy(), 2);
    drop(waiting);
    rig.until("the engine's connection ends", |_| busy() == 1)
        .await;
    rig.close().await;
}

#[tokio::test]
async fn what_may_be_on_an_engine_that_a_new_primary_never_saw_is_not_said_to_be_missing() {
    // spec/classic.md section 10.5, E20
    let mut rig = Rig::new(2).await;
    rig.create("web", &["top"]).await;
    let address = rig.addresses[0].clone();
    rig.engines.remove(&address);
    rig.until("it has left", |cluster| cluster.engines().len() == 1)
        .await;
    rig.stops.remove(0).stop().await;
    // A manager that starts now has it from discovery and cannot reach it.
    rig.engines.add(&address);
    let reply = rig.ask("GET", "/v1.41/containers/web/json").await;
    assert_eq!(reply.status, 503, "{reply:?}");
    let told = format!("may be on engine {address}, which has not answered");
    assert!(reply.message().contains(&told), "{reply:?}");
    rig.close().await;
}

#[tokio::test]
async fn how_long_engines_may_take_can_be_changed() {
    let limits = Limits {
        answer_timeout: Duration::from_millis(30),
        work_timeout: Duration::from_millis(40),
        ..Limits::default()
    };
    let rig = Rig::limited(vec![Options::new("node-0")], limits).await;
    rig.doubles[0].set_faults(|faults| faults.hung = true);
    for (method, path, limit) in [
        ("GET", "/system/df", "within 30ms"),
        ("POST", "/volumes/prune", "within 40ms"),
    ] {
        let reply = rig.ask(method, path).await;
        assert!(reply.message().contains(limit), "{path}: {reply:?}");
    }
    rig.close().await;
}

#[tokio::test]
async fn how_much_of_an_answer_is_read_can_be_changed() {
    let limits = Limits {
        answer_size: 16 << 10,
        ..Limits::default()
    };
    let rig = Rig::limited(vec![Options::new("node-0")], limits).await;
    assert_eq!(rig.ask("GET", "/system/df").await.status, 200);
    for number in 0..40 {
        rig.create(&format!("c{number}"), &["top"]).await;
    }
    let reply = rig.ask("GET", "/system/df").await;
    assert!(reply.message().contains("16384 bytes"), "{reply:?}");
    rig.close().await;
}
