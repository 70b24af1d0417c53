use bytes::Bytes;
use http_body_util::BodyExt;
use swarm_core::api::Query;

use super::*;
use crate::api::lists::{QUICK_LISTS, TEXTS_UNUSED};
use crate::platform::sleep;

/// The pieces of the list of all containers.
async fn pieces(rig: &Rig) -> Vec<Bytes> {
    let response = rig.api.list_containers(&Query::new("all=1")).await;
    let mut body = response.unwrap().into_body();
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().await {
        pieces.push(frame.unwrap().into_data().unwrap());
    }
    pieces
}

/// Eight containers with 40 KiB each.
async fn rig() -> Rig {
    let rig = Rig::new(1).await;
    for number in 0..8 {
        let label = "x".repeat(40 << 10);
        let body = json!({"Image": "alpine", "Labels": {"long": label}}).to_string();
        let target = format!("/v1.41/containers/create?name=web-{number}");
        let id = format!("{number:0>64}");
        let reply = rig.send("POST", &target, &[("test-id", &id)], &body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    rig
}

#[tokio::test]
async fn a_list_is_the_same_in_long_and_in_short_pieces() {
    let rig = rig().await;
    let places = &rig.api.quick_lists;
    let long = pieces(&rig).await;
    assert_eq!(places.available_permits(), QUICK_LISTS, "given back");
    let all = u32::try_from(QUICK_LISTS).unwrap();
    let held = places.try_acquire_many(all).unwrap();
    let short = pieces(&rig).await;
    assert!(short.len() > long.len(), "{} {}", short.len(), long.len());
    assert_eq!(short.concat(), long.concat());
    let list: Vec<Value> = serde_json::from_slice(&long.concat()).unwrap();
    assert_eq!(list.len(), 8);
    drop(held);
    rig.close().await;
}

#[tokio::test]
async fn kept_texts_are_let_go_when_nobody_asks_for_lists() {
    let rig = rig().await;
    pieces(&rig).await;
    assert!(!rig.api.list_texts.needs_watch(), "they are watched");
    tokio::time::pause();
    sleep(&*rig.api.platform, 2 * TEXTS_UNUSED).await;
    assert!(rig.api.list_texts.needs_watch());
    tokio::time::resume();
    rig.close().await;
}
