//! Which parts of the view are out of date, and which of them are being asked for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::{Call, MAX_IN_FLIGHT, OpId};
use crate::time::Mono;

/// A part of the view that is refreshed by one call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    Container(Arc<str>),
    Images,
    Networks,
    Volumes,
    Network(Arc<str>),
    Volume(Arc<str>),
}

/// More objects than this are not followed one by one.
pub(super) const MAX_OBJECTS: usize = 16_384;
/// Time between two listings of images that events ask for: a pull causes many events, each for a long list.
const IMAGES_APART: Duration = Duration::from_secs(1);
/// Most calls under way; the round has one more.
const CALLS_MAX: usize = MAX_IN_FLIGHT - 1;
/// Calls under way at once however few objects there are: a slow one must not hold up all others.
const CALLS_MIN: usize = 2;
/// As many objects are worth one call more at the same time.
const OBJECTS_FOR_A_CALL: usize = 40;
/// Most callers that wait for refreshes.
pub(super) const MAX_TICKETS: usize = 512;

/// The queue of refreshes: at most one call per object at a time, so a burst of events costs two calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    queue: VecDeque<Object>,
    items: BTreeMap<Object, Item>,
    /// Not in the queue yet: asked for when an event tells of them, or then.
    expected: Vec<(Mono, Object)>,
    images_from: Mono,
    /// Callers that wait, over all objects.
    tickets: usize,
    /// Objects of the first listing that are still missing.
    pub(super) settling: usize,
}

#[derive(Clone, Debug, Default)]
struct Item {
    /// The list entry to go with an inspection.
    entry: Option<Arc<RawValue>>,
    flight: Option<OpId>,
    /// Changed while the call was under way.
    again: bool,
    /// Gone since it was asked for: an answer under way is old, one not asked for yet is not needed.
    gone: bool,
    settling: bool,
    /// Callers that wait for a call not yet started.
    waiting: Vec<u64>,
    /// Callers that wait for the call under way.
    flying: Vec<u64>,
    /// Callers to whom the call under way will do if it finds the object, and who else wait for the next one.
    joined: Vec<u64>,
}

/// What to do with the answer to a finished call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Use,
    Drop,
}

impl Object {
    fn call(&self, entry: Option<Arc<RawValue>>) -> Call {
        match self {
            Self::Container(id) => Call::Container {
                id: id.clone(),
                entry,
            },
            Self::Images => Call::Images,
            Self::Networks => Call::Networks,
            Self::Volumes => Call::Volumes,
            Self::Network(id) => Call::Network(id.clone()),
            Self::Volume(name) => Call::Volume(name.clone()),
        }
    }
}

impl Work {
    /// Asks for a refresh. `false` when there are too many objects to follow.
    pub(super) fn want(&mut self, object: Object) -> bool {
        self.want_with(object, None)
    }

    /// As [`Work::want`], with a list entry that spares listing the container once more.
    pub(super) fn want_with(&mut self, object: Object, entry: Option<Arc<RawValue>>) -> bool {
        if let Some(item) = self.items.get_mut(&object) {
            item.again = item.flight.is_some();
            item.gone = false;
            // It may have changed since the entry was read.
            item.entry = None;
            self.come(&object);
            return true;
        }
        if self.items.len() >= MAX_OBJECTS {
            return false;
        }
        self.queue.push_back(object.clone());
        let item = Item {
            entry,
            ..Item::default()
        };
        self.items.insert(object, item);
        true
    }

    /// As [`Work::want`], before all others, and with a ticket that is given back when a call that starts from now on
    /// has ended. `false` when nobody else may wait.
    pub(super) fn want_first(&mut self, object: Object, ticket: u64) -> bool {
        if self.tickets >= MAX_TICKETS || !self.want(object.clone()) {
            return false;
        }
        if let Some(item) = self.items.get_mut(&object) {
            item.waiting.push(ticket);
            self.tickets += 1;
            if item.flight.is_none() {
                // Its other place in the queue is passed over later.
                self.queue.push_front(object);
            }
        }
        true
    }

    /// Lets the ticket wait for what an event made, or is about to make, the manager read: a call that is under way, if
    /// that finds the object, or else the next one, which starts at `until` should no event ask for it. `false` when
    /// nobody else may wait.
    pub(super) fn expect(&mut self, object: &Object, ticket: u64, until: Mono) -> bool {
        if self.tickets >= MAX_TICKETS {
            return false;
        }
        let is_expected = self.expected.iter().any(|(_, one)| one == object);
        if let Some(item) = self.items.get_mut(object) {
            match item.flight {
                Some(_) if !item.gone => item.joined.push(ticket),
                None if is_expected => item.waiting.push(ticket),
                Some(_) | None => return self.want_first(object.clone(), ticket),
            }
        } else {
            if self.items.len() >= MAX_OBJECTS {
                return false;
            }
            let item = Item {
                waiting: vec![ticket],
                ..Item::default()
            };
            self.items.insert(object.clone(), item);
            self.expected.push((until, object.clone()));
        }
        self.tickets += 1;
        true
    }

    /// Puts what was expected into the queue, before all others.
    fn come(&mut self, object: &Object) {
        let waits = self.expected.iter().position(|(_, one)| one == object);
        if let Some(at) = waits {
            self.expected.swap_remove(at);
            self.queue.push_front(object.clone());
        }
    }

