//! A client that lists containers through one manager again and again.

use std::sync::PoisonError;
use std::time::Duration;

use http::{Request, StatusCode};
use swarm::http::body::{self, collect_limited};
use swarm::http::client::{Client, ClientConfig};
use swarm::platform::{sleep, timeout};
use swarm_core::address::HostPort;

use super::{ClientHost, SharedLedger};
use crate::history::{Nature, Told};

/// Beyond what a manager may hold a request, it may take so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// A list of the containers of a few modelled engines is far smaller.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

pub(super) async fn work(host: ClientHost) {
    let client = Client::new(host.platform.clone(), ClientConfig::default());
    let patience = host.primary_wait + PATIENCE;
    loop {
        let id = ledger(&host.ledger, |ledger| {
            ledger.asked(host.id, Nature::Read, patience * 2)
        });
        let answer = timeout(
            host.platform.as_ref(),
            patience,
            list(&client, &host.manager),
        )
        .await;
        let (told, status) = match answer {
            Ok(Some(status)) if status.is_success() => (Told::Done, status.as_u16()),
            Ok(Some(status)) if is_not_done(status) => (Told::NotDone, status.as_u16()),
            Ok(Some(status)) => (Told::Unknown, status.as_u16()),
            Ok(None) | Err(_) => (Told::Unknown, 0),
        };
        ledger(&host.ledger, |ledger| ledger.answered(id, told, status));
        sleep(host.platform.as_ref(), host.pace).await;
    }
}

fn ledger<T>(shared: &SharedLedger, act: impl FnOnce(&mut super::Ledger) -> T) -> T {
    act(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

fn is_not_done(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::MISDIRECTED_REQUEST
    )
}

/// The status of the answer; `None` if there was none.
async fn list(client: &Client, manager: &HostPort) -> Option<StatusCode> {
    let request = Request::get("/v1.41/containers/json?all=1")
        .body(body::empty())
        .ok()?;
    let response = client.send(manager, request).await.ok()?;
    let status = response.status();
    collect_limited(response.into_body(), ANSWER_BYTES_MAX)
        .await
        .ok()?;
    Some(status)
}
