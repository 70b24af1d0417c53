use super::*;
use serde_json::json;

mod info;
mod lists;
mod texts;

pub(crate) const NOW: Wall = Wall(1_700_000_000 * NANO);

pub(crate) fn address(number: usize) -> HostPort {
    format!("10.0.0.{number}:2375").parse().unwrap()
}

pub(crate) fn specs(number: usize, cpus: u64, memory: u64) -> Specs {
    let info = json!({
        "ID": format!("DAEMON{number}"), "Name": format!("node-{number}"), "NCPU": cpus, "MemTotal": memory,
        "Driver": "overlay2", "KernelVersion": "6.1", "OperatingSystem": "Debian", "OSType": "linux",
        "Labels": ["zone=a"], "SystemTime": NOW.rfc3339_nanos(),
    });
    let version = json!({"Version": "24.0.7", "ApiVersion": "1.43", "MinAPIVersion": "1.12"});
    let (specs, warnings) = Specs::parse(
        &address(number),
        info.to_string().as_bytes(),
        version.to_string().as_bytes(),
        NOW,
    )
    .unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    specs
}

/// A cluster of healthy engines `node-0`, `node-1`, … with these CPUs and bytes of memory.
pub(crate) fn cluster(engines: &[(u64, u64)]) -> Cluster {
    let mut cluster = Cluster::new();
    for (number, (cpus, memory)) in engines.iter().enumerate() {
        let address = address(number);
        assert!(cluster.add_engine(&address, NOW));
        cluster
            .admit(&address, address.ip(), specs(number, *cpus, *memory), NOW)
            .unwrap();
        cluster
            .set_health(&address, EngineState::Healthy, 100, None, NOW)
            .unwrap();
    }
    cluster
}

/// What an engine says of a container, to be changed by a test before [`Described::put`].
pub(crate) struct Described {
    pub(crate) entry: serde_json::Value,
    pub(crate) inspect: serde_json::Value,
}

impl Described {
    /// A running container.
    pub(crate) fn new(id: &str, name: &str) -> Self {
        let started = Wall(NOW.0 - 180 * NANO).rfc3339_nanos();
        Self {
            entry: json!({
                "Id": id, "Names": [format!("/{name}")], "Image": "nginx:1", "ImageID": "sha256:aaa", "Command": "run",
                "Created": NOW.seconds() - 200, "Ports": [], "Labels": {}, "State": "running",
                "Status": "Up 3 minutes", "HostConfig": {"NetworkMode": "default"},
                "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "net1"}}}, "Mounts": [],
            }),
            inspect: json!({
                "Id": id, "Created": Wall(NOW.0 - 200 * NANO).rfc3339_nanos(), "Name": format!("/{name}"),
                "State": {"Status": "running", "Running": true, "ExitCode": 0, "StartedAt": started,
                    "FinishedAt": "0001-01-01T00:00:00Z"},
                "HostConfig": {"Memory": 0, "NanoCpus": 0, "CpuShares": 0, "NetworkMode": "default"},
                "Config": {"Image": "nginx:1", "Labels": {}},
            }),
        }
    }

    pub(crate) fn swarm_id(mut self, id: &str) -> Self {
        self.inspect["Config"]["Labels"][SWARM_ID_LABEL] = id.into();
        self.entry["Labels"][SWARM_ID_LABEL] = id.into();
        self
    }

    pub(crate) fn resources(mut self, memory: u64, cpus: u64) -> Self {
        self.inspect["HostConfig"]["Memory"] = memory.into();
        self.inspect["HostConfig"]["NanoCpus"] = (cpus * NANO).into();
        self
    }

    pub(crate) fn exited(mut self, code: i64) -> Self {
        self.inspect["State"]["Running"] = false.into();
        self.inspect["State"]["Status"] = "exited".into();
        self.inspect["State"]["ExitCode"] = code.into();
        self.inspect["State"]["FinishedAt"] = Wall(NOW.0 - 10 * NANO).rfc3339_nanos().into();
        self
    }

    pub(crate) fn container(&self, engine: &Engine) -> Container {
        Container::parse(
            self.entry.to_string().as_bytes(),
            self.inspect.to_string().as_bytes(),
            &engine.entry_context().unwrap(),
        )
        .unwrap()
    }

