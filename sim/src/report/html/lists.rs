//! Promises, scenarios, faults drawn, planted bugs, determinism, environment: mostly tables.

use std::collections::BTreeMap;

use super::parts::{Column, Row, Table, badge, code_block, esc, folded};
use crate::report::words::{count, counted, lasting, millis};
use crate::report::{Batch, MutantLine, Report, ScenarioLine};

use Column::{Number, Text};

/// Rows from which on a reader may want to search.
const FILTER_FROM: usize = 8;

pub(super) fn promises(report: &Report) -> String {
    if report.properties.is_empty() {
        return String::new();
    }
    let rows = report.properties.iter().map(|line| {
        let (class, state) = match (line.violated, line.checked) {
            (0, 0) => ("dim", badge("", "not checked")),
            (0, _) => ("", badge("good", "held")),
            (times, _) => (
                "bad",
                badge("bad", &format!("broken in {}", counted(times, "run"))),
            ),
        };
        Row {
            class,
            cells: vec![
                format!("<code>{}</code>", esc(&line.name)),
                state,
                esc(&line.words),
                esc(&line.kind),
                count(line.checked),
                in_tiers(&line.checked_in),
            ],
        }
    });
    let table = Table {
        caption: "What every run is held to".to_owned(),
        head: vec![
            ("promise", Text),
            ("", Text),
            ("in words", Text),
            ("kind", Text),
            ("runs checked", Number),
            ("by tier", Text),
        ],
        rows: rows.collect(),
        filter: false,
    };
    table.html()
}

fn in_tiers(checked: &BTreeMap<String, u64>) -> String {
    let tiers = checked.iter();
    let tiers: Vec<String> = tiers
        .map(|(tier, runs)| format!("{} {}", esc(tier), count(*runs)))
        .collect();
    tiers.join(", ")
}

pub(super) fn scenarios(report: &Report) -> String {
    let mut out = String::new();
    if !report.scenarios.is_empty() {
        let failed = report
            .scenarios
            .iter()
            .filter(|one| !one.failure.is_empty())
            .count();
        let passed = (report.scenarios.len() - failed) as u64;
        let failed = failed as u64;
        out.push_str(&format!(
            "<p class=\"lead\">{} went as told{}.</p>\n",
            counted(passed, "scenario"),
            if failed > 0 {
                format!(", {} did not", count(failed))
            } else {
                String::new()
            }
        ));
        let broken_first = |broken: bool| {
            let lines = report.scenarios.iter();
            lines
                .filter(move |line| line.failure.is_empty() != broken)
                .map(scenario)
        };
        let table = Table {
            caption: "Declared scenarios".to_owned(),
            head: vec![
                ("scenario", Text),
                ("", Text),
                ("story", Text),
                ("family", Text),
                ("failover, ms", Number),
                ("simulated", Number),
                ("hash", Text),
            ],
            rows: broken_first(true).chain(broken_first(false)).collect(),
            filter: report.scenarios.len() >= FILTER_FROM,
        };
        out.push_str(&table.html());
    }
    if !report.corpus.is_empty() {
        let rows = report.corpus.iter().map(|line| Row {
            class: if line.failure.is_empty() { "" } else { "bad" },
            cells: vec![
                format!("<code>{}</code>", esc(&line.file)),
                state(&line.failure),
                format!("{}{}", esc(&line.why), why(&line.failure)),
            ],
        });
        let table = Table {
            caption: "Former failures, run again".to_owned(),
            head: vec![("plan", Text), ("", Text), ("why it is kept", Text)],
            rows: rows.collect(),
            filter: report.corpus.len() >= FILTER_FROM,
        };
        out.push_str(&format!("<h3>Corpus</h3>\n{}", table.html()));
    }
    out
}

fn state(failure: &str) -> String {
    if failure.is_empty() {
        badge("good", "passed")
    } else {
        badge("bad", "failed")
    }
}

fn why(failure: &str) -> String {
    if failure.is_empty() {
        return String::new();
    }
    format!("<br><strong class=\"why\">{}</strong>", esc(failure))
}

fn scenario(line: &ScenarioLine) -> Row {
    let hash: String = line.hash.chars().take(8).collect();
    let mut story = format!("{}{}", esc(&line.story), why(&line.failure));
    if !line.failure.is_empty() && !line.replay.is_empty() {
        story.push_str(&format!("<br><code>{}</code>", esc(&line.replay)));
    }
    Row {
        class: if line.failure.is_empty() { "" } else { "bad" },
        cells: vec![
            format!("<code>{}</code>", esc(&line.name)),
            state(&line.failure),
            story,
            esc(&line.family),
            line.failover_us.map(millis).unwrap_or_default(),
            lasting(line.simulated_ms),
            format!("<code title=\"{}\">{}</code>", esc(&line.hash), esc(&hash)),
        ],
    }
}

pub(super) fn families(report: &Report) -> String {
    if report.families.is_empty() {
        return String::new();
    }
    let most = report
        .families
        .iter()
        .map(|line| line.runs)
        .max()
        .unwrap_or(0)
        .max(1);
    let rows = report.families.iter().map(|line| {
        let width = line.runs * 100 / most;
        let per_1000 = line.failed * 1_000 / line.runs.max(1);
        let rare = line.failed > 0 && per_1000 == 0;
        let per_1000 = if rare {
            "&lt; 1".to_owned()
        } else {
            count(per_1000)
        };
        Row {
            class: "",
            cells: vec![
                format!("<code>{}</code>", esc(&line.family)),
                format!("<span class=\"bar\"><span style=\"width:{width}%\"></span></span>"),
                count(line.runs),
                count(line.failed),
                per_1000,
            ],
        }
    });
    let table = Table {
        caption: "Each random run draws some families of faults and leaves others out".to_owned(),
        head: vec![
            ("family", Text),
            ("", Text),
            ("runs with it", Number),
            ("of them failed", Number),
            ("per 1,000", Number),
        ],
        rows: rows.collect(),
        filter: false,
    };
    table.html()
}

