//! The axis of time.

use super::{LEFT, Svg, View, WIDTH};

/// At most so many marks.
const MARKS_MOST: u64 = 12;

/// Lines across the lanes with their times below.
pub(super) fn grid(svg: &mut Svg, view: View, (top, bottom): (u64, u64)) {
    let span = view.0;
    let step = step(span.to - span.from);
    let mut at = span.from.div_ceil(step) * step;
    while at <= span.to {
        let x = view.x(at);
        svg.path("g", &format!("M{x} {top}V{bottom}"), "");
        // The unit stands at the end.
        if x + 30 < LEFT + WIDTH {
            svg.text("m", (x, bottom + 14), "middle", &time(at, step));
        }
        at += step;
    }
    svg.text("m", (LEFT + WIDTH, bottom + 14), "end", "s");
    svg.path("g", &format!("M{LEFT} {bottom}h{WIDTH}"), "");
}

/// A round number of nanoseconds that divides `length` into a readable number of parts.
fn step(length: u64) -> u64 {
    let mut power = 1_000;
    loop {
        for factor in [1, 2, 5] {
            let step = power * factor;
            if length / step <= MARKS_MOST || power >= 1_000_000_000_000 {
                return step;
            }
        }
        power *= 10;
    }
}

/// `at` in seconds, with as many digits as `step` needs.
fn time(at: u64, step: u64) -> String {
    let (whole, part) = (at / 1_000_000_000, at % 1_000_000_000);
    let digits = match step {
        0..1_000_000 => 6,
        1_000_000..1_000_000_000 => 3,
        _ => 0,
    };
    if digits == 0 {
        return whole.to_string();
    }
    let part = format!("{part:09}");
    let part = part.get(..digits).unwrap_or_default();
    let short = part.trim_end_matches('0');
    // All marks of an axis are equally long where they are short anyway.
    if short.len() <= 1 && step >= 100_000_000 {
        format!("{whole}.{}", part.get(..1).unwrap_or_default())
    } else {
        format!("{whole}.{part}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        let ms = 1_000_000;
        assert_eq!(step(30_000 * ms), 5_000 * ms);
        assert_eq!(step(600_000 * ms), 50_000 * ms);
        assert_eq!(step(140 * ms), 20 * ms);
        assert_eq!(time(1_500 * ms, 500 * ms), "1.5");
        assert_eq!(time(12_040 * ms, 20 * ms), "12.040");
        assert_eq!(time(12_000 * ms, 2_000 * ms), "12");
    }
}