    pub(crate) fn put(&self, cluster: &mut Cluster, number: usize) {
        let container = self.container(cluster.engine(&address(number)).unwrap());
        cluster
            .upsert_container(&address(number), container)
            .unwrap();
    }
}

fn status_of(container: &Container) -> String {
    let mut out = String::new();
    container.state.write_text(NOW, &mut out);
    out
}

fn entry_of(cluster: &Cluster, reference: &str) -> serde_json::Value {
    let (engine, container) = cluster.container(reference).unwrap();
    let rows = [(engine, &Arc::new(container.clone()))];
    let list = Listing::new(&rows, NOW, BTreeMap::new()).whole();
    let list: Vec<serde_json::Value> = serde_json::from_slice(&list).unwrap();
    list.into_iter().next().unwrap()
}

#[test]
fn containers_are_found_by_every_kind_of_reference() {
    // spec/classic.md appendix B 17
    let mut cluster = cluster(&[(1, 1), (1, 1)]);
    let id = "con0123456789abcdef";
    Described::new(id, "foo")
        .swarm_id("swarmid0123456789")
        .put(&mut cluster, 0);
    Described::new("fff0", "con").put(&mut cluster, 1);
    Described::new("fff1", "foo").put(&mut cluster, 1);
    for (reference, found) in [
        (id, id),
        ("con012345678", id),
        ("con0", id),
        ("swarmid0123456789", id),
        ("swarmid01234", id),
        ("swarm", id),
        ("node-0/foo", id),
        ("/node-0/foo", id),
        ("DAEMON0/foo", id),
        ("node-1/foo", "fff1"),
        ("con", "fff0"),
        ("/con", "fff0"),
    ] {
        assert_eq!(
            &*cluster.container(reference).unwrap().1.id,
            found,
            "{reference}"
        );
    }
    for reference in ["", "bar", "node-0/con", "node-2/foo", "fff2", "/"] {
        let error = cluster.container(reference).unwrap_err();
        assert_eq!(error, LookupError::NotFound(reference.to_owned()));
    }
}

#[test]
fn an_ambiguous_reference_names_the_candidates() {
    let mut cluster = cluster(&[(1, 1), (1, 1)]);
    Described::new("aaa0", "foo").put(&mut cluster, 0);
    Described::new("aaa1", "foo").put(&mut cluster, 1);
    for reference in ["foo", "aaa"] {
        let error = cluster.container(reference).unwrap_err().to_string();
        assert!(
            error.contains("node-0/foo (aaa0), node-1/foo (aaa1)"),
            "{error}"
        );
    }
}

#[test]
fn an_id_and_a_swarm_id_with_the_same_prefix_are_one_candidate() {
    let mut cluster = cluster(&[(1, 1)]);
    Described::new("abc0", "x")
        .swarm_id("abc1")
        .put(&mut cluster, 0);
    assert_eq!(&*cluster.container("abc").unwrap().1.id, "abc0");
}

#[test]
fn lookup_follows_renames_removals_and_whole_refreshes() {
    let mut cluster = cluster(&[(1, 1)]);
    Described::new("aaa", "old").put(&mut cluster, 0);
    assert!(cluster.add_exec(&address(0), "aaa", "exec1"));
    Described::new("aaa", "new").put(&mut cluster, 0);
    assert!(cluster.container("old").is_err());
    assert_eq!(&*cluster.container_of_exec("exec1").unwrap().1.id, "aaa");
    let other = Described::new("bbb", "b").container(cluster.engine(&address(0)).unwrap());
    cluster
        .replace_containers(&address(0), vec![other])
        .unwrap();
    assert!(cluster.container("new").is_err());
    assert!(cluster.container_of_exec("exec1").is_none());
    assert!(cluster.remove_container(&address(0), "bbb"));
    assert!(cluster.container("b").is_err());
    assert!(!cluster.remove_container(&address(0), "bbb"));
}

