use swarm_core::config::{RawDiscovery, RawLimits, RawManage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::http::testing::{BLACK_HOLE, TestPlatform};
use crate::platform::{Platform, sleep};

/// A manager of one engine that nobody can reach.
async fn started(platform: &Arc<TestPlatform>, stop_timeout: &str) -> Manager {
    let shared: SharedPlatform = platform.clone();
    let raw = RawManage {
        hosts: vec!["manager:80".to_owned()],
        discovery: RawDiscovery {
            arguments: vec![format!("nodes://{BLACK_HOLE}:80")],
            ..RawDiscovery::default()
        },
        limits: RawLimits {
            stop_timeout: stop_timeout.to_owned(),
            ..RawLimits::default()
        },
        ..RawManage::default()
    };
    let config = Manage::try_from(raw).unwrap();
    let host = HostInfo {
        version: "1.2.3".to_owned(),
        ..HostInfo::default()
    };
    Manager::start(&shared, &config, "one", host).await.unwrap()
}

/// What is answered to `request`, with head.
async fn asked(platform: &TestPlatform, request: &str) -> String {
    let at = TestPlatform::address("manager");
    let mut client = platform.connect(&at).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: manager\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(start_paused = true)]
async fn metrics_tell_of_the_manager_and_repeat_nothing_a_client_sent() {
    let platform = TestPlatform::new();
    let _manager = started(&platform, "1s").await;
    for request in ["GET /_ping", "GET /v1.41/chosen", "BREW /chosen"] {
        asked(&platform, request).await;
    }
    let refused = asked(&platform, "POST /metrics").await;
    assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
    let page = asked(&platform, "GET /metrics").await;
    for line in [
        "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8",
        "swarm_build_info{version=\"1.2.3\"} 1",
        "swarm_manager_leader 1",
        "swarm_engines{state=\"pending\"} 1",
        "swarm_containers{state=\"running\"} 0",
        "swarm_insecure_listener 1",
        "# TYPE swarm_http_requests counter",
        "swarm_http_requests_total{method=\"GET\",code=\"200\"} 1",
        "swarm_http_requests_total{method=\"GET\",code=\"404\"} 1",
        "swarm_http_requests_total{method=\"other\",code=\"404\"} 1",
        "swarm_http_requests_total{method=\"POST\",code=\"405\"} 1",
        "# TYPE swarm_http_request_duration_seconds histogram",
        "swarm_http_request_duration_seconds_count{method=\"GET\"} 2",
        "swarm_http_request_duration_seconds_bucket{le=\"0.001\",method=\"other\"} 1",
        "swarm_http_request_duration_seconds_count{method=\"PUT\"} 0",
        "# EOF",
    ] {
        assert!(page.lines().any(|one| one == line), "{line} in {page}");
    }
    assert!(!page.contains("BREW") && !page.contains("chosen"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn a_manager_without_replication_is_always_the_ready_primary() {
    let platform = TestPlatform::new();
    let _manager = started(&platform, "1s").await;
    for (request, status, text) in [
        ("GET /livez", 200, "alive\n"),
        ("GET /readyz", 200, "ready\n"),
        ("GET /primary?standbyok=true", 200, "primary\n"),
        ("HEAD /primary", 200, ""),
        ("GET /replica", 503, "this manager is the primary\n"),
        ("HEAD /replica", 503, ""),
    ] {
        let answer = asked(&platform, request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let begin = format!("HTTP/1.1 {status} ");
        assert!(
            head.starts_with(&begin) && body == text,
            "{request}: {answer}"
        );
    }
    let answer = asked(&platform, "POST /primary").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

/// How long a manager takes to stop that was asked a second before what it can answer only when connecting to an engine
/// has failed, and its answer.
async fn stopped_after(stop_timeout: &str) -> (Duration, String) {
    let platform = TestPlatform::new();
    let manager = started(&platform, stop_timeout).await;
    let at = TestPlatform::address("manager");
    let mut client = platform.connect(&at).await.unwrap();
    let request = b"GET /containers/json HTTP/1.1\r\nHost: manager\r\n\r\n";
    client.write_all(request).await.unwrap();
    sleep(platform.as_ref(), Duration::from_secs(1)).await;
    let start = platform.mono();
    manager.stop().await;
    let took = platform.mono().since(start);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    (took, answer)
}

#[tokio::test(start_paused = true)]
async fn how_long_a_stopping_manager_waits_can_be_changed() {
    let (took, answer) = stopped_after("500ms").await;
    assert_eq!((took.as_millis() / 10, answer.as_str()), (50, ""));
    let (took, answer) = stopped_after("1m").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}
