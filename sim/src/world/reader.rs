//! A client that reads through one manager without pause, and what it was told.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use swarm::http::body::{self, collect_limited};
use swarm::http::client::{Client, ClientConfig};
use swarm::platform::{SharedPlatform, sleep, timeout};
use swarm_core::address::HostPort;
use turmoil::Sim;

use crate::platform::SimPlatform;

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(5);
/// A manager that holds a request longer than this has failed it.
const PATIENCE: Duration = Duration::from_secs(60);
/// A list of the containers of a few modelled engines is far smaller.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What a reader saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Requests answered with 200.
    pub answered: u64,
    /// All others, in words.
    pub failed: Vec<String>,
    /// The longest a request took.
    pub slowest: Duration,
}

impl Readings {
    fn note(&mut self, outcome: Result<(), String>, took: Duration) {
        self.slowest = self.slowest.max(took);
        match outcome {
            Ok(()) => self.answered += 1,
            Err(failure) => self.failed.push(failure),
        }
    }
}

pub(crate) type SharedReadings = Rc<RefCell<Readings>>;

/// Adds a host that lists containers through `manager` until the end of the run.
pub(crate) fn add(
    sim: &mut Sim<'static>,
    name: &str,
    platform: SimPlatform,
    manager: HostPort,
) -> SharedReadings {
    let readings = SharedReadings::default();
    let seen = readings.clone();
    sim.host(name, move || {
        let platform: SharedPlatform = Arc::new(platform.clone());
        let (seen, manager) = (seen.clone(), manager.clone());
        async move {
            let client = Client::new(platform.clone(), ClientConfig::default());
            loop {
                let began = platform.mono();
                let answer = timeout(platform.as_ref(), PATIENCE, list(&client, &manager)).await;
                let took = platform.mono().since(began);
                let outcome = answer.unwrap_or_else(|late| Err(late.to_string()));
                seen.borrow_mut().note(outcome, took);
                sleep(platform.as_ref(), PAUSE).await;
            }
        }
    });
    readings
}

async fn list(client: &Client, manager: &HostPort) -> Result<(), String> {
    let request = Request::get("/v1.41/containers/json?all=1")
        .body(body::empty())
        .map_err(|error| error.to_string())?;
    let response = client
        .send(manager, request)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status();
    let bytes = collect_limited(response.into_body(), ANSWER_BYTES_MAX)
        .await
        .map_err(|error| error.to_string())?;
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("{status}: {}", String::from_utf8_lossy(&bytes)))
    }
}
