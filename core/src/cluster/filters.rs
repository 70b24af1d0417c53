//! The `filters` of list queries.

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::LookupError;

/// Why a list cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// `filters` is not the JSON Docker defines.
    #[error(
        "invalid filters: {0}; a JSON object of names to values is needed, for instance {{\"label\":[\"a=b\"]}}"
    )]
    Malformed(String),
    /// A filter nobody knows: ignoring it would list too much.
    #[error("invalid filter '{0}'")]
    Unknown(String),
    /// A filter with a value it cannot have.
    #[error("invalid filter '{key}={value}'")]
    Value {
        /// The filter.
        key: String,
        /// Its value.
        value: String,
    },
    /// More patterns than are worth the time they take.
    #[error(
        "filter '{0}' has more than {COSTLY_MAX} regular expressions: give names in full, or ask several times"
    )]
    Patterns(String),
    /// A time that is not seconds since 1970.
    #[error(
        "invalid value for {key}: {value:?}; seconds since 1970 are needed, with an optional fraction"
    )]
    Time {
        /// The parameter.
        key: String,
        /// Its value.
        value: String,
    },
    /// A filter or parameter names a container that cannot be told.
    #[error(transparent)]
    Container(#[from] LookupError),
    /// A filter names an image that is not there.
    #[error("invalid filter '{key}={value}': no such image")]
    Image {
        /// The filter.
        key: String,
        /// Its value.
        value: String,
    },
}

impl QueryError {
    /// The HTTP status this is answered with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Container(LookupError::NotFound(_)) => 404,
            Self::Malformed(_)
            | Self::Unknown(_)
            | Self::Value { .. }
            | Self::Patterns(_)
            | Self::Time { .. }
            | Self::Container(LookupError::Ambiguous { .. })
            | Self::Image { .. } => 400,
        }
    }
}

/// Filter names with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Map(BTreeMap<String, bool>),
    List(Vec<String>),
}

impl Filters {
    /// Reads the `filters` parameter: an object of name to `{"value": true}`, or, as old clients send it, to
    /// `["value"]`. Empty text is no filter.
    ///
    /// # Errors
    /// [`QueryError::Malformed`] for anything else.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let read: Option<BTreeMap<String, Option<Values>>> =
            serde_json::from_str(text).map_err(|error| QueryError::Malformed(error.to_string()))?;
        let values = |values| match values {
            Some(Values::Map(map)) => map
                .into_iter()
                .filter_map(|(value, on)| on.then_some(value))
                .collect(),
            Some(Values::List(list)) => list.into_iter().collect(),
            None => BTreeSet::new(),
        };
        let filters = read.unwrap_or_default().into_iter();
        Ok(Self(filters.map(|(key, of)| (key, values(of))).collect()))
    }

    /// Refuses filters that are not among `known`.
    ///
    /// # Errors
    /// [`QueryError::Unknown`] with the first of them.
    pub fn check(&self, known: &[&str]) -> Result<(), QueryError> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(QueryError::Unknown(key.clone())),
            None => Ok(()),
        }
    }

    /// Whether there is a value for `key`.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|values| !values.is_empty())
    }

    /// Whether there are none: everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values for `key`.
    pub fn values<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// Passes when `key` is absent or one of its values is `source`.
    #[must_use]
    pub fn exact(&self, key: &str, source: &str) -> bool {
        !self.has(key) || self.values(key).any(|value| value == source)
    }

    /// Passes when `key` is absent or `source` contains one of its values.
    #[must_use]
    pub fn contains(&self, key: &str, source: &str) -> bool {
        !self.has(key) || self.values(key).any(|value| source.contains(value))
    }

    /// Passes when every `k` or `k=v` of `key` holds in `labels`.
    #[must_use]
    pub fn labels(&self, key: &str, labels: &BTreeMap<String, String>) -> bool {
        self.labels_by(key, |name| labels.get(name).map(String::as_str))
    }

    /// As [`Filters::labels`], of labels that `label` knows by name.
    pub fn labels_by<'a>(&self, key: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.values(key).all(|value| match value.split_once('=') {
            Some((name, wanted)) => label(name) == Some(wanted),
            None => label(value).is_some(),
        })
    }

    /// A yes/no filter; `None` when absent.
    ///
    /// # Errors
    /// [`QueryError::Value`] for anything that is not a boolean in Docker's sense, or both.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, QueryError> {
        let mut found = None;
        for value in self.values(key) {
            let flag = match value {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
                _ => None,
            };
            if flag.is_none() || found.is_some_and(|other| Some(other) != flag) {
                return Err(QueryError::Value {
                    key: key.to_owned(),
                    value: value.to_owned(),
                });
            }
            found = flag;
        }
        Ok(found)
    }

    /// The values of `key` as patterns.
    ///
    /// # Errors
    /// [`QueryError::Patterns`] when there are too many to compile: requests of a moment must not hold up others.
    pub fn patterns(&self, key: &str) -> Result<Patterns, QueryError> {
        let costly = |value: &&str| value.contains(['\\', '[', '(', '{', '|', '+', '*']);
        if self.values(key).filter(costly).count() > COSTLY_MAX {
            return Err(QueryError::Patterns(key.to_owned()));
        }
        Ok(Patterns(
            self.values(key)
                .map(|value| (value.to_owned(), compile(value)))
                .collect(),
        ))
    }
}

