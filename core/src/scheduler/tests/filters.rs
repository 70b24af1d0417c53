//! Expressions, soft ones among them, slots, and what is said when no engine is left.

use std::collections::BTreeSet;

use serde_json::json;

use super::ports::{on_host_network, publishes};
use super::*;
use crate::cluster::Image;
use crate::config::Strategy;
use proptest::{prop_assert, prop_assert_eq, proptest};

/// Ranks by all filters, as `swarm manage` does by default.
pub(super) fn rank<'a>(cluster: &'a Cluster, request: &Request) -> Result<Ranking<'a>, PlaceError> {
    scheduler(0).rank(cluster, request)
}

/// The names of the engines that can take it, in the order of their names.
pub(super) fn fits(cluster: &Cluster, request: &Request) -> Vec<String> {
    let ranking = rank(cluster, request);
    let mut names: Vec<String> = ranking
        .map(|ranking| {
            ranking
                .ranked
                .into_iter()
                .map(|one| one.name.to_owned())
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

/// A request with these environment entries.
pub(super) fn asks(entries: &[&str]) -> Request {
    let environment = entries.iter().map(ToString::to_string).collect();
    Request {
        expressions: Carried::read(environment, &BTreeMap::new())
            .unwrap()
            .expressions,
        ..Request::default()
    }
}

/// Engines `node-0`, … with these labels.
pub(super) fn labelled(engines: &[&[(&str, &str)]]) -> Cluster {
    let mut cluster = cluster(&vec![(4, 4 * GIB); engines.len()]);
    for (number, labels) in engines.iter().enumerate() {
        let mut specs = crate::cluster::tests::specs(number, 4, 4 * GIB);
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        specs.labels.extend(labels);
        cluster.admit(&address(number), None, specs, NOW).unwrap();
    }
    cluster
}

pub(super) fn put_with(
    cluster: &mut Cluster,
    number: usize,
    id: &str,
    change: impl FnOnce(&mut Described),
) {
    let mut described = Described::new(id, id);
    change(&mut described);
    described.put(cluster, number);
}

#[test]
fn a_drained_engine_gets_nothing_whatever_filters_there_are() {
    // spec/classic.md section 10.5, E12
    let mut cluster = labelled(&[&[], &[]]);
    Described::new("a", "a").put(&mut cluster, 1);
    cluster.set_drained(BTreeSet::from(["DAEMON0".to_owned()]));
    let request = Request::default();
    assert_eq!(fits(&cluster, &request), ["node-1"]);
    let mut unfiltered = Scheduler::new(Strategy::Spread, Vec::new(), 0, Random::new(1));
    let ranking = unfiltered.rank(&cluster, &request).unwrap();
    assert_eq!(ranking.ranked.len(), 1);
    cluster.set_drained(["DAEMON0", "DAEMON1"].map(str::to_owned).into());
    let error = rank(&cluster, &request).unwrap_err().to_string();
    let told = "No healthy node available in the cluster (node-0: engine node-0 is drained; node-1: engine node-1 is drained)";
    assert_eq!(error, told);
    // What is there stays.
    assert!(cluster.container("a").is_ok());
}

#[test]
fn golden_8_a_wish_that_cannot_be_met_is_dropped() {
    let mut cluster = labelled(&[&[("group", "1")], &[("group", "2")]]);
    Described::new("a", "a")
        .resources(0, 4)
        .put(&mut cluster, 0);
    let request = Request {
        resources: wants(0, 1).resources,
        ..asks(&["constraint:group==~1"])
    };
    assert_eq!(fits(&cluster, &request), ["node-1"]);
}

#[test]
fn golden_9_constraints() {
    let cluster = labelled(&[
        &[
            ("name", "node0"),
            ("group", "1"),
            ("region", "us-west"),
            ("id", "aBcDeF"),
        ],
        &[("name", "node1"), ("group", "1"), ("region", "us-east")],
        &[("name", "node2"), ("group", "2"), ("region", "eu")],
        &[],
    ]);
    for (expression, found) in [
        ("region==us", 0),
        ("region==us*", 2),
        ("region==*us*", 2),
        ("name!=node0", 3),
        ("name!=does_not_exist", 4),
        ("name!=n*", 1),
        ("name==/node\\d/", 3),
        ("name==/node[12]/", 2),
        ("name!=/node[12]/", 2),
        ("id==/(?i)abcdef/", 1),
        ("group==1", 2),
        ("node==node-2", 1),
        ("node!=node-2", 3),
        ("ostype==linux", 4),
    ] {
        let request = asks(&[&format!("constraint:{expression}")]);
        assert_eq!(fits(&cluster, &request).len(), found, "{expression}");
    }
    let both = asks(&["constraint:group==1", "constraint:region==us-east"]);
    assert_eq!(fits(&cluster, &both), ["node-1"]);
}

#[test]
fn an_engine_is_constrained_by_name_daemon_id_or_both() {
    // spec/classic.md section 10.4, S12 and S5
    let cluster = cluster(&[(1, GIB), (1, GIB)]);
    for value in ["node-1", "DAEMON1", "DAEMON1|10.0.0.1:2375", "*1"] {
        let request = asks(&[&format!("constraint:node=={value}")]);
        assert_eq!(fits(&cluster, &request), ["node-1"], "{value}");
    }
    let either = asks(&["constraint:node==node-0|node-1"]);
    assert_eq!(fits(&cluster, &either), Vec::<String>::new());
}

#[test]
fn golden_10_affinities() {
    let mut cluster = cluster(&[(1, GIB); 4]);
    put_with(&mut cluster, 0, "container-a", |_| ());
    put_with(&mut cluster, 1, "container-b", |one| {
        one.entry["Labels"] = json!({"app": "web"});
        one.inspect["Config"]["Labels"] = json!({"app": "web"});
    });
    let images = json!([{"Id": "sha256:0123456789abcdef", "RepoTags": ["reg:5000/app:1"],
        "RepoDigests": ["reg:5000/app@sha256:ffff"]}]);
    let images = Image::parse_list(images.to_string().as_bytes()).unwrap();
    cluster.replace_images(&address(2), images).unwrap();
    for (expression, found) in [
        ("container==container-*", &["node-0", "node-1"][..]),
        ("container!=container-a", &["node-1", "node-2", "node-3"]),
        ("container==x", &[]),
        ("image==reg:5000/app", &["node-2"]),
        ("image==reg:5000/app:1", &["node-2"]),
        ("image==reg:5000/app:2", &[]),
        ("image==reg:5000/app@sha256:ffff", &["node-2"]),
        ("image==sha256:0123456789abcdef", &["node-2"]),
        ("image==0123456789ab", &["node-2"]),
        ("image!=reg:5000/app", &["node-0", "node-1", "node-3"]),
        ("app==web", &["node-1"]),
        ("app!=web", &["node-0", "node-2", "node-3"]),
    ] {
        let request = asks(&[&format!("affinity:{expression}")]);
        assert_eq!(fits(&cluster, &request), found, "{expression}");
    }
}

#[test]
fn affinities_know_containers_by_every_id() {
    // spec/classic.md section 10.4, S12
    let mut cluster = cluster(&[(1, GIB), (1, GIB)]);
    Described::new("0123456789abcdef", "web")
        .swarm_id("fedcba9876543210")
        .put(&mut cluster, 1);
    for text in [
        "0123456789abcdef",
        "0123456789ab",
        "fedcba9876543210",
        "fedcba987654",
        "web",
    ] {
        let request = asks(&[&format!("affinity:container=={text}")]);
        assert_eq!(fits(&cluster, &request), ["node-1"], "{text}");
    }
    assert_eq!(
        fits(&cluster, &asks(&["affinity:container==0123456"])),
        Vec::<String>::new()
    );
}

#[test]
fn golden_12_whitelists() {
    let cluster = cluster(&[(1, GIB); 3]);
    for (entries, found) in [
        (
            &["whitelist:node==node-0|node-1|x"][..],
            &["node-0", "node-1"][..],
        ),
        (
            &[
                "whitelist:node==node-0|node-1",
                "whitelist:node==node-1|node-2",
            ],
            &["node-1"],
        ),
        (&["whitelist:node==x|y"], &[]),
        // spec/classic.md section 10.4, S8
        (&["whitelist:node!=node-0|node-1"], &["node-2"]),
        (&["whitelist:node==*-2|node-0"], &["node-0", "node-2"]),
        (&["whitelist:zone==a|b"], &["node-0", "node-1", "node-2"]),
        (&["whitelist:zone==b"], &[]),
    ] {
        assert_eq!(fits(&cluster, &asks(entries)), found, "{entries:?}");
    }
}

#[test]
fn slots_count_containers_in_any_state_and_pending_ones() {
    let mut cluster = labelled(&[&[("containerslots", "2")], &[("containerslots", "many")]]);
    Described::new("a", "a").exited(0).put(&mut cluster, 0);
    assert_eq!(fits(&cluster, &Request::default()), ["node-0", "node-1"]);
    let mut scheduler = scheduler(0);
    let pinned = asks(&["constraint:node==node-0"]);
    scheduler.reserve(&cluster, pinned.clone()).unwrap();
    let error = scheduler.reserve(&cluster, pinned).unwrap_err().to_string();
    assert_eq!(
        error,
        "Unable to find a node that satisfies the following conditions \n[available container slots]\n\
         [node==node-0] (node-0: 2 of 2 container slots are used; node-1: node==node-0 does not hold)"
    );
}

#[test]
fn what_is_pending_has_its_ports_name_and_labels() {
    let cluster = cluster(&[(4, GIB), (4, GIB)]);
    let mut scheduler = scheduler(0);
    let pending = Request {
        name: "web".to_owned(),
        swarm_id: "fedcba9876543210".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), "shop".to_owned())]),
        ..publishes(&[("80/tcp", "", "80")])
    };
    let (id, _) = scheduler.reserve(&cluster, pending).unwrap();
    for request in [
        asks(&["affinity:container==web"]),
        asks(&["affinity:container==fedcba9876543210"]),
        asks(&["affinity:app==shop"]),
    ] {
        let ranking = scheduler.rank(&cluster, &request).unwrap();
        assert_eq!(
            (ranking.ranked.len(), ranking.ranked[0].name),
            (1, "node-0")
        );
    }
    let port = publishes(&[("80/tcp", "", "80")]);
    let ranking = scheduler.rank(&cluster, &port).unwrap();
    assert_eq!(
        (ranking.ranked.len(), ranking.ranked[0].name),
        (1, "node-1")
    );
    assert_eq!(
        ranking.refused[0].reason,
        "port 80/tcp is used by container web"
    );
    let host = on_host_network(&["80/tcp"]);
    assert_eq!(scheduler.rank(&cluster, &host).unwrap().ranked.len(), 1);
    scheduler.release(id);
    assert_eq!(scheduler.rank(&cluster, &port).unwrap().ranked.len(), 2);
}

