use super::super::discovery::given;
use super::*;
use proptest::proptest;

type Mend = fn(&mut RawManage);

fn valid() -> RawManage {
    RawManage {
        discovery: given("consul://192.168.42.10:8500/nodes"),
        ..RawManage::default()
    }
}

fn replicated() -> RawManage {
    RawManage {
        replication: true,
        advertise: Some("192.168.42.200:4000".to_owned()),
        hosts: vec![":4000".to_owned()],
        ..valid()
    }
}

fn error(mut raw: RawManage, change: impl FnOnce(&mut RawManage)) -> String {
    change(&mut raw);
    Manage::try_from(raw).unwrap_err().to_string()
}

fn manage(mut raw: RawManage, change: impl FnOnce(&mut RawManage)) -> Manage {
    change(&mut raw);
    Manage::try_from(raw).unwrap()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn the_peers_that_are_allowed_hold_this_manager() {
    let allow = |text: &str| {
        let mut raw = replicated();
        raw.peers_allowed = vec!["m2".to_owned(), text.to_owned()];
        Manage::try_from(raw).map_err(|error| error.to_string())
    };
    let manage = allow("192.168.42.0/24,m3").unwrap();
    let allowed = AllowedPeers::parse(["m2", "192.168.42.0/24", "m3"]).unwrap();
    assert_eq!(manage.replication.unwrap().peers_allowed, allowed);
    let error = allow("10.0.0.0/8").unwrap_err();
    assert!(
        error.contains("this manager's own --advertise 192.168.42.200:4000"),
        "{error}"
    );
    let error = allow("10.0.0.0/99").unwrap_err();
    assert!(error.starts_with("--peer-allow: "), "{error}");
}

#[test]
fn the_users_document_is_a_valid_configuration() {
    let manage = manage(replicated(), |_| ());
    assert_eq!(
        manage.replication,
        Some(Replication {
            advertise: "192.168.42.200:4000".parse().unwrap(),
            peers_allowed: AllowedPeers::default(),
            lease: Duration::from_secs(2),
            primary_wait: Duration::from_secs(30),
            fence: Fence::Verify,
            failsafe: false,
        })
    );
    assert_eq!(
        manage.discovery.keys.unwrap().nodes_prefix(),
        "nodes/docker/swarm/nodes/"
    );
    assert_eq!(
        manage.listen,
        [ListenAddress::Tcp {
            host: String::new(),
            port: 4000
        }]
    );
    assert_eq!(
        manage.warnings,
        [Warning::InsecureListener(manage.listen[0].clone())]
    );
}

#[test]
fn defaults_are_those_of_classic_swarm() {
    let manage = manage(valid(), |_| ());
    assert_eq!(manage.listen[0].to_string(), "127.0.0.1:2375");
    assert_eq!(manage.strategy, Strategy::Spread);
    assert_eq!(
        manage.filters.iter().map(|f| f.name()).collect::<Vec<_>>(),
        [
            "health",
            "port",
            "containerslots",
            "dependency",
            "affinity",
            "constraint",
            "whitelist"
        ]
    );
    assert_eq!(manage.engines.refresh_min, Duration::from_secs(30));
    assert_eq!(manage.engines.refresh_max, Duration::from_secs(60));
    assert_eq!(manage.engines.failure_retry, 3);
    assert_eq!(manage.heartbeat, Duration::from_secs(60));
    assert_eq!((manage.overcommit, manage.create_retry), (0.05, 0));
    assert_eq!(manage.replication, None);
    assert!(!manage.cors);
    assert_eq!(manage.warnings, []);
}

/// Everything wrong at once, then mended one by one: the errors must come in the order of spec/classic.md section 1.5.
#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one table of all checks in their order"
)]
fn the_checks_come_in_order() {
    let mut raw = RawManage {
        strategy: "x".to_owned(),
        filters: vec!["health".to_owned(), "x".to_owned()],
        hosts: vec!["udp://:1".to_owned()],
        replication: true,
        replication_ttl: "x".to_owned(),
        primary_wait: "x".to_owned(),
        fence: "x".to_owned(),
        tls: RawTls {
            verify: true,
            ..RawTls::default()
        },
        require_tls: true,
        engine_refresh_min: "x".to_owned(),
        engine_refresh_max: "x".to_owned(),
        engine_failure_retry: "0".to_owned(),
        engine_refresh_retry: "4".to_owned(),
        heartbeat: "x".to_owned(),
        cluster_driver: "mesos-experimental".to_owned(),
        cluster_options: vec!["swarm.overcommit".to_owned()],
        ..RawManage::default()
    };
    let steps: [(&str, Mend); 36] = [
        (
            "--tlscert and --tlskey must be provided when using --tls",
            |raw| (raw.tls.own.cert, raw.tls.own.key) = (some("c"), some("k")),
        ),
        (
            "--tlscacert must be provided when using --tlsverify",
            |raw| (raw.tls.verify, raw.tls.own.ca) = (false, some("ca")),
        ),
        (
            "--tlscert, --tlskey and --tlscacert require the use of either --tls or --tlsverify",
            |raw| raw.tls = RawTls::default(),
        ),
        (
            "invalid --engine-refresh-min-interval: time: invalid duration \"x\"",
            |raw| raw.engine_refresh_min = "0s".to_owned(),
        ),
        ("min refresh interval should be a positive number", |raw| {
            raw.engine_refresh_min = "-1s".to_owned();
        }),
        ("min refresh interval should be a positive number", |raw| {
            raw.engine_refresh_min = "30s".to_owned();
        }),
        (
            "invalid --engine-refresh-max-interval: time: invalid duration \"x\"",
            |raw| raw.engine_refresh_max = "29s".to_owned(),
        ),
        (
            "max refresh interval cannot be less than min refresh interval",
            |raw| raw.engine_refresh_max = "30s".to_owned(),
        ),
        (
            "--engine-refresh-retry is deprecated. Use --engine-failure-retry",
            |raw| raw.engine_refresh_retry = "3".to_owned(),
        ),
        ("invalid failure retry count", |raw| {
            raw.engine_failure_retry = "x".to_owned();
        }),
        (
            "invalid --engine-failure-retry: \"x\" is not a whole number",
            |raw| raw.engine_failure_retry = "1".to_owned(),
        ),
        (
            "discovery required to manage a cluster. See 'swarm manage --help'.",
            |raw| raw.discovery = given("x://y"),
        ),
        ("invalid --heartbeat: time: invalid duration \"x\"", |raw| {
            raw.heartbeat = "0.5s".to_owned();
        }),
        ("--heartbeat should be at least one second", |raw| {
            raw.heartbeat = "1s".to_owned();
            raw.discovery.options = vec!["x".to_owned()];
        }),
        ("--discovery-opt must contain key=value strings", |raw| {
            raw.discovery.options.clear();
        }),
        ("discovery service not supported", |raw| {
            raw.discovery = given("file:///engines");
        }),
        ("strategy not supported", |raw| {
            raw.strategy = "binpacking".to_owned();
        }),
        ("filter not supported", |raw| {
            raw.filters = vec!["health".to_owned()];
        }),
        ("unsupported cluster \"mesos-experimental\"", |raw| {
            raw.cluster_driver = "swarm".to_owned();
        }),
        ("--cluster-opt must contain key=value strings", |raw| {
            raw.cluster_options = vec!["swarm.x=1".to_owned()];
        }),
        ("unknown --cluster-opt \"swarm.x\"", |raw| {
            raw.cluster_options = vec!["swarm.overcommit=-2".to_owned()];
        }),
        (
            "swarm.overcommit should be larger than -1, -2.000000 is invalid",
            |raw| raw.cluster_options = vec!["swarm.createretry=-1".to_owned()],
        ),
        (
            "swarm.createretry can not be negative, -1 is invalid",
            |raw| raw.cluster_options.clear(),
        ),
        (
            "--advertise address must be provided when using --replication",
            |raw| raw.advertise = some(":4000"),
        ),
        (
            "--advertise should be of the form ip:port or hostname:port",
            |raw| raw.advertise = some("0.0.0.0:4000"),
        ),
        (
            "--advertise 0.0.0.0:4000 is an unspecified address",
            |raw| {
                raw.advertise = some("127.0.0.1:4000");
            },
        ),
        (
            "invalid --replication-ttl: time: invalid duration \"x\"",
            |raw| raw.replication_ttl = "-1s".to_owned(),
        ),
        ("--replication-ttl should be a positive number", |raw| {
            raw.replication_ttl = "499ms".to_owned();
        }),
        ("--replication-ttl should be at least 500ms", |raw| {
            raw.replication_ttl = "10m1ms".to_owned();
        }),
        ("--replication-ttl should be at most 10m", |raw| {
            raw.replication_ttl = "500ms".to_owned();
        }),
        (
            "invalid --primary-wait: time: invalid duration \"x\"",
            |raw| raw.primary_wait = "-1s".to_owned(),
        ),
        ("--primary-wait should not be a negative number", |raw| {
            raw.primary_wait = "0".to_owned();
        }),
        ("unknown --fence \"x\": use verify or lease", |raw| {
            raw.fence = "lease".to_owned();
        }),
        (
            "Leader election is only supported with consul, etcd and zookeeper discovery.",
            |raw| raw.discovery = given("consul://c:8500"),
        ),
        ("unsupported protocol: \"udp\"", |raw| {
            raw.hosts = vec!["unix:///s".to_owned(), ":1".to_owned()];
        }),
        ("--require-tls refuses to listen on :1", |raw| {
            raw.hosts = vec!["unix:///s".to_owned()];
        }),
    ];
    for (expected, mend) in steps {
        let found = Manage::try_from(raw.clone()).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{expected}\n{found}");
        mend(&mut raw);
    }
    let manage = Manage::try_from(raw).unwrap();
    assert_eq!(manage.strategy, Strategy::BinPack);
    assert_eq!(manage.filters, [Filter::Health]);
    assert_eq!(
        manage.warnings,
        [Warning::AdvertiseLoopback(
            "127.0.0.1:4000".parse().unwrap()
        )]
    );
    let replication = manage.replication.unwrap();
    assert_eq!(replication.lease, Duration::from_millis(500));
    assert_eq!(replication.primary_wait, Duration::ZERO);
    assert_eq!(replication.fence, Fence::Lease);
}

