//! Containers, networks and volumes that have to be on the engine.

use serde_json::json;

use super::filters::{fits, labelled, rank};
use super::*;
use crate::cluster::{Network, Volume};

fn beside(tie: Tie, text: &str) -> Request {
    let mut request = Request::default();
    request
        .dependencies
        .containers
        .extend(Beside::parse(tie, text));
    request
}

fn joins(network: &str) -> Request {
    let mut request = Request::default();
    request.dependencies.join(network);
    request
}

fn mounts(volume: &str) -> Request {
    let mut request = Request::default();
    request.dependencies.volumes.insert(volume.to_owned());
    request
}

#[test]
fn what_a_container_is_tied_to_has_to_be_there() {
    // spec/classic.md section 10.4, S11
    let mut cluster = cluster(&[(1, GIB), (1, GIB)]);
    Described::new("0123456789abcdef", "db")
        .swarm_id("fedcba9876543210")
        .put(&mut cluster, 1);
    for reference in ["db", "node-1/db", "01234567", "fedcba987654"] {
        for (tie, text) in [
            (Tie::VolumesFrom, format!("{reference}:ro")),
            (Tie::Link, format!("{reference}:alias")),
            (Tie::Network, format!("container:{reference}")),
            (Tie::Ipc, format!("container:{reference}")),
            (Tie::Pid, format!("container:{reference}")),
        ] {
            let request = beside(tie, &text);
            assert_eq!(fits(&cluster, &request), ["node-1"], "{text}");
            let one = request.dependencies.containers.first().unwrap();
            let renamed = one.for_engine(&cluster, &address(1));
            let known = ["db", "01234567"].contains(&reference);
            let expected = if known {
                text
            } else {
                text.replace(reference, "db")
            };
            assert_eq!(renamed, expected);
        }
    }
    assert_eq!(Beside::parse(Tie::Ipc, "host"), None);
    // Named by its own name, whatever links call it.
    let mut linked = Described::new("0123456789abcdef", "db");
    linked.entry["Names"] = json!(["/web/cache", "/db"]);
    linked.put(&mut cluster, 1);
    let ipc = Beside::parse(Tie::Ipc, "container:node-1/db").unwrap();
    assert_eq!(ipc.for_engine(&cluster, &address(1)), "container:db");
    let error = rank(&cluster, &beside(Tie::Link, "cache:c")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Unable to find a node that satisfies the following conditions \n[available container slots]\n\
         [--link=cache:c] (node-0: it has no container cache; node-1: it has no container cache)"
    );
}

#[test]
fn a_local_network_binds_to_its_engines() {
    // spec/classic.md section 10.4, S11
    let mut cluster = cluster(&[(1, GIB), (1, GIB)]);
    let mut network = |number: usize, id: &str, name: &str, scope: &str| {
        let network = json!({"Id": id, "Name": name, "Scope": scope, "Driver": "x"});
        let network = Network::parse(network.to_string().as_bytes()).unwrap();
        cluster.upsert_network(&address(number), network).unwrap();
    };
    network(0, "n0bridge", "bridge", "local");
    network(1, "n1bridge", "bridge", "local");
    network(1, "n1back0123456789", "back", "local");
    network(0, "overlay", "front", "swarm");
    for (name, found) in [
        ("back", &["node-1"][..]),
        ("n1back0123456", &["node-1"]),
        ("node-1/back", &["node-1"]),
        ("DAEMON1/back", &["node-1"]),
        ("node-0/back", &["node-0"]),
        ("node-0/bridge", &["node-0"]),
        ("bridge", &["node-0", "node-1"]),
        ("front", &["node-0", "node-1"]),
        ("nobody-has-it", &["node-0", "node-1"]),
        ("foo/test/net4", &["node-0", "node-1"]),
        ("container:x", &["node-0", "node-1"]),
    ] {
        assert_eq!(fits(&cluster, &joins(name)), found, "{name}");
    }
}

#[test]
fn golden_20_the_engine_in_front_of_a_network_is_taken_off() {
    let cluster = labelled(&[&[]]);
    let engine = cluster.engine(&address(0)).unwrap();
    for (name, rest) in [
        ("node-0/testnet2", Some("testnet2")),
        ("node-0/test/net3", Some("test/net3")),
        ("foo/test/net4", None),
        ("node-0/node-0/net5", Some("node-0/net5")),
        ("node-0", None),
    ] {
        assert_eq!(on_engine(engine, name), rest, "{name}");
    }
}

#[test]
fn a_local_volume_draws_to_its_data_also_while_its_engine_is_down() {
    // spec/classic.md section 10.4, S11
    let mut cluster = cluster(&[(1, GIB), (1, GIB)]);
    for (number, name, driver) in [(1, "data", "local"), (0, "shared", "nfs")] {
        let volume = json!({"Name": name, "Driver": driver});
        let volume = Volume::parse(volume.to_string().as_bytes()).unwrap();
        cluster.upsert_volume(&address(number), volume).unwrap();
    }
    assert_eq!(fits(&cluster, &mounts("data")), ["node-1"]);
    assert_eq!(fits(&cluster, &mounts("shared")).len(), 2);
    assert_eq!(fits(&cluster, &mounts("new")).len(), 2);
    // A container that is being created will have made the volume.
    let mut scheduler = scheduler(0);
    scheduler.reserve(&cluster, mounts("new")).unwrap();
    let ranking = scheduler.rank(&cluster, &mounts("new")).unwrap();
    assert_eq!(ranking.ranked.len(), 1);
    let down = EngineState::Unhealthy;
    cluster.set_health(&address(1), down, 0, None, NOW).unwrap();
    let error = rank(&cluster, &mounts("data")).unwrap_err().to_string();
    assert!(error.contains("[--volume=data]"), "{error}");
    assert!(
        error.ends_with("node-0: volume data is on other engines)"),
        "{error}"
    );
}
