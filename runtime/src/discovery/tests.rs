//! Following a file and a list; the store's side is tested with the store.

use std::sync::Arc;

use super::*;
use crate::platform::TokioPlatform;

fn platform() -> SharedPlatform {
    Arc::new(TokioPlatform::new().unwrap())
}

fn hosts(texts: &[&str]) -> BTreeSet<HostPort> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_fixed_list_is_delivered_once() {
    let nodes = vec!["b:1".parse().unwrap(), "a:1".parse().unwrap()];
    let mut changes = follow(&platform(), Source::Nodes(nodes), Duration::from_secs(60));
    assert_eq!(changes.recv().await.unwrap().added, hosts(&["a:1", "b:1"]));
    assert!(changes.try_recv().is_err());
}

#[tokio::test]
async fn the_first_listing_comes_even_if_it_is_empty() {
    let mut changes = follow(
        &platform(),
        Source::Nodes(Vec::new()),
        Duration::from_secs(60),
    );
    assert!(changes.recv().await.unwrap().added.is_empty());
}

#[tokio::test]
async fn a_file_is_read_again_and_one_bad_line_harms_nobody() {
    let path = std::env::temp_dir().join(format!("swarm-discovery-{}", std::process::id()));
    std::fs::write(&path, "10.0.0.[1:3]:2375\nnonsense # a typo\n").unwrap();
    let source = Source::File(path.clone());
    let mut changes = follow(&platform(), source, Duration::from_millis(10));
    let first = changes.recv().await.unwrap();
    assert_eq!(
        first.added,
        hosts(&["10.0.0.1:2375", "10.0.0.2:2375", "10.0.0.3:2375"])
    );
    std::fs::write(&path, "10.0.0.[1:4]:2375\n").unwrap();
    assert_eq!(
        changes.recv().await.unwrap().added,
        hosts(&["10.0.0.4:2375"])
    );
    std::fs::remove_file(&path).unwrap();
    let error = Source::File(path.clone())
        .list(&mut Cursor::default())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("failed to read") && error.contains(path.to_str().unwrap()),
        "{error}"
    );
}
