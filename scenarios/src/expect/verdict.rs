//! Holds a run to expectations.

use swarm_core::time::nanos as whole_nanos;
use swarm_sim::judge::Budgets;
use swarm_sim::plan::{Op, Plan};
use swarm_sim::property::{Property, Violation};
use swarm_sim::run::Run;
use swarm_sim::trace::HostId;

use super::view::{Request, View, clock, nanos};
use super::{Expect, Who};

/// What was seen instead: when, in words, and the event that shows it.
struct Seen {
    at: u64,
    what: String,
    event: u64,
}

impl Seen {
    fn at(at: u64, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { at, what, event: 0 }
    }
}

type Held = Result<(), Seen>;

/// Why `run` of `plan` is not as expected; `rerun` runs another plan to compare with.
pub(crate) fn broken(
    expect: &Expect,
    plan: &Plan,
    run: &Run,
    rerun: &mut dyn FnMut(&Plan) -> Run,
) -> Option<Violation> {
    let view = View::new(plan, run);
    let seen = holds(expect, &view, rerun).err()?;
    let what = format!("expected {expect}; seen: {}", seen.what);
    let mut violation = Violation::new(Property::Expectation, expect.name(), seen.at, what);
    violation.event = seen.event;
    Some(violation)
}

fn holds(expect: &Expect, view: &View<'_>, rerun: &mut dyn FnMut(&Plan) -> Run) -> Held {
    match expect {
        Expect::TookOverWithinBudget => took_over_within_budget(view),
        Expect::TookOverWithin { fault, ms } => took_over_within(view, *fault, *ms),
        Expect::Terms { exactly } => {
            let held = view.run.terms.len() == *exactly;
            unless(held, view, || view.terms())
        }
        Expect::TermsAtLeast { count } => {
            let held = view.run.terms.len() >= *count;
            unless(held, view, || view.terms())
        }
        Expect::KeepsItsEpoch => unless(view.run.terms.len() == 1, view, || view.terms()),
        Expect::LastPrimary { who } => {
            let last = view.run.terms.last().map(|term| term.host);
            let held = last.is_some() && last == view.host(*who);
            unless(held, view, || view.terms())
        }
        Expect::EpochsIncrease => epochs_increase(view),
        Expect::OldPrimaryIsReplica => old_primary_is_replica(view),
        Expect::StopsWithin { fault, ms } => stops_within(view, *fault, *ms),
        Expect::ActsWithin { fault, ms } => acts_within(view, *fault, *ms),
        Expect::NobodyActsFor { ms } => nobody_acts_for(view, *ms),
        Expect::NeverWithoutPrimaryFor { ms } => never_without_primary_for(view, *ms),
        Expect::TwoBelieveForAtMost { ms } => two_believe_for_at_most(view, *ms),
        Expect::Logs { .. } | Expect::LogsWithin { .. } | Expect::LogsTimes { .. } => {
            logs(expect, view)
        }
        Expect::SameTermsWithout { kinds } => same_terms_without(view, kinds, rerun),
        Expect::Breaks { signature } => breaks(view, signature),
        Expect::AnsweredWithin { ms } => answered_within(view, *ms),
        Expect::SlowestTakes { ms } => slowest_takes(view, *ms),
        Expect::ServesWithin { fault, ended, ms } => serves_within(view, *fault, *ended, *ms),
        Expect::NoRequestFailed
        | Expect::DoneAtLeast { .. }
        | Expect::RefusedAtMost { .. }
        | Expect::RefusedAtLeast { .. }
        | Expect::UnknownAtMost { .. }
        | Expect::ToldUnknown
        | Expect::DispatchesAtLeast { .. }
        | Expect::Reaches { .. }
        | Expect::NeverReaches { .. }
        | Expect::Meets { .. }
        | Expect::StartsAtLeast { .. } => counts(expect, view),
    }
}

fn unless(held: bool, view: &View<'_>, seen: impl FnOnce() -> String) -> Held {
    if held {
        Ok(())
    } else {
        Err(Seen::at(view.run.simulated, seen()))
    }
}

