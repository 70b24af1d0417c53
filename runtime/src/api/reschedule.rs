//! Runs the [`Rescheduler`]: shows it the view, carries its jobs out, and tells operators what it tells.

use std::sync::{Arc, Weak};
use std::time::Duration;

use swarm_core::cluster::MOVE_LABEL;
use swarm_core::engine::Event;
use swarm_core::machine::Machine;
use swarm_core::reschedule::{Effect, Input, Rescheduler, Sight, Undecided, Why};
use swarm_core::time::Mono;
use swarm_core::watch;

use super::Api;
use crate::driver::{self, Handle, Performer, WeakHandle};
use crate::election::ElectionView;
use crate::engine::{Subscription, SubscriptionError};
use crate::platform::BoxFuture;

impl Api {
    /// Moves containers off failed engines whenever this manager acts; without an election it always does.
    pub(crate) fn reschedule(
        self: &Arc<Self>,
        election: Option<watch::Receiver<ElectionView>>,
        grace: Duration,
    ) {
        let api = Arc::downgrade(self);
        let machine = Rescheduler::new(grace);
        let handle = driver::start(&self.platform, "reschedule", machine, |handle| {
            ReschedulePerformer { api, handle }
        });
        let task = watch(Arc::downgrade(self), handle, self.fleet.listen(), election);
        self.platform.spawn("reschedule watch", Box::pin(task));
    }
}

struct ReschedulePerformer {
    api: Weak<Api>,
    handle: WeakHandle<Input>,
}

impl Performer<Rescheduler> for ReschedulePerformer {
    fn publish(&mut self, _machine: &Rescheduler, _now: Mono) {}

    fn perform(&mut self, effect: <Rescheduler as Machine>::Effect) {
        let Some(api) = self.api.upgrade() else {
            return;
        };
        let platform = api.platform.clone();
        let handle = self.handle.clone();
        let task: BoxFuture<'static, ()> = match effect {
            Effect::Look => Box::pin(async move {
                // What was not looked at yet must not pass for missing.
                api.fleet.first_look().await;
                let sight = Sight::of(&api.fleet.cluster().read());
                handle.send(Input::Saw(sight)).await;
            }),
            Effect::Start(job) => Box::pin(async move {
                let outcome = api.do_job(&job).await;
                handle.send(Input::Ended(job.id, outcome)).await;
            }),
            Effect::Held { down, engines } => {
                tracing::warn!(
                    "{down} of {engines} engines do not answer: no container is rescheduled until more than half of them \
                     do; look whether this manager is cut off"
                );
                return;
            }
            Effect::Undecided(two) => return warn_of_undecided(&two),
            Effect::Failed {
                id,
                reason,
                again_in,
            } => {
                tracing::warn!(
                    "Failed to reschedule container {id}: {reason}; trying again in {again_in:?}"
                );
                return;
            }
        };
        platform.spawn("reschedule job", task);
    }
}

fn warn_of_undecided(two: &Undecided) {
    let Undecided {
        engine,
        id,
        newer_engine,
        newer,
        why,
    } = two;
    let why = match why {
        Why::NewerStopped => "the newer one does not run: start it or remove one of them",
        Why::WouldBeRemoved => "it was made with --rm and would be lost: stop one of them",
    };
    tracing::warn!(
        container = %id,
        engine,
        newer = %newer,
        newer_engine,
        "A container that was moved still runs where it was, and {why}"
    );
}

async fn watch(
    api: Weak<Api>,
    handle: Handle<Input>,
    mut events: Subscription,
    mut election: Option<watch::Receiver<ElectionView>>,
) {
    let acting = |view: &ElectionView| view.authority.map(|authority| Some(authority.epoch));
    let first = match &mut election {
        Some(election) => acting(&election.borrow_and_update()),
        None => Some(None),
    };
    handle.send(Input::Acting(first)).await;
    loop {
        let input = tokio::select! {
            biased;
            changed = changed(&mut election) => match changed {
                Some(view) => Some(Input::Acting(acting(&view))),
                None => return,
            },
            heard = events.next() => match heard {
                Ok(heard) => input(&heard.event).map(|input| input(heard.address.clone())),
                Err(SubscriptionError::Closed) => return,
                Err(SubscriptionError::Lagged { .. }) => {
                    let Some(api) = api.upgrade() else { return };
                    events = api.fleet.listen();
                    Some(Input::Stirred)
                }
            },
        };
        if api.strong_count() == 0 {
            return;
        }
        if let Some(input) = input {
            handle.send(input).await;
        }
    }
}

/// The next view of the election; never without one, `None` when there will be no more.
async fn changed(election: &mut Option<watch::Receiver<ElectionView>>) -> Option<ElectionView> {
    match election {
        Some(election) => {
            election.changed().await.ok()?;
            Some(election.borrow_and_update().clone())
        }
        None => std::future::pending().await,
    }
}

/// What an event means for rescheduling.
fn input(event: &Event) -> Option<fn(swarm_core::address::HostPort) -> Input> {
    let is_copy = event.attributes.contains_key(MOVE_LABEL);
    match (event.kind.as_str(), event.action.as_str()) {
        ("swarm", "engine_connect" | "engine_reconnect") => Some(Input::Returned),
        ("swarm", "engine_disconnect") => Some(|_| Input::Stirred),
        ("container", "create" | "start" | "die" | "destroy") if is_copy => {
            Some(|_| Input::Stirred)
        }
        _ => None,
    }
}
