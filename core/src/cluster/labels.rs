//! Labels of a container, in as little memory as may be: there are as many as containers, and mostly the same few.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::common::Common;
use super::{MOVE_LABEL, SWARM_ID_LABEL};

/// Name and value.
pub(super) type Label = (Arc<str>, Arc<str>);

/// Labels by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Those that other containers are likely to have too, by name.
    common: Arc<[Label]>,
    /// Those that no other has.
    own: Box<[Label]>,
}

/// The names of labels that no two containers have with the same value.
const OWN: [&str; 2] = [SWARM_ID_LABEL, MOVE_LABEL];

impl Labels {
    /// The value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.shared(name).map(|value| &**value)
    }

    /// As [`Labels::get`], to be kept.
    pub(super) fn shared(&self, name: &str) -> Option<&Arc<str>> {
        if OWN.contains(&name) {
            let own = self.own.iter().find(|(own, _)| **own == *name);
            return own.map(|(_, value)| value);
        }
        let at = self.common.binary_search_by(|(own, _)| (**own).cmp(name));
        self.common.get(at.ok()?).map(|(_, value)| value)
    }

    /// Whether there is a label of this name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Takes over the texts of an older record.
    pub(super) fn follow(&mut self, old: &Self) {
        if self.own == old.own {
            self.own.clone_from(&old.own);
        }
    }

    pub(super) fn share(&mut self, common: &mut Common) {
        let texts = &mut common.texts;
        for (name, _) in &mut self.own {
            texts.share(name);
        }
        common.labels.share_with(&mut self.common, |labels| {
            for (name, value) in labels {
                texts.share(name);
                texts.share(value);
            }
        });
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(labels: BTreeMap<String, String>) -> Self {
        let all = labels.into_iter();
        let all = all.map(|(name, value)| (name.into(), value.into()));
        let (own, common): (Vec<_>, Vec<_>) =
            all.partition(|(name, _): &Label| OWN.contains(&&**name));
        Self {
            common: common.into(),
            own: own.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_name() {
        let labels = [("b", "2"), ("a", "1"), (SWARM_ID_LABEL, "7"), ("c", "")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let labels = Labels::from(BTreeMap::from(labels));
        assert_eq!(labels.get("a"), Some("1"));
        assert_eq!(labels.get("c"), Some(""));
        assert_eq!(labels.get("d"), None);
        assert_eq!(labels.get(SWARM_ID_LABEL), Some("7"));
        assert_eq!(labels.get(MOVE_LABEL), None);
        assert!(labels.contains_key("b"));
    }
}
