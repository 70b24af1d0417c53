//! Where containers go, and what their engines are told.

use super::*;

impl Rig {
    async fn place(&self, name: &str, body: &Value) -> Reply {
        let id = format!("{name:0>64}");
        let target = format!("/v1.41/containers/create?name={name}");
        let headers = [("test-id", id.as_str())];
        self.send("POST", &target, &headers, &body.to_string())
            .await
    }

    /// Places it and answers what its engine says of it.
    async fn placed(&self, name: &str, body: &Value) -> Value {
        let reply = self.place(name, body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let target = format!("/v1.41/containers/{name}/json");
        self.ask("GET", &target).await.json()
    }

    fn made(&self) -> usize {
        let doubles = self.doubles.iter();
        doubles.map(|double| double.creates().len()).sum()
    }
}

#[tokio::test]
async fn expressions_in_the_environment_place_and_are_seen_as_labels() {
    // spec/classic.md section 5.3
    let rig = Rig::new(3).await;
    let body = json!({"Image": "alpine", "Env": ["A=b", "constraint:node==node-2", "affinity:image!=~x"],
        "Labels": {"com.docker.swarm.constraints": "[\"ostype==linux\"]", "own": "x"}});
    let inspect = rig.placed("web", &body).await;
    assert_eq!(inspect["Node"]["Name"], "node-2");
    let labels = &inspect["Config"]["Labels"];
    assert_eq!(
        labels["com.docker.swarm.constraints"],
        "[\"ostype==linux\",\"node==node-2\"]"
    );
    assert_eq!(labels["com.docker.swarm.affinities"], "[\"image!=~x\"]");
    assert_eq!(labels["own"], "x");
    let environment = inspect["Config"]["Env"].to_string();
    assert!(environment.contains("A=b"), "{environment}");
    assert!(!environment.contains("constraint"), "{environment}");
    assert!(!environment.contains("affinity"), "{environment}");
    rig.close().await;
}

#[tokio::test]
async fn what_cannot_be_evaluated_is_refused_and_placed_nowhere() {
    let rig = Rig::new(2).await;
    let constraints = "com.docker.swarm.constraints";
    for (body, status, text) in [
        (
            json!({"Env": ["constraint:node==/"]}),
            400,
            "error from constraint filter: Value '/' is invalid (in \"node==/\")",
        ),
        (
            json!({"Env": ["affinity:container==/(/"]}),
            400,
            "error from affinity filter: Value '/(/' is invalid: unclosed group (in \"container==/(/\")",
        ),
        (
            json!({"Labels": {constraints: "node==node-1"}}),
            400,
            "label com.docker.swarm.constraints is not a JSON list of strings",
        ),
        (
            json!({"HostConfig": {"PortBindings": {"80/tcp": [{"hostport": "http"}]}}}),
            400,
            "\"http\" is not a port or range of ports",
        ),
        (
            json!({"Env": ["reschedule:sometimes"]}),
            400,
            "invalid reschedule policy: sometimes",
        ),
        (
            json!({"HostConfig": {"Links": (0..1001).map(|n| n.to_string()).collect::<Vec<_>>()}}),
            400,
            "more than 1000 links, networks and volumes",
        ),
        (
            json!({"Env": ["constraint:node==node-7"]}),
            500,
            "Unable to find a node that satisfies the following conditions \n[available container slots]\n\
             [node==node-7] (node-0: ",
        ),
    ] {
        let reply = rig.place("web", &body).await;
        assert_eq!(reply.status, status, "{body}");
        assert!(reply.message().starts_with(text), "{reply:?}");
    }
    assert_eq!(rig.made(), 0);
    let off = json!({"Image": "alpine", "Env": ["reschedule:off"]});
    let labels = rig.placed("web", &off).await["Config"]["Labels"].clone();
    assert_eq!(labels["com.docker.swarm.reschedule-policies"], "[\"off\"]");
    rig.close().await;
}

#[tokio::test]
async fn a_container_goes_beside_those_it_is_tied_to_by_names_its_engine_knows() {
    // spec/classic.md section 10.4, S11
    let rig = Rig::new(3).await;
    let db = json!({"Image": "alpine", "Cmd": ["top"], "Env": ["constraint:node==node-2"]});
    rig.placed("db", &db).await;
    let swarm_id = format!("{:0>64}", "db");
    for (number, (member, value, known)) in [
        ("VolumesFrom", json!(["node-2/db:ro"]), json!(["db:ro"])),
        (
            "Links",
            json!(["node-2/db:alias", "db"]),
            json!(["db:alias", "db"]),
        ),
        (
            "NetworkMode",
            json!(format!("container:{swarm_id}")),
            json!("container:db"),
        ),
        (
            "PidMode",
            json!("container:node-2/db"),
            json!("container:db"),
        ),
        ("IpcMode", json!("container:db"), json!("container:db")),
        ("NetworkMode", json!("node-2/bridge"), json!("bridge")),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"Image": "alpine", "HostConfig": {member: value, "Odd": [1, null]}});
        let inspect = rig.placed(&format!("c{number}"), &body).await;
        assert_eq!(inspect["Node"]["Name"], "node-2", "{body}");
        assert_eq!(inspect["HostConfig"][member], known, "{body}");
        assert_eq!(inspect["HostConfig"]["Odd"], json!([1, null]));
    }
    let nowhere = json!({"Image": "alpine", "HostConfig": {"Links": ["cache:c"]}});
    let reply = rig.place("w1", &nowhere).await;
    assert_eq!(reply.status, 500);
    assert!(reply.message().contains("[--link=cache:c]"), "{reply:?}");
    rig.close().await;
}

