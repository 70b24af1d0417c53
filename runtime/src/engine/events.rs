//! Events of all engines, remembered for a while and handed to every subscriber in the same order.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swarm_core::address::HostPort;
use swarm_core::engine::Event;
use swarm_core::time::{Mono, Wall};
use swarm_core::watch;

/// Most events remembered; a subscriber further behind is told and dropped (spec/classic.md section 4.8).
const MAX_EVENTS: usize = 10_000;
/// Most bytes of events remembered.
const MAX_BYTES: usize = 16 << 20;

/// An event with the engine it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterEvent {
    /// The engine's address.
    pub address: HostPort,
    /// The event, already dressed for clients: `raw` is what they get.
    pub event: Event,
    /// When this manager heard of it.
    pub heard: Mono,
}

/// Why a subscription has nothing more to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// The subscriber was too slow.
    #[error("{missed} events were dropped because they were not read in time")]
    Lagged {
        /// Events it can no longer get.
        missed: u64,
    },
    /// There will be no more events.
    #[error("there are no more events")]
    Closed,
}

/// The place where events wait for subscribers: one copy for all of them.
pub(super) struct EventLog {
    log: Arc<Mutex<Log>>,
    newest: watch::Sender<u64>,
    /// One for each client that listens.
    clients: Arc<()>,
}

#[derive(Default)]
struct Log {
    events: VecDeque<Arc<ClusterEvent>>,
    /// The number of the oldest event remembered.
    first: u64,
    bytes: usize,
}

/// Reads events in order.
pub struct Subscription {
    log: Arc<Mutex<Log>>,
    newest: watch::Receiver<u64>,
    next: u64,
    /// Events before this number are old: only those from `since` on are wanted.
    replayed: u64,
    since: Wall,
    /// Held by those that count as listeners.
    _client: Option<Arc<()>>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self {
            log: Arc::default(),
            newest: watch::Sender::new(0),
            clients: Arc::default(),
        }
    }
}

impl EventLog {
    pub(super) fn push(&self, address: HostPort, event: Event, heard: Mono) {
        let mut log = lock(&self.log);
        log.bytes += size(&event);
        log.events.push_back(Arc::new(ClusterEvent {
            address,
            event,
            heard,
        }));
        while log.events.len() > MAX_EVENTS || log.bytes > MAX_BYTES {
            let Some(oldest) = log.events.pop_front() else {
                break;
            };
            log.bytes -= size(&oldest.event);
            log.first += 1;
        }
        let end = log.end();
        drop(log);
        self.newest.send_replace(end);
    }

    /// For a client, who counts as a listener.
    pub(super) fn subscribe(&self, since: Option<Wall>) -> Subscription {
        Subscription {
            _client: Some(Arc::clone(&self.clients)),
            ..self.listen(since)
        }
    }

    /// For the manager itself.
    pub(super) fn listen(&self, since: Option<Wall>) -> Subscription {
        let newest = self.newest.subscribe();
        let log = lock(&self.log);
        let end = log.end();
        Subscription {
            log: Arc::clone(&self.log),
            newest,
            next: if since.is_some() { log.first } else { end },
            replayed: end,
            since: since.unwrap_or_default(),
            _client: None,
        }
    }

    pub(super) fn subscribers(&self) -> usize {
        Arc::strong_count(&self.clients) - 1
    }
}

impl Subscription {
    /// The next event; waits for it.
    ///
    /// # Errors
    /// [`SubscriptionError`] when there is none to come, or one was missed.
    pub async fn next(&mut self) -> Result<Arc<ClusterEvent>, SubscriptionError> {
        loop {
            self.newest.mark_unchanged();
            if let Some(event) = self.ready()? {
                return Ok(event);
            }
            self.newest
                .changed()
                .await
                .map_err(|_| SubscriptionError::Closed)?;
        }
    }

    /// The texts of all events that are remembered, wanted or not.
    #[must_use]
    pub fn remembered(&self) -> BTreeSet<Arc<str>> {
        let log = lock(&self.log);
        log.events
            .iter()
            .map(|event| event.event.raw.clone())
            .collect()
    }

    /// When this manager heard of an event that carries `time`, if it remembers.
    #[must_use]
    pub fn heard_of(&self, time: Wall) -> Option<Mono> {
        let log = lock(&self.log);
        let mut events = log.events.iter();
        let found = events.find(|event| event.event.time == time);
        found.map(|event| event.heard)
    }

    /// The next event if there is one already.
    fn ready(&mut self) -> Result<Option<Arc<ClusterEvent>>, SubscriptionError> {
        let log = lock(&self.log);
        if self.next < log.first {
            let missed = log.first - self.next;
            return Err(SubscriptionError::Lagged { missed });
        }
        while let Some(event) = log.get(self.next) {
            let old = self.next < self.replayed;
            self.next += 1;
            if !old || event.event.time >= self.since {
                return Ok(Some(Arc::clone(event)));
            }
        }
        Ok(None)
    }
}

impl Log {
    fn end(&self) -> u64 {
        self.first + u64::try_from(self.events.len()).unwrap_or(u64::MAX)
    }

    fn get(&self, number: u64) -> Option<&Arc<ClusterEvent>> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.events.get(at)
    }
}

/// The bytes an event keeps, roughly.
fn size(event: &Event) -> usize {
    2 * event.raw.len() + 256
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
