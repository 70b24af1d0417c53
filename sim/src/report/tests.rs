use std::fs;

use roxmltree::{Document, Node};

use super::*;
use crate::property::Property;

fn scratch(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("swarm-report-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    dir
}

#[test]
fn a_report_reads_back_what_it_wrote() {
    for report in [sample::report(), sample::good(), sample::hostile()] {
        assert_eq!(Report::parse(&report.to_json().unwrap()).unwrap(), report);
    }
}

#[test]
fn reports_of_newer_versions_are_refused() {
    let newer = r#"{"version": 2, "something": "else"}"#;
    let error = Report::parse(newer).unwrap_err().to_string();
    assert_eq!(
        error,
        "the report has version 2, this program knows versions up to 1"
    );
    assert!(matches!(Report::parse("{}"), Err(ReportError::Json(_))));
}

#[test]
fn fields_that_came_later_may_be_absent() {
    let mut value = serde_json::to_value(sample::good()).unwrap();
    value.as_object_mut().unwrap().remove("coverage_gate");
    let report = Report::parse(&value.to_string()).unwrap();
    assert!(!report.coverage_gate);
}

#[test]
fn the_verdict_follows_the_gravest_failure() {
    let code = |report: &Report| report.verdict().exit_code;
    let good = sample::good();
    assert_eq!((code(&good), good.verdict().failed), (0, 0));
    assert_eq!(code(&sample::report()), 129);
    let with = |change: &dyn Fn(&mut Report)| {
        let mut report = sample::good();
        change(&mut report);
        report.verdict()
    };
    let unreached = with(&|report| {
        report.coverage.marks.insert("Held".to_owned(), 0);
    });
    assert_eq!((unreached.exit_code, unreached.failed), (131, 1));
    let ungated = with(&|report| {
        report.coverage_gate = false;
        report.coverage.marks.insert("Held".to_owned(), 0);
    });
    assert_eq!(ungated.exit_code, 0);
    let differs = with(&|report| report.determinism.mismatches.push("seed 7".to_owned()));
    assert_eq!(differs.exit_code, 130);
    let asleep = with(&|report| report.determinism.canary_caught = Some(false));
    assert_eq!(asleep.exit_code, 130);
    let silent = with(&|report| report.mutants[0].killed_after = None);
    assert_eq!(silent.exit_code, 131);
    let late = with(&|report| report.scenarios[0].failure = "1.000 s: liveness: x".to_owned());
    assert_eq!(late.exit_code, 128);
    let untold = with(&|report| report.batches[0].failed = 1);
    assert_eq!((untold.exit_code, untold.failed), (1, 1));
    assert_eq!(
        good.last_line(),
        format!("{} passed, 0 failed", good.verdict().passed)
    );
}

#[test]
fn what_nothing_checked_has_not_passed() {
    let mut report = sample::good();
    let before = report.verdict().passed;
    let line = report
        .properties
        .iter_mut()
        .find(|line| line.name == "liveness");
    let line = line.unwrap();
    (line.checked, line.checked_in) = (512, [("world".to_owned(), 512)].into());
    assert_eq!(report.verdict().passed, before - 1);
}

#[test]
fn a_failure_of_a_scenario_is_counted_once() {
    let failed = sample::report().verdict().failed;
    let mut report = sample::report();
    report.failures.retain(|failure| failure.source.is_empty());
    assert_eq!(report.verdict().failed, failed);
    report.failures[0].source = "scenario of another".to_owned();
    report.batches[0].failed = 0;
    assert_eq!(report.verdict().failed, failed - 1);
}

#[test]
fn an_empty_report_can_be_shown() {
    let report = Report::default();
    assert_eq!(report.last_line(), "0 passed, 0 failed");
    assert!(html::html(&report).contains("Nothing failed"));
    assert!(summary::summary(&report).starts_with("# Passed"));
    Document::parse(&junit::junit(&report)).unwrap();
}

fn named<'a>(document: &'a Document<'_>, tag: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    document
        .descendants()
        .filter(move |node| node.has_tag_name(tag))
}

