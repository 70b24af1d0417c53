//! `summary.md`: what fits on the page of a pull request.

use std::fmt::Write as _;

use super::escape::markdown;
use super::words::{count, lasting, millis, percent};
use super::{Failure, Report};

/// So many lines of the events behind a failure.
const SLICE_MOST: usize = 12;
/// So many failures are told in full.
const FAILURES_MOST: usize = 5;

/// The report as a short Markdown text.
#[must_use]
pub fn summary(report: &Report) -> String {
    let verdict = report.verdict();
    let word = if verdict.is_good() {
        "Passed"
    } else {
        "Failed"
    };
    let mut out = format!(
        "# {word}: {}\n\n{}.",
        markdown(&verdict.words),
        report.last_line()
    );
    let tool = &report.tool;
    if !tool.commit.is_empty() {
        let dirty = if tool.dirty { ", with changes" } else { "" };
        let _ = write!(out, " Commit {}{dirty}.", markdown(&tool.commit));
    }
    let _ = writeln!(out, " Profile {}.", markdown(&tool.profile));
    failures(&mut out, report);
    broken_lines(&mut out, report);
    batches(&mut out, report);
    latency(&mut out, report);
    trust(&mut out, report);
    out
}

fn table(out: &mut String, title: &str, head: &[&str], rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(out, "\n## {title}\n\n| {} |", head.join(" | "));
    let _ = writeln!(out, "|{}", " --- |".repeat(head.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
}

/// A code block that nothing inside can end.
fn code(out: &mut String, lines: &[String]) {
    let longest = lines.iter().flat_map(|line| line.split(|c| c != '`'));
    let longest = longest.map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(out, "\n{fence}text\n{}\n{fence}", lines.join("\n"));
}

fn failures(out: &mut String, report: &Report) {
    if report.failures.is_empty() {
        return;
    }
    out.push_str("\n## Failures\n");
    for failure in report.failures.iter().take(FAILURES_MOST) {
        one_failure(out, failure);
    }
    let rest = report.failures.len().saturating_sub(FAILURES_MOST);
    if rest > 0 {
        let _ = writeln!(out, "\nAnd {rest} more in `index.html`.");
    }
}

fn one_failure(out: &mut String, failure: &Failure) {
    let times = count(failure.count);
    let signature = markdown(&failure.signature);
    let _ = writeln!(
        out,
        "\n### {signature} ({times} ×, {})\n",
        markdown(&failure.tier)
    );
    if let Some(violation) = &failure.violation {
        let places = violation.property.kept_by().join("`, `");
        let words = markdown(&violation.to_string());
        let _ = write!(out, "{words}. Look first at `{places}`.");
    }
    if !failure.faults_needed.is_empty() {
        let needed = markdown(&failure.faults_needed);
        let _ = write!(out, " {needed} faults needed.");
    }
    out.push('\n');
    if !failure.replay.is_empty() {
        code(out, std::slice::from_ref(&failure.replay));
    }
    let from = failure.slice.len().saturating_sub(SLICE_MOST);
    if let Some(lines) = failure.slice.get(from..).filter(|lines| !lines.is_empty()) {
        code(out, lines);
    }
}

/// Scenarios, former failures and planted bugs that did not do what they should.
fn broken_lines(out: &mut String, report: &Report) {
    let row =
        |kind: &str, name: &str, what: &str| vec![kind.to_owned(), markdown(name), markdown(what)];
    let mut rows = Vec::new();
    for line in report
        .scenarios
        .iter()
        .filter(|one| !one.failure.is_empty())
    {
        rows.push(row("scenario", &line.name, &line.failure));
    }
    for line in report.corpus.iter().filter(|one| !one.failure.is_empty()) {
        rows.push(row("former failure", &line.file, &line.failure));
    }
    for line in report
        .mutants
        .iter()
        .filter(|one| one.killed_after.is_none())
    {
        rows.push(row("planted bug, unnoticed", &line.name, &line.words));
    }
    table(out, "Also wrong", &["what", "name", "how"], &rows);
}

fn batches(out: &mut String, report: &Report) {
    let rows: Vec<Vec<String>> = report
        .batches
        .iter()
        .map(|batch| {
            vec![
                markdown(&batch.tier),
                markdown(&batch.seeds),
                count(batch.runs),
                count(batch.failed),
                lasting(batch.simulated_ms),
                count(batch.terms),
                count(batch.answers.asked),
            ]
        })
        .collect();
    let head = [
        "tier",
        "seeds",
        "runs",
        "failed",
        "simulated",
        "primaries",
        "requests",
    ];
    table(out, "Random runs", &head, &rows);
}

fn latency(out: &mut String, report: &Report) {
    let rows: Vec<Vec<String>> = report
        .latency
        .iter()
        .map(|line| {
            vec![
                markdown(&line.tier),
                markdown(&line.fault),
                count(line.count),
                millis(line.p50_us),
                millis(line.p99_us),
                millis(line.max_us),
                millis(line.budget_us),
                percent(line.worst_of_budget_per_mille),
            ]
        })
        .collect();
    let head = [
        "tier",
        "fault",
        "n",
        "p50",
        "p99",
        "max",
        "budget",
        "worst of budget",
    ];
    table(out, "Failover, in ms", &head, &rows);
}

fn trust(out: &mut String, report: &Report) {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |what: &str, value: String| rows.push(vec![what.to_owned(), value]);
    if !report.mutants.is_empty() {
        let noticed = report
            .mutants
            .iter()
            .filter(|one| one.killed_after.is_some());
        let noticed = noticed.count();
        row(
            "planted bugs noticed",
            format!("{noticed} of {}", report.mutants.len()),
        );
    }
    let determinism = &report.determinism;
    if determinism.checked > 0 {
        let differ = determinism.mismatches.len();
        row(
            "runs repeated",
            format!("{}, {differ} differ", count(determinism.checked)),
        );
    }
    let missed = report.marks_missed();
    if !report.coverage.marks.is_empty() {
        let all = report.coverage.marks.len();
        row("marks reached", format!("{} of {all}", all - missed.len()));
    }
    if !missed.is_empty() {
        row("never reached", markdown(&missed.join(", ")));
    }
    table(out, "How far to trust it", &["", ""], &rows);
}