#[test]
fn a_newer_record_goes_on_with_the_texts_that_lead_to_it() {
    let mut cluster = cluster(&[(1, 1)]);
    let described = Described::new("one", "web").swarm_id("key");
    let texts = |cluster: &Cluster| {
        let (_, container) = cluster.container("one").unwrap();
        let name = container.names().next().unwrap().clone();
        let swarm_id = container.labels.shared(SWARM_ID_LABEL).unwrap().clone();
        [container.id.clone(), name, swarm_id]
    };
    described.put(&mut cluster, 0);
    let before = texts(&cluster);
    described.put(&mut cluster, 0);
    for (before, after) in before.iter().zip(texts(&cluster)) {
        assert!(Arc::ptr_eq(before, &after), "{after} is kept twice");
    }
}

#[test]
fn a_container_takes_no_more_than_it_did() {
    // With the two counters of its `Arc` 256 bytes, as much as an allocator gives. There are a million of them.
    assert!(size_of::<Container>() <= 240, "{}", size_of::<Container>());
}

#[test]
fn one_daemon_under_two_addresses_is_an_error_on_the_second_and_loses_nothing() {
    // spec/classic.md section 10.5, E1
    let mut cluster = cluster(&[(1, 1)]);
    Described::new("aaa", "foo").put(&mut cluster, 0);
    let second = address(9);
    cluster.add_engine(&second, NOW);
    let error = cluster
        .admit(&second, None, specs(0, 1, 1), NOW)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "ID duplicated. DAEMON0 shared by this node 10.0.0.9:2375 and another node 10.0.0.0:2375"
    );
    let engine = cluster.engine(&second).unwrap();
    assert_eq!(engine.state, EngineState::Pending);
    assert_eq!(engine.error, Some(error.to_string()));
    assert!(cluster.container("foo").is_ok());
    cluster.remove_engine(&address(0), NOW);
    assert_eq!(
        cluster.admit(&second, None, specs(0, 1, 1), NOW),
        Ok(Admission::New)
    );
}

#[test]
fn an_engine_whose_daemon_answers_at_another_address_has_not_failed() {
    // spec/classic.md section 10.5, E1
    let mut cluster = cluster(&[(1, 1)]);
    let fail = |cluster: &mut Cluster, number| {
        let reason = Some(format!("no answer from {number}"));
        cluster
            .set_health(&address(number), EngineState::Unhealthy, 0, reason, NOW)
            .unwrap();
    };
    let failed = |cluster: &Cluster| cluster.has_failed(cluster.engine(&address(0)).unwrap());
    fail(&mut cluster, 0);
    assert!(failed(&cluster));
    cluster.add_engine(&address(9), NOW);
    assert!(!cluster.has_failed(cluster.engine(&address(9)).unwrap()));
    let twin = cluster.admit(&address(9), None, specs(0, 1, 1), NOW);
    let reason = Some(twin.unwrap_err().to_string());
    assert!(!failed(&cluster));
    // Told again, it is still so; when that address fails too, it is no more.
    let pending = EngineState::Pending;
    cluster
        .set_health(&address(9), pending, 0, reason, NOW)
        .unwrap();
    assert!(!failed(&cluster));
    fail(&mut cluster, 9);
    assert!(failed(&cluster));
}

#[test]
fn a_reinstalled_daemon_replaces_the_old_one() {
    let mut cluster = cluster(&[(1, 1)]);
    Described::new("aaa", "foo").put(&mut cluster, 0);
    let mut changed = specs(0, 1, 1);
    assert_eq!(
        cluster.admit(&address(0), address(0).ip(), changed.clone(), NOW),
        Ok(Admission::Same)
    );
    changed.name = "renamed".to_owned();
    assert_eq!(
        cluster.admit(&address(0), address(0).ip(), changed, NOW),
        Ok(Admission::Changed)
    );
    assert_eq!(
        cluster.admit(&address(0), None, specs(5, 1, 1), NOW),
        Ok(Admission::Replaced {
            old: "DAEMON0".to_owned()
        })
    );
    assert!(cluster.container("foo").is_err());
}

#[test]
fn two_engines_of_one_name_are_noticed() {
    // spec/classic.md section 10.5, E19
    let mut cluster = cluster(&[(1, 1), (1, 1)]);
    assert!(
        cluster
            .namesake(cluster.engine(&address(0)).unwrap())
            .is_none()
    );
    let mut same = specs(1, 1, 1);
    same.name = "node-0".to_owned();
    cluster.admit(&address(1), None, same, NOW).unwrap();
    let twin = cluster
        .namesake(cluster.engine(&address(0)).unwrap())
        .unwrap();
    assert_eq!(twin.address, address(1));
}

