//! The query string.

use percent_encoding::percent_decode_str;

/// Parameters in the order they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of `key`.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// All values of `key`.
    pub(super) fn texts(&self, key: &str) -> Vec<&str> {
        let found = self.0.iter().filter(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// Docker's idea of a boolean: anything but nothing, 0, no, false and none is true.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.flag_or(key, false)
    }

    /// As [`Query::flag`], with another default.
    pub(super) fn flag_or(&self, key: &str, default: bool) -> bool {
        self.text(key).map_or(default, |value| {
            let value = value.trim().to_ascii_lowercase();
            !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
        })
    }

    /// A number, if it is there and is one.
    pub(super) fn number(&self, key: &str) -> Option<i64> {
        self.text(key)?.parse().ok()
    }
}

/// Decodes a part of a path, where `+` is itself.
pub(super) fn decode_path(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn decode(text: &str) -> String {
    decode_path(&text.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_decoded_and_flags_read_as_docker_does() {
        let query = Query::parse("all=1&name=a%20b+c&quiet&size=false&limit=-1");
        assert_eq!(query.text("name"), Some("a b c"));
        assert!(query.flag("all") && !query.flag("quiet") && !query.flag("size"));
        assert!(query.flag_or("absent", true));
        assert_eq!(query.number("limit"), Some(-1));
    }

    proptest! {
        #[test]
        fn any_query_is_read(text in "\\PC{0,60}") {
            let _ = Query::parse(&text);
        }
    }
}
