use std::sync::{Arc, Mutex};

use swarm_models::tokio_host::{StopHandle, serve_tcp};
use swarm_models::{BoxFuture, BoxIo, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::platform::TokioPlatform;

/// Managers that agree with each other: whoever is told to step down hands over to `heir`.
struct Managers {
    shared: Arc<Mutex<Shared>>,
    own: usize,
}

struct Shared {
    addresses: Vec<String>,
    primary: Option<usize>,
    epoch: u64,
    heir: usize,
}

impl Managers {
    fn answer(&self, request: &[u8]) -> String {
        let mut shared = self.shared.lock().unwrap();
        let acts = shared.primary == Some(self.own);
        if request.starts_with(b"POST /_swarm/step-down ") {
            if !acts {
                return http(
                    "409 Conflict",
                    r#"{"message":"this manager is not the primary"}"#,
                );
            }
            shared.primary = Some(shared.heir);
            shared.epoch += 1;
            return http("202 Accepted", "");
        }
        let status = ManagerStatus {
            instance: format!("{:032x}", self.own),
            advertise: shared.addresses.get(self.own).cloned(),
            role: if acts { "primary" } else { "replica" }.to_owned(),
            epoch: shared.epoch,
            lease_left_ms: None,
            primary: shared
                .primary
                .and_then(|it| shared.addresses.get(it).cloned()),
            members: shared.addresses.clone(),
            failsafe: None,
            unreachable: Vec::new(),
            engines: Vec::new(),
            version: "0.1.0".to_owned(),
            certificate: None,
        };
        http("200 OK", &serde_json::to_string(&status).unwrap())
    }
}

fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

struct Connection(Arc<Managers>);

impl Service for Connection {
    fn serve(&self, mut io: BoxIo) -> BoxFuture<()> {
        let managers = Arc::clone(&self.0);
        Box::pin(async move {
            let mut request = [0; 4096];
            if let Ok(length) = io.read(&mut request).await {
                let answer = managers.answer(&request[..length]);
                let _ = io.write_all(answer.as_bytes()).await;
            }
        })
    }
}

/// Three managers; what happens when the command is given the one with number `asked`.
struct Scene {
    shared: Arc<Mutex<Shared>>,
    serving: Vec<StopHandle>,
}

impl Scene {
    async fn new(primary: Option<usize>, heir: usize) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            addresses: Vec::new(),
            primary,
            epoch: 4,
            heir,
        }));
        let mut serving = Vec::new();
        for own in 0..3 {
            let managers = Managers {
                shared: Arc::clone(&shared),
                own,
            };
            let service = Connection(Arc::new(managers));
            let (address, handle) = serve_tcp("127.0.0.1:0", Arc::new(service)).await.unwrap();
            shared.lock().unwrap().addresses.push(address.to_string());
            serving.push(handle);
        }
        Self { shared, serving }
    }

    fn address(&self, number: usize) -> String {
        self.shared.lock().unwrap().addresses[number].clone()
    }

    async fn run(&self, asked: usize, json: bool) -> (String, Result<(), String>) {
        let platform: SharedPlatform = Arc::new(TokioPlatform::new().unwrap());
        let config = Client {
            endpoint: Endpoint::Tcp(self.address(asked).parse().unwrap()),
            timeout: Duration::from_secs(10),
            json,
            tls: None,
        };
        let asker = Asker::new(platform.clone(), config.timeout);
        let mut out = Vec::new();
        let done = hand_over(&platform, &asker, &config, &mut out).await;
        let printed = String::from_utf8(out).unwrap();
        (printed, done.map_err(|error| format!("{error:#}")))
    }
}

#[tokio::test]
async fn a_replica_leads_to_the_primary_which_hands_over() {
    let scene = Scene::new(Some(1), 2).await;
    let (printed, done) = scene.run(0, false).await;
    assert_eq!(done, Ok(()));
    let (old, new) = (scene.address(1), scene.address(2));
    let expected = format!("{old} steps down (epoch 4)\n{new} is the primary (epoch 5) after ");
    assert!(printed.starts_with(&expected), "{printed}");
    assert!(printed.ends_with(" ms\n"), "{printed}");
}

#[tokio::test]
async fn scripts_get_one_document() {
    let scene = Scene::new(Some(0), 1).await;
    let (printed, done) = scene.run(0, true).await;
    assert_eq!(done, Ok(()));
    let document: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(document["from"], scene.address(0));
    assert_eq!(document["to"], scene.address(1));
    assert_eq!(document["epoch"], 5);
}

#[tokio::test]
async fn a_primary_that_finds_no_successor_is_a_failure() {
    let scene = Scene::new(Some(0), 0).await;
    let (_, done) = scene.run(1, false).await;
    let again = scene.address(0);
    assert_eq!(
        done,
        Err(format!(
            "no other manager took over: {again} is the primary again (epoch 5)"
        ))
    );
}

#[tokio::test]
async fn without_a_primary_nobody_is_asked() {
    let scene = Scene::new(None, 0).await;
    let (printed, done) = scene.run(2, false).await;
    let asked = scene.address(2);
    assert_eq!(
        done,
        Err(format!("the manager at {asked} knows no primary"))
    );
    assert_eq!(printed, "");

    let mut scene = Scene::new(Some(1), 0).await;
    scene.serving.remove(1).stop().await;
    let (_, done) = scene.run(2, false).await;
    let primary = scene.address(1);
    let refusal = done.unwrap_err();
    assert!(
        refusal.starts_with(&format!("cannot ask the primary at {primary}: ")),
        "{refusal}"
    );
}
