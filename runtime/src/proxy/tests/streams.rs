//! What goes on after the first byte: events and tunnels.

use super::*;

fn event(number: u64) -> String {
    let nanos = 1_700_000_000_000_000_000 + number * 1_000_000_000;
    format!(
        "{{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{{\"ID\":\"c{number}\"}},\"timeNano\":{nanos}}}\n"
    )
}

/// A manager whose engines have seen events up to a number, and see more when told.
struct Source {
    manager: Manager,
    more: Arc<swarm_core::watch::Sender<u64>>,
    asked: mpsc::UnboundedReceiver<String>,
}

async fn source(world: &World, name: &'static str, known: u64) -> Source {
    let more = Arc::new(swarm_core::watch::Sender::new(known));
    let (seen, asked) = mpsc::unbounded_channel();
    let (numbers, platform) = (more.clone(), world.platform.clone());
    let service = move |call: Call| -> BoxFuture<'static, Served> {
        seen.send(call.http.uri().to_string()).unwrap();
        let (sender, body) = body::channel(1);
        let since = call.request.query.value("since");
        let mut numbers = numbers.subscribe();
        let task = async move {
            let mut next = match since {
                None => *numbers.borrow() + 1,
                Some(_) => 1,
            };
            loop {
                let known = *numbers.borrow_and_update();
                while next <= known {
                    if sender.send(event(next)).await.is_err() {
                        return;
                    }
                    next += 1;
                }
                if numbers.changed().await.is_err() {
                    return;
                }
            }
        };
        platform.spawn("events", Box::pin(task));
        Box::pin(async move { Ok(Response::new(body)) })
    };
    let manager = world.manager(name, service).await;
    Source {
        manager,
        more,
        asked,
    }
}

