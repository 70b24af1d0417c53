use proptest::prelude::*;

use super::class::{Verdict, after_repeat, class, is_mutation, may_upgrade, served_by_replica};
use super::table::Row;
use super::*;

fn parse(line: &str) -> Result<Request, RouteError> {
    let (method, target) = line.split_once(' ').unwrap();
    Request::parse(method, target)
}

fn route(line: &str) -> Route {
    parse(line)
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .route
}

fn container(name: &str, action: ContainerAction) -> Route {
    Route::Container(ContainerRef::new(name).unwrap(), action)
}

/// Every route of the table, with the given names in it.
fn every_route(name: &str, image: &str, object: &str) -> Vec<Route> {
    let fixed = Fixed::ALL.iter().map(|row| Route::Fixed(*row));
    let named = ContainerAction::ALL.iter().map(|row| container(name, *row));
    let exec = ExecRef::new(object).unwrap();
    let image = ImageRef::new(image).unwrap();
    let network = NetworkRef::new(name).unwrap();
    let volume = VolumeRef::new(name).unwrap();
    let plugin = PluginRef::new(image.as_str()).unwrap();
    let object = ObjectRef::new(object).unwrap();
    let checkpoint = CheckpointRef::new(object.as_str()).unwrap();
    let mut routes: Vec<Route> = fixed.chain(named).collect();
    routes.push(Route::CheckpointRemove(
        ContainerRef::new(name).unwrap(),
        checkpoint,
    ));
    routes.extend(
        ExecAction::ALL
            .iter()
            .map(|row| Route::Exec(exec.clone(), *row)),
    );
    routes.extend(
        ImageAction::ALL
            .iter()
            .map(|row| Route::Image(image.clone(), *row)),
    );
    routes.push(Route::Distribution(image.clone()));
    routes.extend(
        NetworkAction::ALL
            .iter()
            .map(|row| Route::Network(network.clone(), *row)),
    );
    routes.extend(
        VolumeAction::ALL
            .iter()
            .map(|row| Route::Volume(volume.clone(), *row)),
    );
    routes.extend(
        PluginAction::ALL
            .iter()
            .map(|row| Route::Plugin(plugin.clone(), *row)),
    );
    for kind in ObjectKind::ALL {
        for row in ObjectAction::ALL.iter().filter(|row| kind.has(**row)) {
            routes.push(Route::Object(kind, object.clone(), *row));
        }
    }
    routes
}

#[test]
fn reads_the_requests_of_docker_clients() {
    let image = |name: &str| ImageRef::new(name).unwrap();
    for (line, expected) in [
        ("GET /_ping", Route::Fixed(Fixed::Ping)),
        ("HEAD /_ping", Route::Fixed(Fixed::Ping)),
        ("GET /v1.24/info", Route::Fixed(Fixed::Info)),
        ("GET /containers/ps", Route::Fixed(Fixed::ContainerList)),
        ("GET /v1.41/networks/", Route::Fixed(Fixed::NetworkList)),
        (
            "GET /v1.41/containers/json?all=1",
            Route::Fixed(Fixed::ContainerList),
        ),
        (
            "GET /containers/json/json",
            container("json", ContainerAction::Inspect),
        ),
        (
            "GET /containers/node-0/foo/json",
            container("node-0/foo", ContainerAction::Inspect),
        ),
        (
            "GET /containers/foo/attach/ws",
            container("foo", ContainerAction::AttachWebsocket),
        ),
        (
            "POST /containers/foo/attach",
            container("foo", ContainerAction::Attach),
        ),
        (
            "DELETE /containers/node-0/foo",
            container("node-0/foo", ContainerAction::Remove),
        ),
        (
            "HEAD /containers/foo/archive?path=/",
            container("foo", ContainerAction::ArchiveHead),
        ),
        (
            "GET /images/registry:5000/a/b:1/json",
            Route::Image(image("registry:5000/a/b:1"), ImageAction::Inspect),
        ),
        (
            "GET /images/registry:5000%2Fa%2fb@sha256:0/history",
            Route::Image(image("registry:5000/a/b@sha256:0"), ImageAction::History),
        ),
        (
            "DELETE /images/json",
            Route::Image(image("json"), ImageAction::Remove),
        ),
        (
            "GET /distribution/a/b/json",
            Route::Distribution(image("a/b")),
        ),
        (
            "GET /networks/node-0/bridge",
            Route::Network(
                NetworkRef::new("node-0/bridge").unwrap(),
                NetworkAction::Inspect,
            ),
        ),
        (
            "DELETE /containers/foo/checkpoints/c1",
            Route::CheckpointRemove(
                ContainerRef::new("foo").unwrap(),
                CheckpointRef::new("c1").unwrap(),
            ),
        ),
    ] {
        assert_eq!(route(line), expected, "{line}");
    }
}

