//! Runs the election: carries its swaps and reads to the store, keeps the dispatch gate, tells everybody what changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swarm_core::address::HostPort;
use swarm_core::election::lease::operation_timeout;
use swarm_core::election::{Authority, Election, ElectionConfig, Failsafe, Input, Resignation};
use swarm_core::time::Mono;
use swarm_core::watch;

use crate::driver::{self, Handle};
use crate::http::Client;
use crate::platform::{SharedPlatform, sleep, timeout};
use crate::store::{Cursor, Store};

mod gate;
mod notices;
mod performer;
mod promises;
#[cfg(test)]
mod tests;

pub use gate::LeaseGate;
pub use promises::PROMISE_PATH;

use gate::Tickets;
use performer::ElectionPerformer;
use promises::{Canvasser, Questions};

/// Who is known to lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Where it is reached.
    pub address: HostPort,
    /// Its epoch.
    pub epoch: u64,
    /// Its process.
    pub instance: String,
}

/// The election as others see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElectionView {
    /// What this manager holds, whether or not the lease has lapsed meanwhile: see [`Authority::holds`].
    pub authority: Option<Authority>,
    /// The primary as the record names it; `None` when there is none or it gave the lease up.
    pub leader: Option<Leader>,
    /// The highest epoch seen.
    pub epoch: u64,
    /// Names the cluster; `None` before a record was seen.
    pub cluster: Option<String>,
    /// The managers the primary has heard of lately.
    pub members: Vec<HostPort>,
    /// How this manager stands by failsafe.
    pub failsafe: Failsafe,
    /// A resignation is complete.
    pub resigned: bool,
}

/// What the election's task and everybody else share.
struct Shared {
    authority: Mutex<Option<Authority>>,
    tickets: Tickets,
    questions: Questions,
    view: watch::Sender<ElectionView>,
}

impl Shared {
    fn authority(&self) -> MutexGuard<'_, Option<Authority>> {
        self.authority
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// This manager's part in the election.
pub struct Elector {
    platform: SharedPlatform,
    shared: Arc<Shared>,
    handle: Handle<Input>,
    config: ElectionConfig,
}

/// Between two tries to watch a store that fails.
const WATCH_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(400));

impl Elector {
    /// Starts to take part; `peers` reaches the other managers. Ends when the elector is dropped.
    #[must_use]
    pub fn start(
        platform: &SharedPlatform,
        store: Arc<dyn Store>,
        peers: &Client,
        config: ElectionConfig,
    ) -> Arc<Self> {
        let shared = Arc::new(Shared {
            authority: Mutex::new(None),
            tickets: Tickets::default(),
            questions: Questions::default(),
            view: watch::Sender::new(ElectionView::default()),
        });
        let machine = Election::new(config.clone(), platform.random("election"));
        let handle = driver::start(platform, "election", machine, |answers| {
            let canvasser = Canvasser {
                platform: platform.clone(),
                client: peers.clone(),
                answers: answers.clone(),
                own: config.advertise.clone(),
                limit: operation_timeout(config.lease),
            };
            ElectionPerformer::new(store.clone(), shared.clone(), answers, canvasser)
        });
        let watching = watch_lease(
            platform.clone(),
            store,
            handle.downgrade(),
            shared.view.subscribe(),
        );
        platform.spawn("election watch", Box::pin(watching));
        Arc::new(Self {
            platform: platform.clone(),
            shared,
            handle,
            config,
        })
    }

    /// The election as of now, and every change to come.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<ElectionView> {
        self.shared.view.subscribe()
    }

    /// What this manager brought into the election.
    #[must_use]
    pub fn config(&self) -> &ElectionConfig {
        &self.config
    }

    /// Whether this manager is the acting primary right now.
    #[must_use]
    pub fn acting(&self) -> Option<Authority> {
        let now = self.platform.mono();
        self.shared
            .authority()
            .filter(|authority| authority.holds(now))
    }

    /// How long this manager's lease still runs, if it has one.
    #[must_use]
    pub fn lease_left(&self) -> Option<Duration> {
        let now: Mono = self.platform.mono();
        self.shared
            .authority()
            .map(|authority| authority.until.since(now))
    }

    /// Names the managers heard of lately, this one included.
    pub async fn set_members(&self, members: Vec<HostPort>) {
        self.handle.send(Input::Members(members)).await;
    }

    /// Gives the lease up, if this manager has it, and waits until the store knows or the lease has ended.
    pub async fn resign(&self, resignation: Resignation) {
        self.shared.view.send_modify(|view| view.resigned = false);
        let mut view = self.view();
        self.handle.send(Input::Resign(resignation)).await;
        let resigned = view.wait_for(|view| view.resigned);
        // The machine gives up after one lease by itself; this only guards against its having ended.
        let _ = timeout(self.platform.as_ref(), self.config.lease * 2, resigned).await;
    }

    /// The gate every mutation passes; it waits for the store as long as one operation may take, also with no `patience`.
    #[must_use]
    pub fn gate(self: &Arc<Self>, patience: Duration) -> LeaseGate {
        let operation = operation_timeout(self.config.lease);
        LeaseGate::new(self.clone(), patience.max(operation))
    }
}

/// Tells the election what the store's watch shows, for as long as there is an election.
async fn watch_lease(
    platform: SharedPlatform,
    store: Arc<dyn Store>,
    election: driver::WeakHandle<Input>,
    mut view: watch::Receiver<ElectionView>,
) {
    let mut random = platform.random("election watch");
    let mut cursor = Cursor::default();
    let mut failing = false;
    loop {
        let reading = tokio::select! {
            biased;
            // The sender lives in the election: when it is gone nobody listens any more.
            () = ended(&mut view) => return,
            reading = store.watch_lease(&mut cursor) => reading,
        };
        match reading {
            Ok(reading) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("The store answers again");
                }
                election.send(Input::Observed(reading)).await;
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "Cannot watch the store: no manager can be elected until it answers");
                }
                cursor = Cursor::default();
                election.send(Input::ObserveFailed).await;
                sleep(
                    platform.as_ref(),
                    random.duration(WATCH_PAUSE.0, WATCH_PAUSE.1),
                )
                .await;
            }
        }
    }
}

async fn ended(view: &mut watch::Receiver<ElectionView>) {
    while view.changed().await.is_ok() {}
}
