//! Sessions, their timers and lock-delays (HA.md sections 2.1 and 2.2).

use super::*;

/// HA.md section 2.1: release keeps key, value and LockIndex and moves ModifyIndex; delete removes the key.
#[test]
fn a_session_that_ends_releases_or_deletes_its_keys() {
    let mut store = store();
    session(&mut store, S1, |_| {});
    session(&mut store, S2, |spec| spec.behavior = Behavior::Delete);
    acquire(&mut store, "kept", "v", S1);
    acquire(&mut store, "gone", "v", S2);
    let before = entry(&store, "kept");
    store.destroy_session(at(0), S1);
    store.destroy_session(at(0), S2);
    let after = entry(&store, "kept");
    assert_eq!(
        (after.session.as_str(), after.value.as_ref()),
        ("", &b"v"[..])
    );
    assert_eq!(after.lock_index, before.lock_index);
    assert!(after.modify_index > before.modify_index);
    assert!(store.state().get("gone").is_none());
}

/// HA.md section 2.1: the timer is twice the TTL, and a renewal starts it anew.
#[test]
fn a_session_expires_twice_its_ttl_after_the_last_renewal() {
    let mut store = store();
    session(&mut store, S1, |spec| {
        spec.ttl = Some(Duration::from_secs(10));
    });
    assert_eq!(store.wake_at(), Some(at(20)));
    assert!(!store.expire(at(19)));
    let renewed = Arc::clone(store.state().session(S1).unwrap());
    store.start_timer(at(15), &renewed);
    assert!(!store.expire(at(34)));
    assert!(store.expire(at(35)));
    assert!(store.state().session(S1).is_none());
    assert_eq!(store.wake_at(), None);
}

/// HA.md section 2.2: only a session that ends while it holds the key leaves a delay, capped at 60 s.
#[test]
fn lock_delay_follows_a_lost_session_and_not_a_release() {
    let mut store = store();
    session(&mut store, S1, |_| {});
    acquire(&mut store, "k", "v", S1);
    release(&mut store, "k", "v", S1);
    assert!(!store.lock_delayed(at(0), "k"));
    acquire(&mut store, "k", "v", S1);
    store.destroy_session(at(100), S1);
    assert!(store.lock_delayed(at(114), "k"));
    assert!(!store.lock_delayed(at(115), "k"));

    session(&mut store, S2, |spec| spec.lock_delay_nanos = i64::MAX);
    acquire(&mut store, "k", "v", S2);
    store.destroy_session(at(200), S2);
    assert!(store.lock_delayed(at(259), "k"));
    assert!(!store.lock_delayed(at(260), "k"));
}

/// HA.md section 2.2: zero and negative delays are none.
#[test]
fn a_session_without_lock_delay_leaves_none() {
    for nanos in [0, -1] {
        let mut store = store();
        session(&mut store, S1, |spec| spec.lock_delay_nanos = nanos);
        acquire(&mut store, "k", "v", S1);
        store.destroy_session(at(0), S1);
        assert!(!store.lock_delayed(at(0), "k"));
    }
}

/// HA.md section 2.2: a restored state forgets lock-delays; section 2.1: sessions get their full time again.
#[test]
fn a_replaced_state_forgets_delays_and_restarts_timers() {
    let mut store = store();
    session(&mut store, S1, |_| {});
    session(&mut store, S2, |spec| {
        spec.ttl = Some(Duration::from_secs(10));
    });
    acquire(&mut store, "k", "v", S1);
    store.destroy_session(at(1), S1);
    let same = State::clone(store.state());
    store.replace(at(5), same);
    assert!(!store.lock_delayed(at(5), "k"));
    assert_eq!(store.wake_at(), Some(at(25)));
}

/// HA.md section 2.1: node and checks must exist.
#[test]
fn a_session_needs_its_node_and_its_checks() {
    let mut store = store();
    let mut create = |adjust: &dyn Fn(&mut NewSession)| {
        let mut spec = NewSession::for_node("n1");
        adjust(&mut spec);
        let created = store.create_session(at(0), S1.to_owned(), spec);
        created.map_err(|error| error.to_string()).err()
    };
    assert_eq!(
        create(&|spec| spec.node = "n9".to_owned()).as_deref(),
        Some("Missing node registration")
    );
    assert_eq!(
        create(&|spec| spec.node_checks.push("disk".to_owned())).as_deref(),
        Some("Missing check 'disk' registration")
    );
    assert_eq!(create(&|_spec| {}), None);
}
