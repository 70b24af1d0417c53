//! What a request costs in the machine itself: placement, lists, reading what engines say.
//!
//! `cargo bench -p swarm-core` runs all; the cluster has 1,000 engines with 30 containers each.
#![expect(
    clippy::expect_used,
    reason = "a bench that cannot be set up has nothing to measure"
)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{json, value::RawValue};
use swarm_core::address::HostPort;
use swarm_core::api::Query;
use swarm_core::cluster::{
    Cluster, ClusterInfo, Container, ContainerQuery, EngineState, EntryContext, HostInfo, NANO,
    Resources, Role, Specs, Texts,
};
use swarm_core::config::{Filter, Strategy};
use swarm_core::engine::{Event, Node, entry_mark};
use swarm_core::json::RawObject;
use swarm_core::rng::Random;
use swarm_core::scheduler::{Request, Scheduler};
use swarm_core::time::Wall;

const ENGINES: u32 = 1_000;
const CONTAINERS: u32 = 30;
const NOW: Wall = Wall(1_764_000_000 * NANO);

criterion_group!(benches, placement, lists, names, reading);
criterion_main!(benches);

fn placement(c: &mut Criterion) {
    let cluster = cluster();
    let filters = Filter::ALL.to_vec();
    let plain = Request {
        name: "web".to_owned(),
        resources: Resources {
            memory: 1 << 20,
            nano_cpus: NANO / 100,
        },
        ..Request::default()
    };
    let mut picky = plain.clone();
    for one in ["zone==a", "disk==~ssd"] {
        picky
            .expressions
            .constraints
            .push(one.parse().expect("an expression"));
    }
    for (what, strategy, request) in [
        ("spread", Strategy::Spread, &plain),
        ("binpack", Strategy::BinPack, &plain),
        ("random", Strategy::Random, &plain),
        ("spread with constraints", Strategy::Spread, &picky),
    ] {
        let mut scheduler = Scheduler::new(strategy, filters.clone(), 5, Random::new(1));
        c.bench_function(&format!("placement over 1,000 engines: {what}"), |b| {
            b.iter(|| {
                let placed = scheduler.reserve(&cluster, request.clone());
                let (id, ranking) = placed.expect("room for it");
                scheduler.release(id);
                ranking.ranked.len()
            });
        });
    }
}

fn lists(c: &mut Criterion) {
    let cluster = cluster();
    let query = |text: &str| ContainerQuery::parse(&Query::new(text)).expect("a query");
    let all = query("all=1");
    let mut group = c.benchmark_group("30,000 containers");
    group.sample_size(20);
    group.throughput(Throughput::Elements(u64::from(ENGINES * CONTAINERS)));
    group.bench_function("find and order", |b| {
        b.iter(|| cluster.list_containers(&all).expect("rows").len());
    });
    let write = |texts: &Texts| {
        let listing = cluster.listing(&all, NOW, Default::default(), texts);
        let mut listing = listing.expect("a list");
        let first = listing.piece(1).map_or(0, |piece| piece.len());
        let rest = std::iter::from_fn(|| listing.long_piece(usize::MAX, texts));
        first + rest.map(|piece| piece.len()).sum::<usize>()
    };
    group.bench_function("write", |b| b.iter(|| write(&Texts::new(0))));
    let texts = Texts::new(1 << 30);
    group.bench_function("write once more", |b| b.iter(|| write(&texts)));
    let one = query("all=1&filters=%7B%22name%22%3A%5B%22web-7-7%22%5D%7D");
    group.bench_function("find one by name", |b| {
        b.iter(|| cluster.list_containers(&one).expect("rows").len());
    });
    group.finish();
    let host = HostInfo::default();
    c.bench_function("info of 1,000 engines", |b| {
        b.iter(|| {
            let info = ClusterInfo {
                cluster: &cluster,
                host: &host,
                role: Role::Primary,
                replication: None,
                strategy: "spread",
                filters: &["health"],
                overcommit: 5,
                listeners: 0,
                now: NOW,
            };
            info.to_json().expect("JSON").len()
        });
    });
}

