//! Finding a container by what a user calls it (spec/classic.md section 4.5).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::container::{Container, SHORT_ID, bare};
use super::keys::{Keys, Name, Place, Sorted};
use super::runs::{Listed, Runs};
use super::{Cluster, Engine, SWARM_ID_LABEL};
use crate::address::HostPort;

/// Why a reference does not lead to one container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Nothing matches.
    #[error("No such container: {0}")]
    NotFound(String),
    /// Several match.
    #[error(
        "multiple containers match {reference:?}: {}; give more of the ID or write <engine>/<name>",
        candidates.join(", ")
    )]
    Ambiguous {
        /// What was asked for.
        reference: String,
        /// `<engine>/<name> (<short ID>)` of each, at most ten.
        candidates: Vec<String>,
    },
}

/// How many candidates an error names.
const CANDIDATES_MAX: usize = 10;

/// Ways to a container that do not walk over all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// An ID is its own key.
    ids: BTreeSet<(Arc<str>, u32)>,
    swarm_ids: Keys<Arc<str>>,
    names: Keys<Name>,
    execs: Keys<Arc<str>>,
    /// The IDs that copies replace, with the place of the copy.
    replaced: Keys<Arc<str>>,
    /// The IDs that copies replaced, those that are gone included, as long as what they replaced is in the view.
    former: BTreeSet<Arc<str>>,
    pub(super) listed: Runs,
}

impl Index {
    pub(super) fn insert(&mut self, slot: u32, container: &Arc<Container>) {
        let id = &container.id;
        self.listed.put(Listed::new(slot, container));
        self.ids.insert((id.clone(), slot));
        if let Some(swarm_id) = swarm_id(container) {
            self.swarm_ids.insert((swarm_id, slot, id.clone()));
        }
        for name in container.names() {
            self.names.insert((Name(name.clone()), slot, id.clone()));
        }
        for exec in container.execs() {
            self.execs.insert((exec.as_str().into(), slot, id.clone()));
        }
        for old in replaces(container) {
            self.replaced.insert((old.clone(), slot, id.clone()));
            self.former.insert(old);
        }
    }

    pub(super) fn remove(&mut self, slot: u32, container: &Arc<Container>) {
        let id = &container.id;
        self.listed.remove(&Listed::new(slot, container));
        self.ids.remove(&(id.clone(), slot));
        if let Some(swarm_id) = swarm_id(container) {
            self.swarm_ids.remove(&(swarm_id, slot, id.clone()));
        }
        for name in container.names() {
            self.names.remove(&(Name(name.clone()), slot, id.clone()));
        }
        for exec in container.execs() {
            self.execs.remove(&(exec.as_str().into(), slot, id.clone()));
        }
        for old in replaces(container) {
            self.replaced.remove(&(old.clone(), slot, id.clone()));
            self.forget(&old);
        }
        self.forget(id);
    }

    /// Forgets that a container was replaced, once neither it nor a copy of it is in the view.
    fn forget(&mut self, old: &Arc<str>) {
        if self.ids.exactly(old).is_empty() && self.replaced.exactly(old).is_empty() {
            self.former.remove(old);
        }
    }

    /// Another record of the same container. What it is called hardly ever changes.
    pub(super) fn replace(&mut self, slot: u32, old: &Arc<Container>, new: &Arc<Container>) {
        let same = old.id == new.id
            && old.created == new.created
            && old.names().eq(new.names())
            && old.swarm_id() == new.swarm_id()
            && old.execs() == new.execs()
            && old.moved() == new.moved();
        if same {
            self.listed.put(Listed::new(slot, new));
        } else {
            self.remove(slot, old);
            self.insert(slot, new);
        }
    }

    pub(super) fn remove_all(&mut self, slot: u32, engine: &Engine) {
        for container in engine.containers() {
            self.remove(slot, container);
        }
    }
}

/// [`Container::swarm_id`], as its label has it.
fn swarm_id(container: &Container) -> Option<Arc<str>> {
    container.swarm_id()?;
    container.labels.shared(SWARM_ID_LABEL).cloned()
}

/// The IDs of the containers whose place this one took.
fn replaces(container: &Container) -> impl Iterator<Item = Arc<str>> {
    let moved = container.moved().into_iter();
    moved
        .flat_map(|moved| moved.replaces())
        .map(|id| id.as_str().into())
}

impl Cluster {
    /// The container a user calls `reference`: by full or short ID, by swarm ID, by name, by `<engine>/<name>`, or by
    /// an unambiguous prefix of an ID; the first of these that matches anything decides.
    ///
    /// # Errors
    /// [`LookupError`] when none or several match.
    pub fn container(&self, reference: &str) -> Result<(&Engine, &Container), LookupError> {
        self.find(reference, |_| true)
    }

    /// The container of one engine that a user calls `reference`, as [`Cluster::container`] finds it in all of them.
    ///
    /// # Errors
    /// [`LookupError`] when none or several match.
    pub fn container_on(
        &self,
        engine: &HostPort,
        reference: &str,
    ) -> Result<&Container, LookupError> {
        let own = self.slots.get(engine);
        self.find(reference, |(slot, _)| Some(slot) == own)
            .map(|(_, container)| container)
    }

