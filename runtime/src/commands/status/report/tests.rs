use super::*;
use crate::manager::status::Unreachable;

/// A manager at 10.0.0.`number` that believes in the primary at 10.0.0.`primary`.
fn manager(number: u8, primary: Option<u8>) -> ManagerStatus {
    let acts = primary == Some(number);
    ManagerStatus {
        instance: format!("{number:032x}"),
        advertise: Some(address(number)),
        role: if acts { "primary" } else { "replica" }.to_owned(),
        epoch: 7,
        lease_left_ms: acts.then_some(1_750),
        primary: primary.map(address),
        members: vec![address(1), address(2), address(3)],
        failsafe: None,
        unreachable: Vec::new(),
        engines: Vec::new(),
        version: "0.1.0".to_owned(),
        certificate: None,
    }
}

fn address(number: u8) -> String {
    format!("10.0.0.{number}:4000")
}

fn found(status: ManagerStatus) -> Found {
    Found {
        address: status.advertise.clone().unwrap(),
        answer: Ok(status),
    }
}

fn silent(number: u8) -> Found {
    Found {
        address: address(number),
        answer: Err("Connection refused".to_owned()),
    }
}

fn engine(name: &str, error: Option<&str>) -> EngineStatus {
    EngineStatus {
        drained: false,
        name: name.to_owned(),
        address: "10.0.1.1:2375".to_owned(),
        state: if error.is_some() {
            "Disconnected"
        } else {
            "Healthy"
        }
        .to_owned(),
        error: error.map(str::to_owned),
    }
}

#[test]
fn managers_and_the_engines_of_the_primary_are_shown() {
    let mut primary = manager(1, Some(1));
    primary.engines = vec![
        engine("web-2", None),
        engine("", Some("connection refused")),
    ];
    let mut replica = manager(2, Some(1));
    replica.unreachable = vec![Unreachable {
        member: address(3),
        reason: "timed out after 2s".to_owned(),
    }];
    let report = Report::new(vec![found(replica), found(primary), silent(3)]);
    assert!(report.has_primary());
    assert_eq!(
        report.text(),
        "\
MANAGER        ROLE     EPOCH  LEASE LEFT  PRIMARY        VERSION
10.0.0.1:4000  primary  7      1.75s       10.0.0.1:4000  0.1.0
10.0.0.2:4000  replica  7      -           10.0.0.1:4000  0.1.0
10.0.0.3:4000 does not answer: Connection refused
10.0.0.2:4000 cannot reach 10.0.0.3:4000: timed out after 2s

Engines, as 10.0.0.1:4000 sees them:
ENGINE     ADDRESS        STATE         ERROR
(unknown)  10.0.1.1:2375  Disconnected  connection refused
web-2      10.0.1.1:2375  Healthy       -
"
    );
}

#[test]
fn a_primary_that_lives_by_promises_is_told_and_a_replicas_view_of_it_is_not() {
    let standing = |number: u8, failsafe: &str| ManagerStatus {
        failsafe: Some(failsafe.to_owned()),
        ..manager(number, Some(1))
    };
    let report = Report::new(vec![
        found(standing(1, "active")),
        found(standing(2, "ready")),
    ]);
    let line = "Failsafe: active, 10.0.0.1:4000 acts on without the store by the promises of all members\n";
    assert!(report.text().contains(line), "{}", report.text());
    assert_eq!(report.text().matches("Failsafe").count(), 1);
}

#[test]
fn a_manager_that_was_asked_under_two_addresses_is_shown_once() {
    let here = Found {
        address: "127.0.0.1:4000".to_owned(),
        answer: Ok(manager(1, Some(1))),
    };
    let report = Report::new(vec![here, found(manager(1, Some(1)))]);
    let addresses: Vec<&str> = report.reached().map(|(address, _)| address).collect();
    assert_eq!(addresses, ["10.0.0.1:4000"]);
}

#[test]
fn a_disagreement_is_told() {
    let report = Report::new(vec![
        found(manager(1, Some(1))),
        found(manager(2, Some(2))),
        found(manager(3, None)),
    ]);
    let text = report.text();
    let expected = "
The managers disagree about the primary (normal only while the role changes):
  none, say 10.0.0.3:4000
  10.0.0.1:4000, say 10.0.0.1:4000
  10.0.0.2:4000, say 10.0.0.2:4000
  acting as primary: 10.0.0.1:4000, 10.0.0.2:4000
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_primary_that_nobody_reaches_is_none() {
    let report = Report::new(vec![found(manager(2, Some(1))), silent(1)]);
    assert!(!report.has_primary());
    // A primary whose lease has lapsed still names itself.
    let mut lapsed = manager(1, Some(1));
    lapsed.role = "replica".to_owned();
    assert!(!Report::new(vec![found(lapsed)]).has_primary());
}

#[test]
fn a_single_manager_is_its_own_primary() {
    let mut single = manager(1, None);
    single.role = "primary".to_owned();
    single.advertise = None;
    let report = Report::new(vec![Found {
        address: "unix:///run/swarm.sock".to_owned(),
        answer: Ok(single),
    }]);
    assert!(report.has_primary());
    let text = report.text();
    assert!(!text.contains("disagree"), "{text}");
}

#[test]
fn what_a_manager_says_cannot_steer_the_terminal() {
    let mut hostile = manager(1, Some(1));
    hostile.version = "\x1b[2J\n".to_owned();
    hostile.engines = vec![engine("\x1b]0;", Some("\r"))];
    let text = Report::new(vec![found(hostile)]).text();
    assert!(
        text.chars()
            .all(|letter| letter == '\n' || !letter.is_control()),
        "{text:?}"
    );
}

#[test]
fn the_document_holds_every_manager() {
    let report = Report::new(vec![found(manager(2, Some(1))), silent(1)]);
    let document: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(document["primary"], serde_json::Value::Null);
    assert_eq!(document["agreed"], true);
    assert_eq!(document["managers"][0]["address"], "10.0.0.1:4000");
    assert_eq!(document["managers"][0]["error"], "Connection refused");
    assert_eq!(document["managers"][1]["status"]["epoch"], 7);
}