fn names(c: &mut Criterion) {
    let mut cluster = cluster();
    c.bench_function("look a container up by name", |b| {
        b.iter(|| cluster.container(black_box("web-7-7")).is_ok());
    });
    c.bench_function("API version of all engines", |b| {
        b.iter(|| black_box(&cluster).api_version());
    });
    let (address, context) = (address(7), context(7));
    c.bench_function("take a changed container in", |b| {
        b.iter_batched(
            || container(7, 7, &context),
            |container| cluster.upsert_container(&address, container),
            BatchSize::SmallInput,
        );
    });
}

fn reading(c: &mut Criterion) {
    let (entry, inspect) = (entry(7, 7), inspect(7, 7));
    let (raw, context) = (
        RawValue::from_string(entry.clone()).expect("JSON"),
        context(7),
    );
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Bytes(entry.len().try_into().expect("short")));
    group.bench_function("mark of a list entry", |b| {
        b.iter(|| entry_mark(black_box(&raw)));
    });
    group.throughput(Throughput::Bytes(
        (entry.len() + inspect.len()).try_into().expect("short"),
    ));
    group.bench_function("container from entry and inspect", |b| {
        b.iter(|| Container::parse(entry.as_bytes(), inspect.as_bytes(), &context));
    });
    let body = create_body();
    group.throughput(Throughput::Bytes(body.len().try_into().expect("short")));
    group.bench_function("create body taken apart and written", |b| {
        b.iter(|| {
            let mut body = RawObject::parse(body.as_bytes()).expect("JSON");
            let host: Option<RawObject> = body.read("HostConfig").expect("an object");
            let labels = swarm_core::json::raw(&json!({"a": "b"})).expect("JSON");
            body.set("Labels", labels);
            (body.to_json(), host)
        });
    });
    let event = event();
    group.throughput(Throughput::Bytes(event.len().try_into().expect("short")));
    group.bench_function("event", |b| b.iter(|| Event::parse(black_box(&event))));
    let (parsed, node) = (Event::parse(&event).expect("an event"), Node::default());
    group.bench_function("event dressed for clients", |b| {
        b.iter(|| parsed.dressed(&node));
    });
    group.finish();
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::new();
    for engine in 0..ENGINES {
        let address = address(engine);
        cluster.add_engine(&address, NOW);
        let (info, version) = (info(engine), r#"{"Version":"24.0.7","ApiVersion":"1.43"}"#);
        let specs = Specs::parse(&address, info.as_bytes(), version.as_bytes(), NOW);
        let (specs, _) = specs.expect("specs");
        cluster
            .admit(&address, address.ip(), specs, NOW)
            .expect("an engine");
        let context = context(engine);
        let containers = (0..CONTAINERS).map(|number| container(engine, number, &context));
        cluster
            .replace_containers(&address, containers.collect())
            .expect("an engine");
        cluster
            .set_health(&address, EngineState::Healthy, 100, None, NOW)
            .expect("an engine");
    }
    cluster
}

fn address(engine: u32) -> HostPort {
    format!("10.1.{}.{}:2375", engine / 250, engine % 250 + 1)
        .parse()
        .expect("an address")
}

fn context(engine: u32) -> EntryContext {
    EntryContext {
        engine: format!("node-{engine}"),
        ip: address(engine).ip(),
        cpus: 64,
        clock_offset: 0,
    }
}

fn info(engine: u32) -> String {
    json!({
        "ID": format!("{engine:08x}-4a5b-4c6d-8e7f-000000000000"), "Name": format!("node-{engine}"), "NCPU": 64,
        "MemTotal": 274_877_906_944_u64, "Driver": "overlay2", "KernelVersion": "6.1.0-18-amd64",
        "OperatingSystem": "Debian GNU/Linux 12 (bookworm)", "OSType": "linux", "Labels": ["zone=a", "disk=ssd"],
        "SystemTime": NOW.rfc3339_nanos(),
    })
    .to_string()
}

fn container(engine: u32, number: u32, context: &EntryContext) -> Container {
    let (entry, inspect) = (entry(engine, number), inspect(engine, number));
    Container::parse(entry.as_bytes(), inspect.as_bytes(), context).expect("a container")
}

