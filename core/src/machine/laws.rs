//! The seven laws of [`Machine`], written once and run for every machine.
//!
//! A machine's test makes a strategy for [`Step`]s and calls [`hold`]; every law is checked on the way.

use std::fmt::Debug;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::{Effects, Machine};
use crate::time::Mono;

/// One thing done to a machine.
#[derive(Clone, Debug)]
pub(crate) enum Step<I> {
    /// Time passes (milliseconds), whoever wants to wake wakes, then the input arrives.
    Input(u64, I),
    /// The clock is read as earlier than before (milliseconds), and the input arrives.
    Back(u64, I),
    /// Time passes up to the machine's own next wake.
    Wake,
    /// Somebody wakes the machine though nothing is due.
    Spurious,
}

/// Steps with inputs of `input`.
pub(crate) fn steps<I: Debug + Clone>(
    input: impl Strategy<Value = I> + Clone,
) -> impl Strategy<Value = Vec<Step<I>>> {
    let step = prop_oneof![
        4 => (0_u64..700, input.clone()).prop_map(|(ms, input)| Step::Input(ms, input)),
        1 => (0_u64..5_000, input).prop_map(|(ms, input)| Step::Back(ms, input)),
        3 => Just(Step::Wake),
        1 => Just(Step::Spurious),
    ];
    proptest::collection::vec(step, 0..60)
}

/// Runs `steps` and checks all laws; no call may produce more than `effects_max` effects.
pub(crate) fn hold<M>(
    machine: M,
    steps: &[Step<M::Input>],
    effects_max: usize,
) -> Result<(), TestCaseError>
where
    M: Machine + Clone + PartialEq + Debug,
    M::Input: Clone,
    M::Effect: PartialEq + Debug,
{
    let mut run = Run {
        now: Mono(1_000_000_000),
        twin: machine.clone(),
        machine,
        effects_max,
    };
    for step in steps {
        match step {
            Step::Input(ms, input) => {
                let until = run.now + Duration::from_millis(*ms);
                run.pass_time(until)?;
                run.input(until, input)?;
            }
            Step::Back(ms, input) => {
                let earlier = run.now - Duration::from_millis(*ms);
                run.input(earlier, input)?;
            }
            Step::Wake => {
                if let Some(wake) = run.machine.wake_at() {
                    run.pass_time(wake.at.max(run.now))?;
                }
            }
            Step::Spurious => run.spurious()?,
        }
    }
    Ok(())
}

struct Run<M> {
    now: Mono,
    machine: M,
    twin: M,
    effects_max: usize,
}

impl<M> Run<M>
where
    M: Machine + Clone + PartialEq + Debug,
    M::Input: Clone,
    M::Effect: PartialEq + Debug,
{
    fn input(&mut self, now: Mono, input: &M::Input) -> Result<(), TestCaseError> {
        self.both(|machine, out| machine.handle(now, input.clone(), out))
    }

    /// Wakes the machine whenever it asks for it until `until`.
    fn pass_time(&mut self, until: Mono) -> Result<(), TestCaseError> {
        let mut wakes = 0;
        while let Some(wake) = self.machine.wake_at().filter(|wake| wake.at <= until) {
            self.now = self.now.max(wake.at);
            let now = self.now;
            self.both(|machine, out| machine.wake(now, out))?;
            if let Some(next) = self.machine.wake_at() {
                prop_assert!(next.at > now, "after wake({now}) the next wake is {next:?}");
            }
            wakes += 1;
            prop_assert!(wakes < 100_000, "the machine wakes without end: {wake:?}");
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn spurious(&mut self) -> Result<(), TestCaseError> {
        let due = self
            .machine
            .wake_at()
            .is_some_and(|wake| wake.at <= self.now);
        if due {
            let now = self.now;
            return self.both(|machine, out| machine.wake(now, out));
        }
        let wake = self.machine.wake_at();
        let mut out = Effects::default();
        self.machine.wake(self.now, &mut out);
        self.twin.wake(self.now, &mut Effects::default());
        prop_assert!(out.is_empty(), "a spurious wake did {out:?}");
        prop_assert_eq!(
            self.machine.wake_at(),
            wake,
            "a spurious wake moved the next wake"
        );
        Ok(())
    }

    fn both(&mut self, act: impl Fn(&mut M, &mut Effects<M::Effect>)) -> Result<(), TestCaseError> {
        let (mut out, mut twin_out) = (Effects::default(), Effects::default());
        act(&mut self.machine, &mut out);
        act(&mut self.twin, &mut twin_out);
        prop_assert!(
            out.len() <= self.effects_max,
            "{} effects in one call",
            out.len()
        );
        prop_assert_eq!(&out, &twin_out, "same inputs, different effects");
        prop_assert_eq!(
            &self.machine,
            &self.twin,
            "a clone fed the same inputs differs"
        );
        prop_assert_eq!(
            self.machine.digest(),
            self.twin.digest(),
            "same state, different digest"
        );
        Ok(())
    }
}
