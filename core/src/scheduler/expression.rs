//! Expressions by which users say where a container may go: `<key><op>[~]<value>` (spec/classic.md section 5.3).
//!
//! A value between slashes is a regular expression, found anywhere in the text it is compared with. Any other value is a
//! glob for the whole text, in which only `*` is special: classic Swarm's other metacharacters stayed active (defect S5).

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

/// Memory a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 18;

/// The longest expression that is read.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// One expression.
#[derive(Clone, Debug)]
pub struct Expression {
    /// What is compared, for instance `node` or the key of a label.
    pub key: String,
    /// Whether a match is wanted or unwanted.
    pub operator: Operator,
    /// Whether it is a wish only: an engine that does not fit is taken if there is no better one.
    pub soft: bool,
    value: String,
    /// One has to match.
    patterns: Vec<Pattern>,
}

/// How an expression compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `==`: something has to match.
    Equal,
    /// `!=`: nothing may match.
    NotEqual,
}

#[derive(Clone, Debug)]
enum Pattern {
    /// The pieces between the stars.
    Glob(Vec<String>),
    Regex(Regex),
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// Neither `==` nor `!=`.
    #[error("One of operator ==, != is expected")]
    Operator,
    /// Not a key.
    #[error("Key '{0}' is invalid")]
    Key(String),
    /// Not a value.
    #[error("Value '{0}' is invalid")]
    Value(String),
    /// The regular expression cannot be compiled.
    #[error("Value '{value}' is invalid: {reason}")]
    Regex {
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Longer than any sensible expression.
    #[error("an expression may not be longer than {TEXT_BYTES_MAX} bytes")]
    TooLong,
}

impl Expression {
    /// The value without the tilde of a soft expression.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether something that has all of `texts` meets the expression.
    pub fn holds<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let found = texts
            .into_iter()
            .any(|text| self.patterns.iter().any(|pattern| pattern.matches(text)));
        match self.operator {
            Operator::Equal => found,
            Operator::NotEqual => !found,
        }
    }

    /// Reads an expression whose value may name several things with `|`, of which one has to match (for `!=`: none
    /// may). A regular expression has its own `|` and stays whole.
    ///
    /// # Errors
    /// [`ExpressionError`] for what is none.
    pub fn parse_list(text: &str) -> Result<Self, ExpressionError> {
        let whole: Self = text.parse()?;
        let Some(Pattern::Glob(_)) = whole.patterns.first() else {
            return Ok(whole);
        };
        if whole.value.split('|').any(str::is_empty) {
            return Err(ExpressionError::Value(whole.value));
        }
        Ok(Self {
            patterns: whole.value.split('|').map(Pattern::glob).collect(),
            ..whole
        })
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ExpressionError::TooLong);
        }
        let (key, operator, value) = if let Some((key, value)) = text.split_once("==") {
            (key, Operator::Equal, value)
        } else if let Some((key, value)) = text.split_once("!=") {
            (key, Operator::NotEqual, value)
        } else {
            return Err(ExpressionError::Operator);
        };
        if !is_key(key) {
            return Err(ExpressionError::Key(key.to_owned()));
        }
        if !is_value(value) {
            return Err(ExpressionError::Value(value.to_owned()));
        }
        let (soft, bare) = match value.strip_prefix('~') {
            Some(bare) => (true, bare),
            None => (false, value),
        };
        Ok(Self {
            key: key.to_owned(),
            operator,
            soft,
            value: bare.to_owned(),
            patterns: vec![Pattern::new(bare)?],
        })
    }
}

/// `^[a-z_][a-z0-9\-_.]+$`, letters of either case.
fn is_key(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && text.len() > 1
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// `^[=!/]?~?[a-z0-9:\-_\s.*/()?+[\]\\^$|]+$`, letters of either case, and `@`: without it images could not be named by
/// their digest (spec/classic.md section 10.4, S5).
fn is_value(text: &str) -> bool {
    let rest = text.strip_prefix(['=', '!', '/']).unwrap_or(text);
    let rest = rest.strip_prefix('~').unwrap_or(rest);
    let rest = match rest {
        // The optional slash in front may itself be the value.
        "" => text,
        rest => rest,
    };
    !rest.is_empty()
        && rest.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || b":-_ \t\n\x0c\r.*/()?+[]\\^$|@".contains(&byte)
        })
}