#[tokio::test]
async fn endpoints_lose_the_engine_in_their_name_and_nothing_else() {
    let rig = Rig::new(2).await;
    let network = json!({"Name": "back", "Driver": "bridge"}).to_string();
    let create = request("POST", "/v1.41/networks/create", &[], &network);
    rig.client.send(&rig.addresses[1], create).await.unwrap();
    rig.until("the network is in the view", |cluster| {
        cluster.network("back").is_ok()
    })
    .await;
    let endpoint = json!({"Aliases": ["x"], "Odd": {"deep": true}});
    for (name, mode) in [("w1", "node-1/back"), ("w2", "back")] {
        let body = json!({"Image": "alpine", "HostConfig": {"NetworkMode": mode},
            "NetworkingConfig": {"EndpointsConfig": {mode: endpoint}}});
        let inspect = rig.placed(name, &body).await;
        assert_eq!(inspect["Node"]["Name"], "node-1", "{mode}");
        assert_eq!(inspect["HostConfig"]["NetworkMode"], "back");
        let networks = inspect["NetworkSettings"]["Networks"].as_object().unwrap();
        assert_eq!(networks.keys().collect::<Vec<_>>(), ["back"]);
    }
    rig.close().await;
}

#[tokio::test]
async fn a_drained_engine_keeps_what_it_has_and_gets_nothing_new() {
    // spec/classic.md section 10.5, E12
    let rig = Rig::new(2).await;
    let body = json!({"Image": "alpine", "Env": ["constraint:node==node-0"]});
    rig.placed("w1", &body).await;
    let id = rig.doubles[0].id();
    let drain = |ids: &[&String]| {
        let drained = ids.iter().map(ToString::to_string).collect();
        rig.api.fleet.cluster().write().set_drained(drained);
    };
    drain(&[&id]);
    let reply = rig.place("w2", &body).await;
    assert_eq!(reply.status, 500);
    assert!(
        reply.message().contains("engine node-0 is drained"),
        "{reply:?}"
    );
    let free = rig.placed("w3", &json!({"Image": "alpine"})).await;
    assert_eq!(free["Node"]["Name"], "node-1");
    assert_eq!(rig.names("all=1").await.len(), 2);
    let info = rig.ask("GET", "/v1.41/info").await.json();
    let lines = info["SystemStatus"].as_array().unwrap();
    let drained = json!(["  └ Drained", "yes (no new containers)"]);
    assert_eq!(lines.iter().filter(|line| **line == drained).count(), 1);
    drain(&[]);
    rig.placed("w2", &body).await;
    rig.close().await;
}

