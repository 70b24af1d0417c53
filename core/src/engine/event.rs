//! Events of an engine: reading them, reacting to them, and dressing them for subscribers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::json::{self, JsonError, Members, RawObject};
use crate::time::Wall;

/// One event as the engine sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `container`, `image`, `network`, `volume`, `daemon`, …
    pub kind: String,
    /// What happened, for instance `start` or `exec_create: sh -c true`.
    pub action: String,
    /// What it happened to: an ID or a name; empty for some.
    pub id: String,
    /// Attributes of what it happened to.
    pub attributes: BTreeMap<String, String>,
    /// When, on the engine's clock.
    pub time: Wall,
    /// The whole event as sent.
    pub raw: Arc<str>,
}

/// Why a line of an event stream is not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or not of the form of an event.
    #[error("event cannot be read: {0}")]
    Json(#[from] JsonError),
    /// Neither `Action` nor `status`.
    #[error("event says not what happened")]
    NoAction,
}

/// The engine an event comes from, as subscribers see it (spec/classic.md section 4.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Node {
    /// Host name.
    pub name: String,
    /// Daemon ID.
    pub id: String,
    /// Address as discovered.
    pub addr: String,
    /// Resolved address.
    pub ip: String,
}

/// What an event means for the view (spec/classic.md section 6.7, without its defect E15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing that is kept has changed.
    Nothing,
    /// Inspect this container.
    Container(Arc<str>),
    /// This container is gone.
    ContainerGone(Arc<str>),
    /// List all containers.
    Containers,
    /// List images.
    Images,
    /// Inspect this network, and the container that joined or left it: its addresses have changed.
    Network(Arc<str>, Option<Arc<str>>),
    /// This network is gone.
    NetworkGone(Arc<str>),
    /// List networks.
    Networks,
    /// Inspect this volume.
    Volume(Arc<str>),
    /// This volume is gone.
    VolumeGone(Arc<str>),
    /// List volumes.
    Volumes,
    /// Read the engine's specs.
    Specs,
}

impl Event {
    /// Reads one event of `GET /events`.
    ///
    /// # Errors
    /// [`EventError`] when `text` is not an event.
    pub fn parse(text: &str) -> Result<Self, EventError> {
        let members = RawObject::parse(text.as_bytes())?;
        let read = |name| members.read::<String>(name).map(Option::unwrap_or_default);
        let actor = match members.get("Actor") {
            Some(actor) => RawObject::parse(actor.get().as_bytes())?,
            None => RawObject::default(),
        };
        // The lower-case members are what engines before API 1.22 sent; newer ones repeat them for containers.
        let first = |a: String, b: String| if a.is_empty() { b } else { a };
        let action = first(read("Action")?, read("status")?);
        if action.is_empty() {
            return Err(EventError::NoAction);
        }
        let seconds = members.read::<i64>("time")?.unwrap_or(0);
        let nanos = members.read::<i64>("timeNano")?.unwrap_or(0);
        let positive = |number: i64| u64::try_from(number).unwrap_or(0);
        let time = match positive(nanos) {
            0 => positive(seconds).saturating_mul(1_000_000_000),
            nanos => nanos,
        };
        Ok(Self {
            kind: first(read("Type")?, "container".to_owned()),
            action,
            id: first(actor.read("ID")?.unwrap_or_default(), read("id")?),
            attributes: actor.read("Attributes")?.unwrap_or_default(),
            time: Wall(time),
            raw: text.trim().into(),
        })
    }

    /// The event of a manager about an engine, for instance `engine_connect`.
    #[must_use]
    pub fn of_manager(action: &str, now: Wall) -> Self {
        // Built from parts that need no escaping.
        let raw = format!(
            r#"{{"status":"{action}","from":"swarm","Type":"swarm","Action":"{action}","Actor":{{"ID":"","Attributes":{{}}}},"time":{},"timeNano":{}}}"#,
            now.seconds(),
            now.0
        );
        Self {
            kind: "swarm".to_owned(),
            action: action.to_owned(),
            id: String::new(),
            attributes: BTreeMap::new(),
            time: now,
            raw: raw.into(),
        }
    }

    /// The action without its argument: `exec_create` for `exec_create: sh -c true`.
    #[must_use]
    pub fn verb(&self) -> &str {
        self.action
            .split_once(':')
            .map_or(self.action.as_str(), |(verb, _)| verb)
    }

