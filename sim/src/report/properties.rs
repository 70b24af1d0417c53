//! Lines about promises, from how often they were checked and broken.

use std::collections::BTreeMap;

use super::PropertyLine;
use crate::property::{Promise, Property};

/// A line for every promise, from the runs it was checked in by tier or kind of run, and those it was broken in. Those that nothing
/// checked have one too: that is worth seeing.
#[must_use]
pub fn lines(
    checked: &BTreeMap<&str, BTreeMap<Property, u64>>,
    violated: &BTreeMap<Property, u64>,
) -> Vec<PropertyLine> {
    let of = |counts: &BTreeMap<Property, u64>, property| counts.get(&property).copied();
    let by_tier = |property| -> BTreeMap<String, u64> {
        let tiers = checked.iter();
        tiers
            .filter_map(|(tier, counts)| Some(((*tier).to_owned(), of(counts, property)?)))
            .collect()
    };
    let line = |property: Property| PropertyLine {
        name: property.name().to_owned(),
        words: property.words().to_owned(),
        kind: kind(property.promise()).to_owned(),
        checked: by_tier(property).values().sum(),
        checked_in: by_tier(property),
        violated: of(violated, property).unwrap_or(0),
    };
    Property::ALL.into_iter().map(line).collect()
}

/// The name of a kind of promise.
#[must_use]
pub const fn kind(promise: Promise) -> &'static str {
    match promise {
        Promise::Safety => "safety",
        Promise::Liveness => "liveness",
        Promise::Crash => "crash",
        Promise::Determinism => "determinism",
    }
}

/// The promise with this name.
#[must_use]
pub fn named(name: &str) -> Option<Property> {
    Property::ALL.into_iter().find(|one| one.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promise_has_a_line() {
        let world = BTreeMap::from([(Property::Tunnel, 4), (Property::NoLoop, 1)]);
        let lab = BTreeMap::from([(Property::Tunnel, 3)]);
        let checked = BTreeMap::from([("lab", lab), ("world", world)]);
        let violated = BTreeMap::from([(Property::Tunnel, 2)]);
        let lines = lines(&checked, &violated);
        assert_eq!(lines.len(), Property::ALL.len());
        let tunnel = lines.iter().find(|line| line.name == "tunnel").unwrap();
        assert_eq!((tunnel.checked, tunnel.violated), (7, 2));
        assert_eq!(tunnel.checked_in["lab"], 3);
        assert_eq!(lines.iter().map(|line| line.checked).sum::<u64>(), 8);
        assert_eq!(named("no-loop"), Some(Property::NoLoop));
        assert_eq!(named("no-such"), None);
    }
}
