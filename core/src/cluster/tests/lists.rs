use super::*;
use crate::api::Query;

pub(super) fn query(pairs: &[(&str, &str)]) -> Query {
    pairs.iter().fold(Query::default(), |query, (key, value)| {
        query.with(key, value)
    })
}

/// IDs of the containers a query lists.
fn ids(cluster: &Cluster, pairs: &[(&str, &str)]) -> Vec<String> {
    let query = ContainerQuery::parse(&query(pairs)).unwrap();
    let rows = cluster.list_containers(&query).unwrap();
    rows.iter()
        .map(|(_, container)| container.id.to_string())
        .collect()
}

fn filtered(cluster: &Cluster, filters: serde_json::Value) -> Vec<String> {
    ids(cluster, &[("all", "1"), ("filters", &filters.to_string())])
}

/// `web` (running on node-0), `db` (running on node-1), `job` (ended with 3 on node-1), newest first.
fn fleet() -> Cluster {
    let mut cluster = cluster(&[(1, 1), (1, 1)]);
    let images = r#"[{"Id":"sha256:aaa","RepoTags":["nginx:1"]},
        {"Id":"sha256:bbb","ParentId":"sha256:aaa","RepoTags":["mine:latest"]}]"#;
    for number in 0..2 {
        let images = Image::parse_list(images.as_bytes()).unwrap();
        cluster.replace_images(&address(number), images).unwrap();
    }
    let aged = |container: &mut Described, seconds: u64| {
        container.inspect["Created"] = Wall(NOW.0 - seconds * NANO).rfc3339_nanos().into();
    };
    let mut web = Described::new("aaa", "web");
    aged(&mut web, 10);
    web.entry["Ports"] =
        json!([{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}]);
    web.inspect["Config"]["Labels"] = json!({"tier": "front", "x": ""});
    web.inspect["State"]["Health"] = json!({"Status": "healthy"});
    web.put(&mut cluster, 0);
    let mut db = Described::new("bbb", "db");
    aged(&mut db, 20);
    db.entry["ImageID"] = "sha256:bbb".into();
    db.entry["Mounts"] = json!([{"Name": "data", "Destination": "/var/db"}]);
    db.entry["NetworkSettings"]["Networks"] = json!({"back": {"NetworkID": "net2"}});
    db.put(&mut cluster, 1);
    let mut job = Described::new("ccc", "job").exited(3);
    aged(&mut job, 30);
    job.put(&mut cluster, 1);
    cluster
}

#[test]
fn plain_lists_show_what_runs_newest_first() {
    let cluster = fleet();
    assert_eq!(ids(&cluster, &[]), ["aaa", "bbb"]);
    assert_eq!(ids(&cluster, &[("all", "1")]), ["aaa", "bbb", "ccc"]);
    assert_eq!(ids(&cluster, &[("limit", "1")]), ["aaa"]);
    assert_eq!(ids(&cluster, &[("limit", "9")]), ["aaa", "bbb", "ccc"]);
    assert_eq!(ids(&cluster, &[("limit", "-1")]), ["aaa", "bbb"]);
    assert_eq!(ids(&cluster, &[("before", "web")]), ["bbb", "ccc"]);
    assert_eq!(ids(&cluster, &[("since", "job")]), ["aaa", "bbb"]);
    assert_eq!(ids(&cluster, &[("before", "web"), ("limit", "1")]), ["bbb"]);
}

