//! The one loop that runs a [`Machine`]: inputs in order, wakes when due, effects carried out in order.

use swarm_core::machine::{Effects, Machine};
use swarm_core::time::Mono;
use tokio::sync::mpsc;

use crate::platform::{BoxFuture, SharedPlatform};

/// Inputs that may wait for a machine; senders wait beyond that.
const QUEUE: usize = 4_096;

/// Carries a machine's effects out. It must not block: long work goes into a task of its own.
pub trait Performer<M: Machine>: Send + 'static {
    /// Shows the machine's state to others. Runs after every step, before the step's effects.
    fn publish(&mut self, machine: &M, now: Mono);

    /// Carries one effect out.
    fn perform(&mut self, effect: M::Effect);
}

/// Where a machine's inputs go. The machine ends when the last handle is dropped.
#[derive(Debug)]
pub struct Handle<I>(mpsc::Sender<I>);

impl<I> Clone for Handle<I> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A handle that does not keep the machine running: what its own tasks hold.
#[derive(Debug)]
pub struct WeakHandle<I>(mpsc::WeakSender<I>);

impl<I> Clone for WeakHandle<I> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<I> Handle<I> {
    /// Gives the machine an input, waiting for room in its queue. A machine that has ended ignores it.
    pub async fn send(&self, input: I) {
        // The machine has ended only when nobody is interested any more.
        let _ = self.0.send(input).await;
    }

    /// Gives the machine an input if its queue has room, and hands it back otherwise.
    ///
    /// # Errors
    /// The input, when the queue is full or the machine has ended.
    pub fn try_send(&self, input: I) -> Result<(), I> {
        self.0.try_send(input).map_err(|error| match error {
            mpsc::error::TrySendError::Full(input) | mpsc::error::TrySendError::Closed(input) => {
                input
            }
        })
    }

    /// The same machine, not kept running by it.
    #[must_use]
    pub fn downgrade(&self) -> WeakHandle<I> {
        WeakHandle(self.0.downgrade())
    }
}

impl<I> WeakHandle<I> {
    /// Gives the machine an input unless it has ended.
    pub async fn send(&self, input: I) {
        if let Some(sender) = self.0.upgrade() {
            let _ = sender.send(input).await;
        }
    }
}

/// Runs `machine` as a task called `name`. `performer` is made with a handle for the answers to its effects.
pub fn start<M, P>(
    platform: &SharedPlatform,
    name: &'static str,
    machine: M,
    performer: impl FnOnce(WeakHandle<M::Input>) -> P,
) -> Handle<M::Input>
where
    M: Machine + Send + 'static,
    M::Input: Send + 'static,
    M::Effect: Send,
    P: Performer<M>,
{
    start_after(platform, name, std::future::ready(()), machine, performer)
}

/// As [`start`], once `ready` is: until then inputs wait.
pub fn start_after<M, P>(
    platform: &SharedPlatform,
    name: &'static str,
    ready: impl Future<Output = ()> + Send + 'static,
    machine: M,
    performer: impl FnOnce(WeakHandle<M::Input>) -> P,
) -> Handle<M::Input>
where
    M: Machine + Send + 'static,
    M::Input: Send + 'static,
    M::Effect: Send,
    P: Performer<M>,
{
    let (sender, inputs) = mpsc::channel(QUEUE);
    let handle = Handle(sender);
    let performer = performer(handle.downgrade());
    // On its own: a task that holds a future it awaits later has room for it twice, and there are thousands of machines.
    let running = Box::pin(run(platform.clone(), machine, performer, inputs));
    let task = async move {
        ready.await;
        running.await;
    };
    platform.spawn(name, Box::pin(task));
    handle
}

async fn run<M, P>(
    platform: SharedPlatform,
    mut machine: M,
    mut performer: P,
    mut inputs: mpsc::Receiver<M::Input>,
) where
    M: Machine,
    P: Performer<M>,
{
    let mut out = Effects::default();
    performer.publish(&machine, platform.mono());
    loop {
        // What is due comes first: a flood of inputs must not keep a machine from its deadlines.
        let due = machine
            .wake_at()
            .is_some_and(|wake| wake.at <= platform.mono());
        let input = if due {
            None
        } else {
            let alarm: BoxFuture<'static, ()> = match machine.wake_at() {
                Some(wake) => platform.sleep_until(wake.at),
                None => Box::pin(std::future::pending()),
            };
            tokio::select! {
                biased;
                input = inputs.recv() => match input {
                    Some(input) => Some(input),
                    None => return,
                },
                () = alarm => None,
            }
        };
        let now = platform.mono();
        match input {
            Some(input) => machine.handle(now, input, &mut out),
            None => machine.wake(now, &mut out),
        }
        performer.publish(&machine, now);
        for effect in out.drain() {
            performer.perform(effect);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::TestPlatform;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use swarm_core::machine::Wake;

    /// Wakes every millisecond and counts what happens to it.
    struct Ticker {
        next: Mono,
        inputs: u64,
        wakes: u64,
    }

    impl Machine for Ticker {
        type Input = ();
        type Effect = ();

        fn handle(&mut self, _now: Mono, (): (), _out: &mut Effects<()>) {
            self.inputs += 1;
        }

        fn wake_at(&self) -> Option<Wake> {
            Some(Wake {
                at: self.next,
                why: "tick",
            })
        }

        fn wake(&mut self, now: Mono, _out: &mut Effects<()>) {
            self.wakes += 1;
            self.next = now + Duration::from_millis(1);
        }

        fn digest(&self) -> u64 {
            self.inputs
        }
    }

    struct Counts(Arc<Mutex<(u64, u64)>>);

    impl Performer<Ticker> for Counts {
        fn publish(&mut self, machine: &Ticker, _now: Mono) {
            *self.0.lock().unwrap() = (machine.inputs, machine.wakes);
        }

        fn perform(&mut self, (): ()) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_that_is_due_comes_before_inputs_that_wait() {
        let platform: SharedPlatform = TestPlatform::new();
        let counts = Arc::new(Mutex::new((0, 0)));
        let machine = Ticker {
            next: platform.mono(),
            inputs: 0,
            wakes: 0,
        };
        let shown = Counts(counts.clone());
        let handle = start(&platform, "ticker", machine, |_| shown);
        for _ in 0..100 {
            handle.try_send(()).unwrap();
        }
        tokio::task::yield_now().await;
        let (inputs, wakes) = *counts.lock().unwrap();
        assert_eq!(
            (inputs, wakes > 0),
            (100, true),
            "woken though inputs were waiting"
        );
        drop(handle);
    }
}