fn began(view: &View<'_>, fault: u32) -> Result<u64, Seen> {
    let never = || Seen::at(view.run.simulated, format!("fault {fault} never began"));
    view.began(fault).ok_or_else(never)
}

fn ended(view: &View<'_>, fault: u32) -> Result<u64, Seen> {
    let never = || Seen::at(view.run.simulated, format!("fault {fault} never ended"));
    view.ended(fault).ok_or_else(never)
}

fn took_over_within_budget(view: &View<'_>) -> Held {
    let budgets = Budgets::of(view.plan);
    let mut measured = view.run.failovers.len();
    for failover in &view.run.failovers {
        if failover.took_us > failover.budget_us {
            let (took, budget) = (failover.took_us, failover.budget_us);
            let what = format!("{took} us after {}, of {budget} us", failover.cause);
            return Err(Seen::at(view.run.simulated, what));
        }
    }
    for fault in &view.plan.faults {
        let Some(budget) = budgets.for_op(&fault.op) else {
            continue;
        };
        measured += 1;
        next_term(view, fault.id, whole_nanos(budget))?;
    }
    unless(measured > 0, view, || {
        "no fault takes the primary away".to_owned()
    })
}

fn took_over_within(view: &View<'_>, fault: u32, ms: u64) -> Held {
    next_term(view, fault, nanos(ms))
}

/// Somebody begins a term within `budget` ns after the fault.
fn next_term(view: &View<'_>, fault: u32, budget: u64) -> Held {
    let began = began(view, fault)?;
    let mut later = view.run.terms.iter().filter(|term| term.at > began);
    let took = later.next().map(|term| term.at - began);
    match took {
        Some(took) if took <= budget => Ok(()),
        Some(took) => {
            let (took, budget) = (clock(took), clock(budget));
            let what = format!("it took {took} after fault {fault}, allowed are {budget}");
            Err(Seen::at(began, what))
        }
        None => {
            let what = format!("no term after fault {fault}: {}", view.terms());
            Err(Seen::at(began, what))
        }
    }
}

fn epochs_increase(view: &View<'_>) -> Held {
    let terms = &view.run.terms;
    let pairs = terms.iter().zip(terms.iter().skip(1));
    let grow = pairs.into_iter().all(|(one, next)| one.epoch < next.epoch);
    unless(terms.len() > 1 && grow, view, || view.terms())
}

fn old_primary_is_replica(view: &View<'_>) -> Held {
    let first = view.host(Who::FirstPrimary);
    let now: Vec<HostId> = view
        .acting(view.run.simulated.saturating_sub(1))
        .iter()
        .map(|span| span.host)
        .collect();
    let runs = first.is_some_and(|first| view.runs(first));
    let held = runs && !now.is_empty() && first.is_some_and(|first| !now.contains(&first));
    unless(held, view, || {
        let state = if runs { "runs" } else { "does not run" };
        let names: Vec<&str> = now.iter().map(|&host| view.run.trace.host(host)).collect();
        format!("it {state} and these act at the end: {names:?}")
    })
}

fn stops_within(view: &View<'_>, fault: u32, ms: u64) -> Held {
    let began = began(view, fault)?;
    let Some(span) = view.acting(began.saturating_sub(1)).first().copied() else {
        return Err(Seen::at(began, "nobody acts at that time"));
    };
    let took = span.to.saturating_sub(began);
    unless(took <= nanos(ms), view, || {
        let host = view.run.trace.host(span.host);
        format!("{host} acts for another {}", clock(took))
    })
}

fn acts_within(view: &View<'_>, fault: u32, ms: u64) -> Held {
    let ended = ended(view, fault)?;
    let next = view.spans.iter().find(|span| span.to > ended);
    let took = next.map(|span| span.from.saturating_sub(ended));
    let held = took.is_some_and(|took| took <= nanos(ms));
    unless(held, view, || match took {
        Some(took) => format!("it took {}", clock(took)),
        None => "nobody acts any more".to_owned(),
    })
}

