use super::*;
use crate::judge::Failover;
use crate::plan::{Fault, Host, Op};
use crate::property::{Property, Violation};
use crate::report::sample::{HOSTILE, stories};
use crate::trace::{HostId, Keep, Kind, NOWHERE, Trace};

const MS: u64 = 1_000_000;

/// The primary m1 is killed at 1 s; m2 follows 20 ms later, and then something breaks.
fn small() -> (Plan, Run) {
    let hosts = ["m1", "m2", "s1", "c1"].map(str::to_owned).to_vec();
    let mut trace = Trace::new(Keep::Story, hosts);
    let mut add = |ms: u64, host: HostId, kind, a, b| {
        trace.add((ms * MS, host, kind), (a, b), 0, String::new);
    };
    add(100, 0, Kind::Acting, 1, 0);
    add(100, 0, Kind::Lease, 1, 2_100 * MS);
    add(400, 1, Kind::Cut, 2, 0);
    add(400, 2, Kind::Cut, 1, 0);
    add(600, 1, Kind::Healed, 2, 0);
    add(700, 1, Kind::Paused, 0, 0);
    add(800, 1, Kind::Resumed, 0, 0);
    add(900, 3, Kind::Asked, 1, 0);
    add(950, 3, Kind::Answered, 1, 200);
    add(990, 3, Kind::Asked, 2, 0);
    add(1_000, NOWHERE, Kind::FaultBegan, 4, 0);
    add(1_000, 0, Kind::Ended, 1, 0);
    add(1_020, 1, Kind::Acting, 2, 0);
    add(1_030, 3, Kind::Answered, 2, 502);
    let op = Op::Kill {
        host: Host::Primary,
        guard: true,
    };
    let plan = Plan {
        faults: vec![Fault {
            id: 4,
            at_ms: 0,
            lasts_ms: 500,
            op,
        }],
        ..Plan::default()
    };
    let run = Run {
        simulated: 1_200 * MS,
        trace,
        failovers: vec![Failover {
            cause: "kill".to_owned(),
            at: 1_000 * MS,
            took_us: 20_000,
            budget_us: 130_000,
        }],
        violation: Some(Violation::new(Property::Leaks, "", 1_100 * MS, "1 < 2")),
        ..Run::default()
    };
    (plan, run)
}

#[test]
fn a_small_run_has_a_small_picture() {
    let (plan, run) = small();
    let picture = timeline(&plan, &run);
    let (_, drawn) = picture.split_once("</style>").unwrap();
    let (drawn, _) = drawn.split_once("primary, epoch</text>").unwrap();
    let drawn = drawn.replace("><", ">\n<");
    let lines = drawn.lines();
    // Without the grid: a snapshot is read by people.
    let lines = lines.filter(|line| !line.contains("class=\"g\"") && !line.contains("class=\"m\""));
    let lines = lines.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(
        lines
            .replace("\n<title>", "<title>")
            .replace(">\n</", "></")
    );
}

#[test]
fn pictures_are_xml_with_whole_numbers() {
    for (plan, run) in [
        small(),
        stories::killed_primary(),
        stories::two_primaries(),
        stories::store_away(),
        stories::stormy(),
        (Plan::default(), Run::default()),
    ] {
        let picture = timeline(&plan, &run);
        let document = roxmltree::Document::parse(&picture).unwrap();
        assert_eq!(picture, timeline(&plan, &run));
        for node in document.descendants() {
            for name in ["x", "y", "width", "height", "cx", "cy", "r", "d"] {
                let value = node.attribute(name).unwrap_or_default();
                assert!(!value.contains('.'), "{name}={value}");
            }
            let edge = node.attribute("x").and_then(|x| x.parse::<u64>().ok());
            assert!(edge.unwrap_or(0) <= WHOLE_WIDTH, "{node:?}");
        }
    }
}

#[test]
fn hostile_words_stay_words() {
    let (plan, mut run) = small();
    run.violation = Some(Violation::new(Property::Leaks, HOSTILE, 5, HOSTILE));
    run.trace
        .add((9, 0, Kind::Log), (1, 0), 0, || HOSTILE.into());
    let picture = timeline(&plan, &run);
    let document = roxmltree::Document::parse(&picture).unwrap();
    let tags = document.descendants().map(|node| node.tag_name().name());
    let known = [
        "", "svg", "style", "rect", "title", "text", "path", "circle",
    ];
    for tag in tags {
        assert!(known.contains(&tag), "{tag}");
    }
    assert!(
        document
            .root_element()
            .attribute("aria-label")
            .unwrap()
            .contains("<script>")
    );
}

#[test]
fn thousands_of_answers_are_thinned_out() {
    let (plan, mut run) = small();
    for request in 10..50_010 {
        let at = 500 * MS + request * 9_000;
        run.trace
            .add((at, 3, Kind::Answered), (request, 503), 0, String::new);
    }
    let picture = timeline(&plan, &run);
    assert!(picture.len() < 150_000, "{} bytes", picture.len());
    assert!(picture.contains("refused, not carried out"));
}

#[test]
fn brackets_that_overlap_are_in_different_rows() {
    let bracket = |from: u64, to: u64| Bracket {
        span: Span {
            from: from * MS,
            to: to * MS,
        },
        label: "#1 cut".to_owned(),
        words: String::new(),
    };
    let all = [bracket(0, 500), bracket(100, 900), bracket(600, 700)];
    let view = View(Span {
        from: 0,
        to: 1_000 * MS,
    });
    let (placed, end) = stack(&all, view, 0);
    let rows: Vec<u64> = placed.iter().map(|(_, y)| y / ROW).collect();
    assert_eq!((rows, end / ROW), (vec![0, 1, 0], 2));
}
