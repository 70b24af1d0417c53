//! Transactions (HA.md section 2.4).

use super::*;

fn op(verb: &str, key: &str) -> TxnOp {
    TxnOp {
        verb: Verb::from(verb),
        write: write(key, "txn"),
        index: 0,
        session: String::new(),
    }
}

fn transact(store: &mut Store, ops: &[TxnOp]) -> Result<Vec<TxnResult>, Vec<(usize, String)>> {
    store.transact(at(0), ops).map_err(|errors| {
        let errors = errors.into_iter();
        errors.map(|error| (error.op_index, error.what)).collect()
    })
}

/// HA.md section 2.4 and api-docs/txn: operations see earlier ones, and the results carry the new ModifyIndex.
#[test]
fn a_transaction_applies_everything_at_one_index() {
    let mut store = store();
    let results = transact(
        &mut store,
        &[
            op("cas", "a"),
            op("set", "b"),
            op("get", "a"),
            op("delete", "b"),
        ],
    )
    .unwrap();
    let index = store.state().index();
    let seen: Vec<_> = results
        .iter()
        .map(|result| {
            (
                result.entry.key.as_str(),
                result.entry.modify_index,
                result.with_value,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [("a", index, false), ("b", index, false), ("a", index, true)]
    );
    assert!(store.state().get("b").is_none());
}

/// HA.md section 2.4: every text a client may have to tell apart, and nothing is applied.
#[test]
fn a_failed_transaction_changes_nothing_and_says_why_for_each_operation() {
    let mut store = store();
    session(&mut store, S1, |_| {});
    session(&mut store, S2, |_| {});
    let index = set(&mut store, "T", "v");
    acquire(&mut store, "held", "v", S1);
    let with = |verb: &str, key: &str, index, session: &str| TxnOp {
        index,
        session: session.to_owned(),
        ..op(verb, key)
    };
    let ops = [
        op("set", "fresh"),
        with("check-index", "T", 42, ""),
        op("cas", "T"),
        with("lock", "held", 0, S2),
        with("unlock", "held", 0, S2),
        with("check-session", "held", 0, S2),
        op("check-not-exists", "T"),
        with("delete-cas", "T", 42, ""),
        op("get", "missing"),
        with("check-index", "missing", 1, ""),
        with("check-session", "missing", 0, S1),
        op("jump", "T"),
        with("lock", "T", 0, "aaaaaaaa-0000-4000-8000-00000000000f"),
    ];
    let errors = transact(&mut store, &ops).unwrap_err();
    let texts: Vec<String> = errors.iter().map(|(_, what)| what.clone()).collect();
    assert_eq!(
        texts,
        [
            format!("failed index check for key \"T\", current modify index {index} != 42"),
            "failed to set key \"T\", index is stale".to_owned(),
            "failed to lock key \"held\", lock is already held".to_owned(),
            "failed to unlock key \"held\", lock isn't held, or is held by another session"
                .to_owned(),
            format!("failed session check for key \"held\", current session \"{S1}\" != \"{S2}\""),
            "key \"T\" exists".to_owned(),
            "failed to delete key \"T\", index is stale".to_owned(),
            "key \"missing\" doesn't exist".to_owned(),
            "failed to check index, key \"missing\" doesn't exist".to_owned(),
            "failed to check session, key \"missing\" doesn't exist".to_owned(),
            "unknown KV verb \"jump\"".to_owned(),
            "invalid session \"aaaaaaaa-0000-4000-8000-00000000000f\"".to_owned(),
        ]
    );
    assert_eq!(errors.first().map(|(op_index, _)| *op_index), Some(1));
    assert!(store.state().get("fresh").is_none());
}

/// HA.md section 2.2: the leader refuses a lock during the delay before it asks raft.
#[test]
fn a_transaction_cannot_lock_during_the_delay() {
    let mut store = store();
    session(&mut store, S1, |_| {});
    session(&mut store, S2, |_| {});
    acquire(&mut store, "D", "v", S1);
    store.destroy_session(at(0), S1);
    let before = store.state().index();
    let lock = TxnOp {
        session: S2.to_owned(),
        ..op("lock", "D")
    };
    let errors = transact(&mut store, &[lock, op("set", "")]).unwrap_err();
    assert_eq!(
        errors,
        [
            (0, "failed to lock key \"D\" due to lock delay".to_owned()),
            (1, "Must provide key".to_owned()),
        ]
    );
    assert_eq!(store.state().index(), before);
}

/// HA.md sections 0.5 and 2.4: an atomic forced takeover of a lock.
#[test]
fn a_transaction_takes_a_lock_over() {
    let mut store = store();
    session(&mut store, S1, |_| {});
    session(&mut store, S2, |_| {});
    acquire(&mut store, "k", "v", S1);
    let index = entry(&store, "k").modify_index;
    let with = |verb: &str, session: &str| TxnOp {
        index,
        session: session.to_owned(),
        ..op(verb, "k")
    };
    transact(
        &mut store,
        &[
            with("check-index", ""),
            with("unlock", S1),
            with("lock", S2),
        ],
    )
    .unwrap();
    assert_eq!(entry(&store, "k").session, S2);
}
