//! Draws a run: who was what when, what went wrong, and what clients saw of it.
//!
//! The same run gives the same bytes: coordinates are whole numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::escape::escaped;
use super::timeline::{Answer, Bracket, Group, Lane, Picture, Span, Standing, Tie};
use crate::plan::Plan;
use crate::run::Run;

mod axis;
mod lane;

/// Where the plot begins and how wide it is.
const LEFT: u64 = 58;
const WIDTH: u64 = 1_000;
const WHOLE_WIDTH: u64 = LEFT + WIDTH + 22;
/// Of a row of brackets, and of a lane with and without its gap.
const ROW: u64 = 17;
const LANE: u64 = 32;
const BAR: u64 = 18;
/// Further faults share the last row.
const ROWS_MOST: usize = 24;
/// More of them make a picture black.
const TIES_MOST: usize = 160;
/// With more faults at once shading says nothing.
const SHADED_MOST: usize = 6;

/// The picture of a run, as an SVG that needs nothing else. The run must have kept its story ([`crate::trace::Keep`]).
#[must_use]
pub fn timeline(plan: &Plan, run: &Run) -> String {
    let picture = Picture::of(plan, run);
    let mut svg = Svg::default();
    let mut y = 8;
    let focus = picture.focus();
    y = panel(&mut svg, &picture, picture.whole, focus, y);
    if let Some(span) = focus {
        y += 14;
        y = panel(&mut svg, &picture, span, None, y);
    }
    legend(&mut svg, y + 6);
    let height = y + 30;
    let label = match &picture.violation {
        Some(flag) => format!("{}; broken: {}", picture.heading, flag.words),
        None => picture.heading.clone(),
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"tl\" viewBox=\"0 0 {WHOLE_WIDTH} {height}\" width=\"{WHOLE_WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{}\"><style>{}</style><rect class=\"bg\" width=\"{WHOLE_WIDTH}\" \
         height=\"{height}\"/>{}</svg>\n",
        escaped(&label),
        include_str!("svg.css").replace('\n', ""),
        svg.out
    )
}

/// What has been drawn so far.
#[derive(Default)]
struct Svg {
    out: String,
}

impl Svg {
    fn put(&mut self, args: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.out.write_fmt(args);
    }

    fn text(&mut self, class: &str, (x, y): (u64, u64), anchor: &str, text: &str) {
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>",
            escaped(text)
        ));
    }

    fn rect(&mut self, class: &str, (x, y): (u64, u64), (width, height): (u64, u64), title: &str) {
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"><title>{}</title></rect>",
            escaped(title)
        ));
    }

    fn path(&mut self, class: &str, d: &str, title: &str) {
        self.put(format_args!("<path class=\"{class}\" d=\"{d}\""));
        if title.is_empty() {
            self.put(format_args!("/>"));
        } else {
            self.put(format_args!("><title>{}</title></path>", escaped(title)));
        }
    }
}

/// The part of time that a panel shows.
#[derive(Clone, Copy)]
struct View(Span);

impl View {
    /// Where `at` is drawn; outside the view at its nearest edge.
    fn x(self, at: u64) -> u64 {
        let Self(Span { from, to }) = self;
        let inside = u128::from(at.clamp(from, to) - from);
        let width = u128::from(to - from).max(1);
        LEFT + u64::try_from(inside * u128::from(WIDTH) / width).unwrap_or(WIDTH)
    }

    fn shows(self, span: Span) -> bool {
        span.to >= self.0.from && span.from <= self.0.to
    }

    fn has(self, at: u64) -> bool {
        self.shows(Span { from: at, to: at })
    }
}

/// Nanoseconds as seconds with six digits, for tooltips.
fn seconds(at: u64) -> String {
    format!("{}.{:06} s", at / 1_000_000_000, at % 1_000_000_000 / 1_000)
}

fn during(span: Span) -> String {
    if span.from == span.to {
        seconds(span.from)
    } else {
        format!("{} to {}", seconds(span.from), seconds(span.to))
    }
}

/// About how wide `text` is.
fn width_of(text: &str) -> u64 {
    text.chars().count() as u64 * 7
}

