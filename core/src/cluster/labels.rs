//! Labels of a container, in as little memory as may be: there are as many as containers, and mostly the same few.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Labels by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// The value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| &**value)
    }

    /// Whether there is a label of this name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn share(&mut self, texts: &mut Texts) {
        for (name, value) in &mut self.0 {
            texts.share(name);
            texts.share(value);
        }
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(labels: BTreeMap<String, String>) -> Self {
        let shared = |(name, value): (String, String)| (name.into(), value.into());
        Self(labels.into_iter().map(shared).collect())
    }
}

/// Texts that many containers have in common, each kept once.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    known: BTreeSet<Arc<str>>,
    /// When there are as many, those that nobody has any more are dropped.
    sweep_at: usize,
}

/// Longer texts are hardly the same twice, and searching for them costs more than it saves.
const LONGEST: usize = 256;
const SWEEP_MIN: usize = 4096;

impl Texts {
    /// Makes `text` the one that others have too.
    pub(super) fn share(&mut self, text: &mut Arc<str>) {
        if text.len() > LONGEST {
            return;
        }
        if let Some(known) = self.known.get(&**text) {
            *text = Arc::clone(known);
            return;
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.sweep_at = (self.known.len() * 2).max(SWEEP_MIN);
        }
        self.known.insert(Arc::clone(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_name() {
        let labels = [("b", "2"), ("a", "1"), ("c", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let labels = Labels::from(BTreeMap::from(labels));
        assert_eq!(labels.get("a"), Some("1"));
        assert_eq!(labels.get("c"), Some(""));
        assert_eq!(labels.get("d"), None);
        assert!(labels.contains_key("b"));
    }

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
        assert!(texts.known.len() <= SWEEP_MIN + 1);
        let mut third = Arc::from("nginx");
        texts.share(&mut third);
        assert!(Arc::ptr_eq(&one, &third), "still in use, and still known");
    }
}
