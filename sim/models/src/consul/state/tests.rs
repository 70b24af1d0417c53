//! Semantics of the state alone; each test names where the rule comes from.

use super::*;
use crate::consul::store::Store;

mod any;
mod session;
mod txn;

const S1: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const S2: &str = "aaaaaaaa-0000-4000-8000-000000000002";

fn at(seconds: u64) -> Mono {
    Mono::ZERO + Duration::from_secs(seconds)
}

fn store() -> Store {
    Store::new(State::new(["n1".to_owned()].into(), 10))
}

fn write(key: &str, value: &str) -> Write {
    Write {
        key: key.to_owned(),
        value: Bytes::from(value.to_owned()),
        flags: 0,
    }
}

fn set(store: &mut Store, key: &str, value: &str) -> u64 {
    let write = write(key, value);
    store
        .apply(at(0), |state, index| state.set(index, &write))
        .modify_index
}

fn acquire(store: &mut Store, key: &str, value: &str, session: &str) -> bool {
    let write = write(key, value);
    let locked = store.apply(at(0), |state, index| state.lock(index, &write, session));
    locked.unwrap().is_some()
}

fn release(store: &mut Store, key: &str, value: &str, session: &str) -> bool {
    let write = write(key, value);
    let freed = store.apply(at(0), |state, index| state.unlock(index, &write, session));
    freed.unwrap().is_some()
}

fn session(store: &mut Store, id: &str, adjust: impl FnOnce(&mut NewSession)) {
    let mut spec = NewSession::for_node("n1");
    adjust(&mut spec);
    store.create_session(at(0), id.to_owned(), spec).unwrap();
}

fn entry(store: &Store, key: &str) -> Entry {
    Entry::clone(store.state().get(key).unwrap())
}

/// HA.md section 2.3: `?cas=0` creates only; a stale index changes nothing.
#[test]
fn cas_zero_means_absent_and_a_stale_index_fails() {
    let mut store = store();
    let cas = |store: &mut Store, value: &str, expected| {
        let write = write("k", value);
        let set = store.apply(at(0), |state, index| state.set_cas(index, &write, expected));
        set.map(|entry| entry.modify_index)
    };
    assert_eq!(cas(&mut store, "a", 7), None);
    let first = cas(&mut store, "a", 0).unwrap();
    assert_eq!(cas(&mut store, "b", 0), None);
    let second = cas(&mut store, "b", first).unwrap();
    assert!(second > first);
    assert_eq!(cas(&mut store, "c", first), None);
    assert_eq!(entry(&store, "k").value, "b");
    assert_eq!(entry(&store, "k").create_index, first);
}

/// HA.md section 2.3: the same session with the same value writes nothing; with another value only ModifyIndex moves.
#[test]
fn acquiring_again_is_idempotent() {
    let mut store = store();
    session(&mut store, S1, |_| {});
    session(&mut store, S2, |_| {});
    assert!(acquire(&mut store, "k", "v", S1));
    let first = entry(&store, "k");
    assert!(acquire(&mut store, "k", "v", S1));
    assert_eq!(entry(&store, "k"), first);
    assert!(acquire(&mut store, "k", "w", S1));
    let moved = entry(&store, "k");
    assert_eq!((moved.lock_index, first.lock_index), (1, 1));
    assert!(moved.modify_index > first.modify_index);
    assert!(!acquire(&mut store, "k", "x", S2));
    assert_eq!(entry(&store, "k"), moved);
}

/// HA.md section 2.3: an unknown session is an error, not a refusal.
#[test]
fn acquiring_with_an_unknown_session_is_an_error() {
    let mut store = store();
    let write = write("k", "v");
    let mut lock = |session: &str| {
        let locked = store.apply(at(0), |state, index| state.lock(index, &write, session));
        locked.unwrap_err().to_string()
    };
    assert_eq!(lock(S1), format!("invalid session {S1:?}"));
    assert_eq!(lock(""), "missing session");
    assert_eq!(lock("x"), StateError::NotAnId.to_string());
}

/// HA.md section 2.3: only the holder releases, once; the value is overwritten.
#[test]
fn release_frees_once_and_overwrites_the_value() {
    let mut store = store();
    session(&mut store, S1, |_| {});
    session(&mut store, S2, |_| {});
    acquire(&mut store, "k", "held", S1);
    assert!(!release(&mut store, "k", "x", S2));
    assert!(release(&mut store, "k", "freed", S1));
    assert!(!release(&mut store, "k", "again", S1));
    let freed = entry(&store, "k");
    assert_eq!(
        (freed.session.as_str(), freed.value.as_ref()),
        ("", &b"freed"[..])
    );
    assert_eq!(freed.lock_index, 1);
    assert!(acquire(&mut store, "k", "next", S2));
    assert_eq!(entry(&store, "k").lock_index, 2);
}

/// HA.md section 2.3: a plain PUT keeps the session and resets LockIndex, which is why that is no fence.
#[test]
fn a_plain_write_on_a_locked_key_keeps_the_session_and_resets_lock_index() {
    let mut store = store();
    session(&mut store, S1, |_| {});
    session(&mut store, S2, |_| {});
    acquire(&mut store, "k", "v", S1);
    set(&mut store, "k", "v");
    let written = entry(&store, "k");
    assert_eq!((written.session.as_str(), written.lock_index), (S1, 0));
    release(&mut store, "k", "v", S1);
    acquire(&mut store, "k", "v", S2);
    assert_eq!(entry(&store, "k").lock_index, 1);
}