#[test]
fn flags_of_replication_are_checked_without_it_too() {
    let mends: [(Mend, &str); 3] = [
        (
            |raw| raw.replication_ttl = "x".to_owned(),
            "--replication-ttl",
        ),
        (|raw| raw.primary_wait = "soon".to_owned(), "--primary-wait"),
        (|raw| raw.fence = "maybe".to_owned(), "--fence"),
    ];
    for (mend, flag) in mends {
        let mut raw = valid();
        mend(&mut raw);
        let error = Manage::try_from(raw).unwrap_err().to_string();
        assert!(error.contains(flag), "{error}");
    }
    assert_eq!(Manage::try_from(valid()).unwrap().replication, None);
}

#[test]
fn cluster_options_are_numbers_or_errors() {
    let set = |options: &[&str]| {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        move |raw: &mut RawManage| raw.cluster_options = options
    };
    let both = manage(
        valid(),
        set(&["swarm.overcommit=0.5", "swarm.createretry=0x10"]),
    );
    assert_eq!((both.overcommit, both.create_retry), (0.5, 16));
    let grace = |options: &[&str]| manage(valid(), set(options)).reschedule_grace;
    assert_eq!(grace(&[]), Duration::from_secs(30));
    assert_eq!(
        grace(&["swarm.reschedule.grace=2m"]),
        Duration::from_secs(120)
    );
    for value in ["", "2", "-1s", "25h"] {
        let found = error(valid(), set(&[&format!("swarm.reschedule.grace={value}")]));
        assert!(found.contains("swarm.reschedule.grace"), "{found}");
    }
    let less = manage(valid(), set(&["swarm.overcommit=-0.5"]));
    assert_eq!(less.warnings, [Warning::NegativeOvercommit]);
    for value in ["", "x", "NaN", "inf", "0.5x"] {
        let found = error(valid(), set(&[&format!("swarm.overcommit={value}")]));
        assert!(found.contains("is not a number"), "{found}");
    }
    for value in ["", "x", "1.5", "99999999999"] {
        let found = error(valid(), set(&[&format!("swarm.createretry={value}")]));
        assert!(found.contains("is not a whole number"), "{found}");
    }
}