#[test]
fn junit_counts_what_the_verdict_counts() {
    for report in [sample::report(), sample::good(), sample::hostile()] {
        let text = junit::junit(&report);
        let document = Document::parse(&text).unwrap();
        let all = named(&document, "testcase").count() as u64;
        let failed = named(&document, "failure").count() as u64;
        let skipped = named(&document, "skipped").count() as u64;
        let verdict = report.verdict();
        assert_eq!(
            (all - failed - skipped, failed),
            (verdict.passed, verdict.failed)
        );
        for suite in named(&document, "testsuite") {
            let cases = suite
                .children()
                .filter(|node| node.has_tag_name("testcase"));
            let tests: usize = suite.attribute("tests").unwrap().parse().unwrap();
            assert_eq!(cases.count(), tests);
        }
    }
}

#[test]
fn junit_tells_how_to_replay_a_failure() {
    let text = junit::junit(&sample::report());
    let document = Document::parse(&text).unwrap();
    let failure = named(&document, "failure").next().unwrap();
    let message = failure.attribute("message").unwrap();
    assert!(message.contains("both act"), "{message}");
    let case = failure.parent().unwrap();
    assert_eq!(case.attribute("name"), Some(Property::SinglePrimary.name()));
    let mut properties = case
        .descendants()
        .filter(|node| node.has_tag_name("property"));
    let replay = properties.find(|node| node.attribute("name") == Some("replay"));
    assert!(
        replay
            .unwrap()
            .attribute("value")
            .unwrap()
            .starts_with("swarm-sim replay")
    );
    let out = case.children().find(|node| node.has_tag_name("system-out"));
    assert!(out.unwrap().text().unwrap().contains("BROKEN"));
}

/// Attribute values and text of a page are escaped, so a tag of its own is one that this module wrote.
#[test]
fn hostile_texts_stay_texts_everywhere() {
    let report = sample::hostile();
    let page = html::html(&report);
    assert_eq!(page.matches("<script").count(), 1, "only the page's own");
    assert!(!page.contains("<img"));
    assert!(page.matches("&lt;script&gt;").count() > 50);
    assert!(!page.contains("owned'</script>"));
    let summary = summary::summary(&report);
    let outside: String = summary.split("```").step_by(2).collect();
    assert!(!outside.contains("<script") && !outside.contains("<img"));
    let text = junit::junit(&report);
    let document = Document::parse(&text).unwrap();
    assert!(named(&document, "script").next().is_none());
    assert!(text.contains("&lt;script&gt;"));
}

#[test]
fn the_page_asks_for_nothing_from_elsewhere() {
    let page = html::html(&sample::report());
    for reference in [
        "http://", "https://", "src=", "url(", "@import", "<link", "<iframe",
    ] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_directory_holds_every_form_and_no_old_failure() {
    let dir = scratch("forms");
    write::write(&sample::hostile(), &dir).unwrap();
    fs::create_dir_all(dir.join("failures/old")).unwrap();
    write::write(&sample::report(), &dir).unwrap();
    let text = fs::read_to_string(dir.join("report.json")).unwrap();
    assert_eq!(Report::parse(&text).unwrap(), sample::report());
    for file in [
        "junit.xml",
        "summary.md",
        "index.html",
        "failures/single-primary/plan.json",
        "failures/single-primary/plan.min.json",
        "failures/single-primary/timeline.svg",
        "failures/single-primary/slice.txt",
        "failures/single-primary/scenario.rs",
    ] {
        assert!(fs::metadata(dir.join(file)).unwrap().len() > 0, "{file}");
    }
    let plan = fs::read_to_string(dir.join("failures/single-primary/plan.min.json")).unwrap();
    assert_eq!(Plan::parse(&plan).unwrap().faults.len(), 3);
    let failures = fs::read_dir(dir.join("failures")).unwrap();
    assert_eq!(failures.count(), sample::report().failures.len());
    write::write(&sample::good(), &dir).unwrap();
    assert!(!dir.join("failures").exists());
    fs::remove_dir_all(&dir).unwrap();
}