#[test]
fn the_version_prefix_is_taken_off_and_kept() {
    let request = parse("GET /v1.24/containers/foo/logs?follow=1&tail=5").unwrap();
    assert_eq!(request.version, Some(ApiVersion::new(1, 24)));
    assert_eq!(request.query.as_str(), "follow=1&tail=5");
    assert_eq!(
        request.target(),
        "/v1.24/containers/foo/logs?follow=1&tail=5"
    );
    assert_eq!(parse("GET /info").unwrap().version, None);
    assert!(ApiVersion::new(1, 9) < ApiVersion::new(1, 10));
    let huge = parse("GET /v1.99999/info").unwrap_err();
    assert_eq!(huge.status(), 400, "{huge}");
    assert_eq!(parse("GET /v1.24/v1.24/info"), Err(RouteError::NotFound));
}

#[test]
fn unknown_paths_are_404_and_wrong_methods_405() {
    for line in [
        "GET /",
        "GET /v1.24",
        "GET /v1.24/",
        "GET /containers",
        "GET /containers/json/",
        "GET /containers/a/b/c/json",
        "GET /images",
        "GET /Containers/json",
        "GET /nodes/x/logs",
        "BREW /coffee",
        "GET /v1/info",
    ] {
        assert_eq!(parse(line), Err(RouteError::NotFound), "{line}");
    }
    for (line, allowed) in [
        ("POST /info", vec![Method::Get]),
        ("OPTIONS /_ping", vec![Method::Get, Method::Head]),
        ("get /_ping", vec![Method::Get, Method::Head]),
        ("GET /containers/foo", vec![Method::Delete]),
        (
            "POST /containers/foo/archive",
            Method::ALL
                .into_iter()
                .filter(|method| *method != Method::Post)
                .collect(),
        ),
        ("DELETE /tasks/x", vec![Method::Get]),
        ("GET /containers/attach/ws", vec![Method::Delete]),
        ("POST /containers/start", vec![Method::Delete]),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.status(), 405);
        assert_eq!(error, RouteError::MethodNotAllowed { allowed }, "{line}");
    }
}

#[test]
fn paths_that_could_be_read_in_two_ways_are_refused() {
    // SECURITY.md, "Path confusion"
    for line in [
        "GET /containers/../info",
        "GET /containers/%2e%2e/json",
        "GET /containers/%2E./json",
        "GET /containers/./json",
        "GET //containers/json",
        "GET /containers//json",
        "GET /containers//foo/json",
        "GET /containers/a%2fb/json",
        "POST /exec/a%2Fb/start",
        "GET /volumes/a%2fb",
        "GET /networks/a%2fb",
        "GET /images/a%2f..%2fb/json",
        "GET /images/a%2f%2fb/json",
        "GET /images/%2fa/json",
        "GET /containers/a%00/json",
        "GET /containers/a%0d%0aX:y/json",
        "GET /containers/a%zz/json",
        "GET /containers/a%4",
        "GET /containers/a%/json",
        "GET /containers/a%ff/json",
        "GET containers/json",
        "GET http://host/info",
        "GET *",
        "GET ",
        "GET /info#x",
        "GET /info?a=b#x",
        "GET /info?a=\nb",
        "GET /a b",
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.status(), 400, "{line}: {error}");
    }
    // Decoded once: what is escaped twice stays a name that looks odd.
    let odd = route("GET /containers/%252e%252e/json");
    assert_eq!(odd, container("%2e%2e", ContainerAction::Inspect));
    assert_eq!(odd.path(None), "/containers/%252e%252e/json");
}

#[test]
fn an_engine_path_is_built_from_parts() {
    // spec/classic.md, A1: these names are part of the path's own text.
    let version = ApiVersion::new(1, 24);
    for name in [
        "co",
        "in",
        "tainer",
        "v1.24",
        "containers",
        "logs",
        "node-0/co",
    ] {
        let route = route(&format!("GET /v1.24/containers/{name}/logs"));
        let path = route.engine_path("4f2a", version).unwrap();
        assert_eq!(path, "/v1.24/containers/4f2a/logs");
    }
    let list = Route::Fixed(Fixed::ContainerList);
    assert_eq!(
        list.engine_path("4f2a", version).unwrap(),
        "/v1.24/containers/json"
    );
    let logs = container("a", ContainerAction::Logs);
    assert_eq!(
        logs.engine_path("4f?x=#", version).unwrap(),
        "/v1.24/containers/4f%3Fx=%23/logs"
    );
    for id in ["", "..", "a/b", "a\0"] {
        assert!(logs.engine_path(id, version).is_err(), "{id:?}");
    }
}

