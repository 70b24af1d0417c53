//! The event log: what happened, when, and what a subscriber wants to see of it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use swarm_core::time::Wall;

use super::filters::Filters;
use super::refusal::Answer;

/// Events kept for `since`.
const KEPT: usize = 1_024;

/// What kind of object an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Container,
    Image,
    Network,
    Volume,
    Daemon,
}

/// One event.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at: Wall,
    pub(super) kind: Kind,
    pub(super) action: Cow<'static, str>,
    pub(super) id: Arc<str>,
    pub(super) attributes: Vec<(Cow<'static, str>, String)>,
}

/// The newest events in order; their times are distinct and rise, as on a real clock.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    first: u64,
    events: VecDeque<Arc<Event>>,
    last: Wall,
}

/// Which events a subscriber gets.
#[derive(Clone, Debug)]
pub(super) struct Selection(Filters);

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Daemon => "daemon",
        }
    }
}

impl Event {
    /// The wire form, one JSON object and a newline.
    pub(super) fn to_line(&self) -> Bytes {
        let mut object = Map::new();
        let status = Value::from(self.action.as_ref());
        // Engines keep these three for clients from before typed events.
        match self.kind {
            Kind::Container => {
                object.insert("status".into(), status);
                object.insert("id".into(), self.id.as_ref().into());
                object.insert("from".into(), self.attribute("image").into());
            }
            Kind::Image => {
                object.insert("status".into(), status);
                object.insert("id".into(), self.id.as_ref().into());
            }
            Kind::Network | Kind::Volume | Kind::Daemon => {}
        }
        let attributes: Map<String, Value> = self
            .attributes
            .iter()
            .map(|(key, value)| (key.to_string(), value.as_str().into()))
            .collect();
        object.insert("Type".into(), self.kind.name().into());
        object.insert("Action".into(), self.action.as_ref().into());
        object.insert(
            "Actor".into(),
            json!({"ID": self.id.as_ref(), "Attributes": attributes}),
        );
        object.insert("scope".into(), "local".into());
        object.insert("time".into(), self.at.seconds().into());
        object.insert("timeNano".into(), self.at.0.into());
        let mut line = Value::Object(object).to_string();
        line.push('\n');
        line.into()
    }

    fn attribute(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }
}

impl EventLog {
    pub(super) fn push(&mut self, mut event: Event) {
        event.at = event.at.max(Wall(self.last.0 + 1));
        self.last = event.at;
        if self.events.len() == KEPT {
            self.events.pop_front();
            self.first += 1;
        }
        self.events.push_back(Arc::new(event));
    }

    /// The position behind the newest event.
    pub(super) fn end(&self) -> u64 {
        self.first + u64::try_from(self.events.len()).unwrap_or(0)
    }

    /// The position of the first event at or after `since`.
    pub(super) fn position(&self, since: Wall) -> u64 {
        let before = self.events.partition_point(|event| event.at < since);
        self.first + u64::try_from(before).unwrap_or(0)
    }

    /// The event at `position`, moving it on.
    pub(super) fn read(&self, position: &mut u64) -> Option<Arc<Event>> {
        let at = (*position).max(self.first);
        let index = usize::try_from(at - self.first).unwrap_or(usize::MAX);
        let event = self.events.get(index)?;
        *position = at + 1;
        Some(Arc::clone(event))
    }

    #[cfg(test)]
    fn iter(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().map(AsRef::as_ref)
    }
}

impl Selection {
    /// The keys `docker events --filter` knows.
    const KEYS: [&'static str; 14] = [
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

    pub(super) fn parse(text: Option<&str>) -> Answer<Self> {
        Filters::parse(text, &Self::KEYS).map(Self)
    }

    pub(super) fn accepts(&self, event: &Event) -> bool {
        let filters = &self.0;
        // `exec_start: sh` answers to the filter `exec_start`.
        let action = event.action.split(':').next().unwrap_or_default();
        let objects = [
            ("container", Kind::Container),
            ("network", Kind::Network),
            ("volume", Kind::Volume),
            ("daemon", Kind::Daemon),
        ];
        filters.any("event", |v| v == event.action || v == action)
            && filters.any("type", |v| v == event.kind.name())
            && filters.any("scope", |v| v == "local")
            && filters.labels(|key| event.attribute(key))
            && (filters.any("image", |v| names_image(event, v)))
            && objects
                .iter()
                .all(|(key, kind)| filters.any(key, |v| names(event, *kind, v)))
            && ["config", "node", "plugin", "secret", "service"]
                .iter()
                .all(|key| !filters.has(key))
    }
}

fn names(event: &Event, kind: Kind, wanted: &str) -> bool {
    event.kind == kind
        && (event.id.starts_with(wanted)
            || event.attribute("name") == Some(wanted.trim_start_matches('/')))
}

fn names_image(event: &Event, wanted: &str) -> bool {
    let name = match event.kind {
        Kind::Image => event.attribute("name").unwrap_or(&event.id),
        Kind::Container => event.attribute("image").unwrap_or_default(),
        Kind::Network | Kind::Volume | Kind::Daemon => return false,
    };
    let bare = name.rsplit_once(':').map_or(name, |(bare, _)| bare);
    event.kind == Kind::Image && event.id.as_ref() == wanted || name == wanted || bare == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: u64, action: &'static str) -> Event {
        Event {
            at: Wall(at),
            kind: Kind::Container,
            action: action.into(),
            id: "c1".into(),
            attributes: vec![
                ("image".into(), "busybox:1".into()),
                ("name".into(), "web".into()),
            ],
        }
    }

    #[test]
    fn times_are_distinct_even_within_one_instant() {
        let mut log = EventLog::default();
        log.push(event(5, "create"));
        log.push(event(5, "start"));
        let times: Vec<u64> = log.iter().map(|event| event.at.0).collect();
        assert_eq!(times, [5, 6]);
        assert_eq!(log.position(Wall(6)), 1);
    }

    #[test]
    fn old_events_give_way() {
        let mut log = EventLog::default();
        for at in 0..2_000 {
            log.push(event(at + 1, "create"));
        }
        assert_eq!(log.iter().count(), KEPT);
        let mut position = 0;
        assert_eq!(log.read(&mut position).unwrap().at, Wall(2_000 - 1_024 + 1));
    }

    #[test]
    fn selections_follow_dockers_filters() {
        let start = event(1, "start");
        for (filter, accepted) in [
            (r#"{"event":["start"]}"#, true),
            (r#"{"event":["stop"]}"#, false),
            (r#"{"container":["web"]}"#, true),
            (r#"{"container":["c"]}"#, true),
            (r#"{"network":["web"]}"#, false),
            (r#"{"image":["busybox"]}"#, true),
            (r#"{"type":["image"]}"#, false),
            (r#"{"label":["name=web"]}"#, true),
        ] {
            let selection = Selection::parse(Some(filter)).unwrap();
            assert_eq!(selection.accepts(&start), accepted, "{filter}");
        }
    }

    #[test]
    fn the_wire_form_has_old_and_new_fields() {
        let line = event(1_500_000_000, "start").to_line();
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["status"], "start");
        assert_eq!(value["from"], "busybox:1");
        assert_eq!(value["Actor"]["Attributes"]["name"], "web");
        assert_eq!(
            (&value["time"], &value["timeNano"]),
            (&json!(1), &json!(1_500_000_000))
        );
    }
}
