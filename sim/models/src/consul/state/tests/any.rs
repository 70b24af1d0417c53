//! What holds after any sequence of commands.

use proptest::prelude::*;

use super::*;

const KEYS: [&str; 4] = ["a", "a/1", "a/2", "b"];

#[derive(Clone, Debug)]
enum Step {
    Ops(Vec<TxnOp>),
    Destroy(&'static str),
    Create(&'static str, Behavior),
}

fn any_session() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(S1), Just(S2)]
}

fn any_op() -> impl Strategy<Value = TxnOp> {
    let verb = prop_oneof![
        Just(Verb::Set),
        Just(Verb::Cas),
        Just(Verb::Lock),
        Just(Verb::Unlock),
        Just(Verb::CheckIndex),
        Just(Verb::Delete),
        Just(Verb::DeleteCas),
        Just(Verb::DeleteTree),
        Just(Verb::GetTree),
    ];
    let key = prop::sample::select(&KEYS[..]);
    (verb, key, "[xy]", 0..30_u64, any_session()).prop_map(|(verb, key, value, index, session)| {
        TxnOp {
            verb,
            write: write(key, &value),
            index,
            session: session.to_owned(),
        }
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let behavior = prop_oneof![Just(Behavior::Release), Just(Behavior::Delete)];
    prop_oneof![
        6 => prop::collection::vec(any_op(), 1..4).prop_map(Step::Ops),
        1 => any_session().prop_map(Step::Destroy),
        2 => (any_session(), behavior).prop_map(|(id, behavior)| Step::Create(id, behavior)),
    ]
}

proptest! {
    /// HA.md section 2.3: ModifyIndex is the raft index of the change; section 2.4: all or nothing; section 2.5: marks
    /// tell what was written, and the index of a key never goes back.
    #[test]
    fn indexes_and_marks_follow_the_content(steps in prop::collection::vec(any_step(), 1..30)) {
        let mut store = store();
        let watched: Vec<Watched> = KEYS
            .iter()
            .flat_map(|key| [Watched::Key((*key).to_owned()), Watched::Prefix((*key).to_owned())])
            .collect();
        for step in steps {
            let before = Arc::clone(store.state());
            let failed = match step {
                Step::Ops(ops) => store.transact(at(0), &ops).is_err(),
                Step::Destroy(id) => {
                    store.destroy_session(at(0), id);
                    false
                }
                Step::Create(id, behavior) if before.session(id).is_none() => {
                    session(&mut store, id, |spec| {
                        spec.behavior = behavior;
                        spec.lock_delay_nanos = 0;
                    });
                    false
                }
                Step::Create(..) => continue,
            };
            let after = Arc::clone(store.state());
            prop_assert_eq!(after.index(), before.index() + 1);
            for key in KEYS {
                let (old, new) = (before.get(key), after.get(key));
                prop_assert!(!failed || old == new);
                if let Some(entry) = new {
                    let index = if old == new { old.map(|old| old.modify_index) } else { Some(after.index()) };
                    prop_assert_eq!(Some(entry.modify_index), index);
                    prop_assert!(entry.session.is_empty() || after.session(&entry.session).is_some());
                }
            }
            for watched in &watched {
                let prefix = match watched {
                    Watched::Key(_) => None,
                    Watched::Prefix(prefix) => Some(prefix.as_str()),
                    Watched::Sessions | Watched::Nodes => continue,
                };
                let content = |state: &State| match (prefix, watched) {
                    (Some(prefix), _) => state.list(prefix).cloned().collect::<Vec<_>>(),
                    (None, Watched::Key(key)) => state.get(key).cloned().into_iter().collect(),
                    (None, _) => Vec::new(),
                };
                if content(&before) != content(&after) {
                    prop_assert_ne!(before.mark(watched), after.mark(watched), "{:?}", watched);
                    // A list may go back: the one tombstone of a recursive delete lies at the shorter prefix.
                    if prefix.is_none() {
                        prop_assert!(after.index_of(watched) > before.index_of(watched), "{:?}", watched);
                    }
                }
            }
        }
    }
}
