//! Finding a container by what a user calls it (spec/classic.md section 4.5).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::container::{Container, SHORT_ID, bare};
use super::{Cluster, Engine};
use crate::address::HostPort;
use crate::time::Wall;

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

/// A container's place: engine slot and full ID.
pub(super) type Place = (u32, Arc<str>);

/// Sorted keys, each with the places it leads to.
type Keys = BTreeSet<(Arc<str>, u32, Arc<str>)>;

/// Ways to a container that do not walk over all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    ids: Keys,
    swarm_ids: Keys,
    names: Keys,
    execs: Keys,
    /// The IDs that copies replace, with the place of the copy.
    replaced: Keys,
    /// The IDs that copies replaced, those that are gone included, as long as what they replaced is in the view.
    former: BTreeSet<Arc<str>>,
    /// In the order of lists: newest first, those of the same moment by ID.
    listed: BTreeMap<(Reverse<Wall>, Arc<str>, u32), Arc<Container>>,
}

impl Index {
    pub(super) fn insert(&mut self, slot: u32, container: &Arc<Container>) {
        let id = &container.id;
        let place = (Reverse(container.created), id.clone(), slot);
        self.listed.insert(place, Arc::clone(container));
        self.ids.insert((id.clone(), slot, id.clone()));
        if let Some(swarm_id) = container.swarm_id() {
            self.swarm_ids.insert((swarm_id.into(), slot, id.clone()));
        }
        for name in &container.names {
            self.names.insert((bare(name).into(), slot, id.clone()));
        }
        for exec in &container.execs {
            self.insert_exec(slot, id, exec);
        }
        for old in replaces(container) {
            self.replaced.insert((old.clone(), slot, id.clone()));
            self.former.insert(old);
        }
    }

    fn insert_exec(&mut self, slot: u32, id: &Arc<str>, exec: &str) {
        self.execs.insert((exec.into(), slot, id.clone()));
    }

    pub(super) fn remove(&mut self, slot: u32, container: &Container) {
        let id = &container.id;
        self.listed
            .remove(&(Reverse(container.created), id.clone(), slot));
        self.ids.remove(&(id.clone(), slot, id.clone()));
        if let Some(swarm_id) = container.swarm_id() {
            self.swarm_ids.remove(&(swarm_id.into(), slot, id.clone()));
        }
        for name in &container.names {
            self.names.remove(&(bare(name).into(), slot, id.clone()));
        }
        for exec in &container.execs {
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
        if exactly(&self.ids, old).is_empty() && exactly(&self.replaced, old).is_empty() {
            self.former.remove(old);
        }
    }

    /// Another record of the same container. What it is called hardly ever changes.
    pub(super) fn replace(&mut self, slot: u32, old: &Container, new: &Arc<Container>) {
        let same = old.id == new.id
            && old.created == new.created
            && old.names == new.names
            && old.swarm_id() == new.swarm_id()
            && old.execs == new.execs
            && old.moved == new.moved;
        let place = (Reverse(new.created), new.id.clone(), slot);
        match self.listed.get_mut(&place).filter(|_| same) {
            Some(listed) => *listed = Arc::clone(new),
            None => {
                self.remove(slot, old);
                self.insert(slot, new);
            }
        }
    }

    /// All containers with their engines, newest first.
    pub(super) fn listed(&self) -> impl Iterator<Item = (u32, &Arc<Container>)> {
        self.listed
            .iter()
            .map(|((_, _, slot), container)| (*slot, container))
    }

    pub(super) fn remove_all(&mut self, slot: u32, engine: &Engine) {
        for container in engine.containers() {
            self.remove(slot, container);
        }
    }
}

/// The IDs of the containers whose place this one took.
fn replaces(container: &Container) -> impl Iterator<Item = Arc<str>> {
    let moved = container.moved.iter();
    moved
        .flat_map(|moved| moved.replaces())
        .map(|id| id.as_str().into())
}

/// The entries whose key starts with `prefix`.
fn starting<'a>(keys: &'a Keys, prefix: &'a str) -> impl Iterator<Item = (&'a str, Place)> {
    let from = (Arc::from(prefix), 0, Arc::from(""));
    keys.range((Bound::Included(from), Bound::Unbounded))
        .take_while(move |(key, _, _)| key.starts_with(prefix))
        .map(|(key, slot, id)| (&**key, (*slot, id.clone())))
}

fn exactly(keys: &Keys, wanted: &str) -> BTreeSet<Place> {
    starting(keys, wanted)
        .take_while(|(key, _)| *key == wanted)
        .map(|(_, place)| place)
        .collect()
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
            &|| short_or_full(&self.index.ids, reference),
            &|| short_or_full(&self.index.swarm_ids, reference),
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
        exactly(&self.index.execs, exec)
            .iter()
            .find_map(|place| self.at(place))
    }

    /// The container created under this swarm ID, the newest if it was moved, the first if a client gave the same one to
    /// several.
    #[must_use]
    pub fn by_swarm_id(&self, swarm_id: &str) -> Option<(&Engine, &Container)> {
        self.newest(exactly(&self.index.swarm_ids, swarm_id))
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
        exactly(&self.index.replaced, id).into_iter().collect()
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
        exactly(&self.index.names, bare(name))
            .into_iter()
            .filter_map(|place| self.at(&place))
    }

    /// The places of the containers of one swarm ID.
    pub(super) fn places_of_swarm_id(&self, swarm_id: &str) -> Vec<Place> {
        exactly(&self.index.swarm_ids, swarm_id)
            .into_iter()
            .collect()
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
        let mut places = exactly(&self.index.names, reference);
        if let Some((node, name)) = reference.split_once('/') {
            let on_node = |(slot, _): &Place| {
                self.engines
                    .get(*slot)
                    .is_some_and(|engine| engine.name() == node || engine.id() == node)
            };
            places.extend(exactly(&self.index.names, name).into_iter().filter(on_node));
        }
        places
    }

    fn by_prefix(&self, prefix: &str, wanted: impl Fn(&Place) -> bool) -> BTreeSet<Place> {
        starting(&self.index.ids, prefix)
            .chain(starting(&self.index.swarm_ids, prefix))
            .map(|(_, place)| place)
            .filter(wanted)
            .take(CANDIDATES_MAX + 1)
            .collect()
    }
}

fn short_or_full(keys: &Keys, reference: &str) -> BTreeSet<Place> {
    let full = exactly(keys, reference);
    if full.is_empty() && reference.len() == SHORT_ID {
        return starting(keys, reference).map(|(_, place)| place).collect();
    }
    full
}

fn describe(engine: &Engine, container: &Container) -> String {
    let short = container.id.get(..SHORT_ID).unwrap_or(&container.id);
    format!("{}/{} ({short})", engine.name(), container.name())
}
