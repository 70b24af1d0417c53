//! The `filters` query parameter.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;

use super::refusal::{Answer, Refusal};

/// Parsed filters: every key has at least one value.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters(BTreeMap<String, Vec<String>>);

/// The values of one key, ready to be matched against many texts.
#[derive(Debug)]
pub(super) struct Matcher(Vec<(String, Option<Regex>)>);

/// Both forms in use: `{"key": {"value": true}}` and, from old clients, `{"key": ["value"]}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Map(BTreeMap<String, bool>),
    List(Vec<String>),
}

impl Filters {
    /// Reads the parameter; a key that is not in `known` is refused as the engine refuses it.
    pub(super) fn parse(text: Option<&str>, known: &[&str]) -> Answer<Self> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(Self::default());
        };
        let parsed: BTreeMap<String, Values> = serde_json::from_str(text)
            .map_err(|error| Refusal::bad(format!("invalid filter: {error}")))?;
        let mut filters = BTreeMap::new();
        for (key, values) in parsed {
            if !known.contains(&key.as_str()) {
                return Err(Refusal::bad(format!("invalid filter '{key}'")));
            }
            let values: Vec<String> = match values {
                Values::Map(map) => map.into_keys().collect(),
                Values::List(list) => list,
            };
            if !values.is_empty() {
                filters.insert(key, values);
            }
        }
        Ok(Self(filters))
    }

    /// The values of `key`, empty if it was not given.
    pub(super) fn values(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether `key` was given.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// True if `key` was not given or one of its values is accepted.
    pub(super) fn any(&self, key: &str, accept: impl Fn(&str) -> bool) -> bool {
        let values = self.values(key);
        values.is_empty() || values.iter().any(|value| accept(value))
    }

    /// True if every `key` or `key=value` under `label` is among `labels`.
    pub(super) fn labels<'a>(&self, find: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.values("label").iter().all(|wanted| {
            let (key, value) = match wanted.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (wanted.as_str(), None),
            };
            find(key).is_some_and(|found| value.is_none_or(|value| value == found))
        })
    }

    /// A yes or no under `key`, `None` if absent.
    pub(super) fn flag(&self, key: &str) -> Answer<Option<bool>> {
        match self.values(key) {
            [] => Ok(None),
            [value] if matches!(value.as_str(), "true" | "1" | "True") => Ok(Some(true)),
            [value] if matches!(value.as_str(), "false" | "0" | "False") => Ok(Some(false)),
            [value, ..] => Err(Refusal::bad(format!("invalid filter '{key}={value}'"))),
        }
    }

    /// The values of `key` as texts and regular expressions.
    pub(super) fn matcher(&self, key: &str) -> Matcher {
        let values = self.values(key).iter();
        Matcher(values.map(|v| (v.clone(), Regex::new(v).ok())).collect())
    }
}

impl Matcher {
    /// True without values, or if one equals `text` or matches it anywhere.
    pub(super) fn accepts(&self, text: &str) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|(value, regex)| {
                value == text || regex.as_ref().is_some_and(|regex| regex.is_match(text))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_wire_forms_are_read() {
        let map = Filters::parse(Some(r#"{"name":{"a":true}}"#), &["name"]).unwrap();
        let list = Filters::parse(Some(r#"{"name":["a"]}"#), &["name"]).unwrap();
        assert_eq!(map.values("name"), ["a"]);
        assert_eq!(list.values("name"), ["a"]);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let refusal = Filters::parse(Some(r#"{"node":["x"]}"#), &["name"]).unwrap_err();
        assert_eq!(refusal, Refusal::bad("invalid filter 'node'"));
    }

    #[test]
    fn names_match_as_expressions_and_labels_by_key_or_value() {
        let filters = Filters::parse(
            Some(r#"{"name":["^we.$","("],"label":["a","b=2"]}"#),
            &["name", "label"],
        )
        .unwrap();
        let names = filters.matcher("name");
        assert!(names.accepts("web") && names.accepts("(") && !names.accepts("webs"));
        let labels = BTreeMap::from([("a", "1"), ("b", "2")]);
        assert!(filters.labels(|key| labels.get(key).copied()));
        assert!(!filters.labels(|key| (key == "a").then_some("1")));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            let _ = Filters::parse(Some(&text), &["name"]);
        }
    }
}
