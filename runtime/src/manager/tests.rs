use swarm_core::config::{RawDiscovery, RawLimits, RawManage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::http::testing::{BLACK_HOLE, TestPlatform};
use crate::platform::{Platform, sleep};

/// How long a manager takes to stop that was asked a second before what it can answer only when connecting to an engine
/// has failed, and its answer.
async fn stopped_after(stop_timeout: &str) -> (Duration, String) {
    let platform = TestPlatform::new();
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
    let manager = Manager::start(&shared, &config, "one", HostInfo::default())
        .await
        .unwrap();
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
