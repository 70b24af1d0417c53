//! Carries out what one engine's machine decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use swarm_core::address::HostPort;
use swarm_core::api::ApiVersion;
use swarm_core::cluster::Specs;
use swarm_core::engine::{
    Call, Effect, EngineMachine, Event, Input, Level, Node, Notice, OpId, ViewChange,
};
use swarm_core::time::Mono;
use swarm_core::watch;

use super::Shared;
use super::calls::Asker;
use super::stream::Listener;
use crate::driver::{Performer, WeakHandle};
use crate::platform::BoxFuture;

/// The hands of one engine's machine.
pub(super) struct Carrier {
    shared: Arc<Shared>,
    address: HostPort,
    generation: u64,
    handle: WeakHandle<Input>,
    node: Node,
    /// Dropped to end a stream.
    streams: BTreeMap<OpId, watch::Sender<()>>,
    /// Dropped with the machine, which ends the calls under way.
    gone: watch::Sender<()>,
    /// Dropped when it is known for the first time how the engine is.
    starting: Option<watch::Sender<()>>,
    /// Tells others whether the last calls failed.
    failing: Arc<AtomicBool>,
}

impl Carrier {
    pub(super) fn new(
        shared: Arc<Shared>,
        address: HostPort,
        generation: u64,
        handle: WeakHandle<Input>,
        starting: watch::Sender<()>,
        failing: Arc<AtomicBool>,
    ) -> Self {
        let node = Node {
            addr: address.to_string(),
            ..Node::default()
        };
        Self {
            shared,
            address,
            generation,
            handle,
            node,
            streams: BTreeMap::new(),
            gone: watch::Sender::new(()),
            starting: Some(starting),
            failing,
        }
    }

    /// Runs `work` until it ends or `stop` is dropped.
    fn spawn(
        &self,
        name: &'static str,
        stop: &watch::Sender<()>,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut stopped = stop.subscribe();
        // On its own: within the task there would be room for it twice, and streams are open for ever.
        let work = Box::pin(work);
        let task: BoxFuture<'static, ()> = Box::pin(async move {
            tokio::select! {
                biased;
                _ = stopped.changed() => {}
                () = work => {}
            }
        });
        self.shared.platform.spawn(name, task);
    }

    fn call(&self, op: OpId, call: Call, version: Option<ApiVersion>) {
        let context = self
            .shared
            .view
            .read()
            .engine(&self.address)
            .and_then(swarm_core::cluster::Engine::entry_context);
        let asker = Asker::new(&self.shared, self.address.clone());
        let handle = self.handle.clone();
        self.spawn("engine-call", &self.gone, async move {
            let result = asker.ask(call, version, context).await;
            handle.send(Input::Answered { op, result }).await;
        });
    }

    fn admit(&mut self, op: OpId, specs: Specs) {
        let (id, name) = (specs.id.clone(), specs.name.clone());
        let now = self.shared.platform.wall();
        let admission =
            self.shared
                .view
                .write()
                .admit(&self.address, self.address.ip(), specs, now);
        if admission.is_ok() {
            self.node = Node {
                name,
                id,
                addr: self.address.to_string(),
                ip: self
                    .address
                    .ip()
                    .map_or_else(|| self.address.host().to_owned(), |ip| ip.to_string()),
            };
        }
        let handle = self.handle.clone();
        self.spawn("engine-admission", &self.gone, async move {
            let result = admission.map_err(|error| error.to_string());
            handle.send(Input::Admitted { op, result }).await;
        });
    }

    fn open_stream(&mut self, op: OpId, listener: Listener) {
        let stop = watch::Sender::new(());
        let handle = self.handle.clone();
        self.spawn("engine-events", &stop, async move {
            let error = listener.listen(op, &handle).await;
            handle.send(Input::StreamEnded { op, error }).await;
        });
        self.streams.insert(op, stop);
    }

    fn change(&mut self, change: ViewChange) {
        let may_end_look = matches!(change, ViewChange::Health { .. } | ViewChange::Remove);
        if may_end_look && self.starting.take().is_some() {
            // The first listing was far more than what follows, and a fleet that starts has many of them.
            self.shared.client.close_idle(&self.address);
        }
        if !self.shared.is_current(&self.address, self.generation) {
            return;
        }
        let (at, now) = (&self.address, self.shared.platform.wall());
        // Every failure here says that the engine is not in the view: it was removed, and so will this task be.
        let mut cluster = self.shared.view.write();
        match change {
            ViewChange::Health {
                state,
                indicator,
                error,
            } => drop(cluster.set_health(at, state, indicator, error, now)),
            ViewChange::Container(container) => drop(cluster.upsert_container(at, *container)),
            ViewChange::DropContainers(ids) => {
                for id in ids {
                    cluster.remove_container(at, &id);
                }
            }
            ViewChange::Images(images) => drop(cluster.replace_images(at, images)),
            ViewChange::Networks(networks) => drop(cluster.replace_networks(at, networks)),
            ViewChange::Network(network) => drop(cluster.upsert_network(at, *network)),
            ViewChange::DropNetwork(id) => drop(cluster.remove_network(at, &id)),
            ViewChange::Volumes(volumes) => drop(cluster.replace_volumes(at, volumes)),
            ViewChange::Volume(volume) => drop(cluster.upsert_volume(at, *volume)),
            ViewChange::DropVolume(name) => drop(cluster.remove_volume(at, &name)),
            ViewChange::Remove => drop(cluster.remove_engine(at, now)),
        }
        if may_end_look {
            self.shared.first_look.check(&cluster);
        }
    }

    fn tell(&self, notice: Notice) {
        let event = match notice {
            Notice::Engine(event) => event,
            Notice::Swarm(action) => Event::of_manager(action, self.shared.platform.wall()),
        };
        match event.dressed(&self.node) {
            Ok(event) => {
                let heard = self.shared.platform.mono();
                self.shared.events.push(self.address.clone(), event, heard);
            }
            Err(error) => tracing::debug!(engine = %self.address, "dropping an event: {error}"),
        }
    }
}

impl Performer<EngineMachine> for Carrier {
    fn publish(&mut self, machine: &EngineMachine, _now: Mono) {
        self.failing
            .store(machine.failures() > 0, Ordering::Relaxed);
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Call { op, call, version } => self.call(op, call, version),
            Effect::Admit { op, specs } => self.admit(op, *specs),
            Effect::OpenStream {
                op,
                since,
                version,
                limit,
            } => {
                let listener = Listener {
                    platform: Arc::clone(&self.shared.platform),
                    client: self.shared.client.clone(),
                    address: self.address.clone(),
                    since,
                    version,
                    limit,
                };
                self.open_stream(op, listener);
            }
            Effect::CloseStream { op } => {
                self.streams.remove(&op);
            }
            Effect::Refreshed { ticket } => self.shared.waiters.done(ticket),
            Effect::View(change) => self.change(change),
            Effect::Publish(notice) => self.tell(notice),
            Effect::Log {
                level,
                message,
                fields,
            } => log(level, &message, &fields),
        }
    }
}

fn log(level: Level, message: &str, fields: &[(&'static str, String)]) {
    let field = |wanted: &str| {
        fields
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value.as_str())
    };
    let (name, id, addr) = (field("name"), field("id"), field("Addr"));
    match level {
        Level::Debug => tracing::debug!(name, id, Addr = addr, "{message}"),
        Level::Info => tracing::info!(name, id, Addr = addr, "{message}"),
        Level::Warn => tracing::warn!(name, id, Addr = addr, "{message}"),
    }
}
