//! A value that others wait on: every change wakes all who wait, in the order in which they began to wait.
//!
//! It does what tokio's channel of the same name does, with one difference: tokio's wakes its receivers in a random order
//! drawn from the thread, so that two simulated runs of the same seed would differ. Only `std` is used.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Context, Poll, Waker};

/// The value's present state, read-locked for as long as it is held. Not to be held over an `await`.
#[derive(Debug)]
pub struct Ref<'a, T>(RwLockReadGuard<'a, T>);

impl<T> std::ops::Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The sender is gone: the value does not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sender is gone")]
pub struct SenderGone;

/// Changes the value.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// Sees the value and waits for changes.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// Tells this receiver's waker from the others'.
    id: u64,
    seen: u64,
}

#[derive(Debug)]
struct Shared<T> {
    value: RwLock<T>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    next_id: u64,
    receivers: usize,
    sender_gone: bool,
    /// Receivers that wait for a change, in the order in which they came.
    waiting: Vec<(u64, Waker)>,
    /// Whoever waits for the last receiver to go.
    closing: Vec<Waker>,
}

/// A sender and its first receiver, which counts the present value as seen.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Ref<'_, T> {
        Ref(self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn wake_waiting(&self, change: impl FnOnce(&mut State)) {
        let waiting = {
            let mut state = self.state();
            change(&mut state);
            std::mem::take(&mut state.waiting)
        };
        for (_, waker) in waiting {
            waker.wake();
        }
    }
}

