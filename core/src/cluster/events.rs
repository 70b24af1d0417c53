//! What a client asks of `GET /events`.

use std::time::Duration;

use super::filters::{Filters, QueryError};
use super::image::Reference;
use crate::api::Query;
use crate::engine::Event;
use crate::json::RawObject;
use crate::time::Wall;

/// The query of `GET /events`: a span of time and filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Events from here on; `None` from now on.
    pub since: Option<Wall>,
    /// Events that managers heard of at most so long ago; for managers that resume a stream.
    pub heard_within: Option<Duration>,
    /// And events that were heard of around the one of this time, on its engine's clock.
    pub heard_around: Option<Wall>,
    /// The stream ends here; `None` for never.
    pub until: Option<Wall>,
    filters: Filters,
}

/// The filters of the Engine API, and `node`.
const KNOWN: [&str; 14] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// Filters that name an object: an event passes only if it is about one of that kind.
const OBJECTS: [&str; 8] = [
    "config",
    "container",
    "daemon",
    "network",
    "plugin",
    "secret",
    "service",
    "volume",
];

impl EventQuery {
    /// Reads the query. An absent, empty or zero time means none; `since` may also be a duration in seconds, `10.5s`,
    /// or `100.25/10.5s` with the time of an event before it.
    ///
    /// # Errors
    /// [`QueryError`] for a time that is not seconds with an optional fraction, or unusable filters.
    pub fn parse(query: &Query) -> Result<Self, QueryError> {
        let filters = Filters::parse(&query.value("filters").unwrap_or_default())?;
        filters.check(&KNOWN)?;
        let time = |key: &str| -> Result<Option<Wall>, QueryError> {
            let text = query.value(key).unwrap_or_default();
            if text.is_empty() {
                return Ok(None);
            }
            let time = parse_seconds(&text).ok_or_else(|| QueryError::Time {
                key: key.to_owned(),
                value: text,
            })?;
            Ok(Some(time).filter(|time| *time > Wall(0)))
        };
        let since = query.value("since").unwrap_or_default();
        let (around, within) = since.split_once('/').unwrap_or(("", &since));
        let heard_within = within.strip_suffix('s').and_then(parse_seconds);
        Ok(Self {
            since: match heard_within {
                Some(_) => None,
                None => time("since")?,
            },
            heard_around: heard_within.and_then(|_| parse_seconds(around)),
            heard_within: heard_within.map(|within| Duration::from_nanos(within.0)),
            until: time("until")?,
            filters,
        })
    }

    /// Whether the client wants this event, which carries its engine's attributes already. `clock_offset` is what
    /// the engine's clock is off by ([`Specs::clock_offset`](super::Specs::clock_offset)).
    #[must_use]
    pub fn wants(&self, event: &Event, clock_offset: i64) -> bool {
        let time = Wall(event.time.0.saturating_add_signed(clock_offset));
        let since = self.since.is_none_or(|since| time >= since);
        let until = self.until.is_none_or(|until| time <= until);
        since
            && until
            && self.wants_action(event)
            && self.filters.exact("type", &event.kind)
            && self.wants_scope(event)
            && self.filters.labels("label", &event.attributes)
            && self.wants_node(event)
            && self.wants_image(event)
            && OBJECTS.iter().all(|kind| self.wants_object(kind, event))
    }

    fn wants_scope(&self, event: &Event) -> bool {
        let scope = || {
            let members = RawObject::parse(event.raw.as_bytes()).ok()?;
            members.read::<String>("scope").ok().flatten()
        };
        !self.filters.has("scope") || self.filters.exact("scope", &scope().unwrap_or_default())
    }

    /// An action with an argument (`exec_create: sh`) is meant by its name too.
    fn wants_action(&self, event: &Event) -> bool {
        self.filters.exact("event", &event.action) || self.filters.exact("event", event.verb())
    }

    fn wants_node(&self, event: &Event) -> bool {
        let attribute = |key: &str| event.attributes.get(key).map_or("", String::as_str);
        self.filters.exact("node", attribute("node.name"))
            || self.filters.exact("node", attribute("node.id"))
    }

    fn wants_image(&self, event: &Event) -> bool {
        let attribute = match event.kind.as_str() {
            "image" => "name",
            _ => "image",
        };
        let name = event.attributes.get(attribute).map_or("", String::as_str);
        [event.id.as_str(), name].into_iter().any(|one| {
            self.filters.exact("image", one)
                || self.filters.exact("image", Reference::parse(one).name)
        })
    }

