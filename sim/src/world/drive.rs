//! Runs a plan from its first instant to its last.

use std::time::Duration;

use super::World;
use super::hosts::Role;
use crate::plan::Op;
use crate::property::{Property, Violation};
use crate::run::Run;
use crate::trace::HostId;

/// Besides the wait of a takeover, the first primary takes at most so long.
const FIRST_PRIMARY: Duration = Duration::from_secs(10);
/// Between the end of the faults and the drill: managers that lost the lease may hold back for so long.
const BEFORE_DRILL: Duration = Duration::from_secs(16);
/// A drill lasts at least so long, and as long again before the proof.
const DRILL: Duration = Duration::from_secs(3);
/// The drill is a fault with a number of its own.
const DRILL_ID: u32 = u32::MAX;

/// A run of a plan that cannot be run.
pub(super) fn cannot_run(problem: String) -> Run {
    Run {
        violation: Some(Violation::new(
            Property::Expectation,
            "cannot-run",
            0,
            problem,
        )),
        ..Run::default()
    }
}

/// Goes through all phases, up to the first violation.
pub(super) fn drive(world: &mut World) -> Result<(), Violation> {
    warm_up(world)?;
    let had_faults = strike(world)?;
    if had_faults {
        recover(world)?;
    }
    if let Some(op) = world.plan.drill.clone() {
        if had_faults {
            let recovery = Duration::from_millis(world.plan.phases.recovery_ms);
            world.run_for(BEFORE_DRILL.saturating_sub(recovery))?;
        }
        drill(world, &op)?;
    }
    prove(world)
}

fn warm_up(world: &mut World) -> Result<(), Violation> {
    let lease = Duration::from_millis(world.plan.knobs.lease_ms);
    let limit = FIRST_PRIMARY + lease * 2;
    if !world.run_until_true(limit, |world| !world.acting().is_empty())? {
        return Err(stuck(world, "first-primary", "nobody became primary"));
    }
    world.run_for(Duration::from_millis(world.plan.phases.warm_up_ms))?;
    let now = world.now();
    world.witness().judge.calm(now, true);
    Ok(())
}

/// Lets the faults strike; whether there were any.
fn strike(world: &mut World) -> Result<bool, Violation> {
    let plan = world.plan.clone();
    let start = world.elapsed();
    for step in plan.steps() {
        world.run_until(start + Duration::from_millis(step.at_ms))?;
        if step.begins {
            world.begin(step.fault.id, &step.fault.op);
        } else {
            world.end(step.fault.id);
        }
    }
    world.run_until(start + Duration::from_millis(plan.phases.faults_ms))?;
    Ok(!plan.faults.is_empty())
}

fn recover(world: &mut World) -> Result<(), Violation> {
    let now = world.now();
    world.witness().judge.calm(now, false);
    let limit = Duration::from_millis(world.plan.phases.recovery_ms);
    let until = world.elapsed() + limit;
    let served = served(world);
    let recovered = world.run_until_true(limit, |world| unserved(world, &served).is_none())?;
    if !recovered {
        return Err(unrecovered(world, &served, "recovery"));
    }
    world.run_until(until)
}

/// Replaces the primary on a calm cluster and measures how long that takes.
fn drill(world: &mut World, op: &Op) -> Result<(), Violation> {
    let now = world.now();
    let victim = op.hosts().first().and_then(|host| world.resolve(host));
    if let Some(victim) = victim {
        world.witness().judge.drill_began(now, op, victim);
    }
    let began = world.elapsed();
    world.begin(DRILL_ID, op);
    while world.witness().judge.drilling() {
        world.run_for(world.tick)?;
    }
    world.run_until(began + DRILL)?;
    world.end(DRILL_ID);
    let now = world.now();
    world.witness().judge.calm(now, false);
    world.run_for(DRILL)
}

/// Every client must be served.
fn prove(world: &mut World) -> Result<(), Violation> {
    let (before, calm) = (served(world), world.tally());
    world.run_for(Duration::from_millis(world.plan.phases.proof_ms))?;
    if world.plan.phases.proof_ms > 0 && unserved(world, &before).is_some() {
        return Err(unrecovered(world, &before, "proof"));
    }
    world.check_store_load(&calm);
    world.check_leaks();
    let now = world.now();
    let mut ledger = world
        .ledger
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    ledger.finish(now, &world.engines);
    Ok(())
}

/// How often each client was served.
fn served(world: &World) -> Vec<(HostId, u64)> {
    let ledger = world.ledger();
    let clients = world
        .slots
        .iter()
        .filter(|slot| matches!(slot.role, Role::Client(_)));
    clients
        .map(|slot| (slot.id, ledger.served(slot.id)))
        .collect()
}

/// What is missing: somebody acts, and every client was served since `before`.
fn unserved(world: &World, before: &[(HostId, u64)]) -> Option<String> {
    if world.witness().judge.acting().is_empty() {
        return Some("nobody acts".to_owned());
    }
    let now = served(world);
    let waiting = before
        .iter()
        .zip(&now)
        .find(|((_, before), (_, now))| before == now);
    waiting.map(|((id, _), _)| {
        let name = world.slot(*id).map_or("", |slot| &slot.name);
        format!("{name} is not served")
    })
}

fn unrecovered(world: &mut World, before: &[(HostId, u64)], phase: &str) -> Violation {
    let missing = unserved(world, before).unwrap_or_else(|| "nothing is missing".to_owned());
    stuck(world, phase, &missing)
}

/// The run did not get where it must.
fn stuck(world: &mut World, aspect: &str, what: &str) -> Violation {
    world.pending = world.pending_reasons();
    let what = format!("{what}: {}", world.pending.join("; "));
    let mut witness = world.witness();
    let violation = Violation::new(Property::Liveness, aspect, witness.now(), what);
    witness.judge.fail(violation.clone());
    violation
}