/// `text`, cut so that it fits `width`.
fn fitting(text: &str, width: u64) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let most = usize::try_from(width / 7).unwrap_or(0);
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Draws one stretch of time and returns where the next thing may begin.
fn panel(svg: &mut Svg, picture: &Picture, span: Span, focus: Option<Span>, top: u64) -> u64 {
    let view = View(span);
    let mut y = top;
    let flag = picture.violation.as_ref().filter(|flag| view.has(flag.at));
    if flag.is_some() {
        y += ROW;
    }
    let (faults, after_faults) = stack(&picture.faults, view, y);
    let (failovers, lanes_from) = stack(&picture.failovers, view, after_faults);
    let lanes_to = lanes_from + 6 + picture.lanes.len() as u64 * LANE;
    axis::grid(svg, view, (lanes_from, lanes_to));
    if let Some(focus) = focus {
        let (from, to) = (view.x(focus.from), view.x(focus.to));
        let size = ((to - from).max(3), lanes_to - lanes_from);
        svg.rect("z", (from, lanes_from), size, "shown larger below");
    }
    if faults.len() <= SHADED_MOST {
        for (bracket, _) in &faults {
            let (from, to) = (view.x(bracket.span.from), view.x(bracket.span.to));
            let size = ((to - from).max(1), lanes_to - lanes_from);
            svg.rect("fz", (from, lanes_from), size, &bracket.words);
        }
    }
    let row = |index: usize| lanes_from + 6 + index as u64 * LANE;
    for (index, lane) in picture.lanes.iter().enumerate() {
        lane::draw(svg, view, lane, row(index));
    }
    ties(svg, view, picture, row);
    for (bracket, y) in &faults {
        draw_fault(svg, view, bracket, *y);
    }
    for (bracket, y) in &failovers {
        draw_failover(svg, view, bracket, *y, lanes_to);
    }
    if let Some(flag) = flag {
        let x = view.x(flag.at);
        let title = format!("{}: {}", seconds(flag.at), flag.words);
        svg.path("v", &format!("M{x} {}V{lanes_to}", top + 4), &title);
        let (x, anchor) = beside(x, &flag.words);
        let words = fitting(&flag.words, WIDTH);
        svg.text("vt n", (x, top + 12), anchor, &words);
    }
    lanes_to + 20
}

/// Where a text next to `x` begins or ends so that it stays inside the plot.
fn beside(x: u64, text: &str) -> (u64, &'static str) {
    if x + 6 + width_of(text) < LEFT + WIDTH {
        (x + 6, "start")
    } else if width_of(text) + 6 < x {
        (x - 6, "end")
    } else {
        (LEFT, "start")
    }
}

/// Gives each bracket in view the highest row in which nothing else is where it and its name are.
fn stack(all: &[Bracket], view: View, top: u64) -> (Vec<(&Bracket, u64)>, u64) {
    let mut taken: Vec<u64> = Vec::new();
    let mut placed = Vec::new();
    let mut brackets: Vec<&Bracket> = all.iter().filter(|one| view.shows(one.span)).collect();
    brackets.sort_by_key(|one| (one.span.from, one.span.to));
    for bracket in brackets {
        let (from, to) = (view.x(bracket.span.from), view.x(bracket.span.to));
        let (label, anchor) = label_place(from, to, &bracket.label);
        let (left, right) = if anchor == "end" {
            let left = label.saturating_sub(width_of(&bracket.label));
            (from.min(left), to.max(label))
        } else {
            (from.min(label), to.max(label + width_of(&bracket.label)))
        };
        let free = taken.iter().position(|&until| until < left);
        let row = free.unwrap_or(taken.len()).min(ROWS_MOST - 1);
        match taken.get_mut(row) {
            Some(until) => *until = right + 10,
            None => taken.push(right + 10),
        }
        placed.push((bracket, top + row as u64 * ROW));
    }
    (placed, top + taken.len() as u64 * ROW)
}

/// A bracket's name stands right of its beginning, or, where there is no room, left of it.
fn label_place(from: u64, to: u64, label: &str) -> (u64, &'static str) {
    let x = if to - from > width_of(label) + 12 {
        from + 6
    } else {
        to + 8
    };
    if x + width_of(label) <= LEFT + WIDTH + 20 {
        (x, "start")
    } else if from > width_of(label) + 10 {
        (from - 9, "end")
    } else {
        (from + 6, "start")
    }
}

fn draw_fault(svg: &mut Svg, view: View, bracket: &Bracket, y: u64) {
    let (from, to) = (view.x(bracket.span.from), view.x(bracket.span.to));
    let title = format!("{}, {}", bracket.words, during(bracket.span));
    let base = y + 14;
    let d = if bracket.span.from == bracket.span.to {
        format!(
            "M{} {}L{from} {base}L{} {}Z",
            from.saturating_sub(4),
            y + 6,
            from + 4,
            y + 6
        )
    } else {
        let begins = if view.has(bracket.span.from) { 5 } else { 0 };
        let ends = if view.has(bracket.span.to) { 5 } else { 0 };
        let to = to.max(from + 2);
        format!(
            "M{from} {base}v-{begins}H{to}v{ends}",
            base = base - 5 + begins
        )
    };
    svg.path("f", &d, &title);
    let inside = to - from > width_of(&bracket.label) + 12;
    let (x, anchor) = label_place(from, to, &bracket.label);
    let lift = if inside { 6 } else { 11 };
    svg.text("ft b", (x, y + lift), anchor, &bracket.label);
}