    /// The container called `reference` among those at wanted places.
    fn find(
        &self,
        reference: &str,
        wanted: impl Fn(&Place) -> bool,
    ) -> Result<(&Engine, &Container), LookupError> {
        let not_found = || LookupError::NotFound(reference.to_owned());
        if reference.is_empty() {
            return Err(not_found());
        }
        let ways: [&dyn Fn() -> BTreeSet<Place>; 4] = [
            &|| self.index.ids.short_or_full(reference),
            &|| self.index.swarm_ids.short_or_full(reference),
            &|| self.by_name(reference),
            &|| self.by_prefix(reference, &wanted),
        ];
        let found = ways
            .into_iter()
            .map(|way| {
                let mut places = way();
                places.retain(&wanted);
                self.newest(places)
            })
            .find(|places| !places.is_empty())
            .ok_or_else(not_found)?;
        let mut hits = found.iter().filter_map(|place| self.at(place));
        match (hits.next(), found.len()) {
            (Some(hit), 1) => Ok(hit),
            (None, _) => Err(not_found()),
            (Some(first), _) => Err(LookupError::Ambiguous {
                reference: reference.to_owned(),
                candidates: std::iter::once(first)
                    .chain(hits)
                    .take(CANDIDATES_MAX)
                    .map(|(engine, container)| describe(engine, container))
                    .collect(),
            }),
        }
    }

    /// The container an exec instance belongs to.
    #[must_use]
    pub fn container_of_exec(&self, exec: &str) -> Option<(&Engine, &Container)> {
        self.index
            .execs
            .exactly(exec)
            .iter()
            .find_map(|place| self.at(place))
    }

    /// The container created under this swarm ID, the newest if it was moved, the first if a client gave the same one to
    /// several.
    #[must_use]
    pub fn by_swarm_id(&self, swarm_id: &str) -> Option<(&Engine, &Container)> {
        self.newest(self.index.swarm_ids.exactly(swarm_id))
            .iter()
            .find_map(|place| self.at(place))
    }

    /// Whether the engine is known to have a container of this swarm ID.
    #[must_use]
    pub fn has_swarm_id(&self, engine: &HostPort, swarm_id: &str) -> bool {
        let Some(slot) = self.slots.get(engine) else {
            return false;
        };
        // Asked of each reservation at each placement.
        let first = (Arc::from(swarm_id), *slot, Arc::from(""));
        let found = self.index.swarm_ids.range(first..).next();
        found.is_some_and(|(key, at, _)| **key == *swarm_id && at == slot)
    }

    /// The places of the copies that replace the container of this ID.
    pub(super) fn replacing(&self, id: &str) -> Vec<Place> {
        self.index.replaced.exactly(id).into_iter().collect()
    }

    /// Whether a copy is known to have replaced the container of this ID.
    pub(super) fn was_replaced(&self, id: &str) -> bool {
        self.index.former.contains(id)
    }

    /// Of several copies of one container those that nothing has replaced; other containers stay.
    fn newest(&self, places: BTreeSet<Place>) -> BTreeSet<Place> {
        if places.len() < 2 {
            return places;
        }
        let replaced = |place: &Place| {
            let successor = self.at(place).and_then(|(_, one)| self.successor(one));
            successor.is_some_and(|(_, new)| places.iter().any(|(_, id)| *id == new.id))
        };
        places
            .iter()
            .filter(|place| !replaced(place))
            .cloned()
            .collect()
    }

    /// The containers that have this name (without slash) on their engine.
    pub fn named(&self, name: &str) -> impl Iterator<Item = (&Engine, &Container)> {
        self.index
            .names
            .exactly(bare(name))
            .into_iter()
            .filter_map(|place| self.at(&place))
    }

    /// The places of the containers of one swarm ID.
    pub(super) fn places_of_swarm_id(&self, swarm_id: &str) -> Vec<Place> {
        self.index.swarm_ids.exactly(swarm_id).into_iter().collect()
    }

    /// The places of the containers of each swarm ID that several have.
    pub(super) fn shared_swarm_ids(&self) -> Vec<Vec<Place>> {
        let all: Vec<_> = self.index.swarm_ids.iter().collect();
        all.chunk_by(|(one, ..), (other, ..)| one == other)
            .filter(|group| group.len() > 1)
            .map(|group| {
                group
                    .iter()
                    .map(|(_, slot, id)| (*slot, id.clone()))
                    .collect()
            })
            .collect()
    }

    pub(super) fn at(&self, (slot, id): &Place) -> Option<(&Engine, &Container)> {
        let engine = self.engines.get(*slot)?;
        Some((engine, engine.container(id)?))
    }

    fn by_name(&self, reference: &str) -> BTreeSet<Place> {
        let reference = bare(reference);
        let mut places = self.index.names.exactly(reference);
        if let Some((node, name)) = reference.split_once('/') {
            let on_node = |(slot, _): &Place| {
                self.engines
                    .get(*slot)
                    .is_some_and(|engine| engine.name() == node || engine.id() == node)
            };
            places.extend(self.index.names.exactly(name).into_iter().filter(on_node));
        }
        places
    }

    fn by_prefix(&self, prefix: &str, wanted: impl Fn(&Place) -> bool) -> BTreeSet<Place> {
        self.index
            .ids
            .starting(prefix)
            .chain(self.index.swarm_ids.starting(prefix))
            .map(|(_, place)| place)
            .filter(wanted)
            .take(CANDIDATES_MAX + 1)
            .collect()
    }
}

fn describe(engine: &Engine, container: &Container) -> String {
    let short = container.id.get(..SHORT_ID).unwrap_or(&container.id);
    format!("{}/{} ({short})", engine.name(), container.name())
}
