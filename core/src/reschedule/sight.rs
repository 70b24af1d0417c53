//! What of the view rescheduling looks at.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Work;
use crate::address::HostPort;
use crate::cluster::{Cluster, Container, Engine, Phase, is_retired, is_unfinished};

/// The engines, and what there is to do, what matters most first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// All validated engines, and whether each has failed.
    pub engines: BTreeMap<HostPort, bool>,
    /// What there is to do.
    pub todos: Vec<Todo>,
    /// What swarm cannot choose in.
    pub undecided: Vec<Undecided>,
}

/// One container with something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Todo {
    /// The engine it is on.
    pub engine: HostPort,
    /// Its full ID.
    pub id: Arc<str>,
    /// What is to be done.
    pub work: Work,
    /// The full IDs of containers whose jobs go first: those it cannot be made without (E11), and those it replaces.
    pub after: Vec<Arc<str>>,
}

/// A former copy runs, and swarm leaves it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The name of the engine of the former copy.
    pub engine: String,
    /// The full ID of the former copy.
    pub id: Arc<str>,
    /// The name of the engine of the newer one.
    pub newer_engine: String,
    /// The full ID of the newer one.
    pub newer: Arc<str>,
    /// Why.
    pub why: Why,
}

/// Why swarm leaves a former copy alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The newer one does not run: somebody stopped it, or it ended.
    NewerStopped,
    /// Its engine would remove it with all it has (`docker run --rm`).
    WouldBeRemoved,
}

/// Whether an engine that failed has containers that are to be moved.
#[must_use]
pub fn has_to_move(cluster: &Cluster, engine: &HostPort) -> bool {
    let failed = cluster.engine(engine).filter(|one| cluster.has_failed(one));
    failed.is_some_and(|engine| {
        let mut containers = engine.containers();
        containers.any(|one| one.recipe().is_some() && is_to_be_moved(cluster, one))
    })
}

/// Whether nobody has taken the place of a container of a failed engine, and it is not going anyway.
fn is_to_be_moved(cluster: &Cluster, container: &Container) -> bool {
    let goes = match container.state.phase {
        Phase::Removing | Phase::Dead => true,
        Phase::Exited => container.host.auto_remove,
        Phase::Created | Phase::Running | Phase::Paused | Phase::Restarting => false,
    };
    !goes && !cluster.is_replaced(container)
}

impl Sight {
    /// Looks at the view. Walks over all containers once.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let mut sight = Self::default();
        for engine in cluster.validated() {
            let failed = cluster.has_failed(engine);
            sight.engines.insert(engine.address.clone(), failed);
            for container in engine.containers() {
                // Every copy was made from a container with the policy, and has it too.
                if container.recipe().is_none() {
                    continue;
                }
                if failed {
                    sight.lost(cluster, engine, container);
                } else if engine.is_healthy() {
                    sight.present(cluster, engine, container);
                }
            }
        }
        sight.todos.sort_by_key(|todo| todo.work);
        sight
    }

    fn lost(&mut self, cluster: &Cluster, engine: &Engine, container: &Container) {
        if !is_to_be_moved(cluster, container) {
            return;
        }
        let recipe = container.recipe();
        let ties = recipe.and_then(|recipe| recipe.ties().ok());
        let after = ties
            .iter()
            .flatten()
            .filter_map(|called| cluster.container_on(&engine.address, called).ok())
            .map(|other| other.id.clone());
        let after = after.collect();
        self.todo(engine, container, Work::Move, after);
    }

    fn present(&mut self, cluster: &Cluster, engine: &Engine, container: &Container) {
        let Some((newer_engine, newer)) = cluster.successor(container) else {
            if is_unfinished(container) {
                // Whoever makes the copy finishes it, too.
                let moved = container
                    .moved()
                    .into_iter()
                    .flat_map(|moved| moved.replaces());
                let after = moved.map(|id| id.as_str().into()).collect();
                self.todo(engine, container, Work::Finish, after);
            }
            return;
        };
        if is_retired(container) {
            return;
        }
        if container.is_untouched() {
            return self.todo(engine, container, Work::Remove, Vec::new());
        }
        if !container.is_running() {
            if container.name() == newer.name() {
                self.todo(engine, container, Work::Retire, Vec::new());
            }
            return;
        }
        let why = if container.host.auto_remove {
            Why::WouldBeRemoved
        } else if newer.is_running() && newer_engine.is_healthy() {
            return self.todo(engine, container, Work::Retire, Vec::new());
        } else if is_unfinished(newer) {
            return;
        } else {
            Why::NewerStopped
        };
        self.undecided.push(Undecided {
            engine: engine.name().to_owned(),
            id: container.id.clone(),
            newer_engine: newer_engine.name().to_owned(),
            newer: newer.id.clone(),
            why,
        });
    }

    fn todo(&mut self, engine: &Engine, container: &Container, work: Work, after: Vec<Arc<str>>) {
        self.todos.push(Todo {
            engine: engine.address.clone(),
            id: container.id.clone(),
            work,
            after,
        });
    }
}
