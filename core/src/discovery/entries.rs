//! Listings of engines: from a store's directory, a file or a fixed list.

use std::collections::BTreeSet;
use std::fmt;

use crate::address::{AddressError, HostPort};

/// Most engines one listing may have, ranges expanded.
pub const LISTING_MAX: usize = 65_536;

/// Most errors a listing keeps; the rest is counted.
const ERRORS_MAX: usize = 100;

/// Longest entry that is read, in bytes: a host name has at most 253, ranges add some.
const ENTRY_LEN_MAX: usize = 512;

/// How much of a bad entry an error shows, in characters.
const SHOWN_LEN_MAX: usize = 80;

/// What a directory or file lists. A malformed entry is reported and the others stay (defect D4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The engines, at most [`LISTING_MAX`]; what comes behind that is an error.
    pub entries: BTreeSet<HostPort>,
    /// What could not be read: the first hundred.
    pub errors: Vec<EntryError>,
    /// How many more errors there were.
    pub errors_omitted: usize,
}

/// One entry that is not an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryError {
    /// The entry, shortened and with control characters escaped.
    pub entry: String,
    /// The line of a file, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: EntryProblem,
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// It is not `host:port`.
    #[error("{0}")]
    Address(AddressError),
    /// A range such as `[9:1]`. Classic Swarm dropped it silently (defect D14).
    #[error("the range [{0}:{1}] ends before it starts")]
    Reversed(u64, u64),
    /// Its ranges give more engines than a listing may have.
    #[error("the listing has more than {LISTING_MAX} engines")]
    TooMany,
    /// Longer than any address.
    #[error("it is longer than {ENTRY_LEN_MAX} bytes")]
    TooLong,
}

impl std::error::Error for EntryError {}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        match &self.problem {
            // The address is part of its own message, and may be one of a range.
            EntryProblem::Address(error) => write!(f, "{error}"),
            EntryProblem::Reversed(..) | EntryProblem::TooMany | EntryProblem::TooLong => {
                write!(f, "entry \"{}\": {}", self.entry, self.problem)
            }
        }
    }
}

impl Listing {
    /// Reads entries, each `host:port` with any number of ranges; empty ones are skipped.
    #[must_use]
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut reader = Reader::default();
        for value in values {
            reader.add(value, None);
        }
        reader.listing
    }

    /// Reads a file: one entry a line, `#` starts a comment (spec/classic.md section 2.7).
    #[must_use]
    pub fn of_file(content: &str) -> Self {
        let mut reader = Reader::default();
        for (index, line) in content.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or("").trim();
            reader.add(entry, Some(index + 1));
        }
        reader.listing
    }
}

#[derive(Default)]
struct Reader {
    listing: Listing,
    /// Addresses read so far, duplicates included: what bounds the work for a hostile file.
    read: usize,
}

impl Reader {
    fn add(&mut self, value: &str, line: Option<usize>) {
        if value.is_empty() {
            return;
        }
        if let Err(problem) = self.expand(value) {
            self.report(value, line, problem);
        }
    }

    /// Adds all engines of an entry or none.
    fn expand(&mut self, value: &str) -> Result<(), EntryProblem> {
        if value.len() > ENTRY_LEN_MAX {
            return Err(EntryProblem::TooLong);
        }
        let pattern = Pattern::parse(value)?;
        let count = pattern.count();
        if count > LISTING_MAX - self.read {
            return Err(EntryProblem::TooMany);
        }
        self.read += count;
        let mut found = BTreeSet::new();
        pattern.each(&mut String::new(), &mut |text| {
            found.insert(text.parse().map_err(EntryProblem::Address)?);
            Ok(())
        })?;
        self.listing.entries.append(&mut found);
        Ok(())
    }

    fn report(&mut self, entry: &str, line: Option<usize>, problem: EntryProblem) {
        if self.listing.errors.len() >= ERRORS_MAX {
            self.listing.errors_omitted += 1;
            return;
        }
        let shown: String = entry.chars().take(SHOWN_LEN_MAX).collect();
        self.listing.errors.push(EntryError {
            entry: shown.escape_debug().to_string(),
            line,
            problem,
        });
    }
}