fn draw_failover(svg: &mut Svg, view: View, bracket: &Bracket, y: u64, lanes_to: u64) {
    let (from, to) = (view.x(bracket.span.from), view.x(bracket.span.to));
    let to = to.max(from + 1);
    let base = y + 10;
    let mut d = format!("M{from} {y}V{}M{from} {base}H{to}", y + 15);
    if to - from > 8 {
        let back = to - 5;
        // Writing to a string cannot fail.
        let _ = write!(d, "M{back} {}L{to} {base}L{back} {}", base - 4, base + 4);
    }
    let _ = write!(d, "M{to} {y}V{lanes_to}");
    svg.path(
        "a",
        &d,
        &format!("{}, {}", bracket.words, during(bracket.span)),
    );
    let (x, anchor) = label_place(from, to, &bracket.label);
    let lift = if x < to { 7 } else { 13 };
    svg.text("at b", (x, y + lift), anchor, &bracket.label);
}

/// Cut and healed links: one line for each place, from the uppermost to the lowest host concerned.
fn ties(svg: &mut Svg, view: View, picture: &Picture, row: impl Fn(usize) -> u64) {
    let mut places: BTreeMap<(bool, u64), Vec<&Tie>> = BTreeMap::new();
    for tie in picture.ties.iter().filter(|tie| view.has(tie.at)) {
        let place = places.entry((tie.cut, view.x(tie.at) / 3)).or_default();
        place.push(tie);
    }
    for ((cut, _), ties) in places.iter().take(TIES_MOST) {
        let (line, dot, what) = if *cut {
            ("c", "cd", "cut")
        } else {
            ("k", "kd", "healed")
        };
        let ends = || ties.iter().flat_map(|tie| [tie.from, tie.to]);
        let (Some(upper), Some(lower), Some(first)) = (ends().min(), ends().max(), ties.first())
        else {
            continue;
        };
        let x = view.x(first.at);
        let middle = |lane| row(lane) + BAR / 2;
        let links: BTreeSet<String> = ties.iter().map(|tie| link(picture, tie)).collect();
        let links: Vec<String> = links.into_iter().collect();
        let title = format!("{what} at {}: {}", seconds(first.at), links.join(", "));
        svg.path(
            line,
            &format!("M{x} {}V{}", middle(upper), middle(lower)),
            &title,
        );
        // One direction: only where nothing arrives any more.
        let deaf = |tie: &&Tie| [Some(tie.to), tie.both.then_some(tie.from)];
        let deaf: BTreeSet<usize> = ties.iter().flat_map(deaf).flatten().collect();
        for lane in deaf {
            svg.put(format_args!(
                "<circle class=\"{dot}\" cx=\"{x}\" cy=\"{}\" r=\"3\"/>",
                middle(lane)
            ));
        }
    }
}

fn link(picture: &Picture, tie: &Tie) -> String {
    let name = |lane: usize| {
        let lane = picture.lanes.get(lane);
        lane.map_or("", |lane| lane.name.as_str())
    };
    let arrow = if tie.both { "–" } else { "→" };
    format!("{}{arrow}{}", name(tie.from), name(tie.to))
}

fn legend(svg: &mut Svg, y: u64) {
    let mut x = LEFT;
    let mut entry = |svg: &mut Svg, draw: &dyn Fn(&mut Svg, u64), words: &str| {
        draw(svg, x);
        svg.text("m", (x + 24, y + 10), "start", words);
        x += 38 + width_of(words);
    };
    let bar = |class: &'static str, letter: &'static str, text: &'static str| {
        move |svg: &mut Svg, x: u64| {
            svg.put(format_args!(
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"18\" height=\"12\"/>"
            ));
            svg.text(text, (x + 9, y + 10), "middle", letter);
        }
    };
    let line = |class: &'static str, d: &'static str| {
        move |svg: &mut Svg, x: u64| svg.path(class, &format!("M{x} {}{d}", y + 6), "")
    };
    entry(svg, &bar("p", "P", "pt b"), "primary, epoch");
    entry(svg, &bar("r", "R", "rt b"), "replica");
    entry(
        svg,
        &|svg, x| {
            svg.put(format_args!(
                "<rect class=\"l\" x=\"{x}\" y=\"{}\" width=\"18\" height=\"4\"/>",
                y + 4
            ));
        },
        "lease",
    );
    entry(svg, &line("h", "m0 6l12 -12m-6 12l12 -12"), "paused");
    entry(svg, &line("d", "h18"), "down");
    entry(svg, &line("c", "m9 -6v12"), "cut");
    entry(svg, &line("k", "m9 -6v12"), "healed");
    entry(svg, &line("ok", "m9 -6v8"), "answered");
    entry(svg, &line("no", "m9 -2v8"), "refused");
    entry(svg, &line("un", "m9 -2v8"), "unknown");
    entry(svg, &line("w", "h18"), "waits");
}

#[cfg(test)]
mod tests;