pub(super) fn mutants(report: &Report) -> String {
    if report.mutants.is_empty() {
        return String::new();
    }
    let silent = report
        .mutants
        .iter()
        .filter(|one| one.killed_after.is_none())
        .count();
    let noticed = report.mutants.len() - silent;
    let lead = format!(
        "<p class=\"lead\">{noticed} of {} bugs that were planted on purpose were noticed. What would not be noticed here would not be \
         noticed in earnest.</p>\n",
        report.mutants.len()
    );
    let by_fate = |survived: bool| {
        let lines = report.mutants.iter();
        lines
            .filter(move |one| one.killed_after.is_none() == survived)
            .map(mutant)
    };
    let table = Table {
        caption: "Planted bugs".to_owned(),
        head: vec![
            ("bug", Text),
            ("", Text),
            ("what it does", Text),
            ("tier", Text),
            ("after seeds", Number),
            ("noticed as", Text),
        ],
        rows: by_fate(true).chain(by_fate(false)).collect(),
        filter: report.mutants.len() >= FILTER_FROM,
    };
    format!("{lead}{}", table.html())
}

fn mutant(line: &MutantLine) -> Row {
    let (class, state, after) = match line.killed_after {
        Some(after) => (
            "",
            badge("good", "noticed"),
            format!("{} of {}", count(after), count(line.seeds_max)),
        ),
        None => (
            "bad",
            badge("bad", "unnoticed"),
            format!("all {}", count(line.seeds_max)),
        ),
    };
    Row {
        class,
        cells: vec![
            format!("<code>{}</code>", esc(&line.name)),
            state,
            esc(&line.words),
            esc(&line.tier),
            after,
            format!("<code>{}</code>", esc(&line.signature)),
        ],
    }
}

pub(super) fn determinism(report: &Report) -> String {
    let determinism = &report.determinism;
    let mut lines = Vec::new();
    if determinism.checked > 0 {
        let differ = determinism.mismatches.len() as u64;
        let words = counted(determinism.checked, "run");
        lines.push(if differ == 0 {
            format!(
                "{} {words} were repeated, and each was the same run again.",
                badge("good", "same")
            )
        } else {
            format!(
                "{} {words} were repeated, and {} differed.",
                badge("bad", "differs"),
                count(differ)
            )
        });
    }
    match determinism.canary_caught {
        Some(true) => lines.push(format!("{} Nondeterminism that was planted on purpose was noticed.", badge("good", "awake"))),
        Some(false) => lines.push(format!("{} Nondeterminism that was planted on purpose went unnoticed: the check proves nothing.", badge("bad", "asleep"))),
        None => {}
    }
    if !determinism.whole.is_empty() {
        lines.push(format!(
            "Everything together has the hash <code class=\"hash\">{}</code>.",
            esc(&determinism.whole)
        ));
    }
    if lines.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "<ul class=\"plain\"><li>{}</li></ul>\n",
        lines.join("</li><li>")
    );
    if !determinism.mismatches.is_empty() {
        out.push_str(&code_block(
            "Runs that differed",
            &determinism.mismatches.join("\n"),
        ));
    }
    out
}

pub(super) fn environment(report: &Report) -> String {
    let mut out = String::new();
    if !report.batches.is_empty() {
        out.push_str(&batches(report));
    }
    let (tool, host) = (&report.tool, &report.host);
    let mut rows: Vec<(String, String)> = vec![
        ("swarm".into(), esc(&tool.version)),
        ("commit".into(), esc(&tool.commit)),
        ("compiler".into(), esc(&tool.rustc)),
        ("target".into(), esc(&tool.target)),
        ("build".into(), esc(&tool.build)),
        ("took".into(), lasting(host.wall_ms)),
        ("threads".into(), count(host.jobs)),
    ];
    for (tier, speed) in &host.speed {
        rows.push((
            format!("{}: simulated seconds a second", esc(tier)),
            format!("{speed:.0}"),
        ));
    }
    for (tier, runs) in &host.runs_per_minute {
        rows.push((
            format!("{}: runs a minute and thread", esc(tier)),
            format!("{runs:.0}"),
        ));
    }
    rows.retain(|(_, value)| !value.is_empty());
    let rows: Vec<String> = rows
        .iter()
        .map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>"))
        .collect();
    let list = format!("<dl class=\"facts\">{}</dl>\n", rows.join(""));
    out.push_str(&folded("Machine, speed and versions", &list));
    out
}

fn batches(report: &Report) -> String {
    let row = |batch: &Batch| Row {
        class: if batch.failed > 0 { "bad" } else { "" },
        cells: vec![
            esc(&batch.tier),
            esc(&batch.seeds),
            count(batch.runs),
            count(batch.failed),
            lasting(batch.simulated_ms),
            count(batch.terms),
            count(batch.dispatched),
            count(batch.answers.asked),
            count(batch.answers.done),
            count(batch.answers.refused),
            count(batch.answers.unknown),
        ],
    };
    let table = Table {
        caption: "Random runs".to_owned(),
        head: vec![
            ("tier", Text),
            ("seeds", Text),
            ("runs", Number),
            ("failed", Number),
            ("simulated", Number),
            ("primaries", Number),
            ("changes sent", Number),
            ("requests", Number),
            ("done", Number),
            ("refused", Number),
            ("unknown", Number),
        ],
        rows: report.batches.iter().map(row).collect(),
        filter: false,
    };
    table.html()
}