/// What is new in `new`, and what of `old` is gone.
#[must_use]
pub fn diff(
    old: &BTreeSet<HostPort>,
    new: &BTreeSet<HostPort>,
) -> (BTreeSet<HostPort>, BTreeSet<HostPort>) {
    (
        new.difference(old).cloned().collect(),
        old.difference(new).cloned().collect(),
    )
}

/// An entry cut at its first range: text before, the range, and the rest.
///
/// Classic Swarm took one range an entry; several are the product of all (defect D14). A bracket that holds anything
/// but two numbers, such as an IPv6 address, is text.
struct Pattern<'a> {
    text: &'a str,
    range: Option<(Range, Box<Self>)>,
}

struct Range {
    from: u64,
    to: u64,
    /// Numbers get zeroes in front up to this width, if one end was written that way.
    width: usize,
}

impl Range {
    fn count(&self) -> u64 {
        (self.to - self.from).saturating_add(1)
    }
}

impl<'a> Pattern<'a> {
    fn parse(entry: &'a str) -> Result<Self, EntryProblem> {
        for (open, _) in entry.match_indices('[') {
            let (before, after) = entry.split_at(open);
            let Some((inside, rest)) = after.get(1..).and_then(|after| after.split_once(']'))
            else {
                break;
            };
            if let Some(range) = range(inside)? {
                return Ok(Self {
                    text: before,
                    range: Some((range, Box::new(Self::parse(rest)?))),
                });
            }
        }
        Ok(Self {
            text: entry,
            range: None,
        })
    }

    fn count(&self) -> usize {
        self.range.as_ref().map_or(1, |(range, rest)| {
            usize::try_from(range.count())
                .unwrap_or(usize::MAX)
                .saturating_mul(rest.count())
        })
    }

    /// Calls `found` with each text, and stops at its first error.
    fn each<E>(
        &self,
        prefix: &mut String,
        found: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        prefix.push_str(self.text);
        let Some((range, rest)) = &self.range else {
            return found(prefix);
        };
        let start = prefix.len();
        for number in range.from..=range.to {
            prefix.push_str(&format!("{number:0width$}", width = range.width));
            rest.each(prefix, found)?;
            prefix.truncate(start);
        }
        Ok(())
    }
}