#[test]
fn each_wish_counts_by_itself_in_the_order_written() {
    // spec/classic.md section 10.4, S3
    let mut cluster = labelled(&[
        &[("disk", "ssd")],
        &[("disk", "hdd"), ("rack", "2")],
        &[("disk", "ssd"), ("rack", "2")],
    ]);
    Described::new("a", "a").put(&mut cluster, 2);
    let order = |entries: &[&str]| -> Vec<String> {
        let ranking = rank(&cluster, &asks(entries)).unwrap();
        ranking
            .ranked
            .into_iter()
            .map(|one| one.name.to_owned())
            .collect()
    };
    assert_eq!(order(&[]), ["node-0", "node-1", "node-2"]);
    assert_eq!(
        order(&[
            "constraint:disk==~tape",
            "constraint:disk==~ssd",
            "constraint:rack==~2"
        ]),
        ["node-2", "node-0", "node-1"]
    );
    assert_eq!(
        order(&["constraint:rack==~2", "constraint:disk==~ssd"]),
        ["node-2", "node-1", "node-0"]
    );
    // Affinities come before constraints, as their filters do.
    assert_eq!(
        order(&["constraint:disk==~hdd", "affinity:container==~a"]),
        ["node-2", "node-1", "node-0"]
    );
}

#[test]
fn an_error_lists_what_each_filter_looked_for() {
    // spec/classic.md section 5.1
    let cluster = cluster(&[(1, GIB)]);
    let request = Request {
        ports: publishes(&[("80/tcp", "", "80")]).ports,
        ..asks(&[
            "affinity:image==~nginx",
            "affinity:container!=web",
            "constraint:node==node-9",
            "whitelist:node==never-asked",
        ])
    };
    assert_eq!(
        rank(&cluster, &request).unwrap_err().to_string(),
        "Unable to find a node that satisfies the following conditions \n[port 80 (Bridge mode)]\n\
         [available container slots]\n[image==nginx (soft=true) container!=web (soft=false)]\n[node==node-9] \
         (node-0: node==node-9 does not hold)"
    );
    let many = (1..=50)
        .map(|port| format!("{port}/tcp"))
        .collect::<Vec<_>>();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let request = Request {
        ports: on_host_network(&many).ports,
        ..asks(&["constraint:node==node-9"])
    };
    let error = rank(&cluster, &request).unwrap_err().to_string();
    assert!(
        error.contains("port 20/tcp (Host mode) and 30 more]"),
        "{error}"
    );
}