#[test]
fn every_filter_of_the_engine_api_is_honoured() {
    // spec/classic.md section 10.3, A7
    let cluster = fleet();
    for (filters, found) in [
        (json!({"ancestor": ["nginx:1"]}), "aaa bbb ccc"),
        (json!({"ancestor": ["mine"]}), "bbb"),
        (json!({"ancestor": ["none"]}), ""),
        (json!({"before": ["db"]}), "ccc"),
        (json!({"since": ["db"]}), "aaa"),
        (json!({"publish": ["8080"]}), "aaa"),
        (json!({"publish": ["80"]}), ""),
        (json!({"expose": ["70-90/tcp"]}), "aaa"),
        (json!({"expose": ["80/udp"]}), ""),
        (json!({"exited": ["3"]}), "ccc"),
        (json!({"exited": ["0"]}), ""),
        (json!({"health": ["healthy"]}), "aaa"),
        (json!({"id": ["^b"]}), "bbb"),
        (json!({"is-task": ["true"]}), ""),
        (json!({"is-task": ["false"]}), "aaa bbb ccc"),
        (json!({"label": ["tier=front", "x"]}), "aaa"),
        (json!({"label": ["tier=back"]}), ""),
        (json!({"name": ["^/?db$"]}), "bbb"),
        (json!({"name": ["node"]}), ""),
        (json!({"name": ["node-1/"]}), "bbb ccc"),
        (json!({"network": ["back"]}), "bbb"),
        (json!({"network": ["net1"]}), "aaa ccc"),
        (json!({"node": ["node-1"]}), "bbb ccc"),
        (json!({"status": ["exited"]}), "ccc"),
        (json!({"volume": ["data"]}), "bbb"),
        (json!({"volume": ["/var/db"]}), "bbb"),
        (json!({"isolation": ["hyperv"]}), ""),
    ] {
        assert_eq!(
            filtered(&cluster, filters.clone()).join(" "),
            found,
            "{filters}"
        );
    }
    assert_eq!(
        ids(&cluster, &[("filters", r#"{"status":["exited"]}"#)]),
        ["ccc"]
    );
}

#[test]
fn filters_that_cannot_be_honoured_are_refused() {
    let cluster = fleet();
    let error = |filters: serde_json::Value| {
        let query = query(&[("filters", &filters.to_string())]);
        ContainerQuery::parse(&query)
            .and_then(|query| cluster.list_containers(&query).map(|_| ()))
            .unwrap_err()
    };
    for (filters, text, status) in [
        (json!({"colour": ["red"]}), "invalid filter 'colour'", 400),
        (json!({"status": ["up"]}), "invalid filter 'status=up'", 400),
        (json!({"exited": ["x"]}), "invalid filter 'exited=x'", 400),
        (
            json!({"publish": ["1:2"]}),
            "invalid filter 'publish=1:2'",
            400,
        ),
        (
            json!({"is-task": ["maybe"]}),
            "invalid filter 'is-task=maybe'",
            400,
        ),
        (
            json!({"before": ["nobody"]}),
            "No such container: nobody",
            404,
        ),
    ] {
        let error = error(filters);
        assert_eq!((error.to_string().as_str(), error.status()), (text, status));
    }
}

#[test]
fn containers_of_an_engine_that_is_down_are_shown_with_all_only() {
    let mut cluster = fleet();
    cluster
        .set_health(&address(1), EngineState::Unhealthy, 0, None, NOW)
        .unwrap();
    assert_eq!(ids(&cluster, &[]), ["aaa"]);
    assert_eq!(ids(&cluster, &[("all", "1")]), ["aaa", "bbb", "ccc"]);
}

#[test]
fn containers_of_an_image_called_swarm_are_listed_like_any_other() {
    // spec/classic.md section 10.3, A22
    let mut cluster = cluster(&[(1, 1)]);
    let mut own = Described::new("aaa", "manager");
    own.inspect["Config"]["Image"] = "swarm:1.2.9".into();
    own.put(&mut cluster, 0);
    assert_eq!(ids(&cluster, &[]), ["aaa"]);
}

#[test]
fn rows_are_written_as_one_array_with_sizes_where_known() {
    let cluster = fleet();
    let query = ContainerQuery::parse(&Query::default()).unwrap();
    let rows = cluster.list_containers(&query).unwrap();
    let sizes = BTreeMap::from([("aaa".to_owned(), (1, 2))]);
    let listing = Listing::new(&rows, NOW, sizes.clone());
    let json: serde_json::Value = serde_json::from_slice(&listing.whole()).unwrap();
    assert_eq!(json[0]["SizeRw"], 1);
    assert_eq!(json[0]["SizeRootFs"], 2);
    assert_eq!(json[1]["Names"], json!(["/node-1/db"]));
    assert_eq!(json[1].get("SizeRw"), None);
}

#[test]
fn pieces_of_any_length_make_the_same_list() {
    let cluster = fleet();
    let query = |text: &str| ContainerQuery::parse(&Query::new(text)).unwrap();
    for text in [
        "all=1",
        "all=1&limit=1",
        "all=1&filters={\"id\":[\"nothing\"]}",
    ] {
        let rows = cluster.list_containers(&query(text)).unwrap();
        let new = || Listing::new(&rows, NOW, BTreeMap::new());
        let whole = new().whole();
        let parsed: Vec<serde_json::Value> = serde_json::from_slice(&whole).unwrap();
        assert_eq!(parsed.len(), rows.len());
        for length in [1, 100, whole.len() - 1, whole.len(), 1 << 20] {
            let mut listing = new();
            let mut all = Vec::new();
            while let Some(piece) = listing.piece(length) {
                assert!(!piece.is_empty(), "a piece that is empty ends nothing");
                all.extend_from_slice(&piece);
            }
            assert!(listing.is_over());
            assert_eq!(all, whole);
        }
    }
}

#[test]
fn images_of_several_engines_are_merged() {
    // spec/classic.md section 7.4
    let mut cluster = cluster(&[(1, 1), (1, 1)]);
    for (number, tag) in [(0, "a:1"), (1, "b:2")] {
        let images = format!(
            r#"[{{"Id":"sha256:x","RepoTags":["{tag}"],"Created":1,"Size":5}},
                {{"Id":"sha256:y{number}","RepoTags":["lib/c:1"],"Created":2}},
                {{"Id":"sha256:z","RepoTags":["<none>:<none>"],"Created":3}}]"#
        );
        let images = Image::parse_list(images.as_bytes()).unwrap();
        cluster.replace_images(&address(number), images).unwrap();
    }
    let list = |pairs: &[(&str, &str)]| -> Vec<String> {
        let text = cluster.list_images(&query(pairs), None).unwrap();
        let json: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        json.iter()
            .map(|image| format!("{} {}", image["Id"].as_str().unwrap(), image["RepoTags"]))
            .collect()
    };
    let (y0, y1) = (r#"sha256:y0 ["lib/c:1"]"#, r#"sha256:y1 ["lib/c:1"]"#);
    let x = r#"sha256:x ["a:1","b:2"]"#;
    let z = r#"sha256:z ["<none>:<none>"]"#;
    assert_eq!(list(&[]), [y0, y1, x]);
    assert_eq!(list(&[("all", "1")]), [z, y0, y1, x]);
    assert_eq!(list(&[("filters", r#"{"dangling":["true"]}"#)]), [z]);
    assert_eq!(
        list(&[("filters", r#"{"node":["node-1"]}"#)]),
        [y1, r#"sha256:x ["b:2"]"#]
    );
    assert_eq!(list(&[("filters", r#"{"reference":["lib/*"]}"#)]), [y0, y1]);
    assert_eq!(list(&[("filters", r#"{"reference":["*"]}"#)]), [x]);
    assert_eq!(list(&[("filter", "a")]), [r#"sha256:x ["a:1"]"#]);
    assert_eq!(list(&[("filters", r#"{"since":["a:1"]}"#)]), [y0, y1]);
    let error = cluster
        .list_images(&query(&[("filters", r#"{"before":["none"]}"#)]), None)
        .unwrap_err();
    assert_eq!(error.status(), 400);
    assert_eq!(cluster.image_holders("b").len(), 1);
    assert_eq!(cluster.image_holders("lib/c:1").len(), 2);
    assert!(cluster.image_holders("lib/c:2").is_empty());
}

/// Two engines, each with a local `bridge` and volume `data`, sharing the network `over` and the volume `shared`.
fn shared_objects() -> Cluster {
    let mut cluster = cluster(&[(1, 1), (1, 1)]);
    for number in 0..2 {
        let networks = format!(
            r#"[{{"Id":"bridge{number}","Name":"bridge","Scope":"local","Driver":"bridge"}},
                {{"Id":"over","Name":"over","Scope":"global","Driver":"overlay","Labels":{{"a":"b"}}}}]"#
        );
        cluster
            .replace_networks(
                &address(number),
                Network::parse_list(networks.as_bytes()).unwrap(),
            )
            .unwrap();
        let volumes =
            br#"{"Volumes":[{"Name":"data","Driver":"local"},{"Name":"shared","Driver":"nfs"}]}"#;
        cluster
            .replace_volumes(&address(number), Volume::parse_list(volumes).unwrap())
            .unwrap();
    }
    cluster
}

fn names(text: &str, member: &str) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let list = if member.is_empty() {
        &json
    } else {
        &json[member]
    };
    let list = list.as_array().unwrap().iter();
    list.map(|one| one["Name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn local_networks_and_volumes_carry_their_engine() {
    // spec/classic.md sections 7.1 and 7.3
    let cluster = shared_objects();
    let networks = |filters: serde_json::Value| {
        names(
            &cluster
                .list_networks(&query(&[("filters", &filters.to_string())]))
                .unwrap(),
            "",
        )
    };
    assert_eq!(
        networks(json!({})),
        ["node-0/bridge", "node-1/bridge", "over"]
    );
    assert_eq!(networks(json!({"id": ["over"]})), ["over"]);
    assert_eq!(
        networks(json!({"name": ["node-1/bridge"]})),
        ["node-1/bridge"]
    );
    assert_eq!(
        networks(json!({"name": ["bri"]})),
        ["node-0/bridge", "node-1/bridge"]
    );
    assert_eq!(networks(json!({"type": ["custom", "builtin"]})).len(), 3);
    assert_eq!(networks(json!({"node": ["node-0", "node-1"]})).len(), 3);
    assert_eq!(networks(json!({"dangling": ["true"]})), ["over"]);
    assert_eq!(
        cluster
            .list_networks(&query(&[("filters", r#"{"type":["x"]}"#)]))
            .unwrap_err()
            .status(),
        400
    );
    let volumes = cluster.list_volumes(&Query::default()).unwrap();
    assert_eq!(
        names(&volumes, "Volumes"),
        ["node-0/data", "node-1/data", "shared"]
    );
    assert_eq!(
        cluster.network("bridge").unwrap_err().to_string(),
        "several engines have a network bridge: write one of node-0/bridge, node-1/bridge"
    );
    assert_eq!(
        cluster.network("none at all").unwrap_err().to_string(),
        "network none at all not found"
    );
    assert_eq!(cluster.network("node-1/bridge").unwrap().1.id, "bridge1");
    assert_eq!(cluster.network("over").unwrap().1.id, "over");
    assert_eq!(cluster.network("ov").unwrap().1.id, "over");
    let holders = |name: &str| -> Vec<String> {
        let holders = cluster.volume_holders(name).unwrap();
        let named = holders.iter().map(|(engine, _)| engine.name().to_owned());
        named.collect()
    };
    assert_eq!(holders("data"), ["node-0", "node-1"]);
    assert_eq!(holders("node-1/data"), ["node-1"]);
    assert_eq!(holders("shared").len(), 2);
    assert_eq!(
        cluster.volume_holders("none").unwrap_err().to_string(),
        "get none: no such volume"
    );
}

proptest::proptest! {
    #[test]
    fn queries_never_panic(filters in "\\PC{0,60}", limit in "\\PC{0,6}") {
        let cluster = fleet();
        let query = query(&[("filters", &filters), ("limit", &limit)]);
        if let Ok(query) = ContainerQuery::parse(&query) {
            let _ = cluster.list_containers(&query);
        }
        let _ = cluster.list_images(&query, None);
        let _ = cluster.list_networks(&query);
        let _ = cluster.list_volumes(&query);
    }
}