fn range(inside: &str) -> Result<Option<Range>, EntryProblem> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let Some((first, last)) = inside.split_once(':') else {
        return Ok(None);
    };
    let (Some(from), Some(to)) = (number(first), number(last)) else {
        return Ok(None);
    };
    if from > to {
        return Err(EntryProblem::Reversed(from, to));
    }
    let padded = [first, last]
        .iter()
        .any(|text| text.len() > 1 && text.starts_with('0'));
    let width = if padded {
        first.len().max(last.len())
    } else {
        0
    };
    Ok(Some(Range { from, to, width }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(listing: &Listing) -> Vec<String> {
        listing.entries.iter().map(ToString::to_string).collect()
    }

    fn expand(entry: &str) -> Vec<String> {
        let listing = Listing::of([entry]);
        assert_eq!(listing.errors, [], "{entry}");
        texts(&listing)
    }

    #[test]
    fn ranges_stand_anywhere_and_multiply() {
        assert_eq!(
            expand("10.0.0.[9:11]:2375"),
            ["10.0.0.10:2375", "10.0.0.11:2375", "10.0.0.9:2375"]
        );
        assert_eq!(
            expand("192.168.1.2:[2:3]375"),
            ["192.168.1.2:2375", "192.168.1.2:3375"]
        );
        assert_eq!(
            expand("r[1:2]n[3:4]:1"),
            ["r1n3:1", "r1n4:1", "r2n3:1", "r2n4:1"]
        );
        assert_eq!(expand("10.0.0.[10:200]:2375").len(), 191);
        assert_eq!(expand("h[5:5]:1"), ["h5:1"]);
    }

    #[test]
    fn leading_zeroes_are_kept() {
        assert_eq!(expand("n[08:10]:1"), ["n08:1", "n09:1", "n10:1"]);
        assert_eq!(expand("n[8:10]:1"), ["n10:1", "n8:1", "n9:1"]);
        assert_eq!(expand("n[0:1]:1"), ["n0:1", "n1:1"]);
        assert_eq!(expand("n[1:002]:1"), ["n001:1", "n002:1"]);
    }

    #[test]
    fn brackets_of_ipv6_addresses_are_not_ranges() {
        assert_eq!(expand("[2001:db8::3]:2375"), ["[2001:db8::3]:2375"]);
        assert_eq!(expand("[fe80::[1:2]]:1"), ["[fe80::1]:1", "[fe80::2]:1"]);
    }

    #[test]
    fn one_bad_entry_leaves_the_others() {
        let listing = Listing::of(["a:1", "", "b", "n[3:1]:1", "c:1", "n[1:70000]:1"]);
        assert_eq!(texts(&listing), ["a:1", "c:1"]);
        let errors: Vec<String> = listing.errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "missing port in address \"b\"",
                "entry \"n[3:1]:1\": the range [3:1] ends before it starts",
                "entry \"n[1:70000]:1\": the listing has more than 65536 engines"
            ]
        );
    }

    #[test]
    fn what_a_hostile_directory_costs_is_bounded() {
        let big = [
            "a[1:65536]:1",
            "b:1",
            "[0:18446744073709551615][0:18446744073709551615]x:1",
        ];
        let listing = Listing::of(big);
        assert_eq!(listing.entries.len(), LISTING_MAX);
        assert_eq!(listing.errors.len(), 2);

        let bad = vec!["x\u{1b}[31m"; 1_000];
        let listing = Listing::of(bad);
        assert_eq!(listing.errors.len(), ERRORS_MAX);
        assert_eq!(listing.errors_omitted, 900);
        assert!(!listing.errors[0].to_string().contains('\u{1b}'));

        let long = "x".repeat(100_000);
        let listing = Listing::of([long.as_str()]);
        assert_eq!(listing.errors[0].problem, EntryProblem::TooLong);
        assert!(listing.errors[0].to_string().len() < 200);
    }

    #[test]
    fn files_have_comments_blank_lines_and_line_numbers() {
        let listing = Listing::of_file(
            "\n# fleet\n  10.0.0.1:2375 # first\r\n\t\n10.0.0.[2:3]:2375\nbroken\n#10.0.0.9:1\n",
        );
        assert_eq!(
            texts(&listing),
            ["10.0.0.1:2375", "10.0.0.2:2375", "10.0.0.3:2375"]
        );
        assert_eq!(
            listing.errors[0].to_string(),
            "line 6: missing port in address \"broken\""
        );
        assert_eq!(listing.errors.len(), 1);
    }

    #[test]
    fn diff_names_what_came_and_what_went() {
        let set = |list: &str| Listing::of(list.split(',')).entries;
        assert_eq!(
            diff(&set("a:1,b:1"), &set("b:1,c:1")),
            (set("c:1"), set("a:1"))
        );
        assert_eq!(diff(&set(""), &set("")), (set(""), set("")));
    }

    proptest! {
        #[test]
        fn reading_never_panics(content in "([\\[\\]0-9a-c:,.# \n-]{0,20}\\PC{0,3}){0,6}") {
            let listing = Listing::of_file(&content);
            for engine in &listing.entries {
                prop_assert_eq!(Listing::of([engine.to_string().as_str()]).entries.len(), 1);
            }
        }

        #[test]
        fn a_range_gives_every_number_once(from in 0_u64..500, length in 0_u64..300) {
            let to = from + length;
            let found = Listing::of([format!("n[{from}:{to}]:1").as_str()]).entries;
            let expected: BTreeSet<HostPort> =
                (from..=to).map(|n| format!("n{n}:1").parse().unwrap()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