    /// By ID or name or the beginning of one, as the engine does; also `<engine>/<name>`.
    fn wants_object(&self, kind: &str, event: &Event) -> bool {
        if !self.filters.has(kind) {
            return true;
        }
        let attribute = |key: &str| event.attributes.get(key).map_or("", String::as_str);
        let (name, node) = (attribute("name"), attribute("node.name"));
        event.kind == kind
            && self.filters.values(kind).any(|value| {
                let value = super::bare(value);
                let qualified = value
                    .strip_prefix(node)
                    .and_then(|rest| rest.strip_prefix('/'));
                event.id.starts_with(value)
                    || name.starts_with(value)
                    || qualified.is_some_and(|rest| name.starts_with(rest))
            })
    }
}

/// Reads `1700000000` or `1700000000.000000005`.
fn parse_seconds(text: &str) -> Option<Wall> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) {
        return None;
    }
    let nanos = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let seconds: u64 = seconds.parse().ok()?;
    Some(Wall(
        seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Node;
    use proptest::prelude::*;
    use serde_json::json;

    fn query(pairs: &[(&str, &str)]) -> Result<EventQuery, QueryError> {
        let query = pairs.iter().fold(Query::default(), |query, (key, value)| {
            query.with(key, value)
        });
        EventQuery::parse(&query)
    }

    fn event() -> Event {
        let raw = json!({"status": "start", "id": "abc123", "from": "nginx:1", "Type": "container", "Action": "start",
            "Actor": {"ID": "abc123", "Attributes": {"image": "nginx:1", "name": "web", "tier": "front"}},
            "scope": "local", "time": 100, "timeNano": 100_500_000_000_u64});
        let node = Node {
            name: "node-1".to_owned(),
            id: "DAEMON1".to_owned(),
            ..Node::default()
        };
        Event::parse(&raw.to_string())
            .unwrap()
            .dressed(&node)
            .unwrap()
    }

    #[test]
    fn filters_mean_what_they_mean_to_an_engine() {
        for (filters, wanted) in [
            (json!({}), true),
            (json!({"event": ["start"]}), true),
            (json!({"event": ["stop", "start"]}), true),
            (json!({"event": ["star"]}), false),
            (json!({"type": ["container"]}), true),
            (json!({"type": ["image"]}), false),
            (json!({"container": ["web"]}), true),
            (json!({"container": ["abc"]}), true),
            (json!({"container": ["node-1/web"]}), true),
            (json!({"container": ["node-2/web"]}), false),
            (json!({"container": ["other"]}), false),
            (json!({"network": ["web"]}), false),
            (json!({"image": ["nginx"]}), true),
            (json!({"image": ["nginx:1"]}), true),
            (json!({"image": ["nginx:2"]}), false),
            (json!({"label": ["tier=front"]}), true),
            (json!({"label": ["tier=back"]}), false),
            (json!({"scope": ["local"]}), true),
            (json!({"scope": ["swarm"]}), false),
            (json!({"node": ["node-1"]}), true),
            (json!({"node": ["DAEMON1"]}), true),
            (json!({"node": ["node-2"]}), false),
        ] {
            let query = query(&[("filters", &filters.to_string())]).unwrap();
            assert_eq!(query.wants(&event(), 0), wanted, "{filters}");
        }
        assert_eq!(
            query(&[("filters", r#"{"colour":["red"]}"#)])
                .unwrap_err()
                .status(),
            400
        );
    }

    #[test]
    fn times_have_fractions_as_the_command_line_writes_them() {
        // spec/classic.md section 10.3, A10
        for (since, until, wanted) in [
            ("100", "101", true),
            ("100.500000000", "100.5", true),
            ("100.500000001", "", false),
            ("", "100.4", false),
            ("0", "0", true),
        ] {
            let query = query(&[("since", since), ("until", until)]).unwrap();
            assert_eq!(query.wants(&event(), 0), wanted, "{since} {until}");
        }
        let late = query(&[("since", "100"), ("until", "101")]).unwrap();
        assert!(!late.wants(&event(), 60_000_000_000));
        let resumed = query(&[("since", "10.5s")]).unwrap();
        assert_eq!(resumed.heard_within, Some(Duration::from_millis(10_500)));
        assert!(
            resumed.wants(&event(), 0),
            "when it happened does not matter"
        );
        assert_eq!(resumed.heard_around, None);
        let resumed = query(&[("since", "100.25/10.5s")]).unwrap();
        assert_eq!(resumed.heard_around, Some(Wall(100_250_000_000)));
        for text in [
            "x",
            "s",
            "100/",
            "100/10",
            "-1",
            "1.",
            ".5",
            "1e3",
            "1m",
            "99999999999999999999",
        ] {
            assert_eq!(
                query(&[("since", text)]).unwrap_err().status(),
                400,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn queries_never_panic(since in "\\PC{0,12}", filters in "\\PC{0,40}") {
            if let Ok(query) = query(&[("since", &since), ("filters", &filters)]) {
                let _ = query.wants(&event(), 0);
            }
        }
    }
}
