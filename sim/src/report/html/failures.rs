//! Failures, and runs worth looking at though nothing failed.

use super::parts::{badge, code_block, esc, figure, folded, replay};
use crate::plan::Plan;
use crate::report::words::counted;
use crate::report::{Failure, Report};

/// More faults than that are folded.
const FAULTS_SHOWN: usize = 12;

pub(super) fn section(report: &Report) -> String {
    if report.failures.is_empty() {
        return if report.runs() > 0 {
            "<p class=\"lead\">No random run broke a promise.</p>\n".to_owned()
        } else {
            String::new()
        };
    }
    let failures: Vec<String> = report.failures.iter().map(failure).collect();
    failures.join("")
}

fn failure(failure: &Failure) -> String {
    let mut out = format!(
        "<article class=\"failure\">\n<h3>{} {} {}</h3>\n",
        esc(&failure.signature),
        badge("bad", &counted(failure.count, "run")),
        badge("", &esc(where_from(failure))),
    );
    if let Some(violation) = &failure.violation {
        let promise = violation.property.words();
        let at = violation.at / 1_000_000;
        out.push_str(&format!(
            "<p class=\"what\"><strong>{}</strong> <span class=\"muted\">at {}.{:03} s. Promised: {promise}.</span></p>\n",
            esc(&violation.what),
            at / 1_000,
            at % 1_000
        ));
        let places: Vec<String> = (violation.property.kept_by().iter())
            .map(|place| format!("<code>{}</code>", esc(place)))
            .collect();
        out.push_str(&format!(
            "<p class=\"kept\">Look first at what keeps this promise: {}.</p>\n",
            places.join(", ")
        ));
    }
    if !failure.faults_needed.is_empty() {
        out.push_str(&format!(
            "<p class=\"needed\"><strong>{}</strong> faults needed.</p>\n",
            esc(&failure.faults_needed)
        ));
    }
    let seed = format!(
        "The smallest run that still fails so, from seed {}.",
        esc(&failure.seed)
    );
    out.push_str(&figure(&failure.timeline, &seed));
    if let Some(plan) = &failure.minimised {
        out.push_str(&faults(plan));
    }
    if !failure.slice.is_empty() {
        out.push_str("<h4>How it came about</h4>\n");
        out.push_str(&code_block(
            "Events that led to the violation",
            &failure.slice.join("\n"),
        ));
    }
    out.push_str(&replay("Replay", &failure.replay));
    if !failure.pending.is_empty() {
        let lines: Vec<String> = failure
            .pending
            .iter()
            .map(|line| format!("<li>{}</li>", esc(line)))
            .collect();
        out.push_str(&format!(
            "<h4>What everybody waited for</h4>\n<ul class=\"pending\">{}</ul>\n",
            lines.join("")
        ));
    }
    if !failure.scenario.is_empty() {
        let block = code_block("Scenario", &failure.scenario);
        out.push_str(&folded("Scenario to paste", &block));
    }
    for (title, plan) in [
        ("Minimised plan", &failure.minimised),
        ("Plan as drawn", &failure.plan),
    ] {
        if let Some(plan) = plan {
            out.push_str(&folded(title, &code_block(title, &plan.to_json())));
        }
    }
    out.push_str("</article>\n");
    out
}

/// The tier says it for random runs.
fn where_from(failure: &Failure) -> &str {
    if failure.source.is_empty() {
        &failure.tier
    } else {
        &failure.source
    }
}

fn faults(plan: &Plan) -> String {
    let mut lines: Vec<String> = plan
        .faults
        .iter()
        .map(|fault| format!("<li><code>{}</code></li>", esc(&fault.to_string())))
        .collect();
    if let Some(drill) = &plan.drill {
        lines.push(format!(
            "<li><code>drill: {}</code></li>",
            esc(&drill.to_string())
        ));
    }
    if lines.is_empty() {
        return "<p class=\"muted\">No fault is needed.</p>\n".to_owned();
    }
    let many = lines.len() > FAULTS_SHOWN;
    let list = format!("<ol class=\"faults\">{}</ol>\n", lines.join(""));
    if many {
        folded(&format!("The {} faults", lines.len()), &list)
    } else {
        list
    }
}

pub(super) fn stories(report: &Report) -> String {
    let stories: Vec<String> = report
        .stories
        .iter()
        .map(|story| {
            let picture = figure(&story.timeline, "");
            let title = esc(&story.title);
            format!(
                "<article>\n<h3>{title}</h3>\n{picture}{}</article>\n",
                replay("Replay", &story.replay)
            )
        })
        .collect();
    stories.join("")
}