/// Most patterns of one filter that are more than text with anchors and dots.
const COSTLY_MAX: usize = 32;

/// What a compiled pattern may take, so that a hostile one costs little.
const PATTERN_BYTES_MAX: usize = 1 << 18;

fn compile(text: &str) -> Option<Regex> {
    RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build()
        .ok()
}

/// Values of which one must equal or, as an unanchored regular expression, match.
#[derive(Clone, Debug)]
pub struct Patterns(Vec<(String, Option<Regex>)>);

impl Patterns {
    /// Whether there are none: everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Passes when there are no patterns or one matches one of the `sources`.
    pub fn pass<'a>(&self, sources: impl IntoIterator<Item = &'a str>) -> bool {
        self.0.is_empty()
            || sources.into_iter().any(|source| {
                self.0.iter().any(|(text, regex)| {
                    text == source || regex.as_ref().is_some_and(|regex| regex.is_match(source))
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_of_filters_are_read() {
        let map = Filters::parse(r#"{"label":{"a=b":true,"c":true,"off":false},"x":{}}"#).unwrap();
        let list = Filters::parse(r#"{"label":["a=b","c"],"x":[]}"#).unwrap();
        assert_eq!(map, list);
        assert!(map.has("label") && !map.has("x"));
        assert_eq!(
            map.check(&["label"]),
            Err(QueryError::Unknown("x".to_owned()))
        );
        assert!(Filters::parse("").unwrap().check(&[]).is_ok());
        for text in ["[]", "{", r#"{"a":1}"#, r#"{"a":{"b":2}}"#] {
            assert_eq!(Filters::parse(text).unwrap_err().status(), 400, "{text}");
        }
    }

    #[test]
    fn patterns_are_equal_texts_or_regular_expressions() {
        let filters = Filters::parse(r#"{"name":["^a.c$","(x"]}"#).unwrap();
        let patterns = filters.patterns("name").unwrap();
        assert!(patterns.pass(["abc"]) && patterns.pass(["(x"]) && !patterns.pass(["abcd", "x"]));
        assert!(filters.patterns("other").unwrap().pass(["any"]));
    }

    #[test]
    fn patterns_that_take_long_to_compile_are_few() {
        let of = |form: &str, count: usize| {
            let values: Vec<_> = (0..count)
                .map(|number| form.replace('N', &number.to_string()))
                .collect();
            let filters = serde_json::json!({ "name": values }).to_string();
            Filters::parse(&filters).unwrap().patterns("name")
        };
        assert!(of("^/?web.N$", 1_000).is_ok_and(|patterns| patterns.pass(["/web-999"])));
        assert!(of(r"\w{9}N", COSTLY_MAX).is_ok());
        let error = of(r"\w{9}N", COSTLY_MAX + 1).unwrap_err();
        assert_eq!(error, QueryError::Patterns("name".to_owned()));
        assert_eq!(error.status(), 400);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,60}") {
            let _ = Filters::parse(&text);
            let _ = compile(&text);
        }

        #[test]
        fn filters_round_trip(keys in prop::collection::btree_map("[a-z]{1,4}", prop::collection::btree_set("\\PC{0,5}", 0..3), 0..3)) {
            let text = serde_json::to_string(&keys).unwrap();
            prop_assert_eq!(Filters::parse(&text).unwrap(), Filters(keys));
        }
    }
}