fn id(engine: u32, number: u32) -> String {
    let scattered =
        (u64::from(engine) << 32 | u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{scattered:016x}{engine:024x}{number:024x}")
}

fn created(engine: u32, number: u32) -> Wall {
    Wall(NOW.0 - u64::from(number) * 3_600 * NANO - u64::from(engine) * NANO / 7)
}

fn entry(engine: u32, number: u32) -> String {
    let created = created(engine, number).seconds();
    json!({
        "Id": id(engine, number), "Names": [format!("/web-{engine}-{number}")],
        "Image": "registry.example.com/shop/web:1.27.3",
        "ImageID": "sha256:7f553e8bbc897571642d836b31eaf6ecbe395d7641c2b24291356ed28f3f2bd0",
        "Command": "/docker-entrypoint.sh nginx -g 'daemon off;'", "Created": created,
        "Ports": [{"PrivatePort": 80, "Type": "tcp"}],
        "Labels": {"com.example.team": "shop", "com.example.version": "1.27.3"},
        "State": "running", "Status": "Up 3 hours", "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Networks": {"bridge": {
            "IPAMConfig": null, "Links": null, "Aliases": null,
            "NetworkID": "2b1f8e3f6a0d4c5e97a1d3b2c4f60718293a4b5c6d7e8f90a1b2c3d4e5f60718",
            "EndpointID": id(engine, number), "Gateway": "172.17.0.1", "IPAddress": "172.17.0.2",
            "IPPrefixLen": 16, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
            "MacAddress": "02:42:ac:11:00:02", "DriverOpts": null,
        }}},
        "Mounts": [],
    })
    .to_string()
}

fn inspect(engine: u32, number: u32) -> String {
    let created = created(engine, number);
    json!({
        "Id": id(engine, number), "Created": created.rfc3339_nanos(), "Path": "/docker-entrypoint.sh",
        "Args": ["nginx", "-g", "daemon off;"],
        "State": {
            "Status": "running", "Running": true, "Paused": false, "Restarting": false, "Dead": false, "Pid": 4242,
            "ExitCode": 0, "Error": "", "StartedAt": created.rfc3339_nanos(), "FinishedAt": "0001-01-01T00:00:00Z",
        },
        "Name": format!("/web-{engine}-{number}"), "RestartCount": 0, "Driver": "overlay2", "ExecIDs": null,
        "HostConfig": host_config(),
        "Config": {
            "Hostname": "web", "ExposedPorts": {"80/tcp": {}}, "Env": ["NGINX_VERSION=1.27.3", "NJS_VERSION=0.8.7"],
            "Cmd": ["nginx", "-g", "daemon off;"], "Image": "registry.example.com/shop/web:1.27.3",
            "Labels": {"com.example.team": "shop", "com.example.version": "1.27.3"},
        },
    })
    .to_string()
}

fn host_config() -> serde_json::Value {
    json!({
        "Binds": null, "ContainerIDFile": "", "LogConfig": {"Type": "json-file", "Config": {}},
        "NetworkMode": "bridge", "PortBindings": {}, "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        "AutoRemove": false, "VolumeDriver": "", "VolumesFrom": null, "CapAdd": null, "CapDrop": null, "Dns": [],
        "DnsOptions": [], "DnsSearch": [], "ExtraHosts": null, "IpcMode": "private", "Links": null, "PidMode": "",
        "Privileged": false, "PublishAllPorts": false, "ReadonlyRootfs": false, "ShmSize": 67_108_864,
        "Runtime": "runc", "Isolation": "", "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "MemoryReservation": 0,
        "MaskedPaths": ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats"],
        "ReadonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    })
}

fn create_body() -> String {
    json!({
        "Hostname": "", "User": "", "Tty": false, "Env": ["MODE=production"], "Cmd": ["nginx", "-g", "daemon off;"],
        "Image": "registry.example.com/shop/web:1.27.3", "Labels": {"com.example.team": "shop"},
        "HostConfig": host_config(), "NetworkingConfig": {"EndpointsConfig": {}},
    })
    .to_string()
}

fn event() -> String {
    let id = id(7, 7);
    json!({
        "status": "start", "id": id, "from": "registry.example.com/shop/web:1.27.3", "Type": "container",
        "Action": "start",
        "Actor": {"ID": id, "Attributes": {
            "com.example.team": "shop", "image": "registry.example.com/shop/web:1.27.3", "name": "web-7-7",
        }},
        "scope": "local", "time": NOW.seconds(), "timeNano": NOW.0,
    })
    .to_string()
}
