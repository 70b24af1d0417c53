use super::*;

fn host() -> HostInfo {
    HostInfo {
        name: "manager-1".to_owned(),
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        kernel: "6.1".to_owned(),
        version: "0.1.0".to_owned(),
        ..HostInfo::default()
    }
}

fn info<'a>(
    cluster: &'a Cluster,
    host: &'a HostInfo,
    role: Role,
    replication: Option<Replication>,
) -> ClusterInfo<'a> {
    ClusterInfo {
        cluster,
        host,
        role,
        replication,
        strategy: "spread",
        filters: &["health", "port"],
        overcommit: 5,
        listeners: 2,
        now: NOW,
    }
}

#[test]
fn the_lines_are_those_of_classic_swarm_with_primary_and_epoch() {
    // spec/classic.md section 3.5
    let mut cluster = cluster(&[(20, 2 << 30)]);
    Described::new("aaa", "a")
        .resources(1 << 30, 1)
        .put(&mut cluster, 0);
    Described::new("bbb", "b").exited(0).put(&mut cluster, 0);
    cluster.add_engine(&"10.0.0.7:2375".parse().unwrap(), NOW);
    cluster
        .set_health(
            &"10.0.0.7:2375".parse().unwrap(),
            EngineState::Pending,
            0,
            Some("connection refused".to_owned()),
            NOW,
        )
        .unwrap();
    let host = host();
    let primary = Replication {
        primary: "10.0.1.1:4000".to_owned(),
        epoch: Some(7),
        failsafe: crate::election::Failsafe::Ready,
    };
    let lines: Vec<_> = info(&cluster, &host, Role::Primary, Some(primary.clone()))
        .system_status()
        .into_iter()
        .map(|[label, value]| format!("{label}: {value}"))
        .collect();
    let wanted = "\
Role: primary
Primary: 10.0.1.1:4000
Epoch: 7
Failsafe: ready
Strategy: spread
Filters: health, port
Nodes: 2
 (unknown): 10.0.0.7:2375
  └ ID: 
  └ Status: Pending
  └ Containers: 0
  └ Reserved CPUs: 0 / 0
  └ Reserved Memory: 0 B / 0 B
  └ Labels: 
  └ Error: connection refused
  └ UpdatedAt: 2023-11-14T22:13:20Z
  └ ServerVersion: 
 node-0: 10.0.0.0:2375
  └ ID: DAEMON0|10.0.0.0:2375
  └ Status: Healthy
  └ Containers: 2 (1 Running, 0 Paused, 1 Stopped)
  └ Reserved CPUs: 1 / 21
  └ Reserved Memory: 1 GiB / 2.1 GiB
  └ Labels: kernelversion=6.1, operatingsystem=Debian, ostype=linux, storagedriver=overlay2, zone=a
  └ UpdatedAt: 2023-11-14T22:13:20Z
  └ ServerVersion: 24.0.7";
    assert_eq!(lines.join("\n"), wanted);
    let replica = info(&cluster, &host, Role::Replica, Some(primary)).system_status();
    assert_eq!(replica[0], ["Role", "replica"].map(str::to_owned));
    assert_eq!(replica[1], ["Primary", "10.0.1.1:4000"].map(str::to_owned));
    assert_eq!(replica[2], ["Epoch", "7"].map(str::to_owned));
    let alone = info(&cluster, &host, Role::Primary, None).system_status();
    assert_eq!(alone[1], ["Strategy", "spread"].map(str::to_owned));
}

#[test]
fn totals_are_real_and_identical_images_count_once() {
    // spec/classic.md section 10.3, A20
    let mut cluster = cluster(&[(20, 1 << 30), (20, 1 << 30)]);
    for number in 0..2 {
        let images = br#"[{"Id":"sha256:a","RepoTags":["x:1"]},{"Id":"sha256:b","RepoTags":null}]"#;
        cluster
            .replace_images(&address(number), Image::parse_list(images).unwrap())
            .unwrap();
    }
    let host = host();
    let text = info(&cluster, &host, Role::Primary, None)
        .to_json()
        .unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["NCPU"], 40);
    assert_eq!(json["MemTotal"], 2_u64 << 30);
    assert_eq!(json["Images"], 1);
    assert_eq!(json["NEventsListener"], 2);
    assert_eq!(json["DriverStatus"], serde_json::Value::Null);
    assert_eq!(json["ServerVersion"], "swarm/0.1.0");
    assert_eq!(json["CPUShares"], true);
}

#[test]
fn engines_are_sorted_as_people_count() {
    // spec/classic.md appendix B 16
    let mut cluster = cluster(&[(1, 1), (1, 1), (1, 1), (1, 1)]);
    for (number, name) in ["machine10", "machine9", "machine11", "machine1"]
        .iter()
        .enumerate()
    {
        let mut renamed = specs(number, 1, 1);
        renamed.name = (*name).to_owned();
        cluster.admit(&address(number), None, renamed, NOW).unwrap();
    }
    let host = host();
    let names: Vec<_> = info(&cluster, &host, Role::Primary, None)
        .system_status()
        .into_iter()
        .filter_map(|[label, _]| label.strip_prefix(" machine").map(str::to_owned))
        .collect();
    assert_eq!(names, ["1", "9", "10", "11"]);
}

#[test]
fn the_announced_version_is_the_newest_all_healthy_engines_speak() {
    let mut cluster = cluster(&[(1, 1), (1, 1)]);
    assert_eq!(cluster.api_version().to_string(), "1.43");
    let mut old = specs(1, 1, 1);
    old.api_version = "1.40".parse().unwrap();
    cluster.admit(&address(1), None, old, NOW).unwrap();
    assert_eq!(cluster.api_version().to_string(), "1.40");
    cluster
        .set_health(&address(1), EngineState::Unhealthy, 0, None, NOW)
        .unwrap();
    assert_eq!(cluster.api_version().to_string(), "1.43");
    assert_eq!(Cluster::new().api_version().to_string(), "1.41");
    let json: serde_json::Value = serde_json::from_str(&cluster.version_json(&host())).unwrap();
    assert_eq!(json["ApiVersion"], "1.43");
    assert_eq!(json["MinAPIVersion"], "1.24");
    assert_eq!(json["Components"][0]["Details"]["ApiVersion"], "1.43");
}

#[test]
fn a_name_used_twice_is_shown_as_an_error_of_both() {
    let mut cluster = cluster(&[(1, 1), (1, 1)]);
    let mut same = specs(1, 1, 1);
    same.name = "node-0".to_owned();
    cluster.admit(&address(1), None, same, NOW).unwrap();
    let host = host();
    let errors: Vec<_> = info(&cluster, &host, Role::Primary, None)
        .system_status()
        .into_iter()
        .filter(|[label, _]| label.contains("Error"))
        .map(|[_, value]| value)
        .collect();
    assert!(
        errors[0].contains("is also the name of 10.0.0.1:2375"),
        "{errors:?}"
    );
    assert!(
        errors[1].contains("is also the name of 10.0.0.0:2375"),
        "{errors:?}"
    );
}
