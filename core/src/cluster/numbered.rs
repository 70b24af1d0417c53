//! Values by numbers of which each new one is the largest so far.

/// A map from numbers that are given once and in ascending order. Lists and placements look engines up thousands of
/// times each, and the search through a tree was half of a placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbered<T> {
    /// In ascending order.
    numbers: Vec<u32>,
    /// One for each number.
    values: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            numbers: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<T> Numbered<T> {
    /// Adds a value, under a number larger than all there are.
    pub(super) fn push(&mut self, number: u32, value: T) {
        debug_assert!(self.numbers.last().is_none_or(|last| *last < number));
        self.numbers.push(number);
        self.values.push(value);
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let at = self.position(number)?;
        self.numbers.remove(at);
        Some(self.values.remove(at))
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.values.get(self.position(number)?)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let at = self.position(number)?;
        self.values.get_mut(at)
    }

    pub(super) fn values(&self) -> std::slice::Iter<'_, T> {
        self.values.iter()
    }

    /// All numbers, ascending, with their values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> + Clone {
        self.numbers.iter().copied().zip(&self.values)
    }

    /// As long as nothing was removed, a number tells its place itself.
    fn position(&self, number: u32) -> Option<usize> {
        let first = self.numbers.first()?;
        let place = usize::try_from(number.checked_sub(*first)?).ok()?;
        match self.numbers.get(place) {
            Some(there) if *there == number => Some(place),
            Some(_) | None => self.numbers.binary_search(&number).ok(),
        }
    }
}

impl<T> FromIterator<(u32, T)> for Numbered<T> {
    /// The numbers must ascend.
    fn from_iter<I: IntoIterator<Item = (u32, T)>>(pairs: I) -> Self {
        let mut all = Self::default();
        for (number, value) in pairs {
            all.push(number, value);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(
            numbers in prop::collection::btree_set(0_u32..40, 0..20),
            removed in prop::collection::vec(0_u32..40, 0..12),
        ) {
            let mut map: BTreeMap<u32, u32> = numbers.iter().map(|n| (*n, n * 2)).collect();
            let mut all: Numbered<u32> = map.iter().map(|(n, value)| (*n, *value)).collect();
            for number in removed {
                prop_assert_eq!(all.remove(number), map.remove(&number));
            }
            for number in 0..40 {
                prop_assert_eq!(all.get(number), map.get(&number));
                prop_assert_eq!(all.get_mut(number), map.get_mut(&number));
            }
            prop_assert!(all.values().eq(map.values()));
            prop_assert!(all.iter().eq(map.iter().map(|(n, value)| (*n, value))));
        }
    }
}
