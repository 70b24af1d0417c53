//! Registrations that end with the agent: nodes that go with its session.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use swarm_core::address::HostPort;
use swarm_core::time::Mono;
use tokio::sync::oneshot;

use super::super::StoreError;
use super::ZooKeeper;
use super::jute::{Code, Op};
use super::lease::transaction;
use crate::platform::{SharedPlatform, sleep};

/// What a session may be asked to outlive; servers have limits of their own, by default 4 and 40 seconds.
const TIMEOUTS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(60)];
/// Between two tries at servers that do not answer.
const RETRY: Duration = Duration::from_secs(1);
/// How often somebody else may come in between.
const TRIES: usize = 5;

/// What this process has registered.
#[derive(Default)]
pub(super) struct Registrations {
    engines: Mutex<BTreeSet<HostPort>>,
    is_kept: AtomicBool,
}

impl Registrations {
    fn engines(&self) -> MutexGuard<'_, BTreeSet<HostPort>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ZooKeeper {
    /// Makes the engine's node one of this session, which lives for `ttl` without this process.
    pub(super) async fn register_in_session(
        &self,
        engine: &HostPort,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let [shortest, longest] = TIMEOUTS;
        let timeout = ttl.clamp(shortest, longest);
        let deadline = self.deadline();
        self.session.set_timeout(timeout).await;
        self.own_node(deadline, engine).await?;
        self.registrations.engines().insert(engine.clone());
        if !self.registrations.is_kept.swap(true, Ordering::Relaxed) {
            let platform = self.session.platform();
            let work = keep(platform.clone(), self.me.clone());
            platform.spawn("zookeeper-keep", Box::pin(work));
        }
        Ok(())
    }

    pub(super) async fn end_registration(&self, engine: &HostPort) -> Result<(), StoreError> {
        self.registrations.engines().remove(engine);
        let path = super::path(&self.layout.engine(engine));
        self.session.delete(self.deadline(), &path).await
    }

    async fn own_node(&self, deadline: Mono, engine: &HostPort) -> Result<(), StoreError> {
        let path = super::path(&self.layout.engine(engine));
        let create = Op::Create {
            path: path.clone(),
            data: engine.to_string().into(),
            ephemeral: true,
        };
        for _ in 0..TRIES {
            let (stat, session) = self.session.stat(deadline, &path).await?;
            let steps = match stat {
                Some(stat) if stat.owner == session => return Ok(()),
                // Of an agent that was here before, or of another one for the same engine. A node that was only
                // overwritten would go with the session of the other (spec/classic.md D7).
                Some(stat) => {
                    let delete = Op::Delete {
                        path: path.clone(),
                        version: stat.version,
                    };
                    vec![delete, create.clone()]
                }
                None => vec![create.clone()],
            };
            let write = [Op::Multi(steps)];
            let mut answered = self.session.ask(deadline, &write, false).await?;
            match transaction(&self.session, answered.replies.remove(0))? {
                // Once more, to see that it belongs to the session that there is now.
                Ok(_) | Err(Code::NODE_EXISTS | Code::BAD_VERSION) => {}
                Err(Code::NO_NODE) => {
                    let nodes = super::path(self.layout.nodes());
                    self.session.make(deadline, &nodes).await?;
                }
                Err(code) => return Err(self.session.refused(code)),
            }
        }
        Err(StoreError::Garbage {
            servers: self.session.names(),
            cause: format!("{path} is taken away again and again: is there another agent for it?"),
        })
    }

    /// Registers again what is registered. Returns what completes when the connection ends.
    async fn renew(&self) -> Result<oneshot::Receiver<()>, StoreError> {
        let deadline = self.deadline();
        let engines = self.registrations.engines().clone();
        for engine in engines {
            self.own_node(deadline, &engine).await?;
        }
        let root = Op::Exists {
            path: super::path(self.layout.nodes()),
            watch: false,
        };
        let answered = self.session.ask(deadline, &[root], true).await?;
        Ok(answered.link.end())
    }
}

/// Resumes the session when its connection has ended, long before the next heartbeat would, so that it does not end too.
async fn keep(platform: SharedPlatform, store: Weak<ZooKeeper>) {
    loop {
        let Some(kept) = store.upgrade() else {
            return;
        };
        let renewed = kept.renew().await;
        // The connection must end with the store.
        drop(kept);
        match renewed {
            Ok(end) => {
                let _ = end.await;
            }
            Err(error) => {
                tracing::debug!(%error, "The session at ZooKeeper cannot be kept yet");
                sleep(platform.as_ref(), RETRY).await;
            }
        }
    }
}
