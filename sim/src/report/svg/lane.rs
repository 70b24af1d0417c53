//! One host's lane.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{
    Answer, BAR, Group, LEFT, Lane, Standing, Svg, View, WIDTH, during, seconds, width_of,
};
use crate::report::timeline::{Bar, Pause, Span};

/// Below this width a wait is not worth a line.
const WAIT_LEAST: u64 = 4;

pub(super) fn draw(svg: &mut Svg, view: View, lane: &Lane, y: u64) {
    svg.text("n", (LEFT - 10, y + 13), "end", &lane.name);
    if lane.group == Group::Client {
        client(svg, view, lane, y + BAR / 2);
    } else {
        for bar in lane.bars.iter().filter(|bar| view.shows(bar.span)) {
            draw_bar(svg, view, lane.group, bar, y);
        }
    }
    for lease in lane.leases.iter().filter(|one| view.shows(one.span)) {
        let (from, to) = (view.x(lease.span.from), view.x(lease.span.to));
        let title = format!("lease of epoch {}: {}", lease.epoch, during(lease.span));
        svg.rect("l", (from, y + BAR + 2), ((to - from).max(1), 3), &title);
    }
    for pause in lane.pauses.iter().filter(|one| view.shows(one.span)) {
        hatch(svg, view, pause, y);
    }
    if lane.group != Group::Client {
        for bar in lane.bars.iter().filter(|bar| view.shows(bar.span)) {
            label(svg, view, lane.group, bar, y);
        }
    }
    for note in lane.notes.iter().filter(|note| view.has(note.at)) {
        let class = if note.grave { "er" } else { "wn" };
        svg.put(format_args!(
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{y}\" r=\"3\"><title>{}</title></circle>",
            view.x(note.at),
            super::escaped(&format!("{}: {}", seconds(note.at), note.words))
        ));
    }
}

fn draw_bar(svg: &mut Svg, view: View, group: Group, bar: &Bar, y: u64) {
    let (from, to) = (view.x(bar.span.from), view.x(bar.span.to));
    let when = during(bar.span);
    let (class, what) = match bar.standing {
        Standing::Down(how) => return down(svg, (from, to), y, how, &when),
        Standing::Up => match group {
            Group::Manager => ("r", "replica".to_owned()),
            Group::Store => ("s", "up".to_owned()),
            Group::Engine => ("e", "up".to_owned()),
            Group::Guard | Group::Agent | Group::Client => ("r", "up".to_owned()),
        },
        Standing::Primary(epoch) => ("p", format!("primary, epoch {epoch}")),
    };
    let title = format!("{what}: {when}");
    svg.rect(class, (from, y), ((to - from).max(1), BAR), &title);
}

/// The letter of what a host is, for those to whom colours say nothing.
fn label(svg: &mut Svg, view: View, group: Group, bar: &Bar, y: u64) {
    let (from, to) = (view.x(bar.span.from), view.x(bar.span.to));
    let letter = match group {
        Group::Store => "S",
        Group::Manager => "R",
        Group::Guard => "G",
        Group::Engine => "E",
        Group::Agent => "A",
        Group::Client => "C",
    };
    let (class, words) = match bar.standing {
        Standing::Down(_) => return,
        Standing::Up => ("rt b", letter.to_owned()),
        Standing::Primary(epoch) => ("pt b", format!("P {epoch}")),
    };
    if to - from > width_of(&words) + 6 {
        svg.text(class, (from + 5, y + 13), "start", &words);
    }
}

fn down(svg: &mut Svg, (from, to): (u64, u64), y: u64, how: Option<u64>, when: &str) {
    let words = match how {
        None => "not started",
        Some(0) => "ended",
        Some(1) => "killed",
        Some(2) => "no power",
        Some(_) => "down",
    };
    let title = format!("{words}: {when}");
    let middle = y + BAR / 2;
    svg.path(
        "d",
        &format!("M{from} {middle}H{}", to.max(from + 1)),
        &title,
    );
    if to - from > width_of(words) + 16 {
        svg.text("m", (from + 8, middle - 3), "start", words);
    }
}

/// Slanted lines over the lane; crossed where the clock stands still too.
fn hatch(svg: &mut Svg, view: View, pause: &Pause, y: u64) {
    let (from, to) = (view.x(pause.span.from), view.x(pause.span.to));
    let to = to.max(from + 2);
    svg.put(format_args!(
        "<rect class=\"hp\" x=\"{from}\" y=\"{y}\" width=\"{}\" height=\"{BAR}\"/>",
        to - from
    ));
    let mut d = format!("M{from} {y}H{to}v{BAR}H{from}z");
    let mut left = from.saturating_sub(BAR);
    while left < to {
        // A line from the lower left to the upper right, cut at both ends.
        let (begin, end) = (left.max(from), (left + BAR).min(to));
        if begin < end {
            let rise = begin - left;
            // Writing to a string cannot fail.
            let _ = write!(
                d,
                "M{begin} {}L{end} {}",
                y + BAR - rise,
                y + BAR - (end - left)
            );
            if pause.clock_too {
                let _ = write!(d, "M{begin} {}L{end} {}", y + rise, y + (end - left));
            }
        }
        left += 7;
    }
    let what = if pause.clock_too {
        "stands still, with its clock"
    } else {
        "stands still"
    };
    svg.path("h", &d, &format!("{what}: {}", during(pause.span)));
}

/// Answers as ticks, at most one of each kind in a place; long waits as a line.
fn client(svg: &mut Svg, view: View, lane: &Lane, middle: u64) {
    svg.path("g", &format!("M{LEFT} {middle}h{WIDTH}"), "");
    let mut waits: Vec<(u64, u64)> = Vec::new();
    for wait in lane.waits.iter().filter(|wait| view.shows(**wait)) {
        let (from, to) = (view.x(wait.from), view.x(wait.to));
        if to - from < WAIT_LEAST || waits.last() == Some(&(from, to)) {
            continue;
        }
        waits.push((from, to));
        let took = (wait.to - wait.from) / 1_000_000;
        let title = format!("waits {took} ms: {}", during(*wait));
        svg.path("w", &format!("M{from} {middle}H{to}"), &title);
    }
    let mut places: BTreeMap<(Answer, u64), (u64, Span)> = BTreeMap::new();
    for tick in lane.ticks.iter().filter(|tick| view.has(tick.at)) {
        let first = Span {
            from: tick.at,
            to: tick.at,
        };
        let place = places
            .entry((tick.answer, view.x(tick.at) / 2 * 2))
            .or_insert((0, first));
        place.0 += 1;
        place.1.to = tick.at;
    }
    // Good answers are one path: there are many, and they say little.
    let mut good = String::new();
    for ((answer, x), (count, span)) in &places {
        let (class, what) = match answer {
            Answer::Ok => {
                let _ = write!(good, "M{x} {middle}v-8");
                continue;
            }
            Answer::Refused => ("no", "refused, not carried out"),
            Answer::Unknown => ("un", "outcome unknown"),
        };
        let title = format!("{count} {what}: {}", during(*span));
        svg.path(class, &format!("M{x} {middle}v8"), &title);
    }
    if !good.is_empty() {
        let total: u64 = places
            .iter()
            .filter(|((answer, _), _)| *answer == Answer::Ok)
            .map(|(_, (count, _))| count)
            .sum();
        svg.path(
            "ok",
            &good,
            &format!("{}: {total} answered here", lane.name),
        );
    }
}
