use std::collections::BTreeSet;

use super::*;

#[test]
fn names_are_unique_and_sorted() {
    let names: Vec<String> = all().into_iter().map(|scenario| scenario.name).collect();
    let set: BTreeSet<&String> = names.iter().collect();
    assert_eq!(set.len(), names.len());
    assert!(names.is_sorted());
    let fit = |name: &String| {
        name.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    assert!(names.iter().all(fit));
}

#[test]
fn every_scenario_tells_something_and_can_be_run() {
    for scenario in all() {
        let name = &scenario.name;
        assert!(!scenario.family.is_empty(), "{name}");
        assert!(scenario.story.ends_with('.'), "{name}");
        assert!(!scenario.expect.is_empty(), "{name}");
        scenario
            .plan
            .check()
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let length = scenario
            .plan
            .faults_end_ms()
            .max(scenario.plan.phases.faults_ms);
        assert!(
            length <= 120_000 || scenario.plan.knobs.tick_ms == 10,
            "{name}"
        );
    }
}

#[test]
fn every_file_is_in_the_registry_and_named_like_its_scenario() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/files");
    let mut there: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    let mut listed = Vec::new();
    for (name, read) in files() {
        let scenario = read.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(scenario.name, name);
        listed.push(format!("{name}.json"));
    }
    assert_eq!(there, listed);
    assert!(listed.len() >= 6);
}

#[test]
fn there_are_enough_of_them() {
    assert!(all().len() >= 45);
}

#[test]
fn every_row_of_classic_swarm_is_accounted_for() {
    let table = include_str!("../../README.md");
    let row = |name: String| assert!(table.contains(&format!("| {name} |")), "{name}");
    (1..=20).for_each(|n| row(format!("6.{n}")));
    (1..=16).for_each(|n| row(format!("H{n}")));
    (1..=14).for_each(|n| row(format!("D{n}")));
    let names: BTreeSet<String> = all().into_iter().map(|scenario| scenario.name).collect();
    let named = table.split('`').skip(1).step_by(2);
    let named = named.filter(|word| {
        ["h", "d", "ha6_", "cs"].iter().any(|start| {
            word.strip_prefix(start)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    });
    for name in named {
        assert!(
            names.contains(name),
            "the table names {name}, which is no scenario"
        );
    }
}
