//! Which parts of the view are out of date, and which of them are being asked for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::{Call, OpId};
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

/// The queue of refreshes: at most one call per object at a time, so a burst of events costs two calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    queue: VecDeque<Object>,
    items: BTreeMap<Object, Item>,
    images_from: Mono,
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

    /// Whether a refresh of `object` is wanted or under way.
    pub(super) fn has(&self, object: &Object) -> bool {
        self.items
            .get(object)
            .is_some_and(|item| !item.gone || item.again)
    }

    /// The object no longer exists: nothing needs to be asked, and what is under way is out of date.
    pub(super) fn forget(&mut self, object: &Object) {
        let Some(item) = self.items.get_mut(object) else {
            return;
        };
        item.gone = true;
        item.again = false;
        self.settled(object);
    }

    /// Marks everything now wanted as part of the first listing.
    pub(super) fn settle(&mut self) {
        self.settling = self.items.len();
        for item in self.items.values_mut() {
            item.settling = true;
        }
    }

    /// The next call to start, if there is one that may start at `now`.
    pub(super) fn next(&mut self, now: Mono, op: OpId) -> Option<(Object, Call)> {
        loop {
            // Only images ever wait, and they are in the queue once at most.
            let early = now < self.images_from && self.queue.front() == Some(&Object::Images);
            let at = usize::from(early);
            let object = self.queue.remove(at)?;
            let Some(item) = self.items.get_mut(&object) else {
                continue;
            };
            if item.gone {
                self.items.remove(&object);
                continue;
            }
            if object == Object::Images {
                self.images_from = now + IMAGES_APART;
            }
            item.flight = Some(op);
            let call = object.call(item.entry.take());
            return Some((object, call));
        }
    }

    /// When [`Work::next`] may have something although it has nothing now.
    pub(super) fn next_at(&self) -> Option<Mono> {
        (self.queue.len() == 1 && self.queue.front() == Some(&Object::Images))
            .then_some(self.images_from)
    }

    /// A call has ended.
    pub(super) fn done(&mut self, object: &Object) -> Verdict {
        self.settled(object);
        let Some(item) = self.items.get_mut(object) else {
            return Verdict::Drop;
        };
        item.flight = None;
        let gone = item.gone;
        if item.again {
            item.again = false;
            self.queue.push_back(object.clone());
        } else {
            self.items.remove(object);
        }
        match gone {
            true => Verdict::Drop,
            false => Verdict::Use,
        }
    }

    /// Drops everything that has not started; what is under way may still be used.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.settling = 0;
        self.items.retain(|_, item| {
            item.again = false;
            item.settling = false;
            item.flight.is_some()
        });
    }

    /// Drops everything; what is under way belongs to a daemon that is gone.
    pub(super) fn reset(&mut self) {
        *self = Self {
            images_from: self.images_from,
            ..Self::default()
        };
    }

    fn settled(&mut self, object: &Object) {
        if let Some(item) = self.items.get_mut(object)
            && std::mem::take(&mut item.settling)
        {
            self.settling = self.settling.saturating_sub(1);
        }
    }
}