    /// The event with the engine it comes from, as subscribers get it (spec/classic.md section 4.8).
    ///
    /// # Errors
    /// Never for an event that was parsed.
    pub fn dressed(&self, node: &Node) -> Result<Self, EventError> {
        let mut members = RawObject::parse(self.raw.as_bytes())?;
        // What nobody relies on keeps no event from subscribers.
        let from: Option<String> = members.read("from").unwrap_or_default();
        let from = from.unwrap_or_default();
        let mut attributes = self.attributes.clone();
        for (key, value) in [
            ("node.name", &node.name),
            ("node.id", &node.id),
            ("node.addr", &node.addr),
            ("node.ip", &node.ip),
        ] {
            attributes.insert(key.to_owned(), value.clone());
        }
        let mut actor = match members.get("Actor") {
            Some(actor) => RawObject::parse(actor.get().as_bytes())?,
            None => RawObject::default(),
        };
        actor.set("Attributes", json::raw(&attributes)?);
        members.set("from", json::raw(&format!("{from} node:{}", node.name))?);
        members.set("Actor", actor.to_raw()?);
        members.set("node", json::raw(node)?);
        Ok(Self {
            attributes,
            raw: members.to_json().into(),
            ..self.clone()
        })
    }

    /// Tells a replayed event from a new one.
    pub(super) fn fingerprint(&self) -> u64 {
        json_hash(&self.raw)
    }
}

/// FNV-1a, the same everywhere.
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Fnv {
    const START: Self = Self(0xcbf2_9ce4_8422_2325);

    fn add(&mut self, text: &str) {
        self.0 = text.bytes().fold(self.0, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    }
}

fn json_hash(text: &str) -> u64 {
    let mut hash = Fnv::START;
    hash.add(text);
    hash.0
}

/// A hash of a container's list entry without the members that merely age or are computed on demand.
///
/// # Errors
/// When `entry` is not a JSON object.
pub fn entry_mark(entry: &RawValue) -> Result<u64, JsonError> {
    let mut hash = Fnv::START;
    for (name, value) in Members::parse(entry.get().as_bytes())?.iter() {
        match name {
            "Status" => hash.add(health_of(value)),
            "SizeRw" | "SizeRootFs" => {}
            // Docker lists these in the random order of a Go map.
            "Names" | "Ports" | "Mounts" => {
                let items: Option<Vec<&RawValue>> = serde_json::from_str(value.get())?;
                let mut items: Vec<_> = items.iter().flatten().map(|item| item.get()).collect();
                items.sort_unstable();
                for item in items {
                    hash.add(item);
                }
            }
            _ => hash.add(value.get()),
        }
        hash.add("\n");
    }
    Ok(hash.0)
}

/// What a status text says besides a duration: `Up 3 minutes (healthy)` is `(healthy)`, `Exited (1) …` is `(1)`.
fn health_of(status: &RawValue) -> &str {
    let text = status.get();
    match (text.find('('), text.rfind(')')) {
        (Some(from), Some(to)) => text.get(from..to).unwrap_or_default(),
        (_, _) => "",
    }
}

impl Reaction {
    /// The reaction to an event.
    #[must_use]
    pub fn to(event: &Event) -> Self {
        let id = || Arc::<str>::from(event.id.as_str());
        let named = !event.id.is_empty();
        match event.kind.as_str() {
            "container" => Self::to_container(event),
            "image" => match event.verb() {
                "push" | "save" => Self::Nothing,
                _ => Self::Images,
            },
            "network" => match event.verb() {
                "destroy" | "remove" if named => Self::NetworkGone(id()),
                _ if named => Self::Network(
                    id(),
                    event
                        .attributes
                        .get("container")
                        .filter(|container| !container.is_empty())
                        .map(|container| container.as_str().into()),
                ),
                _ => Self::Networks,
            },
            "volume" => match event.verb() {
                // Mounting changes nothing that a volume's record shows, and happens at every start.
                "mount" | "unmount" => Self::Nothing,
                "destroy" if named => Self::VolumeGone(id()),
                _ if named => Self::Volume(id()),
                _ => Self::Volumes,
            },
            "daemon" if event.verb() == "reload" => Self::Specs,
            _ => Self::Nothing,
        }
    }

    fn to_container(event: &Event) -> Self {
        match event.verb() {
            "commit" => Self::Images,
            "top" | "resize" | "export" | "attach" | "detach" | "extract-to-dir" | "copy"
            | "archive-path" | "exec_create" | "exec_start" | "exec_detach" | "exec_die" => {
                Self::Nothing
            }
            _ if event.id.is_empty() => Self::Containers,
            "destroy" => Self::ContainerGone(event.id.as_str().into()),
            _ => Self::Container(event.id.as_str().into()),
        }
    }
}
