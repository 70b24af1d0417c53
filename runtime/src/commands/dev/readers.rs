//! Readers, one through each manager: what they wait is how long the cluster was without a primary.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Request;
use swarm_core::address::HostPort;
use swarm_core::time::Mono;
use swarm_core::watch;

use crate::http::body::{self, collect_limited};
use crate::http::client::{Client, ClientConfig};
use crate::platform::{SharedPlatform, sleep, timeout};

/// Between two reads.
const PACE: Duration = Duration::from_millis(20);
/// A read that replicas leave to the primary, and that costs it next to nothing.
const PATH: &str = "/version";
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// A manager that is stopped but not dead never answers.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// Answers that are remembered: some ten seconds.
const ANSWERS_MAX: usize = 512;
/// How long to wait for every reader to have its answer from the new primary.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);

/// Reads all the time until it is dropped.
pub(super) struct Readers {
    platform: SharedPlatform,
    answered: Arc<Answered>,
    // Never sent on: that it is gone ends the readers, also one whose read is held.
    _stop: watch::Sender<()>,
}

/// When each reader got its latest answers, oldest first.
struct Answered(Mutex<Vec<VecDeque<Mono>>>);

impl Readers {
    pub(super) fn start(platform: &SharedPlatform, managers: &[HostPort]) -> Self {
        let answered = Arc::new(Answered(Mutex::new(vec![VecDeque::new(); managers.len()])));
        let client = Client::new(platform.clone(), ClientConfig::default());
        let stop = watch::Sender::new(());
        for (number, manager) in managers.iter().enumerate() {
            let (platform, client, manager) = (platform.clone(), client.clone(), manager.clone());
            let spawner = platform.clone();
            let (answered, mut stopped) = (Arc::clone(&answered), stop.subscribe());
            let reading = async move {
                loop {
                    let read = read(&client, &manager);
                    if timeout(platform.as_ref(), READ_LIMIT, read).await == Ok(true) {
                        answered.note(number, platform.mono());
                    }
                    sleep(platform.as_ref(), PACE).await;
                }
            };
            let until_dropped = async move {
                tokio::select! {
                    biased;
                    _ = stopped.changed() => {}
                    () = reading => {}
                }
            };
            spawner.spawn("reader", Box::pin(until_dropped));
        }
        Self {
            platform: platform.clone(),
            answered,
            _stop: stop,
        }
    }

    /// The longest time between two answers since `lost`, until all readers have an answer from after `found`, through
    /// the managers other than `without`; `None` when there is no such reader.
    pub(super) async fn waited(
        &self,
        lost: Mono,
        found: Mono,
        without: Option<usize>,
    ) -> Option<Duration> {
        let limit = self.platform.mono() + SETTLE_LIMIT;
        while !self.answered.settled(lost, found, without) && self.platform.mono() < limit {
            sleep(self.platform.as_ref(), PACE).await;
        }
        let all = self.answered.lock();
        let others = all.iter().enumerate();
        others
            .filter(|(number, _)| Some(*number) != without)
            .filter_map(|(_, answers)| longest_wait(answers, lost, found))
            .max()
    }
}

impl Answered {
    fn lock(&self) -> MutexGuard<'_, Vec<VecDeque<Mono>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, reader: usize, at: Mono) {
        if let Some(answers) = self.lock().get_mut(reader) {
            if answers.len() == ANSWERS_MAX {
                answers.pop_front();
            }
            answers.push_back(at);
        }
    }

    /// Whether every reader that had answers before `lost` had one after `found`.
    fn settled(&self, lost: Mono, found: Mono, without: Option<usize>) -> bool {
        self.lock()
            .iter()
            .enumerate()
            .filter(|(number, answers)| {
                Some(*number) != without && answers.iter().any(|at| *at <= lost)
            })
            .all(|(_, answers)| answers.back().is_some_and(|last| *last > found))
    }
}

/// The longest time between two answers that reaches beyond `lost`; none for a reader that was cut off itself.
fn longest_wait(answers: &VecDeque<Mono>, lost: Mono, found: Mono) -> Option<Duration> {
    let before = answers.iter().any(|at| *at <= lost);
    let after = answers.back().is_some_and(|last| *last > found);
    if !before || !after {
        return None;
    }
    answers
        .iter()
        .zip(answers.iter().skip(1))
        .filter(|(_, to)| **to > lost)
        .map(|(from, to)| to.since(*from))
        .max()
}

async fn read(client: &Client, manager: &HostPort) -> bool {
    let Ok(request) = Request::get(PATH).body(body::empty()) else {
        return false;
    };
    let Ok(response) = client.send(manager, request).await else {
        return false;
    };
    let good = response.status().is_success();
    let whole = collect_limited(response.into_body(), ANSWER_BYTES_MAX).await;
    good && whole.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(at: &[u64]) -> VecDeque<Mono> {
        at.iter().map(|ms| Mono(ms * 1_000_000)).collect()
    }

    fn wait(at: &[u64], lost: u64, found: u64) -> Option<u64> {
        longest_wait(
            &answers(at),
            Mono(lost * 1_000_000),
            Mono(found * 1_000_000),
        )
        .map(|wait| u64::try_from(wait.as_millis()).unwrap())
    }

    #[test]
    fn the_wait_is_the_longest_one_that_reaches_beyond_the_loss() {
        assert_eq!(wait(&[0, 500, 520, 540, 600, 620], 545, 590), Some(60));
        assert_eq!(wait(&[520, 540, 545, 600, 700], 545, 590), Some(100));
    }

    #[test]
    fn a_reader_that_was_cut_off_itself_says_nothing() {
        assert_eq!(wait(&[], 545, 590), None);
        assert_eq!(wait(&[520, 540], 545, 590), None);
        assert_eq!(wait(&[600, 620], 545, 590), None);
    }

    #[test]
    fn old_answers_make_room() {
        let answered = Answered(Mutex::new(vec![VecDeque::new()]));
        for ms in 0..2_000 {
            answered.note(0, Mono(ms));
        }
        answered.note(7, Mono(0));
        let all = answered.lock();
        assert_eq!(all[0].len(), ANSWERS_MAX);
        assert_eq!(all[0].back(), Some(&Mono(1_999)));
    }
}
