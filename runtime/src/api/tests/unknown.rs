//! Fields and parameters that this version has never heard of.

use super::*;

/// Stands before an engine and keeps what passes.
struct Recorder {
    client: Client,
    engine: HostPort,
    seen: Mutex<Vec<(String, String)>>,
}

impl Handler for Recorder {
    fn handle(
        self: Arc<Self>,
        http: Request<Body>,
        _peer: Peer,
    ) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let (parts, body) = http.into_parts();
            let text = body::collect_limited(body, 1 << 20).await.unwrap();
            if !text.is_empty() {
                let seen = String::from_utf8(text.to_vec()).unwrap();
                let target = parts.uri.to_string();
                self.seen.lock().unwrap().push((target, seen));
            }
            let request = Request::from_parts(parts, body::full(text));
            self.client.send(&self.engine, request).await.unwrap()
        })
    }
}

impl Recorder {
    /// A rig whose only engine is behind a recorder.
    async fn rig() -> (Rig, Arc<Self>, Server) {
        let mut rig = Rig::new(1).await;
        let recorder = Arc::new(Self {
            client: rig.client.clone(),
            engine: rig.addresses[0].clone(),
            seen: Mutex::default(),
        });
        let server = Server::new(
            rig.platform.clone(),
            ServerConfig::default(),
            recorder.clone(),
        );
        let listener = rig
            .platform
            .listen(&ListenAddress::Tcp {
                host: "127.0.0.1".to_owned(),
                port: 0,
            })
            .await
            .unwrap();
        let address: HostPort = listener.local_address().to_string().parse().unwrap();
        server.serve(listener);
        rig.engines.remove(&rig.addresses[0]);
        rig.until("the engine has left", |cluster| {
            cluster.engines().len() == 0
        })
        .await;
        rig.engines.add(&address);
        rig.addresses[0] = address;
        rig.until("the engine is healthy", |cluster| {
            cluster
                .engines()
                .all(swarm_core::cluster::Engine::is_healthy)
        })
        .await;
        (rig, recorder, server)
    }
}

/// spec/classic.md section 10.3, A11: bodies were decoded into fixed structures, and what those lacked vanished.
#[tokio::test]
async fn a11_fields_and_parameters_of_the_future_reach_the_engine() {
    let (rig, recorder, server) = Recorder::rig().await;
    rig.run("web").await;
    recorder.seen.lock().unwrap().clear();
    let odd = json!({"deep": [1, {"x": null}]});
    for (target, mut body) in [
        (
            "/v1.41/containers/create?future=a%20b",
            json!({"Image": "alpine", "HostConfig": {"Later": &odd}}),
        ),
        (
            "/v1.41/networks/create?future=a%20b",
            json!({"Name": "back"}),
        ),
        (
            "/v1.41/networks/back/connect?future=a%20b",
            json!({"Container": "web"}),
        ),
        (
            "/v1.41/volumes/create?future=a%20b",
            json!({"Name": "data"}),
        ),
        (
            "/v1.41/containers/web/exec?future=a%20b",
            json!({"Cmd": ["true"]}),
        ),
        ("/v1.41/containers/web/update?future=a%20b", json!({})),
    ] {
        body["FromTheFuture"] = odd.clone();
        let reply = rig
            .send(
                "POST",
                target,
                &[("test-id", &"1".repeat(64))],
                &body.to_string(),
            )
            .await;
        assert!(reply.status < 300, "{target}: {reply:?}");
        let (seen_target, seen) = recorder.seen.lock().unwrap().pop().unwrap();
        assert!(seen_target.contains("future=a%20b"), "{seen_target}");
        let seen: Value = serde_json::from_str(&seen).unwrap();
        assert_eq!(seen["FromTheFuture"], odd, "{target}");
        if target.contains("containers/create") {
            assert_eq!(seen["HostConfig"]["Later"], odd);
        }
    }
    server.shutdown(Duration::ZERO).await;
    rig.close().await;
}