#[tokio::test]
async fn a_port_is_given_once_on_each_engine() {
    let rig = Rig::new(2).await;
    let body = json!({"Image": "alpine", "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}});
    let mut engines = Vec::new();
    for name in ["w1", "w2"] {
        engines.push(rig.placed(name, &body).await["Node"]["Name"].to_string());
    }
    assert_eq!(engines, ["\"node-0\"", "\"node-1\""]);
    let reply = rig.place("w3", &body).await;
    assert_eq!(reply.status, 500);
    assert_eq!(
        reply.message(),
        "Unable to find a node that satisfies the following conditions \n[port 8080 (Bridge mode)] \
         (node-0: port 8080/tcp is used by container w1; node-1: port 8080/tcp is used by container w2)"
    );
    rig.close().await;
}

#[tokio::test]
async fn a_named_volume_is_mounted_where_it_was_made() {
    // spec/classic.md section 10.4, S11
    let rig = Rig::new(2).await;
    let body = |mount: Value| json!({"Image": "alpine", "HostConfig": mount});
    let first = rig
        .placed("w1", &body(json!({"Binds": ["data:/data"]})))
        .await;
    let engine = first["Node"]["Name"].clone();
    rig.until("the volume is in the view", |cluster| {
        cluster.volume_holders("data").is_ok()
    })
    .await;
    let mount = json!({"Mounts": [{"Type": "volume", "Source": "data", "Target": "/d"}]});
    for (name, mount) in [("w2", json!({"Binds": ["data:/data:ro"]})), ("w3", mount)] {
        assert_eq!(
            rig.placed(name, &body(mount)).await["Node"]["Name"],
            engine,
            "{name}"
        );
    }
    rig.close().await;
}

#[tokio::test]
async fn a_volume_is_asked_of_the_engine_named_in_front_under_its_own_name() {
    let rig = Rig::new(2).await;
    let mount = json!({"Type": "volume", "Source": "node-1/more", "Target": "/m"});
    let host = json!({"Binds": ["node-1/data:/data:ro", "/tmp:/tmp"], "Mounts": [mount]});
    let body = json!({"Image": "alpine", "HostConfig": host});
    let inspect = rig.placed("w1", &body).await;
    assert_eq!(inspect["Node"]["Name"], "node-1");
    assert_eq!(
        inspect["HostConfig"]["Binds"],
        json!(["data:/data:ro", "/tmp:/tmp"])
    );
    assert_eq!(inspect["HostConfig"]["Mounts"][0]["Source"], "more");
    rig.close().await;
}

#[tokio::test]
async fn a_memory_reservation_is_reserved() {
    // spec/classic.md section 10.4, S9
    let rig = Rig::new(1).await;
    let body = json!({"Image": "alpine", "HostConfig": {"MemoryReservation": 5_u64 << 30}});
    rig.placed("w1", &body).await;
    let reply = rig.place("w2", &body).await;
    assert_eq!(reply.status, 500);
    let text = "no resources available to schedule container (node-0: memory: 5 GiB requested, 5 GiB of 8.4 GiB reserved)";
    assert_eq!(reply.message(), text);
    rig.close().await;
}

#[tokio::test]
async fn an_engine_that_refuses_is_followed_by_another_as_often_as_configured() {
    // spec/classic.md sections 5.6 and 10.4, S4
    for (retries, status, made_on) in [(0, 500, None), (1, 201, Some("node-1"))] {
        let options = ["node-0", "node-1"].map(Options::new).to_vec();
        let rig = Rig::retrying(options, retries).await;
        rig.doubles[0].set_faults(|faults| {
            let full = (500, "no space left on device".to_owned());
            faults.fail_creates.insert(1, full);
        });
        let reply = rig.place("web", &json!({"Image": "alpine"})).await;
        assert_eq!(reply.status, status, "{reply:?}");
        match made_on {
            Some(name) => {
                let inspect = rig.ask("GET", "/v1.41/containers/web/json").await.json();
                assert_eq!(inspect["Node"]["Name"], name);
            }
            None => assert_eq!(reply.message(), "no space left on device"),
        }
        assert_eq!(rig.made(), usize::from(made_on.is_some()));
        rig.close().await;
    }
}

#[tokio::test]
async fn what_the_client_did_wrong_is_not_tried_again() {
    let options = ["node-0", "node-1"].map(Options::new).to_vec();
    let rig = Rig::retrying(options, 3).await;
    rig.doubles[0].set_faults(|faults| {
        faults
            .fail_creates
            .insert(1, (400, "no command specified".to_owned()));
    });
    assert_eq!(
        rig.place("web", &json!({"Image": "alpine"})).await.status,
        400
    );
    assert_eq!(rig.made(), 0);
    rig.close().await;
}

#[tokio::test]
async fn an_image_that_no_registry_has_is_used_where_it_was_built() {
    // spec/classic.md section 5.6, step 3b
    let mut options = ["node-0", "node-1"].map(Options::new).to_vec();
    options[1].images.push("own:1".to_owned());
    let rig = Rig::with(options).await;
    rig.doubles[0].set_faults(|faults| {
        faults.missing_images.insert("own:1".to_owned());
    });
    let inspect = rig.placed("web", &json!({"Image": "own:1"})).await;
    assert_eq!(inspect["Node"]["Name"], "node-1");
    assert_eq!(
        inspect["Config"]["Labels"]["com.docker.swarm.affinities"],
        Value::Null
    );
    // The user's choice stands, and the engine's own words make the command line pull.
    let chosen = json!({"Image": "own:1", "Env": ["constraint:node==node-0"]});
    let reply = rig.place("w2", &chosen).await;
    assert_eq!(reply.status, 404);
    assert!(
        reply.message().to_lowercase().contains("no such image"),
        "{reply:?}"
    );
    rig.close().await;
}

/// spec/classic.md section 10.4, S16: any 404 made engines pull, and the user waited for nothing.
#[tokio::test]
async fn s16_what_else_is_missing_makes_no_engine_pull() {
    let rig = Rig::new(1).await;
    let endpoints = json!({"EndpointsConfig": {"absent": {}}});
    let body = json!({
        "Image": "alpine", "NetworkingConfig": endpoints, "HostConfig": {"NetworkMode": "absent"},
    });
    let made = rig.place("w1", &body).await;
    let reply = match made.status {
        201 => rig.ask("POST", "/v1.41/containers/w1/start").await,
        _ => made,
    };
    assert_eq!(reply.status, 404, "{reply:?}");
    assert!(reply.message().contains("absent"), "{reply:?}");
    let requests = rig.doubles[0].requests();
    assert!(
        !requests.contains_key("POST /images/create"),
        "{requests:?}"
    );
    rig.close().await;
}
