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
    let (sender, inputs) = mpsc::channel(QUEUE);
    let handle = Handle(sender);
    let performer = performer(handle.downgrade());
    platform.spawn(
        name,
        Box::pin(run(platform.clone(), machine, performer, inputs)),
    );
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
        let alarm: BoxFuture<'static, ()> = match machine.wake_at() {
            Some(wake) => platform.sleep_until(wake.at),
            None => Box::pin(std::future::pending()),
        };
        let input = tokio::select! {
            biased;
            input = inputs.recv() => match input {
                Some(input) => Some(input),
                None => return,
            },
            () = alarm => None,
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
