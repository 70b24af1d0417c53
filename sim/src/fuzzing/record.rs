//! The lease record, which anyone with access to the store can write, and the question for a promise that speaks of it.

use swarm_core::election::lease::takeover_wait;
use swarm_core::election::{
    LEASE_MS_MAX, PromiseGrant, PromiseRequest, Reading, Record, Version, release_for,
};

/// What is taken for a record is within its ranges, survives the store, and so does what a guard makes of it.
///
/// # Panics
/// When that is not so.
pub fn record(bytes: &[u8]) {
    promise(bytes);
    let found = Reading::of(Version(1), bytes);
    let Ok(record) = Record::parse(bytes) else {
        assert!(found.record().is_none(), "read by one way only: {found:?}");
        return;
    };
    assert_eq!(found.record(), Some(&record));
    assert!(record.epoch > 0 && record.epoch.checked_add(1).is_some());
    assert!(record.beat.checked_add(1).is_some());
    assert!((1..=LEASE_MS_MAX).contains(&record.lease_ms));
    let lease = std::time::Duration::from_millis(record.lease_ms);
    assert!(takeover_wait(lease) > lease, "{record:?}");
    assert_eq!(Record::parse(&record.to_bytes()).as_ref(), Ok(&record));

    assert_eq!(release_for(&found, "", "n".to_owned()), None);
    let released = release_for(&found, &record.instance, "n".to_owned());
    assert_eq!(released.is_none(), record.released, "{record:?}");
    if let Some((version, released)) = released {
        assert_eq!(version, Version(1));
        assert!(released.released && released.epoch == record.epoch);
        let again = Record::parse(&released.to_bytes());
        assert_eq!(again, Ok(released), "others cannot read the release");
    }
}

/// What is taken for a question is within its ranges, survives the wire, and only its own answer answers it.
fn promise(bytes: &[u8]) {
    let Ok(request) = PromiseRequest::parse(bytes) else {
        return;
    };
    assert!((1..=LEASE_MS_MAX).contains(&request.lease_ms));
    let written = serde_json::to_vec(&request).unwrap_or_default();
    assert_eq!(PromiseRequest::parse(&written).as_ref(), Ok(&request));
    let grant = serde_json::to_vec(&PromiseGrant::to(&request)).unwrap_or_default();
    assert_eq!(PromiseGrant::parse(&grant, &request), Ok(()));
    assert!(
        PromiseGrant::parse(bytes, &request).is_err(),
        "a question answers itself"
    );
}
