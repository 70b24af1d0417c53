//! The laws of machines, and the bounds, under random inputs and time.

use super::*;
use crate::engine::outbox::MAX_WAITING;
use crate::engine::work::MAX_TICKETS;

/// One random thing that happens.
#[derive(Clone, Debug)]
enum Noise {
    /// Time passes; the machine may be woken before it wants to be.
    Pass(Duration),
    /// One of the calls under way ends, well or not.
    Answer(usize, Outcome),
    /// An answer nobody waits for.
    Stray(u64),
    /// A stream that was asked for opens, ends, or tells something.
    Opened(usize),
    Ended(usize),
    Told(usize, &'static str, &'static str, u8),
    Admitted(Outcome),
    Proxied(Outcome),
    Refresh(bool),
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Good,
    Odd,
    Bad(Failure),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Good),
        1 => Just(Outcome::Odd),
        1 => Just(Outcome::Bad(Failure::Connect)),
        1 => Just(Outcome::Bad(Failure::Timeout)),
        1 => Just(Outcome::Bad(Failure::Status(500))),
        1 => Just(Outcome::Bad(Failure::Garbage)),
    ]
}

fn noise() -> impl Strategy<Value = Noise> {
    let told = (
        0_usize..3,
        prop::sample::select(vec!["container", "image", "network", "volume", "daemon"]),
        prop::sample::select(vec![
            "create",
            "die",
            "destroy",
            "prune",
            "reload",
            "exec_start: x",
        ]),
        0_u8..12,
    );
    prop_oneof![
        3 => (0_u64..20_000).prop_map(|ms| Noise::Pass(Duration::from_millis(ms))),
        8 => (0_usize..9, outcome()).prop_map(|(which, how)| Noise::Answer(which, how)),
        1 => (0_u64..500).prop_map(Noise::Stray),
        3 => (0_usize..3).prop_map(Noise::Opened),
        1 => (0_usize..3).prop_map(Noise::Ended),
        3 => told.prop_map(|(which, kind, action, id)| Noise::Told(which, kind, action, id)),
        4 => outcome().prop_map(Noise::Admitted),
        1 => outcome().prop_map(Noise::Proxied),
        1 => any::<bool>().prop_map(Noise::Refresh),
    ]
}

/// A machine in noise, with the checks that hold after every call.
#[derive(Clone)]
struct Noisy {
    now: Mono,
    machine: EngineMachine,
    calls: Vec<(OpId, Call)>,
    admits: Vec<OpId>,
    streams: Vec<OpId>,
    shown: EngineState,
    clock: u64,
    /// Callers that wait.
    tickets: BTreeSet<u64>,
}

impl Noisy {
    fn new() -> Self {
        let address = HostPort::new("engine-1", 2375).unwrap();
        Self {
            now: Mono(9),
            machine: EngineMachine::new(address, EngineOptions::default(), Random::new(3), Mono(9)),
            calls: Vec::new(),
            admits: Vec::new(),
            streams: Vec::new(),
            shown: EngineState::Pending,
            clock: 0,
            tickets: BTreeSet::new(),
        }
    }

    fn step(&mut self, noise: &Noise) -> Vec<String> {
        let mut out = Effects::default();
        match self.input(noise) {
            Some(input) => self.machine.handle(self.now, input, &mut out),
            None => {
                let due = self
                    .machine
                    .wake_at()
                    .is_some_and(|wake| wake.at <= self.now);
                let before = self.machine.digest();
                self.machine.wake(self.now, &mut out);
                assert!(due || (out.is_empty() && before == self.machine.digest()));
                assert!(
                    self.machine
                        .wake_at()
                        .is_some_and(|wake| wake.at > self.now)
                );
            }
        }
        self.check(&out);
        let told = out
            .as_slice()
            .iter()
            .map(|effect| format!("{effect:?}"))
            .collect();
        for effect in out.drain() {
            self.note(effect);
        }
        assert_eq!(self.shown, self.machine.state());
        told
    }

    fn answer_everything(&mut self) {
        loop {
            let waiting = (self.calls.len(), self.admits.len(), self.streams.len());
            match waiting {
                (0, 0, _) => break,
                (0, _, _) => self.step(&Noise::Admitted(Outcome::Good)),
                (_, _, _) => self.step(&Noise::Answer(0, Outcome::Good)),
            };
            for which in 0..self.streams.len() {
                self.step(&Noise::Opened(which));
            }
        }
    }

    fn check(&self, out: &Effects<Effect>) {
        assert!(
            out.len() <= MAX_WAITING + MAX_TICKETS + 32,
            "{} effects",
            out.len()
        );
        assert!(self.machine.in_flight() <= MAX_IN_FLIGHT);
        let next = self.machine.wake_at().expect("it never stops trying");
        // The longest wait is a refresh interval; failures wait no longer.
        assert!(next.at <= self.now + MAX_PAUSE);
        if self.machine.failures() > 0 {
            assert!(self.machine.reason().is_some());
        }
    }

    fn note(&mut self, effect: Effect) {
        match effect {
            Effect::Call { op, call, .. } => self.calls.push((op, call)),
            Effect::Admit { op, .. } => self.admits.push(op),
            Effect::OpenStream { op, .. } => self.streams.push(op),
            Effect::CloseStream { op } => self.streams.retain(|own| *own != op),
            Effect::View(ViewChange::Health { state, .. }) => self.shown = state,
            Effect::Refreshed { ticket } => {
                self.tickets.remove(&ticket);
            }
            Effect::View(_) | Effect::Publish(_) | Effect::Log { .. } => {}
        }
    }

