//! Clients that do what people do, and remember what they were told.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use swarm_tests::engines::IMAGE;
use swarm_tests::http as client;
use tokio::task::JoinHandle;

use crate::fleet::Fleet;
use crate::stories::{LABEL, Step, Story};

/// How often a question is asked again elsewhere.
const ASKED: usize = 20;
const AGAIN: std::time::Duration = std::time::Duration::from_millis(100);

static NEXT: AtomicU64 = AtomicU64::new(1);

pub(crate) struct Workers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<Story>>>,
}

impl Workers {
    pub(crate) fn start(count: usize, fleet: &Fleet) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let work = |at| {
            let mut worker = Worker {
                servers: fleet.addresses(),
                at,
                ledger: fleet.ledger.path().to_owned(),
            };
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut stories = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    stories.push(worker.story().await);
                }
                stories
            })
        };
        let tasks = (0..count).map(work).collect();
        Self { stop, tasks }
    }

    /// Lets everybody end what they do, and returns what they were told.
    pub(crate) async fn finish(self) -> Result<Vec<Story>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for task in self.tasks {
            all.extend(task.await.context("a worker panicked")?);
        }
        Ok(all)
    }
}

/// Speaks to one manager until that does not answer, then to the next.
struct Worker {
    servers: Vec<SocketAddr>,
    at: usize,
    ledger: std::path::PathBuf,
}

impl Worker {
    /// Creates a container, starts it, waits for its end and removes it.
    async fn story(&mut self) -> Story {
        let mut story = Story::new(NEXT.fetch_add(1, Ordering::Relaxed));
        let body = body(story.label, &self.ledger);
        let (step, answer) = self
            .change(Method::POST, "/containers/create", Some(&body))
            .await;
        story.created = step;
        let id = answer
            .as_ref()
            .and_then(|answer| answer.get("Id")?.as_str());
        let Some(id) = id.map(str::to_owned) else {
            return story;
        };
        let at = |what: &str| format!("/containers/{id}{what}");
        (story.started, _) = self.change(Method::POST, &at("/start"), None).await;
        if story.started != Step::Done {
            return story;
        }
        let ended = self.ask(Method::POST, &at("/wait")).await;
        story.awaited = match ended {
            Ok(status) if status.get("StatusCode") == Some(&json!(0)) => Step::Done,
            Ok(other) => Step::Refused(format!("wait: {other}")),
            Err(error) => Step::Refused(format!("wait: {error:#}")),
        };
        if let Err(error) = self.ask(Method::GET, &at("/json")).await {
            story.unseen = Some(format!("{error:#}"));
        }
        (story.removed, _) = self.change(Method::DELETE, &at(""), None).await;
        story
    }

    /// Asks for a change, once: nobody may do it twice but the cluster itself.
    async fn change(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (Step, Option<Value>) {
        let mut left = self.servers.len();
        let sent = loop {
            match self.send(&method, path, body).await {
                // A manager that is not there: nothing was sent.
                Err(error) if is_refused(&error) && left > 0 => {
                    left -= 1;
                    self.at += 1;
                }
                sent => break sent,
            }
        };
        match sent {
            Ok(answer) if answer.status.is_success() => (Step::Done, answer.json().ok()),
            // Whoever says so does not know either.
            Ok(answer) if answer.status == StatusCode::BAD_GATEWAY => {
                (Step::Unknown(answer.text()), None)
            }
            Ok(answer) => {
                let text = format!("{} {path}: {}", answer.status, answer.text());
                (Step::Refused(text), None)
            }
            Err(error) => {
                self.at += 1;
                (Step::Unknown(format!("{error:#}")), None)
            }
        }
    }

    /// Asks a question, of other managers too if need be.
    async fn ask(&mut self, method: Method, path: &str) -> Result<Value> {
        let mut left = ASKED;
        loop {
            let answer = self.send(&method, path, None).await;
            match answer.and_then(client::Answer::success) {
                Ok(answer) => return answer.json(),
                Err(error) if left == 0 => return Err(error),
                Err(_) => {
                    left -= 1;
                    self.at += 1;
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<client::Answer> {
        let server = self.servers.get(self.at % self.servers.len());
        let server = *server.context("no manager")?;
        match body {
            Some(body) => client::post_json(server, path, body).await,
            None => client::send(server, client::request(method.clone(), path)?).await,
        }
    }
}

fn body(label: u64, ledger: &Path) -> Value {
    json!({
        "Image": IMAGE,
        "Cmd": ["sh", "-c", format!("echo ran >> /ledger/{label}")],
        "Labels": {LABEL: label.to_string()},
        "HostConfig": {
            "Binds": [format!("{}:/ledger", ledger.display())],
            "NetworkMode": "none",
        },
    })
}

fn is_refused(error: &anyhow::Error) -> bool {
    let refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref())
        .any(refused)
}
