//! Numbers as people read them.

/// With commas between thousands.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with its noun, which gets an `s` unless there is one.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// Microseconds in milliseconds: a digit after the point below 100 ms.
#[must_use]
pub fn millis(micros: u64) -> String {
    if micros < 100_000 {
        format!("{}.{}", micros / 1_000, micros % 1_000 / 100)
    } else {
        count(micros / 1_000)
    }
}

/// Per mille as per cent, with a digit after the point.
#[must_use]
pub fn percent(per_mille: u64) -> String {
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

/// Milliseconds in the unit that suits them.
#[must_use]
pub fn lasting(ms: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", count(ms / unit), ms % unit * 10 / unit);
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", tenths(1_000)),
        120_000..7_200_000 => format!("{} min", tenths(60_000)),
        7_200_000..259_200_000 => format!("{} h", tenths(3_600_000)),
        _ => format!("{} days", tenths(86_400_000)),
    }
}

/// Several things as a list in words.
#[must_use]
pub fn list(mut things: Vec<String>) -> String {
    match (things.pop(), things.is_empty()) {
        (None, _) => String::new(),
        (Some(last), true) => last,
        (Some(last), false) => format!("{} and {last}", things.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "run"), "1 run");
        assert_eq!(counted(4_608, "run"), "4,608 runs");
        assert_eq!(millis(43_210), "43.2");
        assert_eq!(millis(2_343_210), "2,343");
        assert_eq!(percent(873), "87.3 %");
        assert_eq!(lasting(950), "950 ms");
        assert_eq!(lasting(90_500), "90.5 s");
        assert_eq!(lasting(90_000_000), "25.0 h");
        assert_eq!(lasting(864_000_000), "10.0 days");
        let things = |things: &[&str]| list(things.iter().map(|&one| one.to_owned()).collect());
        assert_eq!(things(&["a", "b", "c"]), "a, b and c");
        assert_eq!(things(&["a"]), "a");
    }
}
