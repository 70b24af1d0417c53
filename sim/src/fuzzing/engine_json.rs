//! What an engine answers: descriptions of itself, its containers, images, networks and volumes, and its events.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use swarm_core::api::Query;
use swarm_core::cluster::{
    Cluster, Container, ContainerQuery, Engine, Image, Listing, Network, Specs, Texts, Volume,
    human,
};
use swarm_core::engine::{Event, Node, Reaction, entry_mark};
use swarm_core::json::RawObject;

use super::bytes::sections;
use super::fixture::{ENTRY, INSPECT, NOW, cluster, engine};

/// Whatever an engine answers, it is refused or the lists made of it are JSON. A second section of the input, behind a
/// line of `---`, is the second answer where two belong together.
///
/// # Panics
/// When that is not so.
pub fn engine_json(bytes: &[u8]) {
    let sections = sections(bytes);
    let first = sections.first().copied().unwrap_or_default();
    let second = sections.get(1).copied();
    let _ = Specs::parse(&engine(), first, second.unwrap_or(first), NOW);
    container(first, second.unwrap_or(INSPECT.as_bytes()));
    container(ENTRY.as_bytes(), first);
    objects(first);
    object(first);
    if let Ok(text) = std::str::from_utf8(first) {
        event(text);
        let _ = human::parse_time(text.trim());
    }
}

fn container(entry: &[u8], inspect: &[u8]) {
    let mut cluster = cluster().clone();
    let context = cluster.engine(&engine()).and_then(Engine::entry_context);
    let Some(context) = context else { return };
    let Ok(container) = Container::parse(entry, inspect, &context) else {
        return;
    };
    let id = container.id.to_string();
    let name = container.name().to_owned();
    assert!(cluster.upsert_container(&engine(), container).is_ok());
    assert!(cluster.container(&id).is_ok(), "{id:?} is not found");
    assert!(name.is_empty() || cluster.named(&name).next().is_some());
    let sizes = BTreeMap::from([(id, (1, i64::MIN))]);
    let all = ContainerQuery::parse(&Query::new("all=1"));
    let list = all.and_then(|all| cluster.listing(&all, NOW, sizes, &Texts::new(0)));
    json(list.map(Listing::whole).unwrap_or_default());
}

fn objects(list: &[u8]) {
    let mut cluster: Cluster = cluster().clone();
    let query = Query::default();
    if let Ok(images) = Image::parse_list(list) {
        assert!(cluster.replace_images(&engine(), images).is_ok());
        json(cluster.list_images(&query, None).unwrap_or_default());
    }
    if let Ok(networks) = Network::parse_list(list) {
        assert!(cluster.replace_networks(&engine(), networks).is_ok());
        json(cluster.list_networks(&query).unwrap_or_default());
    }
    if let Ok(volumes) = Volume::parse_list(list) {
        assert!(cluster.replace_volumes(&engine(), volumes).is_ok());
        json(cluster.list_volumes(&query).unwrap_or_default());
    }
    let _ = (Network::parse(list).is_ok(), Volume::parse(list).is_ok());
}

fn event(text: &str) {
    let Ok(event) = Event::parse(text) else {
        return;
    };
    let _ = Reaction::to(&event);
    let node = Node {
        name: "n\"1".to_owned(),
        ..Node::default()
    };
    let dressed = event.dressed(&node);
    assert!(dressed.is_ok(), "{text:?}: {dressed:?}");
    let Ok(dressed) = dressed else { return };
    json(&*dressed.raw);
    let again = Event::parse(&dressed.raw).map(|event| (event.kind, event.action, event.id));
    let before = (dressed.kind, dressed.action, dressed.id);
    assert_eq!(again.ok(), Some(before), "{text:?}");
}

/// Members that nobody looks at survive.
fn object(text: &[u8]) {
    let Ok(object) = RawObject::parse(text) else {
        return;
    };
    let printed = object.to_json();
    json(&printed);
    let again = RawObject::parse(printed.as_bytes()).map(|object| object.to_json());
    assert_eq!(again.ok(), Some(printed));
    if let Ok(raw) = object.to_raw() {
        let _ = entry_mark(&raw);
    }
}

/// By its grammar: numbers that no float holds, and halves of characters, came from the engine as they are.
fn json(text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    let read = serde_json::from_slice::<IgnoredAny>(text);
    assert!(read.is_ok(), "{}: {read:?}", String::from_utf8_lossy(text));
}
