//! What is to happen, in the order of time; what was put in first comes first at the same instant.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A heap of small keys over a slab of events, so that sorting moves no events.
pub(super) struct Queue<E> {
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    slots: Vec<Option<(u64, E)>>,
    free: Vec<usize>,
    seq: u64,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            seq: 0,
        }
    }

    pub(super) fn push(&mut self, at: u64, cause: u64, event: E) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some((cause, event));
        }
        self.seq += 1;
        self.heap.push(Reverse((at, self.seq, slot)));
    }

    /// The next event with its time and its cause.
    pub(super) fn pop(&mut self) -> Option<(u64, u64, E)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        let (cause, event) = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some((at, cause, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_comes_first_and_at_one_instant_the_older() {
        let mut queue = Queue::new();
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b')] {
            queue.push(at, 0, event);
        }
        let order: String = std::iter::from_fn(|| queue.pop().map(|(_, _, event)| event)).collect();
        assert_eq!(order, "abcd");
        queue.push(9, 7, 'e');
        assert_eq!(queue.pop(), Some((9, 7, 'e')));
    }
}
