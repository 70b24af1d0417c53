//! Reading what lies all over the memory.

use std::collections::VecDeque;
use std::hint::black_box;

/// Of how many items memory is asked for at once.
pub(super) const AHEAD: usize = 32;

/// Takes what was read of some items. Asked for one after the other, the memory of each would be waited for by itself;
/// read like this, without looking at it in between, that of many comes at the same time.
pub(super) fn together(touched: impl Iterator<Item = u64>) {
    black_box(touched.fold(0, u64::wrapping_add));
}

/// The items as they are, each after a little was read of those that follow it.
#[derive(Debug)]
pub(super) struct Ahead<I: Iterator, F> {
    items: I,
    near: VecDeque<I::Item>,
    touch: F,
}

impl<I: Iterator, F: Fn(&I::Item) -> u64> Ahead<I, F> {
    /// `touch` reads a byte of each line of memory that will be needed, and makes some number of them.
    pub(super) fn new(items: I, touch: F) -> Self {
        Self {
            items,
            near: VecDeque::with_capacity(AHEAD),
            touch,
        }
    }
}

impl<I: Iterator, F: Fn(&I::Item) -> u64> Iterator for Ahead<I, F> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        if self.near.is_empty() {
            self.near.extend(self.items.by_ref().take(AHEAD));
            together(self.near.iter().map(&self.touch));
        }
        self.near.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_items_come_in_their_order() {
        for count in [0, 1, AHEAD - 1, AHEAD, 3 * AHEAD + 1] {
            let mut items = Ahead::new(0..count, |_| 0);
            let half: Vec<usize> = items.by_ref().take(count / 2).collect();
            assert!(half.into_iter().chain(items).eq(0..count));
        }
    }
}
