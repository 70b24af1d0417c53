//! Sizes as Docker's flags write them: `64m`, `64MiB`, `4096`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes with the grammar of `docker run --memory`: a whole number and a unit, which counts by 1,024
/// however it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Neither a number nor a number with a unit.
    #[error("{0:?} is not a size: write a whole number and a unit, such as 64KiB, 4MiB or 1GiB")]
    Invalid(String),
    /// More bytes than can be counted.
    #[error("{0:?} is too large")]
    TooLarge(String),
}

/// The letters of the units, the largest first, and how many bits they shift by.
const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl ByteSize {
    /// So many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || SizeError::Invalid(text.to_owned());
        let end = text
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let unit = unit.trim_start().to_ascii_uppercase();
        let shift = match unit.as_str() {
            "" | "B" => 0,
            unit => UNITS
                .iter()
                .find(|(letter, _)| {
                    let rest = unit.strip_prefix(*letter);
                    rest.is_some_and(|rest| ["", "B", "IB"].contains(&rest))
                })
                .map(|(_, shift)| *shift)
                .ok_or_else(invalid)?,
        };
        if digits.is_empty() {
            return Err(invalid());
        }
        digits
            .parse()
            .ok()
            .and_then(|number: u64| number.checked_mul(1 << shift))
            .map(Self)
            .ok_or_else(|| SizeError::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for ByteSize {
    /// In the largest unit of which it is a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |shift: &u32| self.0 > 0 && self.0.trailing_zeros() >= *shift;
        match UNITS.iter().find(|(_, shift)| whole(shift)) {
            Some((letter, shift)) => write!(f, "{}{letter}iB", self.0 >> shift),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<u64, String> {
        let size: Result<ByteSize, _> = text.parse();
        size.map(ByteSize::bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_are_written_as_for_docker() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512b", 512),
            ("64k", 64 << 10),
            ("64KiB", 64 << 10),
            ("64 kb", 64 << 10),
            ("4M", 4 << 20),
            ("1GiB", 1 << 30),
            ("2t", 2 << 40),
            ("16777215TiB", 16_777_215 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_told_how_to_write_one() {
        for text in ["", "MiB", "1.5M", "-1", "1X", "1MM", "1iB", "1 M B", "k1"] {
            let told = parse(text).unwrap_err();
            assert!(told.contains("such as 64KiB"), "{text}: {told}");
        }
        for text in ["16777216TiB", "18446744073709551616"] {
            assert!(parse(text).unwrap_err().contains("too large"), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_whole_unit() {
        for (bytes, text) in [
            (0, "0B"),
            (1_000, "1000B"),
            (1 << 10, "1KiB"),
            (1536 << 10, "1536KiB"),
            (64 << 20, "64MiB"),
            (1 << 42, "4TiB"),
        ] {
            assert_eq!(ByteSize::from_bytes(bytes).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn every_size_round_trips(bytes: u64) {
            let size = ByteSize::from_bytes(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn parsing_never_panics(text in "[0-9]{0,21} ?[kKmMgGtT]?[iI]?[bB]?\\PC{0,2}") {
            let _ = text.parse::<ByteSize>();
        }
    }
}
