use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// Polls a task by hand, as a runtime would.
struct Bench {
    gate: Arc<Gate>,
    turns: Arc<AtomicU32>,
    task: Pin<Box<Gated>>,
    cx: Context<'static>,
}

fn bench(work: impl FnMut() -> Poll<()> + Send + 'static) -> Bench {
    let gate = Gate::new(3);
    let turns = Arc::new(AtomicU32::new(0));
    let (counted, mut work) = (turns.clone(), work);
    let task = std::future::poll_fn(move |_cx| {
        counted.fetch_add(1, Ordering::Relaxed);
        work()
    });
    Bench {
        task: Box::pin(Gated::new(&gate, Box::pin(task))),
        gate,
        turns,
        cx: Context::from_waker(Waker::noop()),
    }
}

impl Bench {
    fn poll(&mut self) -> Poll<()> {
        self.task.as_mut().poll(&mut self.cx)
    }

    fn turns(&self) -> u32 {
        self.turns.load(Ordering::Relaxed)
    }
}

#[test]
fn a_stopped_process_gets_no_turn_until_every_reason_is_gone() {
    let mut bench = bench(|| Poll::Pending);
    bench.gate.shut(1, Stand::Stopped);
    bench.gate.shut(2, Stand::Frozen);
    assert!(bench.poll().is_pending() && bench.turns() == 0);
    bench.gate.open(1);
    assert!(bench.poll().is_pending() && bench.turns() == 0);
    bench.gate.open(2);
    assert!(bench.poll().is_pending() && bench.turns() == 1);
}

#[test]
fn a_starved_process_gets_a_turn_now_and_then() {
    let mut bench = bench(|| Poll::Pending);
    bench.gate.shut(1, Stand::Slow(10));
    let turns: Vec<u32> = (0..30)
        .map(|now| {
            assert!(bench.gate.give_turn(now, 1));
            let _ = bench.poll();
            bench.turns()
        })
        .collect();
    assert_eq!((turns[0], turns[9], turns[10], turns[29]), (1, 1, 2, 3));
}

#[test]
fn a_new_process_is_not_stopped_because_its_forerunner_was() {
    let mut bench = bench(|| Poll::Pending);
    bench.gate.shut(1, Stand::Stopped);
    bench.gate.process_ends();
    assert!(bench.poll().is_pending() && bench.turns() == 1);
}

#[test]
fn a_panic_ends_the_task_and_is_told() {
    let mut bench = bench(|| panic!("boom"));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let polled = bench.poll();
    std::panic::set_hook(hook);
    assert!(polled.is_ready());
    assert_eq!(bench.gate.panics(), ["boom"]);
    assert!(!in_task());
}

#[test]
fn a_task_counts_until_it_is_dropped() {
    let mut bench = bench(|| Poll::Ready(()));
    assert_eq!(bench.gate.tasks(), 1);
    assert!(bench.poll().is_ready());
    let gate = bench.gate.clone();
    drop(bench);
    assert_eq!(gate.tasks(), 0);
}

#[test]
fn the_tasks_of_a_process_end_in_the_order_in_which_they_began() {
    struct Tells(Arc<Mutex<Vec<u32>>>, u32);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(self.1);
        }
    }
    let gate = Gate::new(3);
    let ended = Arc::new(Mutex::new(Vec::new()));
    let mut tasks: Vec<Gated> = (0..5)
        .map(|number| {
            let tells = Tells(ended.clone(), number);
            Gated::new(&gate, Box::pin(async move { drop(tells) }))
        })
        .collect();
    tasks.rotate_left(3);
    gate.process_ends();
    drop(tasks);
    assert_eq!(*ended.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(gate.tasks(), 0);
}