/// HA.md section 2.3: deleting a locked key succeeds and forgets the lock.
#[test]
fn deleting_a_locked_key_forgets_its_lock_index() {
    let mut store = store();
    session(&mut store, S1, |_| {});
    acquire(&mut store, "k", "v", S1);
    release(&mut store, "k", "v", S1);
    acquire(&mut store, "k", "v", S1);
    assert_eq!(entry(&store, "k").lock_index, 2);
    store.apply(at(0), |state, index| state.delete(at(0), index, "k"));
    assert!(store.state().get("k").is_none());
    acquire(&mut store, "k", "v", S1);
    assert_eq!(entry(&store, "k").lock_index, 1);
}

/// HA.md section 2.3: `DELETE ?cas` of a missing key is true.
#[test]
fn delete_cas_is_true_for_a_missing_key_and_false_for_a_stale_index() {
    let mut store = store();
    let index = set(&mut store, "k", "v");
    let mut delete = |key: &str, expected| {
        store.apply(at(0), |state, index| {
            state.delete_cas(at(0), index, key, expected)
        })
    };
    assert!(delete("missing", 3));
    assert!(!delete("k", index + 1));
    assert!(delete("k", index));
}

/// HA.md section 2.5: the index of a key, of a missing key and of lists with tombstones.
#[test]
fn indexes_follow_the_entry_the_table_and_the_tombstones() {
    let key = |key: &str| Watched::Key(key.to_owned());
    let prefix = |prefix: &str| Watched::Prefix(prefix.to_owned());
    let mut store = store();
    assert_eq!(store.state().index_of(&key("a/1")), 1);
    let first = set(&mut store, "a/1", "v");
    let second = set(&mut store, "a/2", "v");
    let other = set(&mut store, "b", "v");
    let index = |store: &Store, watched| store.state().index_of(&watched);
    assert_eq!(index(&store, key("a/1")), first);
    assert_eq!(index(&store, key("missing")), other);
    assert_eq!(index(&store, prefix("a/")), second);
    assert_eq!(index(&store, prefix("missing")), other);

    store.apply(at(0), |state, index| state.delete(at(0), index, "a/2"));
    let deleted = store.state().index();
    set(&mut store, "b", "w");
    assert_eq!(index(&store, prefix("a/")), deleted);
    assert_eq!(index(&store, key("a/2")), deleted + 1);

    // Tombstones are reaped after 15 minutes (tombstone_ttl).
    store.apply(at(901), |state, index| state.delete(at(901), index, "b"));
    assert_eq!(index(&store, prefix("a/")), first);
}

/// HA.md section 2.5: what wakes a blocking query on one key, and what does not.
#[test]
fn a_mark_changes_exactly_when_the_watched_part_is_written() {
    let missing = Watched::Key("missing".to_owned());
    let below = Watched::Prefix("a/".to_owned());
    let mut store = store();
    set(&mut store, "a/1", "v");
    let mark = |store: &Store, watched: &Watched| store.state().mark(watched);
    let (before, list) = (mark(&store, &missing), mark(&store, &below));
    set(&mut store, "other", "v");
    set(&mut store, "a/1", "v");
    assert_eq!(
        (mark(&store, &missing), mark(&store, &below)),
        (before, list)
    );
    store.apply(at(0), |state, index| {
        state.delete_tree(at(0), index, "a/");
    });
    assert_ne!(mark(&store, &below), list);
    set(&mut store, "missing", "v");
    assert_ne!(mark(&store, &missing), before);
    store.apply(at(0), |state, index| {
        state.delete_tree(at(0), index, "mi");
    });
    assert_ne!(mark(&store, &missing), before);
}

/// HA.md section 2.3: ModifyIndex is small again after an import, back after a rollback, and goes on after a restore.
#[test]
fn a_state_can_be_renumbered_or_continued() {
    let mut store = store();
    for value in 0..50 {
        set(&mut store, "k", &value.to_string());
    }
    set(&mut store, "l", "v");
    let old = State::clone(store.state());
    let fresh = old.renumbered(10);
    assert_eq!(fresh.get("k").unwrap().modify_index, 11);
    assert_eq!(fresh.get("k").unwrap().value, old.get("k").unwrap().value);
    assert_eq!(fresh.index(), 12);
    let on = old.clone().continued_after(500);
    assert_eq!(on.index(), 501);
    assert_eq!(on.get("k"), old.get("k"));
}

/// Every sequence of writes keeps ModifyIndex increasing and unique, and leaves history readable at its time.
#[test]
fn the_past_is_the_state_of_its_time() {
    let mut store = store();
    for second in 1..=5 {
        let write = write("k", &second.to_string());
        store.apply(at(second), |state, index| state.set(index, &write));
    }
    let seen = |ago| {
        let state = store.past(at(6), Duration::from_secs(ago));
        state.get("k").map(|entry| entry.value.clone())
    };
    assert_eq!(seen(0).unwrap(), "5");
    assert_eq!(seen(2).unwrap(), "4");
    assert_eq!(seen(5).unwrap(), "1");
    assert_eq!(seen(6), None);
    assert_eq!(
        store.next_visible(at(6), Duration::from_secs(3)),
        Some(at(7))
    );
}
