//! `index.html`: the report for people, as one page that needs nothing else.
//!
//! It is ordered by what a reader asks: did it pass, how fast is a failover, what failed and why, and how far is all
//! that to be trusted. It reads without JavaScript; a few lines of it filter long tables.

use super::Report;
use super::words::{count, lasting, list, millis};

mod coverage;
mod failures;
mod latency;
mod lists;
mod parts;

use parts::{esc, section};

/// Nothing may be fetched, whatever a text in the report holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The report as a self-contained page.
#[must_use]
pub fn html(report: &Report) -> String {
    let sections = sections(report);
    let nav: Vec<String> = sections
        .iter()
        .map(|part| {
            let class = if part.alarming {
                " class=\"alarm\""
            } else {
                ""
            };
            format!("<a href=\"#{}\"{class}>{}</a>", part.id, part.title)
        })
        .collect();
    let body: Vec<String> = sections.iter().map(section).collect();
    let verdict = report.verdict();
    let word = if verdict.is_good() {
        "Passed"
    } else {
        "Failed"
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"{POLICY}\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" \
         content=\"light dark\">\n<title>{word}: swarm testbed, {}</title>\n<style>\n{}</style>\n</head>\n<body>\n{}<nav \
         aria-label=\"Parts of the report\"><div class=\"wrap\">{}</div></nav>\n<main class=\"wrap\">\n{}</main>\n{}<script>\n{}</script>\n\
         </body>\n</html>\n",
        esc(&report.tool.profile),
        include_str!("page.css"),
        header(report),
        nav.join(""),
        body.join(""),
        footer(report),
        include_str!("page.js"),
    )
}

/// A part of the page.
struct Section {
    id: &'static str,
    title: &'static str,
    /// Something in it is wrong.
    alarming: bool,
    body: String,
}

fn sections(report: &Report) -> Vec<Section> {
    let part = |id, title, alarming, body| Section {
        id,
        title,
        alarming,
        body,
    };
    let missed = !report.marks_missed().is_empty();
    let broken = report.properties.iter().any(|line| line.violated > 0);
    let scenarios = report.scenarios.iter().any(|line| !line.failure.is_empty())
        || report.corpus.iter().any(|line| !line.failure.is_empty());
    let silent = report.mutants.iter().any(|one| one.killed_after.is_none());
    let determinism = &report.determinism;
    let differ = !determinism.mismatches.is_empty() || determinism.canary_caught == Some(false);
    let slow = report
        .latency
        .iter()
        .any(|line| line.worst_of_budget_per_mille > 1_000);
    let mut parts = vec![
        part("failover", "Failover", slow, latency::section(report)),
        part(
            "failures",
            "Failures",
            !report.failures.is_empty(),
            failures::section(report),
        ),
        part("promises", "Promises", broken, lists::promises(report)),
        part(
            "scenarios",
            "Scenarios",
            scenarios,
            lists::scenarios(report),
        ),
        part("coverage", "Coverage", missed, coverage::section(report)),
        part("yield", "Faults drawn", false, lists::families(report)),
        part("mutants", "Planted bugs", silent, lists::mutants(report)),
        part(
            "determinism",
            "Determinism",
            differ,
            lists::determinism(report),
        ),
        part("stories", "Stories", false, failures::stories(report)),
        part(
            "runs",
            "Runs and machine",
            false,
            lists::environment(report),
        ),
    ];
    parts.retain(|part| !part.body.is_empty());
    // What is wrong comes first; a stable sort keeps the rest.
    parts.sort_by_key(|part| part.id != "failures" || !part.alarming);
    parts
}

fn header(report: &Report) -> String {
    let verdict = report.verdict();
    let (class, word) = if verdict.is_good() {
        ("good", "Passed")
    } else {
        ("bad", "Failed")
    };
    let tool = &report.tool;
    let mut about = vec![format!("profile {}", esc(&tool.profile))];
    if !tool.version.is_empty() {
        about.push(format!("swarm {}", esc(&tool.version)));
    }
    if !tool.commit.is_empty() {
        let dirty = if tool.dirty { " with changes" } else { "" };
        let commit: String = tool.commit.chars().take(12).collect();
        about.push(format!("commit <code>{}</code>{dirty}", esc(&commit)));
    }
    let replay = match report.failures.iter().find(|one| !one.replay.is_empty()) {
        Some(failure) => parts::replay("Replay the first failure", &failure.replay),
        None => String::new(),
    };
    let code = verdict.exit_code;
    format!(
        "<header class=\"top {class}\"><div class=\"wrap\">\n<p class=\"kicker\">swarm testbed · {}</p>\n<h1><span \
         class=\"seal\">{word}</span> <span class=\"words\">{}.</span></h1>\n<p class=\"last\">{}, exit code {code}</p>\n{replay}{}</div></header>\n",
        about.join(" · "),
        esc(&sentence(&verdict.words)),
        report.last_line(),
        figures(report)
    )
}

/// With a capital letter, unless it begins with the name of a promise.
fn sentence(words: &str) -> String {
    let first = words.split(['.', ' ']).next().unwrap_or_default();
    let mut characters = words.chars();
    match characters.next() {
        Some(letter) if super::properties::named(first).is_none() => {
            letter.to_uppercase().chain(characters).collect()
        }
        _ => words.to_owned(),
    }
}

/// The numbers that tell how much was tried.
fn figures(report: &Report) -> String {
    let simulated: u64 = report.batches.iter().map(|batch| batch.simulated_ms).sum();
    let terms: u64 = report.batches.iter().map(|batch| batch.terms).sum();
    let asked: u64 = report.batches.iter().map(|batch| batch.answers.asked).sum();
    let mut figures = Vec::new();
    let mut add = |value: String, words: String| {
        figures.push(format!("<div><dd>{value}</dd><dt>{words}</dt></div>"));
    };
    if report.runs() > 0 {
        let tiers = report.batches.iter().map(|one| esc(&one.tier)).collect();
        add(
            count(report.runs()),
            format!("random runs in {}", list(tiers)),
        );
        add(lasting(simulated), "simulated".to_owned());
        add(count(terms), "primaries".to_owned());
        add(count(asked), "requests".to_owned());
    }
    let clean = report.latency.iter().filter(|line| line.count > 0);
    if let Some(best) = clean.min_by_key(|line| line.p50_us) {
        let words = format!("failover after {}, half of them", esc(&best.fault));
        add(format!("{} ms", millis(best.p50_us)), words);
    }
    let all = report.latency.iter();
    if let Some(worst) = all.max_by_key(|line| line.worst_of_budget_per_mille) {
        let share = super::words::percent(worst.worst_of_budget_per_mille);
        add(
            share,
            format!("of its budget at worst, after {}", esc(&worst.fault)),
        );
    }
    if figures.is_empty() {
        return String::new();
    }
    format!("<dl class=\"figures\">{}</dl>\n", figures.join(""))
}

fn footer(report: &Report) -> String {
    let written = &report.host.written;
    let when = if written.is_empty() {
        String::new()
    } else {
        format!("Written {}. ", esc(written))
    };
    format!(
        "<footer class=\"wrap\"><p>{when}The same facts for programs: <a href=\"report.json\">report.json</a>, <a \
         href=\"junit.xml\">junit.xml</a>, <a href=\"summary.md\">summary.md</a>.</p></footer>\n"
    )
}