#[test]
fn every_route_and_its_class() {
    let mut table = String::new();
    for route in every_route("{name}", "{name}", "{id}") {
        let class = class(&Request {
            method: route.method(),
            version: None,
            route: route.clone(),
            query: Query::default(),
        });
        let mark = |yes: bool, text: &'static str| if yes { text } else { "" };
        let path = route.path(None).replace("%7B", "{").replace("%7D", "}");
        let line = format!(
            "{:6} {path:45} {:18}{}{}{}",
            route.method().as_str(),
            format!("{class:?}"),
            mark(is_mutation(&route), " mutation"),
            mark(may_upgrade(&route), " upgrade"),
            mark(served_by_replica(&route), " replica"),
        );
        table.push_str(line.trim_end());
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[test]
fn the_query_can_decide_the_class() {
    let class = |line: &str| class(&parse(line).unwrap());
    assert_eq!(
        class("GET /containers/a/logs?follow=true"),
        Class::Stream(class::Stream::Logs)
    );
    assert_eq!(class("GET /containers/a/logs?follow=0"), Class::Safe);
    assert_eq!(class("POST /images/create?fromImage=a"), Class::Idempotent);
    assert_eq!(class("POST /images/create?fromSrc=-"), Class::Once);
}

#[test]
fn the_answer_to_a_repeat_is_judged() {
    let judge = |line: &str, status| after_repeat(&parse(line).unwrap(), status);
    assert_eq!(judge("DELETE /containers/a", 404), Verdict::Success(204));
    assert_eq!(judge("DELETE /containers/a", 409), Verdict::AsIs);
    assert_eq!(judge("GET /containers/a/json", 404), Verdict::AsIs);
    assert_eq!(
        judge("POST /containers/a/start", 304),
        Verdict::Success(204)
    );
    assert_eq!(
        judge("POST /containers/a/rename?name=b", 404),
        Verdict::Unknown
    );
    assert_eq!(
        judge("POST /containers/a/rename?name=b", 400),
        Verdict::Unknown
    );
    assert_eq!(judge("POST /containers/a/start", 500), Verdict::AsIs);
}

#[test]
fn that_a_repeat_was_not_carried_out_says_nothing_of_the_first_attempt() {
    let judge = |line: &str| after_repeat(&parse(line).unwrap(), 503);
    assert_eq!(judge("DELETE /containers/a"), Verdict::Unknown);
    assert_eq!(judge("POST /containers/a/stop"), Verdict::Unknown);
    assert_eq!(judge("PUT /containers/a/archive?path=/"), Verdict::Unknown);
    assert_eq!(judge("GET /containers/a/json"), Verdict::AsIs);
    assert_eq!(judge("POST /containers/create"), Verdict::AsIs);
}

#[test]
fn a_query_is_read_and_changed_by_key() {
    let query = Query::new("filters=%7B%7D&since=1&x&since=2");
    assert_eq!(query.value("filters").as_deref(), Some("{}"));
    assert_eq!(query.value("since").as_deref(), Some("1"));
    assert_eq!(
        query.with("since", "3.5").as_str(),
        "filters=%7B%7D&since=3.5&x"
    );
    assert_eq!(Query::default().with("a b", "&").as_str(), "a%20b=%26");
    for (text, expected) in [
        ("", false),
        ("f=0", false),
        ("f=False", false),
        ("f=1", true),
    ] {
        assert_eq!(Query::new(text).flag("f"), expected, "{text}");
    }
}

fn segment() -> impl Strategy<Value = String> {
    "[a-z:@%. é+]{1,6}".prop_filter("dots", |text| text != "." && text != "..")
}

/// Text made of what paths are made of, so that many cases reach a route.
fn path_like() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("/".to_owned()),
        Just("/containers".to_owned()),
        Just("/images/".to_owned()),
        Just("/networks/".to_owned()),
        Just("/json".to_owned()),
        Just("/start".to_owned()),
        Just("/v1.24".to_owned()),
        Just("%2f".to_owned()),
        Just("%2e".to_owned()),
        Just("%".to_owned()),
        Just("?".to_owned()),
        "\\PC{0,3}",
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn what_is_built_from_parts_parses_to_the_same_parts(
        name in prop_oneof![segment(), (segment(), segment()).prop_map(|(a, b)| format!("{a}/{b}"))],
        image in proptest::collection::vec(segment(), 1..5),
        object in segment(),
        version in proptest::option::of((any::<u16>(), any::<u16>())),
    ) {
        let version = version.map(|(major, minor)| ApiVersion::new(major, minor));
        for route in every_route(&name, &image.join("/"), &object) {
            let path = route.path(version);
            let parsed = Request::parse(route.method().as_str(), &path);
            let expected = Request {
                method: route.method(),
                version,
                route,
                query: Query::default(),
            };
            prop_assert_eq!(parsed, Ok(expected), "{}", path);
        }
    }

    #[test]
    fn the_canonical_form_routes_like_the_raw_form(target in path_like()) {
        for method in Method::ALL {
            if let Ok(request) = Request::parse(method.as_str(), &target) {
                let again = Request::parse(method.as_str(), &request.target());
                prop_assert_eq!(again, Ok(request));
            }
        }
    }

    #[test]
    fn parsing_never_panics(method in "\\PC{0,6}", target in any::<String>()) {
        let _ = Request::parse(&method, &target);
    }

    #[test]
    fn changing_a_query_leaves_other_keys_alone(raw in "[a-c=&%+0-9]{0,20}", value in "\\PC{0,5}") {
        let query = Query::new(&raw);
        let changed = query.with("since", &value);
        prop_assert_eq!(changed.value("since"), Some(value));
        let others = |query: &Query| query.pairs().filter(|(key, _)| key != "since").collect::<Vec<_>>();
        prop_assert_eq!(others(&changed), others(&query));
    }
}