impl<T> Sender<T> {
    /// A sender without receivers.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Shared {
            value: RwLock::new(value),
            state: Mutex::default(),
        }))
    }

    /// A receiver that counts the present value as seen.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::join(&self.0)
    }

    /// Puts `value` in the place of the present one, which comes back.
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|present| std::mem::swap(present, &mut value));
        value
    }

    /// Changes the value in place.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Changes the value in place; tells the receivers only if `change` says so.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let news = change(&mut self.0.value.write().unwrap_or_else(PoisonError::into_inner));
        if news {
            self.0.wake_waiting(|state| state.version += 1);
        }
        news
    }

    /// The present value.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.read()
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.0.state().receivers
    }

    /// Whether there is no receiver.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Completes when there is no receiver.
    pub async fn closed(&self) {
        poll_fn(|context| {
            let mut state = self.0.state();
            if state.receivers == 0 {
                return Poll::Ready(());
            }
            let known = state
                .closing
                .iter()
                .any(|waker| waker.will_wake(context.waker()));
            if !known {
                state.closing.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.wake_waiting(|state| state.sender_gone = true);
    }
}

impl<T> Receiver<T> {
    fn join(shared: &Arc<Shared<T>>) -> Self {
        let mut state = shared.state();
        state.receivers += 1;
        state.next_id += 1;
        Self {
            shared: shared.clone(),
            id: state.next_id,
            seen: state.version,
        }
    }

    /// The present value.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.read()
    }

    /// The present value, which counts as seen from now on.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.mark_unchanged();
        self.shared.read()
    }

    /// Counts the present value as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.state().version;
    }

    /// Counts the present value as not seen.
    pub fn mark_changed(&mut self) {
        self.seen = self.shared.state().version.wrapping_sub(1);
    }

    /// Completes when there is a value that was not seen yet, and counts it as seen.
    ///
    /// # Errors
    /// [`SenderGone`] when there is none and will be none.
    pub async fn changed(&mut self) -> Result<(), SenderGone> {
        poll_fn(|context| self.poll_changed(context)).await
    }

    fn poll_changed(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SenderGone>> {
        let mut state = self.shared.state();
        if state.version != self.seen {
            self.seen = state.version;
            return Poll::Ready(Ok(()));
        }
        if state.sender_gone {
            return Poll::Ready(Err(SenderGone));
        }
        match state.waiting.iter_mut().find(|(id, _)| *id == self.id) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => state.waiting.push((self.id, context.waker().clone())),
        }
        Poll::Pending
    }

    /// Completes when the value is as `wanted`, and counts it as seen.
    ///
    /// # Errors
    /// [`SenderGone`] when it is not and will not be.
    pub async fn wait_for(
        &mut self,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, SenderGone> {
        loop {
            let fits = wanted(&self.borrow_and_update());
            if fits {
                return Ok(self.shared.read());
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let mut clone = Self::join(&self.shared);
        clone.seen = self.seen;
        clone
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let closing = {
            let mut state = self.shared.state();
            state.receivers -= 1;
            state.waiting.retain(|(id, _)| *id != self.id);
            if state.receivers > 0 {
                Vec::new()
            } else {
                std::mem::take(&mut state.closing)
            }
        };
        for waker in closing {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::Wake;

    /// Notes in which order tasks are woken.
    struct Woken {
        place: AtomicU64,
        counter: Arc<AtomicU64>,
    }

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.place.store(
                self.counter.fetch_add(1, Ordering::SeqCst) + 1,
                Ordering::SeqCst,
            );
        }
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn all_who_wait_are_woken_in_the_order_they_came() {
        let (sender, receiver) = channel(0);
        let counter = Arc::new(AtomicU64::new(0));
        let mut receivers: Vec<Receiver<i32>> = (0..20).map(|_| receiver.clone()).collect();
        let tasks: Vec<Arc<Woken>> = receivers
            .iter_mut()
            .map(|receiver| {
                let task = Arc::new(Woken {
                    place: AtomicU64::new(0),
                    counter: counter.clone(),
                });
                let waker = Waker::from(task.clone());
                let changed = pin!(receiver.changed());
                assert!(changed.poll(&mut Context::from_waker(&waker)).is_pending());
                task
            })
            .collect();
        sender.send_replace(1);
        let places: Vec<u64> = tasks
            .iter()
            .map(|task| task.place.load(Ordering::SeqCst))
            .collect();
        assert_eq!(places, (1..=20).collect::<Vec<u64>>());
        assert!(
            receivers
                .iter_mut()
                .all(|receiver| poll(pin!(receiver.changed())) == Poll::Ready(Ok(())))
        );
    }

    #[test]
    fn a_change_is_seen_once_and_silence_is_no_change() {
        let (sender, mut receiver) = channel(0);
        assert!(poll(pin!(receiver.changed())).is_pending());
        assert!(!sender.send_if_modified(|value| {
            *value = 7;
            false
        }));
        assert!(poll(pin!(receiver.changed())).is_pending());
        assert_eq!(*receiver.borrow(), 7);
        sender.send_modify(|value| *value = 8);
        assert_eq!(poll(pin!(receiver.changed())), Poll::Ready(Ok(())));
        assert!(poll(pin!(receiver.changed())).is_pending());
    }

    #[test]
    fn waiting_ends_with_the_value_or_with_the_sender() {
        let (sender, mut receiver) = channel(0);
        let mut late = receiver.clone();
        sender.send_replace(3);
        assert!(matches!(
            poll(pin!(receiver.wait_for(|value| *value == 3))),
            Poll::Ready(Ok(_))
        ));
        assert!(poll(pin!(receiver.wait_for(|value| *value == 4))).is_pending());
        drop(sender);
        assert!(matches!(
            poll(pin!(receiver.wait_for(|value| *value == 4))),
            Poll::Ready(Err(SenderGone))
        ));
        assert_eq!(
            poll(pin!(late.changed())),
            Poll::Ready(Ok(())),
            "the last value is not lost"
        );
        assert_eq!(poll(pin!(late.changed())), Poll::Ready(Err(SenderGone)));
    }

    #[test]
    fn a_sender_learns_that_nobody_listens() {
        let (sender, receiver) = channel(());
        let other = receiver.clone();
        drop(receiver);
        assert!(!sender.is_closed());
        let mut closed = pin!(sender.closed());
        assert!(poll(closed.as_mut()).is_pending());
        drop(other);
        assert!(poll(closed).is_ready());
        assert_eq!(sender.receiver_count(), 0);
    }
}