#[test]
fn engines_that_cannot_be_used_say_why() {
    let parse = |info: serde_json::Value| {
        Specs::parse(
            &address(1),
            info.to_string().as_bytes(),
            br#"{"ApiVersion":"1.43"}"#,
            NOW,
        )
    };
    for (info, text) in [
        (
            json!({"ID": "A", "NCPU": 0, "MemTotal": 5}),
            "cannot get resources for this engine, make sure 10.0.0.1:2375 is a Docker Engine, not a Swarm manager",
        ),
        (json!({"NCPU": 1, "MemTotal": 5}), "reports no daemon ID"),
        (
            json!({"ID": "A", "NCPU": 1, "MemTotal": 5, "Labels": ["x"]}),
            "invalid label (x) not formatted as \"key=value\"",
        ),
        (json!("x"), "/info of engine 10.0.0.1:2375 cannot be read"),
    ] {
        let error = parse(info).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    let skewed = Wall(NOW.0 - 90 * NANO).rfc3339_nanos();
    let (specs, warnings) = parse(json!({"ID": "A", "Name": "n", "NCPU": 1, "MemTotal": 5,
        "OSType": "linux", "SystemTime": skewed, "Labels": ["node=x", "ostype=y", "zone=a"]}))
    .unwrap();
    assert_eq!(specs.clock_offset, 90_000_000_000);
    assert_eq!(warnings.len(), 3);
    assert_eq!(
        specs.labels,
        BTreeMap::from([
            ("ostype".to_owned(), "linux".to_owned()),
            ("zone".to_owned(), "a".to_owned())
        ])
    );
}

#[test]
fn the_list_entry_is_the_engines_with_the_cluster_changes() {
    // spec/classic.md section 4.4 item 7
    let mut cluster = cluster(&[(1, 1)]);
    let mut foo = Described::new("aaa", "foo");
    foo.entry["Ports"] = json!([
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "127.0.0.1", "PrivatePort": 81, "PublicPort": 8081, "Type": "tcp"},
        {"PrivatePort": 82, "Type": "udp"}]);
    foo.entry["Unknown"] = json!({"kept": [1]});
    foo.put(&mut cluster, 0);
    let entry = entry_of(&cluster, "foo");
    assert_eq!(entry["Names"], json!(["/node-0/foo"]));
    assert_eq!(entry["Status"], "Up 3 minutes");
    assert_eq!(entry["Ports"][0]["IP"], "10.0.0.0");
    assert_eq!(entry["Ports"][1]["IP"], "10.0.0.0");
    assert_eq!(entry["Ports"][2]["IP"], "127.0.0.1");
    assert_eq!(entry["Ports"][3], json!({"PrivatePort": 82, "Type": "udp"}));
    assert_eq!(entry["Unknown"], json!({"kept": [1]}));
    cluster
        .set_health(
            &address(0),
            EngineState::Unhealthy,
            0,
            Some("gone".to_owned()),
            NOW,
        )
        .unwrap();
    assert_eq!(entry_of(&cluster, "foo")["Status"], "Host Down");
}

#[test]
fn the_status_follows_state_and_time() {
    let cluster = cluster(&[(1, 1)]);
    let engine = cluster.engine(&address(0)).unwrap();
    let check = |change: &dyn Fn(&mut serde_json::Value), status: &str| {
        let mut container = Described::new("aaa", "foo");
        change(&mut container.inspect["State"]);
        assert_eq!(status_of(&container.container(engine)), status);
    };
    let ended = Wall(NOW.0 - 5 * NANO).rfc3339_nanos();
    check(&|_| (), "Up 3 minutes");
    check(
        &|s| s["Health"] = json!({"Status": "healthy"}),
        "Up 3 minutes (healthy)",
    );
    check(
        &|s| s["Health"] = json!({"Status": "starting"}),
        "Up 3 minutes (health: starting)",
    );
    check(&|s| s["Paused"] = true.into(), "Up 3 minutes (Paused)");
    check(
        &|s| *s = json!({"Running": true, "Restarting": true, "ExitCode": 2, "StartedAt": ended, "FinishedAt": ended}),
        "Restarting (2) 5 seconds ago",
    );
    check(
        &|s| *s = json!({"ExitCode": 137, "StartedAt": ended, "FinishedAt": ended}),
        "Exited (137) 5 seconds ago",
    );
    check(
        &|s| *s = json!({"StartedAt": "0001-01-01T00:00:00Z"}),
        "Created",
    );
    check(&|s| *s = json!({"Dead": true, "StartedAt": ended}), "Dead");
}

