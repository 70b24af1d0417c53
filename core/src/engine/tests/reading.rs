//! Reading events and list entries.

use super::*;

fn event(kind: &str, action: &str, id: &str) -> Event {
    let text = format!(
        r#"{{"Type":"{kind}","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{"container":"c1"}}}},"time":7}}"#
    );
    Event::parse(&text).unwrap()
}

#[test]
fn reactions_follow_the_table() {
    // spec/classic.md section 6.7
    use Reaction as R;
    for (kind, action, reaction) in [
        ("container", "create", R::Container("x".into())),
        ("container", "die", R::Container("x".into())),
        (
            "container",
            "health_status: healthy",
            R::Container("x".into()),
        ),
        ("container", "destroy", R::ContainerGone("x".into())),
        ("container", "exec_create: sh -c true", R::Nothing),
        ("container", "exec_start: sh", R::Nothing),
        ("container", "top", R::Nothing),
        ("container", "commit", R::Images),
        ("image", "pull", R::Images),
        ("image", "push", R::Nothing),
        (
            "network",
            "connect",
            R::Network("x".into(), Some("c1".into())),
        ),
        ("network", "destroy", R::NetworkGone("x".into())),
        ("volume", "create", R::Volume("x".into())),
        ("volume", "mount", R::Nothing),
        ("volume", "destroy", R::VolumeGone("x".into())),
        ("daemon", "reload", R::Specs),
        ("daemon", "shutdown", R::Nothing),
        ("plugin", "enable", R::Nothing),
    ] {
        assert_eq!(
            R::to(&event(kind, action, "x")),
            reaction,
            "{kind} {action}"
        );
    }
    assert_eq!(R::to(&event("container", "prune", "")), R::Containers);
    assert_eq!(R::to(&event("network", "prune", "")), R::Networks);
    assert_eq!(R::to(&event("volume", "prune", "")), R::Volumes);
}

#[test]
fn dressed_events_name_their_engine_and_keep_the_rest() {
    let text = r#"{"status":"start","id":"c1","from":"alpine","Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"name":"a"},"New":[1, 2]},"scope":"local","time":5,"timeNano":5000000001,"later":true}"#;
    let node = Node {
        name: "node-1".to_owned(),
        id: "ABCD".to_owned(),
        addr: "10.0.0.1:2375".to_owned(),
        ip: "10.0.0.1".to_owned(),
    };
    let dressed = Event::parse(text).unwrap().dressed(&node).unwrap();
    assert_eq!(
        &*dressed.raw,
        r#"{"status":"start","id":"c1","from":"alpine node:node-1","Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"name":"a","node.addr":"10.0.0.1:2375","node.id":"ABCD","node.ip":"10.0.0.1","node.name":"node-1"},"New":[1, 2]},"scope":"local","time":5,"timeNano":5000000001,"later":true,"node":{"Name":"node-1","Id":"ABCD","Addr":"10.0.0.1:2375","Ip":"10.0.0.1"}}"#
    );
    let connect = Event::of_manager("engine_connect", Wall(5_000_000_001));
    let dressed = connect.dressed(&node).unwrap();
    let again = Event::parse(&dressed.raw).unwrap();
    assert_eq!(
        (again.kind.as_str(), again.action.as_str()),
        ("swarm", "engine_connect")
    );
    assert!(dressed.raw.contains(r#""from":"swarm node:node-1""#));
}

#[test]
fn an_event_whose_origin_is_no_text_reaches_subscribers() {
    let event = Event::parse(r#"{"Type":"container","Action":"start","from":-1}"#).unwrap();
    let dressed = event.dressed(&Node::default()).unwrap();
    assert!(
        dressed.raw.contains(r#""from":" node:""#),
        "{}",
        dressed.raw
    );
}

#[test]
fn a_mark_changes_with_the_container_and_not_with_its_age() {
    let mark = |text: &str| {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        entry_mark(&raw).unwrap()
    };
    let first =
        mark(r#"{"Id":"a","Ports":[{"PrivatePort":1},{"PrivatePort":2}],"Status":"Up 2 minutes"}"#);
    let older =
        mark(r#"{"Id":"a","Ports":[{"PrivatePort":2},{"PrivatePort":1}],"Status":"Up 9 hours"}"#);
    let sick = mark(
        r#"{"Id":"a","Ports":[{"PrivatePort":1},{"PrivatePort":2}],"Status":"Up 2 minutes (unhealthy)"}"#,
    );
    assert_eq!(first, older);
    assert_ne!(first, sick);
}

proptest! {
    #[test]
    fn reading_never_panics(text in "\\PC{0,80}") {
        let _ = Event::parse(&text);
        if let Ok(raw) = RawValue::from_string(text) {
            let _ = entry_mark(&raw);
        }
    }

    #[test]
    fn what_is_read_can_be_dressed(kind in "[a-z]{1,9}", action in "[a-z_: ]{1,12}", key in "\\PC{0,9}") {
        let text = serde_json::json!({
            "Type": kind, "Action": action, "Actor": {"ID": key, "Attributes": {&*key: key}}, "timeNano": 3
        });
        let event = Event::parse(&text.to_string()).unwrap();
        let dressed = event.dressed(&Node::default()).unwrap();
        let again = Event::parse(&dressed.raw).unwrap();
        prop_assert_eq!(again.attributes.get(&key), Some(&key));
        prop_assert_eq!(again.id, key);
    }
}