impl Pattern {
    fn new(value: &str) -> Result<Self, ExpressionError> {
        let Some(rest) = value.strip_prefix('/') else {
            return Ok(Self::glob(value));
        };
        // A slash alone opens an expression and does not close it (defect S1).
        if rest.is_empty() {
            return Err(ExpressionError::Value(value.to_owned()));
        }
        let Some(regex) = rest.strip_suffix('/') else {
            return Ok(Self::glob(value));
        };
        RegexBuilder::new(regex)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX)
            .build()
            .map(Self::Regex)
            .map_err(|error| ExpressionError::Regex {
                value: value.to_owned(),
                reason: last_line(&error.to_string()),
            })
    }

    fn glob(value: &str) -> Self {
        Self::Glob(value.split('*').map(str::to_owned).collect())
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(text),
            Self::Glob(pieces) => glob_matches(pieces, text),
        }
    }
}

/// Whether `text` is the pieces in this order with anything in between.
fn glob_matches(pieces: &[String], text: &str) -> bool {
    match pieces {
        [] => text.is_empty(),
        [whole] => text == whole,
        [first, middle @ .., last] => {
            let Some(mut rest) = text.strip_prefix(first.as_str()) else {
                return false;
            };
            for piece in middle {
                match rest.split_once(piece.as_str()) {
                    Some((_, after)) => rest = after,
                    None => return false,
                }
            }
            rest.ends_with(last.as_str())
        }
    }
}

/// The regex crate draws a picture of the place first.
fn last_line(error: &str) -> String {
    let line = error.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
        })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let soft = if self.soft { "~" } else { "" };
        write!(f, "{}{}{soft}{}", self.key, self.operator, self.value)
    }
}

impl PartialEq for Expression {
    /// The patterns follow from the value.
    fn eq(&self, other: &Self) -> bool {
        let parts = |one: &Self| (one.operator, one.soft);
        parts(self) == parts(other) && self.key == other.key && self.value == other.value
    }
}

impl Eq for Expression {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Expression {
        text.parse().unwrap()
    }

    fn refused(text: &str) -> String {
        text.parse::<Expression>().unwrap_err().to_string()
    }

    #[test]
    fn golden_11_the_grammar() {
        let operator = "One of operator ==, != is expected";
        for (text, error) in [
            ("1node==n", "Key '1node' is invalid"),
            ("node ==n", "Key 'node ' is invalid"),
            ("no*de==n", "Key 'no*de' is invalid"),
            ("no$de==n", "Key 'no$de' is invalid"),
            ("n==node", "Key 'n' is invalid"),
            ("==node", "Key '' is invalid"),
            ("node!=a==b", "Key 'node!=a' is invalid"),
            ("node==", "Value '' is invalid"),
            ("node==~", "Value '~' is invalid"),
            ("node==~~n", "Value '~~n' is invalid"),
            ("node==~us~", "Value '~us~' is invalid"),
            ("node==a,b", "Value 'a,b' is invalid"),
            ("node==n{2}", "Value 'n{2}' is invalid"),
            ("node==\"n\"", "Value '\"n\"' is invalid"),
            ("node==é", "Value 'é' is invalid"),
            ("node", operator),
            ("node=n", operator),
            ("node=!n", operator),
            ("1node", operator),
        ] {
            assert_eq!(refused(text), error, "{text}");
        }
        for text in [
            "NoDe==n",
            "no.de==n",
            "_node==_n",
            "node==*n*",
            "node==/(?i)^[a-b]+c*(n|b)$/",
            "node==node 1",
            "node===n",
            "node==!n",
            "node==/~n/",
            "node!=~n",
            "image==alpine@sha256:0011",
        ] {
            assert_eq!(read(text).to_string(), text);
        }
    }

