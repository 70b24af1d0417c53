//! What is asked of all engines at once, kept ready: their identities, names and API versions.
//!
//! Each was a walk over all engines; with thousands of them that walk, done for every engine or request, was most of
//! the work.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::Engine;
use crate::address::HostPort;
use crate::api::ApiVersion;

/// Ways to engines that do not walk over all of them. An engine leaves before it changes and joins again afterwards.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    /// Slots by daemon ID; never two of one ID.
    daemons: BTreeMap<String, u32>,
    /// Slots by host name and address.
    names: BTreeMap<(String, HostPort), u32>,
    /// How many healthy engines speak each version at most.
    versions: BTreeMap<ApiVersion, usize>,
}

impl Roster {
    pub(super) fn join(&mut self, slot: u32, engine: &Engine) {
        let Some(specs) = &engine.specs else { return };
        self.daemons.insert(specs.id.clone(), slot);
        let place = (specs.name.clone(), engine.address.clone());
        self.names.insert(place, slot);
        if engine.is_healthy() {
            *self.versions.entry(specs.api_version).or_default() += 1;
        }
    }

    pub(super) fn leave(&mut self, engine: &Engine) {
        let Some(specs) = &engine.specs else { return };
        self.daemons.remove(&specs.id);
        let place = (specs.name.clone(), engine.address.clone());
        self.names.remove(&place);
        if engine.is_healthy()
            && let Some(count) = self.versions.get_mut(&specs.api_version)
        {
            *count -= 1;
            if *count == 0 {
                self.versions.remove(&specs.api_version);
            }
        }
    }

    /// The engine with this daemon ID.
    pub(super) fn daemon(&self, id: &str) -> Option<u32> {
        self.daemons.get(id).copied()
    }

    /// Another engine with the same host name.
    pub(super) fn namesake(&self, engine: &Engine) -> Option<u32> {
        let name = &engine.specs.as_ref()?.name;
        let place = (name.clone(), engine.address.clone());
        let before = self.names.range(..&place).next_back();
        let after = self
            .names
            .range((Bound::Excluded(&place), Bound::Unbounded));
        let mut beside = before.into_iter().chain(after.take(1));
        let twin = beside.find(|((other, _), _)| other == name);
        twin.map(|(_, slot)| *slot)
    }

    /// All validated engines, by host name and address.
    pub(super) fn in_order(&self) -> impl Iterator<Item = u32> {
        self.names.values().copied()
    }

    /// The newest API version that every healthy engine speaks.
    pub(super) fn common_version(&self) -> Option<ApiVersion> {
        self.versions.keys().next().copied()
    }
}