#[test]
fn an_expression_whose_filter_is_off_is_refused() {
    let cluster = cluster(&[(1, GIB)]);
    let filters = vec![Filter::Health, Filter::Affinity];
    let mut scheduler = Scheduler::new(Strategy::Spread, filters, 0, Random::new(1));
    let error = scheduler
        .rank(&cluster, &asks(&["constraint:node==node-0"]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "constraint:node==node-0 cannot be honoured: this manager runs with --filter and without the constraint filter"
    );
    assert!(
        scheduler
            .rank(&cluster, &asks(&["constraint:node==~x"]))
            .is_ok()
    );
    assert!(
        scheduler
            .rank(&cluster, &asks(&["affinity:container!=x"]))
            .is_ok()
    );
}

proptest! {
    #[test]
    fn a_ranking_has_each_engine_once_and_none_that_an_expression_refuses(
        groups in proptest::collection::vec("[ab]{1,2}", 1..6),
        values in proptest::collection::vec(("(==|!=)~?", "[ab*]{1,2}"), 0..4),
        random: u64,
    ) {
        let labels: Vec<[(&str, &str); 1]> = groups.iter().map(|one| [("group", one.as_str())]).collect();
        let labels: Vec<&[(&str, &str)]> = labels.iter().map(|one| &one[..]).collect();
        let cluster = labelled(&labels);
        let entries: Vec<String> = values
            .iter()
            .map(|(operator, value)| format!("constraint:group{operator}{value}"))
            .collect();
        let request = asks(&entries.iter().map(String::as_str).collect::<Vec<_>>());
        let hard = request.expressions.constraints.iter().filter(|one| !one.soft);
        let expected: Vec<HostPort> = (0..groups.len())
            .filter(|number| hard.clone().all(|one| one.holds([groups[*number].as_str()])))
            .map(address)
            .collect();
        for strategy in Strategy::ALL {
            let filters = Filter::ALL.to_vec();
            let mut scheduler = Scheduler::new(strategy, filters, 0, Random::new(random));
            match scheduler.rank(&cluster, &request) {
                Ok(Ranking { ranked, refused }) => {
                    let mut found: Vec<_> = ranked.into_iter().map(|one| one.address.clone()).collect();
                    found.sort();
                    prop_assert_eq!(&found, &expected);
                    prop_assert_eq!(refused.len() + found.len(), groups.len());
                }
                Err(_) => prop_assert!(expected.is_empty()),
            }
        }
    }
}
