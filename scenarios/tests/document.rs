//! The user's document, "High availability in Docker Swarm", word by word: what each manager logs, and when.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use swarm::log::{Format, LogLevel, Record, Value};
use swarm_core::time::Wall;
use swarm_scenarios::{all, check};
use swarm_sim::run::Run;
use swarm_sim::trace::{Event, Keep, Kind};

/// A run of the scenario `name`, which goes as it is told.
fn run(name: &str) -> Run {
    let scenario = all().into_iter().find(|scenario| scenario.name == name);
    let verdict = check(&scenario.unwrap(), Keep::Story, None);
    assert_eq!(verdict.failure, None);
    verdict.run
}

/// The managers as the document numbers them: the first primary, its successor, the other one.
fn managers(run: &Run) -> [String; 3] {
    let mut acted = run
        .terms
        .iter()
        .map(|term| run.trace.host(term.host).to_owned());
    let (first, last) = (acted.next().unwrap(), acted.next().unwrap());
    let mut others = ["m1", "m2", "m3"].into_iter();
    let other = others.find(|other| ![&first, &last].contains(&&(*other).to_owned()));
    [first, last, other.unwrap().to_owned()]
}

/// What a manager logged in one of its lives, as its terminal showed it.
fn terminal(run: &Run, number: usize, life: u64) -> String {
    let managers = managers(run);
    let host = run.trace.id_of(&managers[number - 1]);
    let mut started = None;
    let mut lines = Vec::new();
    for event in run.trace.events().iter().filter(|event| event.host == host) {
        if event.kind == Kind::Started {
            started = (event.a == life).then_some(event.at);
        } else if event.kind == Kind::Log {
            lines.extend(started.map(|at| line(event, at, &managers)));
        }
    }
    // The document leaves out what is said of engines, too.
    lines.retain(|line| !line.contains("ngine e"));
    lines.concat()
}

/// A line in the runtime's own format, with the document's addresses.
fn line(event: &Event, started: u64, managers: &[String]) -> String {
    let mut words: Vec<&str> = event.text.split(' ').collect();
    let mut fields = BTreeMap::new();
    for key in ["proto", "addr"] {
        let at = words
            .iter()
            .position(|word| word.starts_with(&format!("{key}=")));
        if let Some(at) = at {
            let value = words.remove(at).trim_start_matches(key);
            let value = value.trim_start_matches('=').trim_matches('"');
            fields.insert(key, Value::Text(value.to_owned()));
        }
    }
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info];
    let record = Record {
        level: levels[usize::try_from(event.a).unwrap() - 1],
        since_start: Duration::from_nanos(event.at - started),
        wall: Wall(0),
        message: with_addresses(words.join(" "), managers),
        fields,
    };
    let line = record.line(Format::Terminal { color: false });
    format!("{}\n", line.trim_end())
}

fn with_addresses(text: String, managers: &[String]) -> String {
    let numbered = managers.iter().enumerate();
    numbered.fold(text, |text, (at, manager)| {
        let address = format!("192.168.42.{}:4000", 200 + at);
        text.replace(&format!("{manager}:4000"), &address)
    })
}

/// The lines of `shown`, each with single spaces and without what points at it, must be among those of `said`, in order.
fn says(said: &str, shown: &[&str]) {
    let said: Vec<String> = said
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let mut rest = said.iter();
    for line in shown {
        assert!(rest.any(|said| said == line), "no {line:?} in {said:#?}");
    }
}

const MANAGER_1: &[&str] = &[
    "INFO[0000] Listening for HTTP addr=:4000 proto=tcp",
    "INFO[0000] Cluster leadership acquired",
    "INFO[0000] New leader elected: 192.168.42.200:4000",
];
const MANAGER_2: &[&str] = &[
    "INFO[0000] Listening for HTTP addr=:4000 proto=tcp",
    "INFO[0000] Cluster leadership lost",
    "INFO[0000] New leader elected: 192.168.42.200:4000",
    "INFO[0038] New leader elected: 192.168.42.201:4000",
    "INFO[0038] Cluster leadership acquired",
];
const MANAGER_3: &[&str] = &[
    "INFO[0000] Listening for HTTP addr=:4000 proto=tcp",
    "INFO[0000] Cluster leadership lost",
    "INFO[0000] New leader elected: 192.168.42.200:4000",
    "INFO[0036] New leader elected: 192.168.42.201:4000",
];

#[test]
fn the_logs_are_those_of_the_document() {
    for name in ["document_failover", "document_failover_by_kill"] {
        let run = run(name);
        says(&terminal(&run, 1, 1), MANAGER_1);
        says(&terminal(&run, 2, 2), MANAGER_2);
        says(&terminal(&run, 3, 2), MANAGER_3);
    }
}

#[test]
fn the_whole_story_on_three_terminals() {
    let run = run("document_failover");
    let mut text = String::new();
    for (manager, life) in [(1, 1), (2, 2), (3, 2), (1, 2)] {
        let _ = writeln!(
            text,
            "user@manager-{manager} $ swarm manage -H :4000 --replication …"
        );
        text.push_str(&terminal(&run, manager, life));
    }
    insta::assert_snapshot!(text);
}
