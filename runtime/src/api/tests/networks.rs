use super::*;

impl Rig {
    async fn create_network(&self, name: &str) -> String {
        let made = self
            .post("/v1.41/networks/create", &json!({"Name": name}))
            .await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["Id"].as_str().unwrap().to_owned()
    }

    /// The engines (their numbers) that have a network of this name.
    async fn engines_with(&self, network: &str) -> Vec<usize> {
        let mut found = Vec::new();
        for number in 0..self.doubles.len() {
            let target = format!("/v1.41/networks/{network}");
            if self.ask_engine(number, "GET", &target).await.status == 200 {
                found.push(number);
            }
        }
        found
    }
}

#[tokio::test]
async fn a_network_is_made_on_one_engine_and_gathers_its_containers_there() {
    let rig = Rig::new(3).await;
    let id = rig.create_network("back").await;
    let engines = rig.engines_with("back").await;
    assert_eq!(engines.len(), 1);
    for name in ["one", "two"] {
        let body = json!({"Image": "alpine", "HostConfig": {"NetworkMode": "back"}});
        let target = format!("/v1.41/containers/create?name={name}");
        let swarm_id = format!("{name:0>64}");
        let made = rig
            .send(
                "POST",
                &target,
                &[("test-id", &swarm_id)],
                &body.to_string(),
            )
            .await;
        assert_eq!(made.status, 201, "{made:?}");
        let on_engine = format!("/v1.41/containers/{name}/json");
        let inspected = rig.ask_engine(engines[0], "GET", &on_engine).await;
        assert_eq!(inspected.status, 200, "{inspected:?}");
    }
    let inspected = rig.ask("GET", "/v1.41/networks/back").await.json();
    assert_eq!(inspected["Id"], id.as_str());
    let listed = rig.ask("GET", "/v1.41/networks").await.json();
    let listed = listed.as_array().unwrap().iter();
    let names: Vec<_> = listed
        .filter(|one| one["Id"] == id.as_str())
        .map(|one| one["Name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, [format!("node-{}/back", engines[0])]);
    let reply = rig.ask("DELETE", "/v1.41/networks/back").await;
    assert_eq!((reply.status, reply.text.as_str()), (204, ""), "{reply:?}");
    let reply = rig.ask("GET", "/v1.41/networks/back").await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (404, "network back not found")
    );
    rig.close().await;
}

#[tokio::test]
async fn a_network_goes_to_the_engine_named_in_front_and_no_name_is_given_twice() {
    let rig = Rig::new(3).await;
    rig.create_network("node-2/back").await;
    assert_eq!(rig.engines_with("back").await, [2]);
    let again = rig
        .post("/v1.41/networks/create", &json!({"Name": "back"}))
        .await;
    assert_eq!(
        (again.status, again.message().as_str()),
        (409, "network with name back already exists")
    );
    // Who names an engine knows what they do.
    rig.create_network("node-1/back").await;
    assert_eq!(rig.engines_with("back").await, [1, 2]);
    let which = rig.ask("DELETE", "/v1.41/networks/back").await;
    assert_eq!(
        (which.status, which.message().as_str()),
        (
            400,
            "several engines have a network back: write one of node-1/back, node-2/back"
        )
    );
    let one = rig.ask("DELETE", "/v1.41/networks/node-1/back").await;
    assert_eq!(one.status, 204, "{one:?}");
    assert_eq!(rig.engines_with("back").await, [2]);
    rig.close().await;
}

/// A create repeated after a failover finds what the first attempt made.
#[tokio::test]
async fn a_repeated_create_of_a_network_makes_no_second_one() {
    let rig = Rig::new(2).await;
    let id = rig.create_network("back").await;
    let body = json!({"Name": "back"}).to_string();
    let again = rig
        .send(
            "POST",
            "/v1.41/networks/create",
            &[("test-repeat", "1")],
            &body,
        )
        .await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(again.json()["Id"], id.as_str());
    assert_eq!(rig.engines_with("back").await.len(), 1);
    rig.close().await;
}

/// spec/classic.md section 10.3, A8: `node/name` and swarm IDs reached engines, which do not know them.
#[tokio::test]
async fn a8_engines_are_told_of_containers_and_networks_by_id() {
    let rig = Rig::new(2).await;
    rig.run("web").await;
    let swarm_id = format!("{:0>64}", "web");
    let node = rig.ask("GET", "/v1.41/containers/web/json").await.json();
    let node = node["Node"]["Name"].as_str().unwrap().to_owned();
    rig.create_network(&format!("{node}/back")).await;
    for container in [format!("{node}/web"), swarm_id, "web".to_owned()] {
        let body = json!({"Container": container, "EndpointConfig": {"Aliases": ["w"]}});
        let target = format!("/v1.41/networks/{node}/back/connect");
        let reply = rig.post(&target, &body).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, ""), "{reply:?}");
        let inspected = rig.ask("GET", "/v1.41/containers/web/json").await.json();
        let networks = &inspected["NetworkSettings"]["Networks"];
        assert_eq!(networks["back"]["Aliases"][0], "w", "{networks}");
        let body = json!({"Container": container});
        let reply = rig.post("/v1.41/networks/back/disconnect", &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    rig.close().await;
}

#[tokio::test]
async fn a_local_network_joins_containers_of_its_engine_only() {
    let rig = Rig::new(2).await;
    rig.run("web").await;
    let node = rig.ask("GET", "/v1.41/containers/web/json").await.json();
    let other = match node["Node"]["Name"].as_str().unwrap() {
        "node-0" => "node-1",
        _ => "node-0",
    };
    rig.create_network(&format!("{other}/back")).await;
    let body = json!({"Container": "web"});
    let reply = rig.post("/v1.41/networks/back/connect", &body).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(
        reply.message().starts_with(&format!(
            "network back is on engine {other}, the container on"
        )),
        "{reply:?}"
    );
    let reply = rig.post("/v1.41/networks/none-such/connect", &body).await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (404, "network none-such not found")
    );
    let body = json!({"Container": "absent"});
    let reply = rig.post("/v1.41/networks/back/connect", &body).await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (404, "No such container: absent")
    );
    rig.close().await;
}

