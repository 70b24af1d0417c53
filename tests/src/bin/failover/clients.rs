//! The clients of a surviving replica, and what they saw.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::json;
use swarm_tests::http::{self as client, Answer, Connection, Server};
use tokio::task::JoinHandle;

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(3);
/// The label that tells the created containers apart.
pub(crate) const LABEL: &str = "failover.create";

static NEXT_CREATE: AtomicU64 = AtomicU64::new(1);

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) done: Instant,
    pub(crate) failure: Option<String>,
    /// The value of [`LABEL`] that a create used.
    pub(crate) label: Option<u64>,
}

/// A client that goes on until it is stopped.
pub(crate) struct Client {
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Client {
    /// Lists containers on one connection; opens another only where the server closed it between two requests.
    pub(crate) fn reads_kept(server: Server, expected: usize) -> Self {
        Self::start(|samples, stop| async move {
            let mut connection = None;
            while !stop.load(Ordering::Relaxed) {
                let answer = read_kept(&mut connection, &server, expected).await;
                push(&samples, answer.err(), None);
                tokio::time::sleep(PAUSE).await;
            }
        })
    }

    /// Lists containers, each time on a new connection.
    pub(crate) fn reads_fresh(server: Server, expected: usize) -> Self {
        Self::start(move |samples, stop| async move {
            while !stop.load(Ordering::Relaxed) {
                let answer = client::get(server.clone(), "/containers/json").await;
                let checked = answer.and_then(|answer| check(&answer, expected));
                push(&samples, checked.err(), None);
                tokio::time::sleep(PAUSE).await;
            }
        })
    }

    /// Creates containers, each with a label of its own.
    pub(crate) fn creates(server: Server) -> Self {
        Self::start(move |samples, stop| async move {
            while !stop.load(Ordering::Relaxed) {
                let label = NEXT_CREATE.fetch_add(1, Ordering::Relaxed);
                push(
                    &samples,
                    create(server.clone(), label).await.err(),
                    Some(label),
                );
                tokio::time::sleep(PAUSE * 3).await;
            }
        })
    }

    /// Whether a request succeeded that was answered after `after`.
    pub(crate) fn succeeded_after(&self, after: Instant) -> bool {
        let samples = lock(&self.samples);
        samples
            .last()
            .is_some_and(|last| last.failure.is_none() && last.done > after)
    }

    /// Lets the request under way end, and returns all samples.
    pub(crate) async fn finish(self) -> Result<Vec<Sample>> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("a client panicked")?;
        Ok(std::mem::take(&mut lock(&self.samples)))
    }

    fn start<F: Future<Output = ()> + Send + 'static>(
        work: impl FnOnce(Arc<Mutex<Vec<Sample>>>, Arc<AtomicBool>) -> F,
    ) -> Self {
        let samples = Arc::default();
        let stop = Arc::default();
        let task = tokio::spawn(work(Arc::clone(&samples), Arc::clone(&stop)));
        Self {
            samples,
            stop,
            task,
        }
    }
}

/// The longest time without a successful answer that ended after `fault`, and at most began with it; the moment it
/// ended, too.
pub(crate) fn longest_gap(samples: &[Sample], fault: Instant) -> (Duration, Instant) {
    let mut since = fault;
    let mut longest = (Duration::ZERO, fault);
    let good = samples
        .iter()
        .filter(|sample| sample.failure.is_none() && sample.done > fault);
    for sample in good {
        let gap = sample.done - since;
        if gap > longest.0 {
            longest = (gap, sample.done);
        }
        since = sample.done;
    }
    longest
}

async fn read_kept(
    connection: &mut Option<Connection>,
    server: &Server,
    expected: usize,
) -> Result<()> {
    let mut open = match connection.take() {
        Some(open) if !open.is_closed() => open,
        Some(_) | None => Connection::open(server.clone()).await?,
    };
    let answer = open
        .send(client::request(Method::GET, "/containers/json")?)
        .await?;
    *connection = Some(open);
    check(&answer, expected)
}

fn check(answer: &Answer, expected: usize) -> Result<()> {
    ensure!(
        answer.status == StatusCode::OK,
        "{}: {}",
        answer.status,
        answer.text()
    );
    let listed = answer.json()?.as_array().context("no list")?.len();
    ensure!(
        listed == expected,
        "{listed} containers listed instead of {expected}"
    );
    Ok(())
}

async fn create(server: Server, label: u64) -> Result<()> {
    let body = json!({"Image": "busybox", "Cmd": ["true"], "Labels": {LABEL: label.to_string()}});
    let answer = client::post_json(server, "/containers/create", &body).await?;
    ensure!(
        answer.status == StatusCode::CREATED,
        "{}: {}",
        answer.status,
        answer.text()
    );
    Ok(())
}

fn push(samples: &Mutex<Vec<Sample>>, failure: Option<anyhow::Error>, label: Option<u64>) {
    lock(samples).push(Sample {
        done: Instant::now(),
        failure: failure.map(|error| format!("{error:#}")),
        label,
    });
}

fn lock(samples: &Mutex<Vec<Sample>>) -> std::sync::MutexGuard<'_, Vec<Sample>> {
    samples.lock().unwrap_or_else(PoisonError::into_inner)
}
