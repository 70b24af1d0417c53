//! What containers are found by, in order, without a text of its own for each.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::container::{Container, SHORT_ID, bare};
use super::image::Image;
use super::network::Network;
use super::volume::Volume;

/// What is known by an ID among others of its kind.
pub(super) trait Identified {
    fn id(&self) -> &str;
}

/// Something in a set, in which it is found by its ID.
#[derive(Debug)]
pub(super) struct ById<T>(pub(super) Arc<T>);

/// A container's place: engine slot and full ID.
pub(super) type Place = (u32, Arc<str>);

/// Sorted keys, each with the places it leads to.
pub(super) type Keys<K> = BTreeSet<(K, u32, Arc<str>)>;

/// A name as its container has it, which goes by what is behind the slash.
#[derive(Clone, Debug)]
pub(super) struct Name(pub(super) Arc<str>);

/// Keys in order.
pub(super) trait Sorted {
    /// The places whose key starts with `prefix`.
    fn starting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, Place)>;

    fn exactly(&self, wanted: &str) -> BTreeSet<Place> {
        self.starting(wanted)
            .take_while(|(key, _)| *key == wanted)
            .map(|(_, place)| place)
            .collect()
    }

    fn short_or_full(&self, reference: &str) -> BTreeSet<Place> {
        let full = self.exactly(reference);
        if full.is_empty() && reference.len() == SHORT_ID {
            return self.starting(reference).map(|(_, place)| place).collect();
        }
        full
    }
}

impl<K: Ord + AsRef<str> + for<'a> From<&'a str>> Sorted for Keys<K> {
    fn starting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, Place)> {
        let from = (K::from(prefix), 0, Arc::from(""));
        self.range((Bound::Included(from), Bound::Unbounded))
            .map(|(key, slot, id)| (key.as_ref(), (*slot, id.clone())))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }
}

impl Sorted for BTreeSet<(Arc<str>, u32)> {
    fn starting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, Place)> {
        let from = (Arc::from(prefix), 0);
        self.range((Bound::Included(from), Bound::Unbounded))
            .map(|(id, slot)| (&**id, (*slot, id.clone())))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }
}

impl Identified for Container {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Identified for Image {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Identified for Network {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Identified for Volume {
    fn id(&self) -> &str {
        &self.name
    }
}

impl<T> Clone for ById<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Identified> Borrow<str> for ById<T> {
    fn borrow(&self) -> &str {
        self.0.id()
    }
}

impl<T: Identified> Ord for ById<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id().cmp(other.0.id())
    }
}

impl<T: Identified> PartialOrd for ById<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Identified> PartialEq for ById<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl<T: Identified> Eq for ById<T> {}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        bare(&self.0)
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(other.as_ref())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Name {}
