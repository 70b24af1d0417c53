//! The managers of one cluster, as they know each other: who is there, who can be reached, whose headers are believed.
//!
//! Each manager asks every member for its status once a second, and says who it is while doing so. The primary writes
//! the members it has heard of into the lease record, so that all know all; whoever asked, and proved to read the same
//! record, is a peer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use swarm_core::address::HostPort;
use swarm_core::election::{PROMISE_BYTES_MAX, PromiseGrant, PromiseRequest};
use swarm_core::time::Mono;
use swarm_core::watch;

use super::status::{CLUSTER_HEADER, MEMBER_HEADER, ManagerStatus, STATUS_PATH, Unreachable};
use crate::election::{ElectionView, Elector, Leader};
use crate::http::body::{self, collect_limited};
use crate::http::error::{error, json};
use crate::http::{Body, Client, Peer};
use crate::platform::{SharedPlatform, sleep, timeout};
use crate::tls::Identity;

/// How often members ask each other.
const HELLO_PERIOD: Duration = Duration::from_secs(1);
/// How long an answer may take.
const HELLO_LIMIT: Duration = Duration::from_secs(2);
/// A member that was not heard of for so long is not one any more.
const MEMBER_LIFE: Duration = Duration::from_secs(10);
/// So many failures in a row make it the operator's business: a primary that died is replaced before that.
const FAILURES_TO_REPORT: u32 = 4;
/// More would be a mistake, or an attack.
const MEMBERS_MAX: usize = 32;
/// A status with thousands of engines fits.
const STATUS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What is known of the other managers.
pub struct Peers {
    platform: SharedPlatform,
    client: Client,
    elector: Arc<Elector>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    heard: BTreeMap<HostPort, Heard>,
    /// Asked, and not answered yet.
    asked: BTreeSet<HostPort>,
    unreachable: BTreeMap<HostPort, Trouble>,
}

struct Trouble {
    reason: String,
    failures: u32,
}

struct Heard {
    from: Option<IpAddr>,
    at: Mono,
}

impl Known {
    fn note(&mut self, member: HostPort, heard: Heard) {
        self.heard
            .retain(|_, other| heard.at.since(other.at) < MEMBER_LIFE);
        if self.heard.len() < MEMBERS_MAX || self.heard.contains_key(&member) {
            self.heard.insert(member, heard);
        }
    }
}

impl Peers {
    /// Starts to ask the others. Ends when the last handle is dropped.
    #[must_use]
    pub fn start(platform: &SharedPlatform, client: Client, elector: Arc<Elector>) -> Arc<Self> {
        let peers = Arc::new(Self {
            platform: platform.clone(),
            client,
            elector,
            known: Mutex::default(),
        });
        let weak = Arc::downgrade(&peers);
        let clock = platform.clone();
        let mut views = peers.elector.view();
        let asking = async move {
            while let Some(peers) = weak.upgrade() {
                let leader = views.borrow_and_update().leader.clone();
                peers.ask_everyone().await;
                drop(peers);
                tokio::select! {
                    biased;
                    // It takes forwarded requests only from managers it has heard of, so it must hear at once.
                    () = another_leader(&mut views, leader) => {}
                    () = sleep(clock.as_ref(), HELLO_PERIOD) => {}
                }
            }
        };
        platform.spawn("peers", Box::pin(asking));
        peers
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection comes from a manager of this cluster: only those may say that a request was forwarded.
    ///
    /// Where certificates tell nothing the source address is all there is; a manager proves itself when it says hello.
    #[must_use]
    pub fn is_peer(&self, peer: &Peer) -> bool {
        match peer.identity {
            Identity::Manager => return true,
            Identity::Other => return false,
            Identity::Unproven => {}
        }
        let Some(ip) = peer.ip() else {
            return false;
        };
        let now = self.platform.mono();
        self.known()
            .heard
            .values()
            .any(|heard| heard.from == Some(ip) && now.since(heard.at) < MEMBER_LIFE)
    }

    /// Members that cannot be reached from here, with the reason.
    #[must_use]
    pub fn unreachable(&self) -> Vec<Unreachable> {
        let list = |(member, trouble): (&HostPort, &Trouble)| Unreachable {
            member: member.to_string(),
            reason: trouble.reason.clone(),
        };
        self.known().unreachable.iter().map(list).collect()
    }

    /// Takes note of a manager that asks for this one's status.
    pub fn heard(&self, headers: &HeaderMap, peer: &Peer) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let cluster = self.elector.view().borrow().cluster.clone();
        let proven = cluster.is_some() && text(CLUSTER_HEADER) == cluster.as_deref();
        let member = text(MEMBER_HEADER).and_then(|text| text.parse::<HostPort>().ok());
        let (Some(member), true) = (member, proven) else {
            return;
        };
        if peer.identity == Identity::Other {
            return;
        }
        if member != self.elector.config().advertise {
            let (from, at) = (peer.ip(), self.platform.mono());
            self.known().note(member, Heard { from, at });
        }
    }

