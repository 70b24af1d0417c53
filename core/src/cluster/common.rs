//! What many containers have in common, each kept once.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::container::{HostBits, Mount, NetworkUse, Port};
use super::labels::Label;
use super::packed::Models;

/// What the containers of a cluster say in the same words.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    pub(super) texts: Texts,
    pub(super) labels: Known<[Label]>,
    pub(super) networks: Known<[NetworkUse]>,
    pub(super) mounts: Known<[Mount]>,
    pub(super) ports: Known<[Port]>,
    pub(super) hosts: Known<HostBits>,
    pub(super) models: Models,
}

/// Values that are in use, each kept once.
#[derive(Debug)]
pub(super) struct Known<T: ?Sized> {
    known: BTreeSet<Arc<T>>,
    /// When there are as many, those that nobody has any more are dropped.
    sweep_at: usize,
}

const SWEEP_MIN: usize = 64;

impl<T: ?Sized> Default for Known<T> {
    fn default() -> Self {
        Self {
            known: BTreeSet::new(),
            sweep_at: SWEEP_MIN,
        }
    }
}

impl<T: ?Sized> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self {
            known: self.known.clone(),
            sweep_at: self.sweep_at,
        }
    }
}

impl<T: ?Sized + Ord> Known<T> {
    /// Makes `value` the one that others have too. If nobody has it yet it is kept for those to come, after `prepare`,
    /// which must not make it another value.
    pub(super) fn share_with(&mut self, value: &mut Arc<T>, prepare: impl FnOnce(&mut T)) {
        if let Some(known) = self.known.get(&**value) {
            *value = Arc::clone(known);
            return;
        }
        if let Some(own) = Arc::get_mut(value) {
            prepare(own);
        }
        if self.known.len() >= self.sweep_at {
            self.sweep();
            self.sweep_at = (self.known.len() * 2).max(SWEEP_MIN);
        }
        self.known.insert(Arc::clone(value));
    }

    pub(super) fn share(&mut self, value: &mut Arc<T>) {
        self.share_with(value, |_| {});
    }

    /// Drops what nobody has any more; `true` when that was everything.
    pub(super) fn sweep(&mut self) -> bool {
        self.known.retain(|known| Arc::strong_count(known) > 1);
        self.known.is_empty()
    }
}

/// Texts that many containers have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts(Known<str>);

/// Longer texts are hardly the same twice, and searching for them costs more than it saves.
const LONGEST: usize = 256;

impl Texts {
    /// Makes `text` the one that others have too.
    pub(super) fn share(&mut self, text: &mut Arc<str>) {
        if text.len() <= LONGEST {
            self.0.share(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_once_and_no_longer_than_somebody_has_them() {
        let mut texts = Texts::default();
        let (mut one, mut other): (Arc<str>, Arc<str>) = ("nginx".into(), "nginx".into());
        texts.share(&mut one);
        texts.share(&mut other);
        assert!(Arc::ptr_eq(&one, &other));
        for number in 0..10 * SWEEP_MIN {
            texts.share(&mut number.to_string().into());
        }
        assert!(texts.0.known.len() <= SWEEP_MIN + 1);
        let mut third = Arc::from("nginx");
        texts.share(&mut third);
        assert!(Arc::ptr_eq(&one, &third), "still in use, and still known");
    }

    #[test]
    fn a_value_is_prepared_once() {
        let mut known: Known<[u8]> = Known::default();
        let mut prepared = 0;
        for _ in 0..3 {
            known.share_with(&mut Arc::from([1, 2]), |_| prepared += 1);
        }
        assert_eq!(prepared, 1);
    }
}
