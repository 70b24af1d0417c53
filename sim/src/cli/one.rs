//! `replay`, `shrink`, `explain` and `diff`: one plan at a time.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use swarm_core::testbed::Mutant;

use super::assemble::commit;
use super::{Diff, Library, One, Replay, Shrink};
use crate::campaign::difference;
use crate::findings::tell;
use crate::plan::Plan;
use crate::property::Violation;
use crate::report::svg;
use crate::run::{Run, run};
use crate::shrink::shrink as shrink_plan;
use crate::trace::{Event, Keep, Trace};

/// The verdict of one run in words, and the exit code.
fn verdict(run: &Run) -> u8 {
    match &run.violation {
        None => {
            say!("passed; hash {}", run.hash);
            say!("1 passed, 0 failed");
            0
        }
        Some(violation) => {
            say!(
                "FAILED {violation}\n  promise: {}\n  kept by: {}",
                violation.property.words(),
                violation.property.kept_by().join(", ")
            );
            for line in &run.pending {
                say!("  waits: {line}");
            }
            say!("hash {}\n0 passed, 1 failed", run.hash);
            violation.property.promise().exit_code()
        }
    }
}

pub(super) fn replay(library: &dyn Library, replay: &Replay) -> anyhow::Result<u8> {
    let plan = replay.one.subject.plan(library)?;
    if replay.plan {
        say!("{}", plan.to_json().trim_end());
    }
    let keep = if replay.trace { Keep::All } else { Keep::Story };
    let whole = run_subject(library, &replay.one, &plan, keep);
    for fault in &plan.faults {
        say!("fault {fault}");
    }
    if let Some(drill) = &plan.drill {
        say!("drill {drill}");
    }
    for event in whole.trace.events() {
        say!("{}", event_line(&whole.trace, event));
    }
    for failover in &whole.failovers {
        say!(
            "failover after {}: {:.1} ms of {:.0} ms",
            failover.cause,
            failover.took_us as f64 / 1_000.0,
            failover.budget_us as f64 / 1_000.0
        );
    }
    let simulated = Duration::from_nanos(whole.simulated).as_secs_f64();
    say!(
        "{simulated:.1} s simulated, {} events, {} terms, {} changes dispatched; requests: {:?}",
        whole.trace.len(),
        whole.terms.len(),
        whole.dispatched,
        whole.answers
    );
    if let Some(path) = &replay.svg {
        write(path, &svg::timeline(&plan, &whole))?;
    }
    Ok(verdict(&whole))
}

/// A scenario is judged by what it expects, too.
fn run_subject(library: &dyn Library, one: &One, plan: &Plan, keep: Keep) -> Run {
    let declared = match &one.subject {
        super::Subject::Scenario(name) => library.check(name, keep, one.mutant),
        super::Subject::Seed(..) | super::Subject::File(_) => None,
    };
    declared.map_or_else(|| run(plan, keep, one.mutant), |(_, run)| run)
}

fn event_line(trace: &Trace, event: &Event) -> String {
    let at = Duration::from_nanos(event.at).as_secs_f64();
    format!(
        "{at:>10.4} #{:<7} {:<4} {:<12} {:>6} {:>6} {}",
        event.seq,
        trace.host(event.host),
        format!("{:?}", event.kind),
        event.a,
        event.b,
        event.text
    )
}

/// The violation of a plan, or an error that says there is none.
fn broken(plan: &Plan, mutant: Option<Mutant>) -> anyhow::Result<Violation> {
    run(plan, Keep::Hash, mutant)
        .violation
        .context("this run breaks no promise: there is nothing to work on")
}

pub(super) fn shrink(library: &dyn Library, shrink: &Shrink) -> anyhow::Result<u8> {
    let plan = shrink.one.subject.plan(library)?;
    let violation = broken(&plan, shrink.one.mutant)?;
    let shrunk = shrink_plan(&plan, &violation, shrink.tries, |candidate| {
        run(candidate, Keep::Hash, shrink.one.mutant).violation
    });
    eprintln!(
        "{}: {} of {} faults needed, after {} runs",
        shrunk.violation,
        shrunk.plan.faults.len(),
        shrunk.faults_before,
        shrunk.tries
    );
    let name = violation.signature();
    if let Some(why) = &shrink.keep {
        let file = library.keep(&name, commit(), &shrunk.plan, why)?;
        eprintln!(
            "kept as {}: name the commit that mends it there",
            file.display()
        );
    }
    match &shrink.out {
        Some(path) => write(path, &shrunk.plan.to_json())?,
        None => say!("{}", shrunk.plan.to_json().trim_end()),
    }
    eprintln!(
        "{}",
        library.as_code(&name, &shrunk.plan, &shrunk.violation)
    );
    Ok(0)
}

/// Writes a file, and the folder it belongs in.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder
        .and_then(|()| std::fs::write(path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

pub(super) fn explain(library: &dyn Library, one: &One) -> anyhow::Result<u8> {
    let plan = one.subject.plan(library)?;
    let violation = broken(&plan, one.mutant)?;
    let told = tell(&plan, one.mutant);
    say!(
        "{violation}\nThe promise: {}.\nKept by: {}\n",
        violation.property.words(),
        violation.property.kept_by().join(", ")
    );
    for line in &told.slice {
        say!("{line}");
    }
    for line in &told.pending {
        say!("waits: {line}");
    }
    say!("\nreplay: cargo sim replay {}", one.subject);
    Ok(0)
}

pub(super) fn diff(library: &dyn Library, diff: &Diff) -> anyhow::Result<u8> {
    let plan = diff.one.subject.plan(library)?;
    let mutant = diff.one.mutant;
    let other = match &diff.other {
        Some(other) => other.plan(library)?,
        None => neighbour(&plan, mutant)?,
    };
    let (one, other) = (
        run(&plan, Keep::All, mutant),
        run(&other, Keep::All, mutant),
    );
    if difference(&one, &other).is_none() {
        say!("the runs are the same: hash {}", one.hash);
        return Ok(0);
    }
    let pairs = one.trace.events().iter().zip(other.trace.events());
    let same = pairs.take_while(|(a, b)| a == b).count();
    say!("the runs part after {same} events");
    let from = same.saturating_sub(diff.context);
    for event in window(&one.trace, from, same) {
        say!("  {}", event_line(&one.trace, event));
    }
    for (sign, trace) in [('-', &one.trace), ('+', &other.trace)] {
        for event in window(trace, same, same + diff.context) {
            say!("{sign} {}", event_line(trace, event));
        }
    }
    Ok(0)
}

fn window(trace: &Trace, from: usize, to: usize) -> &[Event] {
    let events = trace.events();
    events
        .get(from.min(events.len())..to.min(events.len()))
        .unwrap_or_default()
}

/// The plan without one of its faults (or its drill) that passes.
fn neighbour(plan: &Plan, mutant: Option<Mutant>) -> anyhow::Result<Plan> {
    broken(plan, mutant)?;
    let without_fault = (0..plan.faults.len()).map(|at| {
        let mut next = plan.clone();
        next.faults.remove(at);
        next
    });
    let without_drill = plan.drill.is_some().then(|| Plan {
        drill: None,
        ..plan.clone()
    });
    without_fault
        .chain(without_drill)
        .find(|next| run(next, Keep::Hash, mutant).violation.is_none())
        .context("no plan with one fault less passes: name another run to compare with")
}