    /// Whether a refresh of `object` is wanted or under way.
    pub(super) fn has(&self, object: &Object) -> bool {
        self.items
            .get(object)
            .is_some_and(|item| !item.gone || item.again)
    }

    /// The object no longer exists: nothing needs to be asked, and what is under way is out of date. Returns the
    /// tickets of those who waited.
    pub(super) fn forget(&mut self, object: &Object) -> Vec<u64> {
        let Some(item) = self.items.get_mut(object) else {
            return Vec::new();
        };
        item.gone = true;
        item.again = false;
        let mut tickets = std::mem::take(&mut item.waiting);
        tickets.append(&mut item.joined);
        self.tickets -= tickets.len();
        self.settled(object);
        tickets
    }

    /// Marks everything now wanted as part of the first listing.
    pub(super) fn settle(&mut self) {
        self.settling = 0;
        for item in self.items.values_mut() {
            item.settling = !item.gone;
            self.settling += usize::from(item.settling);
        }
    }

    /// How many calls may be under way. Each takes a connection, and a fleet that starts has many engines: the first
    /// listing of one with few objects is done soon enough by two. Nothing else is held up by that.
    pub(super) fn at_once(&self) -> usize {
        if self.settling == 0 || self.tickets > 0 {
            return CALLS_MAX;
        }
        (self.items.len() / OBJECTS_FOR_A_CALL).clamp(CALLS_MIN, CALLS_MAX)
    }

    /// The next call to start, if there is one that may start at `now`.
    pub(super) fn next(&mut self, now: Mono, op: OpId) -> Option<(Object, Call)> {
        let is_due = |(until, _): &&(Mono, Object)| *until <= now;
        while let Some((_, object)) = self.expected.iter().find(is_due).cloned() {
            self.come(&object);
        }
        loop {
            let at = self
                .queue
                .iter()
                .position(|object| !self.too_early(now, object))?;
            let object = self.queue.remove(at)?;
            let Some(item) = self.items.get_mut(&object) else {
                continue;
            };
            if item.flight.is_some() {
                continue;
            }
            if item.gone {
                self.settled(&object);
                self.items.remove(&object);
                continue;
            }
            if object == Object::Images {
                self.images_from = now + IMAGES_APART;
            }
            item.flight = Some(op);
            item.flying = std::mem::take(&mut item.waiting);
            let call = object.call(item.entry.take());
            return Some((object, call));
        }
    }

    /// When [`Work::next`] may have something although it has nothing now.
    pub(super) fn next_at(&self) -> Option<Mono> {
        let images = self.queue.front();
        let images = images.filter(|object| self.too_early(Mono::ZERO, object));
        let expected = self.expected.iter().map(|(until, _)| *until);
        expected.chain(images.map(|_| self.images_from)).min()
    }

    /// Only listing images ever has to wait, unless somebody waits for it.
    fn too_early(&self, now: Mono, object: &Object) -> bool {
        let asked = |item: &Item| !item.waiting.is_empty();
        *object == Object::Images
            && now < self.images_from
            && !self.items.get(object).is_some_and(asked)
    }

    /// A call has ended, and has `found` the object or not. Returns what to do with its answer, and the tickets of those
    /// who waited for it.
    pub(super) fn done(&mut self, object: &Object, found: bool) -> (Verdict, Vec<u64>) {
        self.settled(object);
        let Some(item) = self.items.get_mut(object) else {
            return (Verdict::Drop, Vec::new());
        };
        item.flight = None;
        let mut tickets = std::mem::take(&mut item.flying);
        let gone = item.gone;
        match found {
            true => tickets.append(&mut item.joined),
            false => {
                item.again |= !item.joined.is_empty();
                item.waiting.append(&mut item.joined);
            }
        }
        if item.again {
            item.again = false;
            match item.waiting.is_empty() {
                true => self.queue.push_back(object.clone()),
                false => self.queue.push_front(object.clone()),
            }
        } else {
            self.items.remove(object);
            self.give_back();
        }
        self.tickets -= tickets.len();
        let verdict = match gone {
            true => Verdict::Drop,
            false => Verdict::Use,
        };
        (verdict, tickets)
    }

    /// Drops everything that has not started; what is under way may still be used. Returns the tickets of those who
    /// waited for it.
    pub(super) fn clear(&mut self) -> Vec<u64> {
        self.queue.clear();
        self.expected.clear();
        self.settling = 0;
        let mut tickets = Vec::new();
        self.items.retain(|_, item| {
            item.again = false;
            item.settling = false;
            tickets.append(&mut item.waiting);
            tickets.append(&mut item.joined);
            item.flight.is_some()
        });
        self.tickets -= tickets.len();
        tickets
    }

    /// Drops everything; what is under way belongs to a daemon that is gone. Returns all tickets.
    pub(super) fn reset(&mut self) -> Vec<u64> {
        let old = std::mem::take(self);
        self.images_from = old.images_from;
        old.items
            .into_values()
            .flat_map(|item| [item.waiting, item.flying, item.joined])
            .flatten()
            .collect()
    }

    /// A manager has thousands of these, idle nearly always: those that are keep no memory for what they once held.
    fn give_back(&mut self) {
        if self.items.is_empty() {
            self.items = BTreeMap::new();
            self.queue.shrink_to(0);
        }
    }

    fn settled(&mut self, object: &Object) {
        if let Some(item) = self.items.get_mut(object)
            && std::mem::take(&mut item.settling)
        {
            self.settling = self.settling.saturating_sub(1);
        }
    }
}
