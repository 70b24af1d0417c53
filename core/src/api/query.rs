//! Query strings: passed through untouched, read and changed by key.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The query of a request without the `?`, as it came. Keys swarm does not know pass through.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Query(String);

impl Query {
    /// Takes the text after the `?`.
    #[must_use]
    pub fn new(raw: &str) -> Self {
        Self(raw.to_owned())
    }

    /// The text as it came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values in order, decoded (`+` is a space); what is not UTF-8 is replaced.
    pub fn pairs(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let pairs = self.0.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
    }

    /// The first value of `key`: an engine, too, reads the first.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<String> {
        self.pairs()
            .find_map(|(found, value)| (found == key).then_some(value))
    }

    /// A boolean as Docker reads it: false when absent, empty, `0`, `no`, `false` or `none`
    /// (spec/classic.md section 4.1).
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| {
            let value = value.trim().to_ascii_lowercase();
            !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
        })
    }

    /// The same query with one value for `key`, at its first place or at the end; other keys are left as they came.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Self {
        let pair = format!("{}={}", encode(key), encode(value));
        let mut out = Vec::new();
        let mut placed = false;
        for part in self.0.split('&').filter(|part| !part.is_empty()) {
            if decode(part.split_once('=').map_or(part, |(key, _)| key)) != key {
                out.push(part);
            } else if !placed {
                out.push(&pair);
                placed = true;
            }
        }
        if !placed {
            out.push(&pair);
        }
        Self(out.join("&"))
    }
}

fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
