//! Which manager is the primary: what the election says, and what other managers hint at.

use super::{Server, View};
use crate::address::HostPort;

/// The election's view and at most one newer hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Primary {
    own_address: HostPort,
    view: View,
    /// Counts the views: an attempt under an older one may be tried again at once.
    generation: u64,
    /// The newest epoch a view named: its tunnels stay.
    epoch: u64,
    /// A primary newer than the view's, named by a manager that is not it any more.
    hint: Option<(HostPort, u64)>,
}

impl Primary {
    pub(super) fn new(own_address: HostPort) -> Self {
        Self {
            own_address,
            view: View::Unknown,
            generation: 0,
            epoch: 0,
            hint: None,
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Takes the election's view. Whether it is another one.
    pub(super) fn learn(&mut self, view: View) -> bool {
        if view == self.view {
            return false;
        }
        self.view = view;
        self.generation = self.generation.wrapping_add(1);
        if let View::Primary { epoch, local, .. } = self.view {
            self.epoch = epoch;
            // A lease of one's own outweighs whatever others say.
            self.hint = self
                .hint
                .take()
                .filter(|(_, hinted)| !local && *hinted > epoch);
        }
        true
    }

    /// Drops the hint if an attempt on its word did not work.
    pub(super) fn doubt(&mut self, attempted_epoch: u64) {
        self.hint = self
            .hint
            .take()
            .filter(|(_, epoch)| *epoch != attempted_epoch);
    }

    /// Believes a hint that is newer than what is known, until it fails or the view has caught up; whether it does.
    pub(super) fn hear(&mut self, hint: (HostPort, u64)) -> bool {
        let newest = self.hint.as_ref().map_or(self.epoch, |(_, epoch)| *epoch);
        let believed = hint.1 > newest && self.may_be_sent_to(&hint.0);
        if believed {
            self.hint = Some(hint);
        }
        believed
    }

    /// Who gets the next attempt, and under which epoch.
    pub(super) fn target(&self) -> Option<(Server, u64)> {
        if let Some((address, epoch)) = &self.hint {
            return Some((Server::Remote(address.clone()), *epoch));
        }
        match &self.view {
            View::Unknown => None,
            View::Primary {
                epoch, local: true, ..
            } => Some((Server::Local, *epoch)),
            View::Primary { address, epoch, .. } => self
                .may_be_sent_to(address)
                .then(|| (Server::Remote(address.clone()), *epoch)),
        }
    }

    /// Not to this manager itself, which the record of an earlier life names, and not where no other manager can be.
    fn may_be_sent_to(&self, address: &HostPort) -> bool {
        *address != self.own_address && address.check_peer_of(&self.own_address).is_ok()
    }

    /// The primary to name to a peer that took this manager for it.
    pub(super) fn other(&self) -> Option<(HostPort, u64)> {
        match self.target()? {
            (Server::Remote(address), epoch) => Some((address, epoch)),
            (Server::Local, _) => None,
        }
    }
}