fn nobody_acts_for(view: &View<'_>, ms: u64) -> Held {
    let gaps = view.gaps();
    let longest = gaps.iter().map(|(from, to)| to - from).max().unwrap_or(0);
    unless(longest >= nanos(ms), view, || {
        format!("the longest time without a primary is {}", clock(longest))
    })
}

fn never_without_primary_for(view: &View<'_>, ms: u64) -> Held {
    if view.spans.is_empty() {
        return Err(Seen::at(view.run.simulated, "nobody acted"));
    }
    let gaps = view.gaps();
    let longest = gaps.iter().max_by_key(|(from, to)| to - from);
    match longest {
        Some((from, to)) if to - from > nanos(ms) => {
            let what = format!("nobody acted from {} to {}", clock(*from), clock(*to));
            Err(Seen::at(*from, what))
        }
        Some(_) | None => Ok(()),
    }
}

fn two_believe_for_at_most(view: &View<'_>, ms: u64) -> Held {
    let overlaps = view.overlaps();
    let longest = overlaps
        .iter()
        .map(|(from, to)| to - from)
        .max()
        .unwrap_or(0);
    let held = longest > 0 && longest <= nanos(ms);
    unless(held, view, || {
        format!("the longest time with two is {}", clock(longest))
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller sends those about log lines"
)]
fn logs(expect: &Expect, view: &View<'_>) -> Held {
    match expect {
        Expect::Logs { who, text } => {
            let held = !view.lines(*who, text).is_empty();
            unless(held, view, || "no such line".to_owned())
        }
        Expect::LogsTimes { who, text, exactly } => {
            let lines = view.lines(*who, text);
            if lines.len() == *exactly {
                return Ok(());
            }
            let last = lines.last();
            Err(Seen {
                at: last.map_or(view.run.simulated, |line| line.at),
                what: format!("{} such lines", lines.len()),
                event: last.map_or(0, |line| line.seq),
            })
        }
        Expect::LogsWithin {
            who,
            text,
            fault,
            ms,
        } => {
            let began = began(view, *fault)?;
            let lines = view.lines(*who, text);
            let line = lines.iter().find(|line| line.at >= began);
            match line {
                Some(line) if line.at - began <= nanos(*ms) => Ok(()),
                Some(line) => Err(Seen {
                    at: line.at,
                    what: format!("{} after it", clock(line.at - began)),
                    event: line.seq,
                }),
                None => Err(Seen::at(began, "no such line")),
            }
        }
        _ => Ok(()),
    }
}

fn same_terms_without(
    view: &View<'_>,
    kinds: &[String],
    rerun: &mut dyn FnMut(&Plan) -> Run,
) -> Held {
    let mut plan = view.plan.clone();
    let left_out = |op: &Op| kinds.iter().any(|kind| kind == op.kind());
    plan.faults.retain(|fault| !left_out(&fault.op));
    if plan.faults.len() == view.plan.faults.len() {
        return Err(Seen::at(0, "no such fault in the plan"));
    }
    // What is left out still takes its time.
    plan.phases.faults_ms = plan.phases.faults_ms.max(view.plan.faults_end_ms());
    let other = rerun(&plan);
    unless(view.run.terms == other.terms, view, || {
        let without = View::new(&plan, &other);
        format!("{}; without: {}", view.terms(), without.terms())
    })
}

fn breaks(view: &View<'_>, signature: &str) -> Held {
    let broken = view.run.violation.as_ref();
    let held = broken.is_some_and(|broken| broken.signature() == signature);
    unless(held, view, || {
        broken.map_or_else(|| "no promise is broken".to_owned(), ToString::to_string)
    })
}

fn answered_within(view: &View<'_>, ms: u64) -> Held {
    let slowest = slowest(view)?;
    let took = slowest.answered - slowest.asked;
    if took <= nanos(ms) {
        return Ok(());
    }
    Err(Seen {
        at: slowest.answered,
        what: format!(
            "one took {}, asked at {}",
            clock(took),
            clock(slowest.asked)
        ),
        event: slowest.event,
    })
}

fn slowest_takes(view: &View<'_>, ms: u64) -> Held {
    let slowest = slowest(view)?;
    let took = slowest.answered - slowest.asked;
    unless(took >= nanos(ms), view, || {
        format!("the slowest took {}", clock(took))
    })
}

fn slowest(view: &View<'_>) -> Result<Request, Seen> {
    let requests = view.requests().into_iter();
    requests
        .max_by_key(|request| request.answered - request.asked)
        .ok_or_else(|| Seen::at(view.run.simulated, "no answer at all"))
}

fn serves_within(view: &View<'_>, fault: u32, at_end: bool, ms: u64) -> Held {
    let from = if at_end {
        ended(view, fault)?
    } else {
        began(view, fault)?
    };
    let requests = view.requests();
    let mut done = requests
        .iter()
        .filter(|request| request.asked >= from && (200..400).contains(&request.status));
    let first = done.next().map(|request| request.answered - from);
    let held = first.is_some_and(|took| took <= nanos(ms));
    unless(held, view, || match first {
        Some(took) => format!("the first one took {}", clock(took)),
        None => "none".to_owned(),
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller sends those about numbers"
)]
fn counts(expect: &Expect, view: &View<'_>) -> Held {
    let answers = view.run.answers;
    let coverage = &view.run.coverage;
    let reached = |mark: &String| coverage.marks.get(mark).copied();
    let warm = view.warm_requests();
    let refused = warm.iter().filter(|request| request.is_refused()).count() as u64;
    let all = || {
        format!(
            "{} asked, {} done, {} unknown, {refused} refused after the warm-up",
            answers.asked, answers.done, answers.unknown
        )
    };
    match expect {
        Expect::NoRequestFailed => no_request_failed(view, &warm),
        Expect::DoneAtLeast { count } => unless(answers.done >= *count, view, all),
        Expect::RefusedAtMost { count } => unless(refused <= *count, view, all),
        Expect::RefusedAtLeast { count } => unless(refused >= *count, view, all),
        Expect::UnknownAtMost { count } => unless(answers.unknown <= *count, view, all),
        Expect::ToldUnknown => {
            let told = view.requests().iter().any(|request| request.status == 502);
            unless(told, view, all)
        }
        Expect::DispatchesAtLeast { count } => {
            let sent = view.run.dispatched;
            unless(sent >= *count, view, || format!("{sent}"))
        }
        Expect::Reaches { mark, count } => {
            let times = reached(mark);
            let held = times.is_some_and(|times| times >= *count);
            unless(held, view, || times.map_or_else(no_mark, |n| n.to_string()))
        }
        Expect::NeverReaches { mark } => {
            let times = reached(mark);
            unless(times == Some(0), view, || {
                times.map_or_else(no_mark, |n| format!("{n} times"))
            })
        }
        Expect::Meets { cell } => {
            let mut cells = coverage.matrix.iter();
            let held = cells.any(|(name, count)| name.starts_with(cell.as_str()) && *count > 0);
            let cells = || format!("{:?}", coverage.matrix);
            unless(held, view, cells)
        }
        Expect::StartsAtLeast { count } => {
            let starts = view.starts();
            unless(starts >= *count, view, || starts.to_string())
        }
        _ => Ok(()),
    }
}

fn no_request_failed(view: &View<'_>, warm: &[Request]) -> Held {
    let failed = warm.iter().find(|request| request.is_failed());
    let Some(failed) = failed else {
        return unless(!warm.is_empty(), view, || "nobody asked".to_owned());
    };
    let asked = clock(failed.asked);
    Err(Seen {
        at: failed.answered,
        what: format!("one, asked at {asked}, ended in {}", failed.status),
        event: failed.event,
    })
}

fn no_mark() -> String {
    "there is no such mark".to_owned()
}

#[cfg(test)]
mod tests;