#[test]
fn a_skewed_engine_clock_does_not_make_created_containers_exited() {
    // spec/classic.md section 10.5, E14
    let mut cluster = cluster(&[(1, 1)]);
    let mut skewed = specs(0, 1, 1);
    skewed.clock_offset = 60 * 1_000_000_000;
    cluster.admit(&address(0), None, skewed, NOW).unwrap();
    let engine = cluster.engine(&address(0)).unwrap();
    let mut container = Described::new("aaa", "foo");
    assert_eq!(status_of(&container.container(engine)), "Up 2 minutes");
    container.inspect["State"] = json!({"StartedAt": "0001-01-01T00:00:00Z"});
    assert_eq!(status_of(&container.container(engine)), "Created");
}

#[test]
fn used_resources_follow_the_containers() {
    let mut cluster = cluster(&[(4, 8 << 30)]);
    Described::new("aaa", "a")
        .resources(1 << 30, 1)
        .put(&mut cluster, 0);
    let mut shares = Described::new("bbb", "b");
    shares.inspect["HostConfig"]["CpuShares"] = cpus_to_shares(3, 4).into();
    shares.put(&mut cluster, 0);
    let used = |cluster: &Cluster| cluster.engine(&address(0)).unwrap().used();
    assert_eq!(
        used(&cluster),
        Resources {
            memory: 1 << 30,
            nano_cpus: 4 * NANO
        }
    );
    Described::new("aaa", "a")
        .exited(0)
        .resources(2 << 30, 0)
        .put(&mut cluster, 0);
    assert_eq!(
        used(&cluster),
        Resources {
            memory: 2 << 30,
            nano_cpus: 3 * NANO
        }
    );
    cluster.remove_container(&address(0), "bbb");
    cluster.remove_container(&address(0), "aaa");
    assert_eq!(used(&cluster), Resources::default());
}

#[test]
fn cpu_shares_round_trip() {
    // spec/classic.md appendix B 14
    for cpus in [1, 2, 4, 8, 10, 12, 16, 20, 32, 36, 40, 48] {
        for wanted in 0..=cpus {
            assert_eq!(shares_to_cpus(cpus_to_shares(wanted, cpus), cpus), wanted);
        }
    }
}

proptest::proptest! {
    #[test]
    fn descriptions_of_engines_never_panic(text in "\\PC{0,80}") {
        let cluster = cluster(&[(1, 1)]);
        let context = cluster.engine(&address(0)).unwrap().entry_context().unwrap();
        let whole = Described::new("aaa", "a");
        let _ = Container::parse(text.as_bytes(), whole.inspect.to_string().as_bytes(), &context);
        let _ = Container::parse(whole.entry.to_string().as_bytes(), text.as_bytes(), &context);
        let _ = Specs::parse(&address(0), text.as_bytes(), b"{}", NOW);
        let _ = Network::parse_list(text.as_bytes());
        let _ = Volume::parse_list(text.as_bytes());
        let _ = cluster.container(&text);
    }
}

#[test]
fn a_container_is_found_and_listed_by_what_was_heard_of_it_last() {
    let mut cluster = cluster(&[(1, 1)]);
    Described::new("aaa", "one").put(&mut cluster, 0);
    let mut stopped = Described::new("aaa", "one");
    stopped.inspect["State"]["Running"] = false.into();
    stopped.put(&mut cluster, 0);
    assert_eq!(entry_of(&cluster, "one")["State"], "exited");
    Described::new("aaa", "two").put(&mut cluster, 0);
    assert!(cluster.container("two").is_ok());
    assert!(cluster.container("one").is_err());
    let all = ContainerQuery::parse(&crate::api::Query::new("all=1")).unwrap();
    let rows = cluster.list_containers(&all).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].1.name(), "two");
}