#[test]
fn flags_without_effect_are_taken_with_a_warning() {
    let manage = manage(valid(), |raw| {
        raw.refresh_on_node_filter = true;
        raw.container_name_refresh_filter = some("x");
    });
    assert_eq!(
        manage.warnings,
        [
            Warning::NoEffect("--refresh-on-node-filter"),
            Warning::NoEffect("--container-name-refresh-filter")
        ]
    );
}

#[test]
fn web_pages_are_let_in_without_a_warning() {
    let manage = manage(valid(), |raw| {
        raw.cors = true;
    });
    assert!(manage.cors);
    assert_eq!(manage.warnings, []);
}

#[test]
fn require_tls_allows_what_only_this_machine_can_reach() {
    let manage = manage(valid(), |raw| {
        raw.require_tls = true;
        raw.hosts_env = some("127.0.0.1:2375,unix:///s");
    });
    assert_eq!(manage.listen.len(), 2);
}

#[test]
fn require_tls_wants_clients_to_be_checked() {
    let open = |verify| {
        move |raw: &mut RawManage| {
            raw.require_tls = true;
            raw.hosts = vec![":4000".to_owned()];
            raw.tls.enabled = true;
            raw.tls.verify = verify;
            let own = &mut raw.tls.own;
            (own.ca, own.cert, own.key) = (some("ca"), some("c"), some("k"));
        }
    };
    assert_eq!(manage(valid(), open(true)).warnings, []);
    assert!(error(valid(), open(false)).contains("use --tlsverify"));
}

proptest! {
    #[test]
    fn reading_never_panics(
        texts in proptest::collection::vec("\\PC{0,12}", 8),
        flags: [bool; 4],
    ) {
        let [a, b, c, d, e, f, g, h] = texts.try_into().unwrap();
        let mut raw = replicated();
        raw.advertise = Some(a);
        if flags[0] { raw.strategy = b; }
        if flags[1] { raw.cluster_options = vec![c, format!("swarm.overcommit={d}")]; }
        if flags[2] { raw.replication_ttl = e; raw.fence = f; }
        if flags[3] { raw.hosts = vec![g]; raw.discovery = given(&h); }
        let _ = Manage::try_from(raw);
    }
}