    fn told(&mut self, op: OpId, kind: &str, action: &str, id: u8) -> Input {
        self.clock += 1;
        let id = match action {
            "prune" => String::new(),
            _ => format!("c{id}"),
        };
        let event = Box::new(model(self.clock).happen(kind, action, &id));
        Input::StreamEvent { op, event }
    }

    fn input(&mut self, noise: &Noise) -> Option<Input> {
        let error = |kind| CallError {
            kind,
            reason: format!("{kind:?}"),
        };
        let unit = |outcome: Outcome| match outcome {
            Outcome::Good | Outcome::Odd => Ok(()),
            Outcome::Bad(kind) => Err(error(kind)),
        };
        let stream = |which: usize, streams: &[OpId]| {
            streams
                .get(which % streams.len().max(1))
                .copied()
                .unwrap_or(OpId(0))
        };
        match noise {
            Noise::Pass(time) => {
                self.now += *time;
                None
            }
            Noise::Answer(which, how) => {
                if self.calls.is_empty() {
                    return None;
                }
                let (op, call) = self.calls.remove(which % self.calls.len());
                let result = match how {
                    Outcome::Good => model(self.clock).answer(&call),
                    Outcome::Odd => Ok(Reply::Volume(None)),
                    Outcome::Bad(kind) => Err(error(*kind)),
                };
                Some(Input::Answered { op, result })
            }
            Noise::Stray(op) => Some(Input::Answered {
                op: OpId(1_000_000 + op),
                result: Ok(Reply::Pong),
            }),
            Noise::Opened(which) => Some(Input::StreamOpened {
                op: stream(*which, &self.streams),
            }),
            Noise::Ended(which) => Some(Input::StreamEnded {
                op: stream(*which, &self.streams),
                error: error(Failure::Connect),
            }),
            Noise::Told(which, kind, action, id) => {
                let op = stream(*which, &self.streams);
                Some(self.told(op, kind, action, *id))
            }
            Noise::Admitted(how) => Some(Input::Admitted {
                op: self.admits.pop().unwrap_or(OpId(0)),
                result: match how {
                    Outcome::Good => Ok(Admission::Same),
                    Outcome::Odd => Ok(Admission::Replaced {
                        old: "before".to_owned(),
                    }),
                    Outcome::Bad(_) => Err("ID duplicated".to_owned()),
                },
            }),
            Noise::Proxied(how) => Some(Input::Proxied(unit(*how))),
            Noise::Refresh(true) => Some(Input::RefreshAll),
            Noise::Refresh(false) => {
                self.clock += 1;
                self.tickets.insert(self.clock);
                Some(waiting(self.clock))
            }
        }
    }
}

/// Somebody who waits for a container to be read.
fn waiting(ticket: u64) -> Input {
    let container = "c1".into();
    match ticket % 2 {
        0 => Input::Join { container, ticket },
        _ => Input::Refresh {
            part: Part::Container(container),
            ticket,
        },
    }
}

/// An engine whose containers depend on the time alone.
fn model(clock: u64) -> Model {
    let mut model = World::new().engine;
    model.clock = clock;
    for number in 0..(clock % 12) {
        model
            .containers
            .insert(format!("c{number}").into(), clock / 20);
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn bounds_hold_and_it_never_stops_trying(script in prop::collection::vec(noise(), 1..300)) {
        let mut noisy = Noisy::new();
        for noise in &script {
            noisy.step(noise);
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_effects(script in prop::collection::vec(noise(), 1..150), cut in 0_usize..150) {
        let mut first = Noisy::new();
        let mut second = Noisy::new();
        for (number, noise) in script.iter().enumerate() {
            if number == cut {
                second = first.clone();
            }
            prop_assert_eq!(first.step(noise), second.step(noise));
            prop_assert_eq!(first.machine.digest(), second.machine.digest());
        }
    }

    #[test]
    fn it_recovers_when_the_noise_ends(script in prop::collection::vec(noise(), 1..200)) {
        let mut noisy = Noisy::new();
        for noise in &script {
            noisy.step(noise);
        }
        let end = noisy.now + 4 * MAX_PAUSE;
        while noisy.now < end {
            noisy.answer_everything();
            noisy.step(&Noise::Pass(SECOND));
        }
        noisy.answer_everything();
        prop_assert_eq!(noisy.machine.state(), EngineState::Healthy);
        prop_assert_eq!(noisy.machine.failures(), 0);
        prop_assert!(noisy.tickets.is_empty(), "somebody waits for ever");
    }
}

#[test]
fn time_that_goes_back_is_taken_for_the_latest() {
    let mut noisy = Noisy::new();
    noisy.step(&Noise::Pass(SECOND));
    let mut out = Effects::default();
    noisy
        .machine
        .handle(Mono::ZERO, Input::RefreshAll, &mut out);
    assert!(noisy.machine.wake_at().unwrap().at > noisy.now);
}

#[test]
fn inputs_for_nobody_are_counted() {
    let mut noisy = Noisy::new();
    noisy.step(&Noise::Stray(1));
    noisy.step(&Noise::Opened(0));
    noisy.step(&Noise::Ended(0));
    noisy.step(&Noise::Admitted(Outcome::Good));
    assert_eq!(noisy.machine.stale(), 4);
}
