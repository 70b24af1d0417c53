//! What was reached and what was not.

use std::collections::{BTreeMap, BTreeSet};

use super::parts::{esc, folded};
use crate::report::Report;
use crate::report::words::count;

/// Steps of shading, by powers of ten.
const SHADES: u32 = 5;

pub(super) fn section(report: &Report) -> String {
    let coverage = &report.coverage;
    let mut out = marks(report);
    if !coverage.matrix.is_empty() {
        let faults = split(&coverage.matrix);
        out.push_str("<h3>Which faults met whom</h3>\n");
        let caption = "How often a kind of fault (row) met a role in a standing (column)";
        out.push_str(&grid(caption, "fault", &faults));
    }
    if !coverage.edges.is_empty() {
        out.push_str("<h3>Machines</h3>\n");
        for (machine, edges) in machines(&coverage.edges) {
            let caption =
                format!("{machine}: how often it took an input (column) in a state (row)");
            let reached = edges.len();
            let title = format!("{}, {reached} edges", esc(&machine));
            out.push_str(&folded(&title, &grid(&caption, "state", &edges)));
        }
    }
    out
}

fn marks(report: &Report) -> String {
    let marks = &report.coverage.marks;
    if marks.is_empty() {
        return String::new();
    }
    let missed = report.marks_missed();
    let mut out = format!(
        "<p class=\"lead\">{} of {} marks were reached: places in the code that a good campaign comes by.</p>\n",
        marks.len() - missed.len(),
        marks.len()
    );
    if !missed.is_empty() {
        let names: Vec<String> = missed
            .iter()
            .map(|name| format!("<li>{}</li>", esc(name)))
            .collect();
        let gate = if report.coverage_gate {
            "which this profile counts as a failure"
        } else {
            "which this profile does not count as a failure"
        };
        out.push_str(&format!(
            "<div class=\"missed\"><p><strong>Never reached</strong>, {gate}:</p><ul class=\"marks\">{}</ul></div>\n",
            names.join("")
        ));
    }
    let reached: Vec<String> = marks
        .iter()
        .filter(|(_, times)| **times > 0)
        .map(|(name, times)| format!("<li>{} <span>{}</span></li>", esc(name), short(*times)))
        .collect();
    out.push_str(&format!("<ul class=\"marks\">{}</ul>\n", reached.join("")));
    out
}

type Cells = BTreeMap<(String, String), u64>;

/// `kill/primary/acting` is a cell in the row of `kill`.
fn split(matrix: &BTreeMap<String, u64>) -> Cells {
    let cell = |(name, times): (&String, &u64)| {
        let (row, column) = name.split_once('/').unwrap_or((name, ""));
        ((row.to_owned(), column.to_owned()), *times)
    };
    matrix.iter().map(cell).collect()
}

/// `election:acting/observed` is a cell of the machine `election`.
fn machines(edges: &BTreeMap<String, u64>) -> BTreeMap<String, Cells> {
    let mut machines: BTreeMap<String, Cells> = BTreeMap::new();
    for (name, times) in edges {
        let (machine, edge) = name.split_once(':').unwrap_or(("machine", name));
        let (row, column) = edge.split_once('/').unwrap_or((edge, ""));
        let cells = machines.entry(machine.to_owned()).or_default();
        cells.insert((row.to_owned(), column.to_owned()), *times);
    }
    machines
}

/// A table shaded by how often; cells without a number stand out as gaps.
fn grid(caption: &str, corner: &str, cells: &Cells) -> String {
    let rows: BTreeSet<&String> = cells.keys().map(|(row, _)| row).collect();
    let columns: BTreeSet<&String> = cells.keys().map(|(_, column)| column).collect();
    let head: Vec<String> = columns
        .iter()
        .map(|column| {
            let parts: Vec<String> = column.split('/').map(esc).collect();
            format!("<th scope=\"col\"><span>{}</span></th>", parts.join("<br>"))
        })
        .collect();
    let mut body = String::new();
    for row in rows {
        body.push_str(&format!("<tr><th scope=\"row\">{}</th>", esc(row)));
        for column in &columns {
            let times = cells
                .get(&(row.clone(), (*column).clone()))
                .copied()
                .unwrap_or(0);
            body.push_str(&cell(times));
        }
        body.push_str("</tr>\n");
    }
    let caption = esc(caption);
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table class=\"heat\"><caption><span>{caption}</span></caption>\
         <thead><tr><th scope=\"col\">{corner}</th>{}</tr></thead><tbody>\n{body}</tbody></table></div>\n",
        head.join("")
    )
}

fn cell(times: u64) -> String {
    if times == 0 {
        return "<td class=\"h0\"><span aria-label=\"never\">·</span></td>".to_owned();
    }
    let shade = (times.ilog10() + 1).min(SHADES);
    format!(
        "<td class=\"h{shade}\" title=\"{}\">{}</td>",
        count(times),
        short(times)
    )
}

/// At most four characters.
fn short(times: u64) -> String {
    match times {
        0..10_000 => times.to_string(),
        10_000..1_000_000 => format!("{}k", times / 1_000),
        _ => format!("{}M", times / 1_000_000),
    }
}
