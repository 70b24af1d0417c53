//! `junit.xml`, for programs that show tests.

use std::fmt::Write as _;

use super::Report;
use super::cases::{Case, Suite, suites};
use super::escape::escaped;

/// The report as JUnit XML: a suite for each batch of random runs and each family of scenarios, and for the corpus, the
/// planted bugs and the testbed itself. Times are simulated, so that the same campaign gives the same file.
#[must_use]
pub fn junit(report: &Report) -> String {
    let suites = suites(report);
    let cases = suites.iter().flat_map(|suite| &suite.cases);
    let Numbers {
        tests, failures, ..
    } = numbers(cases);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"swarm-sim\" tests=\"{tests}\" failures=\"{failures}\">\n"
    );
    for suite in &suites {
        put_suite(&mut out, suite);
    }
    out.push_str("</testsuites>\n");
    out
}

#[derive(Default)]
struct Numbers {
    tests: u64,
    failures: u64,
    skipped: u64,
}

fn numbers<'a>(cases: impl Iterator<Item = &'a Case>) -> Numbers {
    cases.fold(Numbers::default(), |sum, case| Numbers {
        tests: sum.tests + 1,
        failures: sum.failures + u64::from(case.broken.is_some()),
        skipped: sum.skipped + u64::from(case.skipped),
    })
}

fn put_suite(out: &mut String, suite: &Suite) {
    let Numbers {
        tests,
        failures,
        skipped,
    } = numbers(suite.cases.iter());
    let name = escaped(&suite.name);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">"
    );
    for case in &suite.cases {
        put_case(out, &name, case);
    }
    out.push_str("  </testsuite>\n");
}

fn put_case(out: &mut String, suite: &str, case: &Case) {
    let (seconds, part) = (case.simulated_ms / 1_000, case.simulated_ms % 1_000);
    let name = escaped(&case.name);
    let _ = write!(
        out,
        "    <testcase classname=\"{suite}\" name=\"{name}\" time=\"{seconds}.{part:03}\""
    );
    if case.broken.is_none() && !case.skipped && case.properties.is_empty() && case.out.is_empty() {
        out.push_str("/>\n");
        return;
    }
    out.push_str(">\n");
    if !case.properties.is_empty() {
        out.push_str("      <properties>\n");
        for (name, value) in &case.properties {
            let value = escaped(value);
            let _ = writeln!(out, "        <property name=\"{name}\" value=\"{value}\"/>");
        }
        out.push_str("      </properties>\n");
    }
    if case.skipped {
        out.push_str("      <skipped message=\"no run checked it\"/>\n");
    }
    if let Some(broken) = &case.broken {
        let words = escaped(&broken.words);
        let _ = writeln!(
            out,
            "      <failure type=\"exit-{}\" message=\"{words}\">{words}</failure>",
            broken.code
        );
    }
    if !case.out.is_empty() {
        let lines: Vec<String> = case.out.iter().map(|line| escaped(line)).collect();
        let _ = writeln!(out, "      <system-out>{}</system-out>", lines.join("\n"));
    }
    out.push_str("    </testcase>\n");
}