    /// A primary asks this manager not to take over. Who else asks can delay a takeover, and nothing more; where
    /// certificates can tell, nobody else is heard.
    pub(super) async fn promise(&self, body: Body, peer: &Peer) -> Response<Body> {
        if peer.identity == Identity::Other {
            return error(
                StatusCode::FORBIDDEN,
                "only managers of the cluster may ask for a promise",
            );
        }
        let body = collect_limited(body, PROMISE_BYTES_MAX);
        let request = match timeout(self.platform.as_ref(), HELLO_LIMIT, body).await {
            Ok(Ok(bytes)) => PromiseRequest::parse(&bytes),
            Ok(Err(problem)) => Err(problem.to_string()),
            Err(late) => Err(late.to_string()),
        };
        let request = match request {
            Ok(request) => request,
            Err(problem) => return error(StatusCode::BAD_REQUEST, problem),
        };
        let grant = PromiseGrant::to(&request);
        match self.elector.promise(request).await {
            Some(Ok(())) => json(StatusCode::OK, &grant),
            Some(Err(refusal)) => error(StatusCode::CONFLICT, refusal.to_string()),
            None => error(
                StatusCode::SERVICE_UNAVAILABLE,
                "this manager is too busy to promise anything",
            ),
        }
    }

    /// All at the same time: one that does not answer must not make this manager a stranger to the others.
    async fn ask_everyone(self: &Arc<Self>) {
        let view = self.elector.view().borrow().clone();
        let own = &self.elector.config().advertise;
        let mut others = view.members.clone();
        others.extend(view.leader.as_ref().map(|leader| leader.address.clone()));
        others.extend(self.known().heard.keys().cloned());
        others.sort_unstable();
        others.dedup();
        others.retain(|member| member != own);
        self.known()
            .unreachable
            .retain(|member, _| others.contains(member));
        for member in others {
            if !self.known().asked.insert(member.clone()) {
                continue;
            }
            let (peers, view) = (Arc::clone(self), view.clone());
            let asking = async move {
                let answer = peers.ask(&member, &view).await;
                peers.note_answer(&member, answer, &view);
                peers.known().asked.remove(&member);
            };
            self.platform.spawn("hello", Box::pin(asking));
        }
        let mut members: Vec<HostPort> = self.known().heard.keys().cloned().collect();
        members.push(own.clone());
        members.sort_unstable();
        self.elector.set_members(members).await;
    }

    async fn ask(&self, member: &HostPort, view: &ElectionView) -> Result<ManagerStatus, String> {
        let own = &self.elector.config().advertise;
        member
            .check_peer_of(own)
            .map_err(|error| error.to_string())?;
        let mut request = Request::builder().uri(STATUS_PATH);
        if let Ok(own) = HeaderValue::try_from(self.elector.config().advertise.to_string()) {
            request = request.header(MEMBER_HEADER, own);
        }
        if let Some(cluster) = &view.cluster {
            request = request.header(CLUSTER_HEADER, cluster);
        }
        let request = request
            .body(body::empty())
            .map_err(|error| error.to_string())?;
        let exchange = ask_status(&self.client, member, request);
        timeout(self.platform.as_ref(), HELLO_LIMIT, exchange)
            .await
            .map_err(|late| late.to_string())?
    }

    fn note_answer(
        &self,
        member: &HostPort,
        answer: Result<ManagerStatus, String>,
        view: &ElectionView,
    ) {
        let leads = view
            .leader
            .as_ref()
            .is_some_and(|leader| leader.address == *member);
        let expected = view
            .leader
            .as_ref()
            .filter(|_| leads)
            .map(|leader| leader.instance.as_str());
        let trouble = match answer {
            Ok(status) => expected
                .filter(|instance| *instance != status.instance)
                .map(|_| "another manager answers there".to_owned()),
            Err(reason) => Some(reason),
        };
        let mut known = self.known();
        match trouble {
            None => {
                known.unreachable.remove(member);
            }
            Some(reason) => {
                let failures = known
                    .unreachable
                    .get(member)
                    .map_or(0, |trouble| trouble.failures)
                    + 1;
                known.unreachable.insert(
                    member.clone(),
                    Trouble {
                        reason: reason.clone(),
                        failures,
                    },
                );
                drop(known);
                if failures == FAILURES_TO_REPORT && leads {
                    tracing::warn!(
                        "Cannot reach the primary at {member} ({reason}): check that its --advertise is an address \
                         that this manager can connect to"
                    );
                }
            }
        }
    }
}

/// Completes when somebody else than `leader` leads.
async fn another_leader(views: &mut watch::Receiver<ElectionView>, leader: Option<Leader>) {
    let changed = views.wait_for(|view| view.leader.is_some() && view.leader != leader);
    if changed.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Asks the manager at `address` for its status.
///
/// # Errors
/// In words: it cannot be reached, or what answers there is not a manager.
pub async fn ask_status(
    client: &Client,
    address: &HostPort,
    request: Request<Body>,
) -> Result<ManagerStatus, String> {
    let response = client
        .send(address, request)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status();
    let bytes = collect_limited(response.into_body(), STATUS_BYTES_MAX)
        .await
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes)
        .map_err(|_| format!("what answers at {address} is not a swarm manager ({status})"))
}

#[cfg(test)]
mod tests;
