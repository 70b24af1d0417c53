//! The `port` filter.

use serde_json::{Value, json};

use super::filters::{fits, put_with};
use super::*;
use crate::cluster::Binding;
use proptest::prelude::any;
use proptest::{prop_assert_eq, proptest};

pub(super) fn publishes(ports: &[(&str, &str, &str)]) -> Request {
    let bindings = ports
        .iter()
        .filter_map(|(port, ip, host)| Binding::parse(port, ip, host).unwrap());
    Request {
        ports: PortsWanted {
            bindings: bindings.collect(),
            ..PortsWanted::default()
        },
        ..Request::default()
    }
}

pub(super) fn on_host_network(ports: &[&str]) -> Request {
    Request {
        ports: PortsWanted {
            host_network: true,
            exposed: ports.iter().map(|port| port.parse().unwrap()).collect(),
            ..PortsWanted::default()
        },
        ..Request::default()
    }
}

fn requested(port: &str, ip: &str, host: &str) -> Value {
    json!({ port: [{"HostIp": ip, "HostPort": host}] })
}

#[test]
fn golden_13_ports() {
    for (mine, theirs, conflict) in [
        (("", "80"), ("192.168.0.1", "80"), true),
        (("0.0.0.0", "80"), ("192.168.0.1", "80"), true),
        (("192.168.0.2", "80"), ("192.168.0.1", "80"), false),
        (("192.168.0.1", "80"), ("192.168.0.1", "80"), true),
        (("192.168.0.1", "80"), ("::", "80"), true),
        (("", "81"), ("", "80"), false),
        (("", ""), ("", "80"), false),
    ] {
        let mut cluster = cluster(&[(1, GIB)]);
        put_with(&mut cluster, 0, "web", |one| {
            one.inspect["HostConfig"]["PortBindings"] = requested("8080/tcp", theirs.0, theirs.1);
        });
        let request = publishes(&[("8080/tcp", mine.0, mine.1)]);
        assert_eq!(
            fits(&cluster, &request).is_empty(),
            conflict,
            "{mine:?} {theirs:?}"
        );
    }
    // A port the engine chose for a running container.
    let mut cluster = cluster(&[(1, GIB)]);
    put_with(&mut cluster, 0, "web", |one| {
        one.entry["Ports"] =
            json!([{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 32768, "Type": "tcp"}]);
    });
    assert!(fits(&cluster, &publishes(&[("1/tcp", "", "32768")])).is_empty());
    assert_eq!(
        fits(&cluster, &publishes(&[("80/tcp", "", "")])),
        ["node-0"]
    );
}

#[test]
fn protocols_and_ranges_of_ports_are_told_apart() {
    // spec/classic.md section 10.4, S7
    let with = |bindings: &[(&str, &str)]| {
        let mut cluster = cluster(&[(1, GIB)]);
        for (number, (port, host)) in bindings.iter().enumerate() {
            put_with(&mut cluster, 0, &format!("c{number}"), |one| {
                one.inspect["HostConfig"]["PortBindings"] = requested(port, "", host);
            });
        }
        cluster
    };
    let dns = with(&[("53/tcp", "53")]);
    assert_eq!(fits(&dns, &publishes(&[("53/udp", "", "53")])), ["node-0"]);
    assert!(fits(&dns, &publishes(&[("53/tcp", "", "53")])).is_empty());
    // Of a range one port is enough, and one is taken.
    let full = with(&[("80", "8000"), ("80", "8000-8001")]);
    assert!(fits(&full, &publishes(&[("80", "", "8000-8001")])).is_empty());
    assert_eq!(
        fits(&full, &publishes(&[("80", "", "8000-8002")])),
        ["node-0"]
    );
    assert_eq!(fits(&full, &publishes(&[("80", "", "8001")])), ["node-0"]);
}

#[test]
fn a_running_container_has_one_port_of_its_range() {
    // spec/classic.md section 10.4, S7
    let mut cluster = cluster(&[(1, GIB)]);
    put_with(&mut cluster, 0, "web", |one| {
        one.inspect["HostConfig"]["PortBindings"] = requested("80/tcp", "", "8000-8001");
        one.entry["Ports"] =
            json!([{"IP": "::", "PrivatePort": 80, "PublicPort": 8001, "Type": "tcp"}]);
    });
    for (wanted, fit) in [("8000", true), ("8001", false), ("8000-8001", true)] {
        let found = fits(&cluster, &publishes(&[("80", "", wanted)]));
        assert_eq!(found.len(), usize::from(fit), "{wanted}");
    }
}

#[test]
fn the_hosts_network_and_published_ports_meet() {
    // spec/classic.md section 10.4, S7
    let mut cluster = cluster(&[(1, GIB), (1, GIB)]);
    put_with(&mut cluster, 0, "nginx", |one| {
        one.inspect["HostConfig"]["NetworkMode"] = "host".into();
        one.inspect["Config"]["ExposedPorts"] = json!({"80/tcp": {}, "443/tcp": {}});
    });
    put_with(&mut cluster, 1, "web", |one| {
        one.inspect["HostConfig"]["PortBindings"] = requested("8080/tcp", "127.0.0.1", "81");
    });
    for (request, found) in [
        (on_host_network(&["80/tcp"]), "node-1"),
        (publishes(&[("8080/tcp", "", "443")]), "node-1"),
        (on_host_network(&["81/tcp"]), "node-0"),
    ] {
        assert_eq!(fits(&cluster, &request), [found], "{request:?}");
    }
    let free = on_host_network(&["80/udp", "81/udp"]);
    assert_eq!(fits(&cluster, &free).len(), 2);
}

proptest! {
    /// Against the rule in its plainest form, for single ports.
    #[test]
    fn a_port_is_refused_when_protocol_number_and_address_meet(
        taken in proptest::collection::vec((0..4_usize, 1..4_u16, "tcp|udp", any::<bool>()), 0..5),
        wanted in (0..4_usize, 1..4_u16, "tcp|udp"),
    ) {
        const ADDRESSES: [&str; 4] = ["", "::", "10.0.0.1", "10.0.0.2"];
        let mut cluster = cluster(&[(1, GIB)]);
        for (number, (address, port, protocol, running)) in taken.iter().enumerate() {
            put_with(&mut cluster, 0, &format!("c{number}"), |one| {
                let (inside, address) = (format!("9/{protocol}"), ADDRESSES[*address]);
                if *running {
                    one.entry["Ports"] = json!([{"IP": address, "PrivatePort": 9, "PublicPort": port,
                        "Type": protocol}]);
                } else {
                    let bindings = requested(&inside, address, &port.to_string());
                    one.inspect["HostConfig"]["PortBindings"] = bindings;
                }
            });
        }
        let (address, port, protocol) = wanted;
        let meets = taken.iter().any(|(other, number, kind, _)| {
            (*number, kind) == (port, &protocol) && (*other < 2 || address < 2 || *other == address)
        });
        let inside = format!("8/{protocol}");
        let request = publishes(&[(&inside, ADDRESSES[address], &port.to_string())]);
        prop_assert_eq!(fits(&cluster, &request).is_empty(), meets);
    }
}