/// spec/classic.md section 10.3, A8: what was left of a vanished container could not be taken from a network.
#[tokio::test]
async fn a8_a_vanished_container_is_disconnected_with_force() {
    let rig = Rig::new(2).await;
    rig.create_network("back").await;
    for (force, status) in [(false, 404), (true, 200)] {
        let body = json!({"Container": "vanished", "Force": force});
        let reply = rig.post("/v1.41/networks/back/disconnect", &body).await;
        if force {
            // The engine is asked, and says what it has to say.
            assert!(reply.status == status || reply.status == 404, "{reply:?}");
            let counted = |number: usize| {
                let requests = rig.doubles[number].requests();
                requests.get("POST /networks/{}/disconnect").copied()
            };
            assert_eq!((0..2).filter_map(counted).sum::<u64>(), 1);
        } else {
            assert_eq!(reply.status, status, "{reply:?}");
        }
    }
    rig.close().await;
}

#[tokio::test]
async fn a_new_primary_looks_at_the_engines_before_it_says_that_something_is_not_there() {
    let rig = Rig::new(2).await;
    let id = rig.create_network("back").await;
    rig.post("/v1.41/volumes/create", &json!({"Name": "data"}))
        .await;
    rig.ask("POST", "/v1.41/images/create?fromImage=redis&tag=7")
        .await;
    {
        let mut cluster = rig.engines.cluster().write();
        for address in &rig.addresses {
            cluster.remove_network(address, &id);
            cluster.remove_volume(address, "data");
            cluster.replace_images(address, Vec::new()).unwrap();
        }
    }
    for target in ["networks/back", "volumes/data", "images/redis:7/json"] {
        let found = rig.ask("GET", &format!("/v1.41/{target}")).await;
        assert_eq!(found.status, 200, "{target}: {found:?}");
    }
    rig.close().await;
}

#[tokio::test]
async fn a_network_that_cannot_be_seen_after_its_creation_is_not_acknowledged() {
    let rig = Rig::new(1).await;
    let double = &rig.doubles[0];
    // The creation takes so long, and the first look at the network once more: between them the engine dies.
    double.set_faults(|faults| faults.latency = Duration::from_millis(200));
    let network = json!({"Name": "back"});
    let create = rig.post("/v1.41/networks/create", &network);
    let die = async {
        sleep(&*rig.platform, Duration::from_millis(300)).await;
        double.set_faults(|faults| faults.stopped = true);
    };
    let (reply, ()) = tokio::join!(create, die);
    assert_eq!(reply.status, 502, "{reply:?}");
    assert!(
        reply.message().contains("and cannot be looked at"),
        "{reply:?}"
    );
    rig.close().await;
}