    #[test]
    fn a_value_that_cannot_be_evaluated_is_an_error_that_names_it() {
        // spec/classic.md section 10.4, S1 and S5
        assert_eq!(refused("node==/"), "Value '/' is invalid");
        assert_eq!(refused("node==~/"), "Value '/' is invalid");
        assert_eq!(
            refused("node==/[a/"),
            "Value '/[a/' is invalid: unclosed character class"
        );
        assert_eq!(
            refused("node==/a(?=b)/").split(':').next(),
            Some("Value '/a(?=b)/' is invalid")
        );
        let long = format!("node=={}", "a".repeat(5000));
        assert!(refused(&long).contains("may not be longer"));
    }

    #[test]
    fn only_the_star_of_a_glob_is_special() {
        // spec/classic.md section 10.4, S5
        for (value, text, hit) in [
            ("us", "us-east", false),
            ("us*", "us-east", true),
            ("*us*", "us", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("ab*ba", "aba", false),
            ("n.1", "nx1", false),
            ("n.1", "n.1", true),
            ("(a|b)+", "a", false),
            ("(a|b)+", "(a|b)+", true),
            ("ID|10.0.0.1:2375", "ID|10.0.0.1:2375", true),
            ("ID|10.0.0.1:2375", "ID", false),
            ("/n", "/n", true),
            ("//", "anything", true),
            ("/node\\d/", "my-node7", true),
            ("/^node\\d$/", "my-node7", false),
            ("/(?i)abcdef/", "aBcDeF", true),
        ] {
            let equal = read(&format!("key=={value}"));
            assert_eq!(equal.holds([text]), hit, "{value} against {text}");
            let unequal = read(&format!("key!={value}"));
            assert_eq!(unequal.holds([text]), !hit, "{value} against {text}");
        }
        assert!(!read("key==x").holds([]));
        assert!(read("key!=x").holds([]));
        assert!(read("key==b").holds(["a", "b"]));
        assert!(!read("key!=b").holds(["a", "b"]));
    }

    #[test]
    fn a_list_holds_by_any_of_its_parts() {
        let list = |text: &str| Expression::parse_list(text).unwrap();
        for (text, hit) in [("a", true), ("b1", true), ("c", false), ("a|b*", false)] {
            assert_eq!(list("node==a|b*").holds([text]), hit, "{text}");
            assert_eq!(list("node!=a|b*").holds([text]), !hit, "{text}");
        }
        assert!(list("node==/a|b/").holds(["xb"]));
        for text in ["node==a||b", "node==|a", "node==a|", "node==~|"] {
            assert!(Expression::parse_list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_hostile_regular_expression_costs_little() {
        let error = refused(&format!("node==/{}/", "(.*a?)+".repeat(500)));
        assert!(error.contains("exceeds size limit"), "{error}");
        let deep = format!("node==/{}a{}/", "(".repeat(1500), ")".repeat(1500));
        assert!(refused(&deep).contains("is invalid: "));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(text in "[a-z_][a-z._-]{0,3}(==|!=)~?[=!/]?[a-z0-9*/ |@.()\\[]{0,8}/?") {
            if let Ok(expression) = text.parse::<Expression>() {
                prop_assert_eq!(&expression.to_string(), &text);
                prop_assert_eq!(expression.to_string().parse::<Expression>(), Ok(expression));
            }
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,30}", key in "\\PC{0,4}", value in "\\PC{0,12}") {
            let _ = text.parse::<Expression>();
            for text in [format!("{key}=={value}"), format!("kk!=/{value}/"), format!("kk==~{value}")] {
                if let Ok(expression) = text.parse::<Expression>() {
                    let _ = expression.holds([value.as_str()]);
                    let _ = Expression::parse_list(&text);
                }
            }
        }

        #[test]
        fn a_glob_of_stars_and_the_text_itself_matches(text in "[a-z.+|()]{1,10}", at in 0usize..10) {
            let at = at.min(text.len());
            let starred = format!("{}*{}", &text[..at], &text[at..]);
            for value in [&text, &starred] {
                prop_assert!(read(&format!("key=={value}")).holds([text.as_str()]), "{}", value);
            }
        }
    }
}
