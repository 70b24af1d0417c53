//! How long failovers took, against what they may take.

use super::parts::{Column, Row, Table, esc};
use crate::report::words::{count, millis, percent};
use crate::report::{Latency, Report};

/// Of a picture of a distribution.
const WIDTH: u64 = 150;
const HEIGHT: u64 = 34;

pub(super) fn section(report: &Report) -> String {
    if report.latency.is_empty() {
        return String::new();
    }
    let head = vec![
        ("after", Column::Text),
        ("tier", Column::Text),
        ("n", Column::Number),
        ("min", Column::Number),
        ("p50", Column::Number),
        ("p95", Column::Number),
        ("p99", Column::Number),
        ("max", Column::Number),
        ("budget", Column::Number),
        ("worst of budget", Column::Text),
        ("distribution, 0 to max", Column::Text),
    ];
    let table = Table {
        caption: "Failover in milliseconds of true time, from the fault to the next primary"
            .to_owned(),
        head,
        rows: report.latency.iter().map(row).collect(),
        filter: false,
    };
    let budget = "<p class=\"lead\">Every failover has its own budget, computed from the lease and the network of its run. \
                  The table shows the tightest budget; the share is that of the failover that came closest to its own.</p>\n";
    format!("{budget}{}", table.html())
}

fn row(line: &Latency) -> Row {
    let late = line.worst_of_budget_per_mille > 1_000;
    let fill = line.worst_of_budget_per_mille.min(1_000) / 10;
    let share = percent(line.worst_of_budget_per_mille);
    let level = match line.worst_of_budget_per_mille {
        0..=950 => "good",
        951..=1_000 => "warn",
        _ => "bad",
    };
    Row {
        class: if late { "bad" } else { "" },
        cells: vec![
            format!("<code>{}</code>", esc(&line.fault)),
            esc(&line.tier),
            count(line.count),
            millis(line.min_us),
            format!("<strong>{}</strong>", millis(line.p50_us)),
            millis(line.p95_us),
            millis(line.p99_us),
            millis(line.max_us),
            millis(line.budget_us),
            format!(
                "<span class=\"meter {level}\"><span style=\"width:{fill}%\"></span></span><span class=\"share\">{share}</span>"
            ),
            curve(line),
        ],
    }
}

/// The share of failovers that were over, by time.
fn curve(line: &Latency) -> String {
    let steps = line.curve_us.len().saturating_sub(1) as u64;
    if steps == 0 || line.max_us == 0 {
        return String::new();
    }
    let x = |micros: u64| micros.min(line.max_us) * WIDTH / line.max_us;
    let mut path = format!("M0 {HEIGHT}");
    for (index, micros) in (0..).zip(&line.curve_us) {
        let y = HEIGHT - index * HEIGHT / steps;
        path.push_str(&format!("H{}V{y}", x(*micros)));
    }
    let (half, late) = (x(line.p50_us), x(line.p99_us));
    format!(
        "<svg class=\"cdf\" viewBox=\"-2 -2 {} {}\" width=\"{}\" height=\"{}\" role=\"img\" aria-label=\"half within {} ms, 99 % \
         within {} ms, all within {} ms\"><path class=\"area\" d=\"{path}V{HEIGHT}Z\"/><path class=\"line\" d=\"{path}\"/>\
         <path class=\"base\" d=\"M0 {HEIGHT}H{WIDTH}\"/><path class=\"half\" d=\"M{half} 0V{HEIGHT}\"/><path class=\"late\" \
         d=\"M{late} 0V{HEIGHT}\"/></svg>",
        WIDTH + 4,
        HEIGHT + 4,
        WIDTH + 4,
        HEIGHT + 4,
        millis(line.p50_us),
        millis(line.p99_us),
        millis(line.max_us),
    )
}
