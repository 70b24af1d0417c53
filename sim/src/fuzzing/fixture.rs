//! A cluster for lists to be made of.

use std::sync::LazyLock;

use swarm_core::address::HostPort;
use swarm_core::cluster::{Cluster, Container, EngineState, Image, Network, Specs, Volume};
use swarm_core::time::Wall;

/// When everything happens.
pub(super) const NOW: Wall = Wall(1_700_000_000_000_000_000);

const INFO: &str = r#"{"ID":"DAEMON1","Name":"node-1","NCPU":4,"MemTotal":8000000000,"Driver":"overlay2",
    "KernelVersion":"6.1","OperatingSystem":"Debian","OSType":"linux","Labels":["zone=a"],
    "SystemTime":"2023-11-14T22:13:20Z"}"#;

const VERSION: &str = r#"{"Version":"24.0.7","ApiVersion":"1.43","MinAPIVersion":"1.12"}"#;

pub(super) const ENTRY: &str = r#"{"Id":"c1c1c1c1c1c1","Names":["/web"],"Image":"nginx:1","ImageID":"sha256:aaaa",
    "Command":"run","Created":1699999800,"Ports":[{"PrivatePort":80,"PublicPort":8080,"Type":"tcp","IP":"0.0.0.0"}],
    "Labels":{"a":"b"},"State":"running","Status":"Up 3 minutes","HostConfig":{"NetworkMode":"default"},
    "NetworkSettings":{"Networks":{"bridge":{"NetworkID":"net1"}}},"Mounts":[]}"#;

pub(super) const INSPECT: &str = r#"{"Id":"c1c1c1c1c1c1","Created":"2023-11-14T22:10:00Z","Name":"/web",
    "State":{"Status":"running","Running":true,"ExitCode":0,"StartedAt":"2023-11-14T22:10:20Z",
    "FinishedAt":"0001-01-01T00:00:00Z","Health":{"Status":"healthy"}},"HostConfig":{"Memory":64000000,"NanoCpus":500000000,
    "CpuShares":0,"NetworkMode":"default"},"Config":{"Image":"nginx:1","Labels":{"a":"b"}}}"#;

const IMAGES: &str = r#"[{"Id":"sha256:aaaa","ParentId":"","RepoTags":["nginx:1"],"RepoDigests":[],"Created":5,
    "Labels":{"a":"b"}},{"Id":"sha256:bbbb","RepoTags":["<none>:<none>"],"RepoDigests":null,"Created":6}]"#;

const NETWORKS: &str = r#"[{"Id":"net1","Name":"bridge","Scope":"local","Driver":"bridge","Labels":{}},
    {"Id":"net2","Name":"ours","Scope":"local","Driver":"bridge","Labels":{"a":"b"}}]"#;

const VOLUMES: &str = r#"{"Volumes":[{"Name":"data","Driver":"local","Labels":{"a":"b"},"Scope":"local"}],"Warnings":null}"#;

/// The only engine.
pub(super) fn engine() -> HostPort {
    HostPort::localhost()
}

/// One healthy engine with one of everything.
pub(super) fn cluster() -> &'static Cluster {
    &CLUSTER
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(build);

#[expect(
    clippy::expect_used,
    reason = "a harness that cannot run must not look as if it had passed"
)]
fn build() -> Cluster {
    const FITS: &str = "the fixture is what an engine answers";
    let engine = engine();
    let mut cluster = Cluster::new();
    cluster.add_engine(&engine, NOW);
    let (specs, _) = Specs::parse(&engine, INFO.as_bytes(), VERSION.as_bytes(), NOW).expect(FITS);
    cluster.admit(&engine, None, specs, NOW).expect(FITS);
    cluster
        .set_health(&engine, EngineState::Healthy, 100, None, NOW)
        .expect(FITS);
    let context = cluster
        .engine(&engine)
        .and_then(swarm_core::cluster::Engine::entry_context)
        .expect(FITS);
    let container = Container::parse(ENTRY.as_bytes(), INSPECT.as_bytes(), &context).expect(FITS);
    cluster.upsert_container(&engine, container).expect(FITS);
    let images = Image::parse_list(IMAGES.as_bytes()).expect(FITS);
    cluster.replace_images(&engine, images).expect(FITS);
    let networks = Network::parse_list(NETWORKS.as_bytes()).expect(FITS);
    cluster.replace_networks(&engine, networks).expect(FITS);
    let volumes = Volume::parse_list(VOLUMES.as_bytes()).expect(FITS);
    cluster.replace_volumes(&engine, volumes).expect(FITS);
    cluster
}