async fn next(body: &mut Body) -> String {
    let frame = body.frame().await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn events_go_on_at_the_next_primary() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    let (mut m2, mut m3) = (source(&world, "m2", 0).await, source(&world, "m3", 0).await);
    elect(&[&m1, &m2.manager, &m3.manager], "m2", 7);
    let response = world
        .send(&m1, ask(Method::GET, "/v1.41/events?filters=%7B%7D"))
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!has_own_headers(response.headers()));
    let mut events = response.into_body();
    for number in 1..=3 {
        m2.more.send_replace(number);
        assert_eq!(next(&mut events).await, event(number));
    }
    m3.more.send_replace(4);
    elect(&[&m1, &m2.manager, &m3.manager], "m3", 8);
    assert_eq!(next(&mut events).await, event(4));
    m3.more.send_replace(5);
    assert_eq!(next(&mut events).await, event(5));
    assert_eq!(
        m2.asked.recv().await.unwrap(),
        "/v1.41/events?filters=%7B%7D"
    );
    assert_eq!(
        m3.asked.recv().await.unwrap(),
        "/v1.41/events?filters=%7B%7D&since=1700000003.000000000%2F0.000000000s"
    );
    drop(events);
    world.pause(LEAVING).await;
    assert_eq!(m1.proxy.stats().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn events_survive_a_primary_that_dies_until_the_wait_is_over() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    let m2 = source(&world, "m2", 0).await;
    elect(&[&m1, &m2.manager], "m2", 7);
    let mut events = world
        .send(&m1, ask(Method::GET, "/events"))
        .await
        .into_body();
    m2.more.send_replace(1);
    assert_eq!(next(&mut events).await, event(1));
    m2.manager.server.shutdown(Duration::ZERO).await;
    m1.proxy.set_view(View::Unknown);
    let start = world.platform.mono();
    assert!(
        matches!(events.frame().await, Some(Err(_))),
        "a cut stream looks complete"
    );
    assert_eq!(world.platform.mono().since(start).as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn events_with_an_end_end() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    let m2 = world
        .manager("m2", |_| Box::pin(async { Ok(text(event(1))) }))
        .await;
    elect(&[&m1, &m2], "m2", 7);
    let (status, _, text) = world
        .ask(&m1, Method::GET, "/events?until=1700000009")
        .await;
    assert_eq!((status, text), (StatusCode::OK, event(1)));
}

#[tokio::test(start_paused = true)]
async fn events_served_here_move_when_another_manager_becomes_primary() {
    let world = World::new();
    let (m1, m2) = (source(&world, "m1", 0).await, source(&world, "m2", 0).await);
    elect(&[&m1.manager, &m2.manager], "m1", 7);
    let mut events = world
        .send(&m1.manager, ask(Method::GET, "/events"))
        .await
        .into_body();
    m1.more.send_replace(1);
    assert_eq!(next(&mut events).await, event(1));
    m2.more.send_replace(2);
    elect(&[&m1.manager, &m2.manager], "m2", 8);
    assert_eq!(next(&mut events).await, event(2));
}

/// A primary that echoes on a tunnel; its engine is an in-memory server that switches protocols.
async fn echo(world: &World, name: &'static str) -> Manager {
    let mut incoming = world.platform.bind(&address("engine"));
    let engine = async move {
        while let Some((mut io, _)) = incoming.recv().await {
            read_head(&mut io).await;
            io.write_all(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
                .await
                .unwrap();
            let mut bytes = [0; 4];
            while io.read_exact(&mut bytes).await.is_ok() {
                io.write_all(&bytes).await.unwrap();
            }
        }
    };
    world.platform.spawn("engine", Box::pin(engine));
    let (client, platform) = (world.client.clone(), world.platform.clone());
    world
        .manager(name, move |mut call| {
            let (client, platform) = (client.clone(), platform.clone());
            Box::pin(async move {
                let platform: SharedPlatform = platform;
                let pair = UpgradePair::take(&mut call.http).unwrap().unwrap();
                let mut request = ask(Method::POST, "/containers/a/attach");
                pair.ask(request.headers_mut());
                let response = client.send(&address("engine"), request).await.unwrap();
                Ok(pair.answer(&platform, response, call.cancelled))
            })
        })
        .await
}

async fn attach(world: &World, to: &Manager) -> hyper_util::rt::TokioIo<hyper::upgrade::Upgraded> {
    let mut request = ask(Method::POST, "/containers/a/attach?stream=1");
    request
        .headers_mut()
        .insert("connection", "Upgrade".parse().unwrap());
    request
        .headers_mut()
        .insert("upgrade", "tcp".parse().unwrap());
    let mut response = world.send(to, request).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert!(!has_own_headers(response.headers()));
    hyper_util::rt::TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_goes_through_and_ends_with_its_primary() {
    let world = World::new();
    let (m1, m2) = (world.replica("m1").await, echo(&world, "m2").await);
    elect(&[&m1, &m2], "m2", 7);
    for through in [&m1, &m2] {
        elect(&[&m1, &m2], "m2", 7);
        let mut tunnel = attach(&world, through).await;
        let mut back = [0; 4];
        tunnel.write_all(b"ping").await.unwrap();
        tunnel.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"ping");
        elect(&[through], "m3", 8);
        assert_eq!(tunnel.read(&mut back).await.unwrap(), 0);
    }
    assert_eq!(m1.proxy.stats().requests + m2.proxy.stats().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_to_a_primary_known_by_a_hint_stays() {
    let world = World::new();
    let (m1, m2) = (world.replica("m1").await, world.replica("m2").await);
    let m3 = echo(&world, "m3").await;
    elect(&[&m1], "m2", 7);
    elect(&[&m2, &m3], "m3", 8);
    let mut tunnel = attach(&world, &m1).await;
    elect(&[&m1], "m3", 8);
    let mut back = [0; 4];
    tunnel.write_all(b"ping").await.unwrap();
    tunnel.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"ping");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_is_refused_is_an_ordinary_answer() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    let m2 = world
        .manager("m2", |_| {
            Box::pin(async { Ok(error(StatusCode::CONFLICT, "it is paused")) })
        })
        .await;
    elect(&[&m1, &m2], "m2", 7);
    let mut request = ask(Method::POST, "/containers/a/attach");
    request
        .headers_mut()
        .insert("connection", "Upgrade".parse().unwrap());
    request
        .headers_mut()
        .insert("upgrade", "tcp".parse().unwrap());
    let (status, headers, text) = read(world.send(&m1, request).await).await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::CONFLICT, r#"{"message":"it is paused"}"#)
    );
    assert!(!has_own_headers(&headers));
}

#[tokio::test(start_paused = true)]
async fn a_large_response_flows_through() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    let m2 = world
        .manager("m2", |_| {
            Box::pin(async { Ok(Response::new(body::full(Bytes::from(vec![b'x'; 3 << 20])))) })
        })
        .await;
    elect(&[&m1, &m2], "m2", 7);
    let (_, headers, text) = world.ask(&m1, Method::GET, "/containers/a/export").await;
    assert_eq!(text.len(), 3 << 20);
    assert_eq!(headers["content-length"], "3145728");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_breaks_off_breaks_off_at_the_client() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    let m2 = world
        .manager("m2", |_| {
            Box::pin(async {
                let (sender, body) = body::channel(2);
                sender.send("half").await.unwrap();
                sender.fail(BodyError::Aborted("test".to_owned())).await;
                Ok(Response::new(body))
            })
        })
        .await;
    elect(&[&m1, &m2], "m2", 7);
    let response = world
        .send(&m1, ask(Method::GET, "/containers/a/logs"))
        .await;
    assert!(collect_limited(response.into_body(), 100).await.is_err());
}
