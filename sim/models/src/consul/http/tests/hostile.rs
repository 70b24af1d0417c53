//! Whatever comes in is answered or refused, never a panic.

use proptest::prelude::*;

use super::super::params::{Params, cleaned, decode_path, encode_path};
use super::super::{session, txn};
use super::*;
use crate::consul::state::{NewSession, Verb, Watched};

/// JSON as a client may build it: the fields that are looked at, with values of every type.
fn loose_json() -> impl Strategy<Value = Value> {
    let field = prop_oneof![
        Just("KV"),
        Just("kv"),
        Just("Node"),
        Just("Verb"),
        Just("Key"),
        Just("Value"),
        Just("Flags"),
        Just("Index"),
        Just("Session"),
        Just("TTL"),
        Just("LockDelay"),
        Just("Behavior"),
        Just("Checks"),
        Just("NodeChecks"),
        Just("ServiceChecks"),
        Just("ID"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9=+/.-]{0,12}".prop_map(Value::from),
        prop_oneof![
            Just("cas"),
            Just("set"),
            Just("10s"),
            Just("delete"),
            Just("dg==")
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        let object = prop::collection::vec((field.clone(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|fields| {
                let fields = fields.into_iter();
                Value::Object(
                    fields
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_path_and_query_is_read_or_refused(path in "(/|%|[a-z.%0-9 é])*", query in "[a-z=&%+0-9é]*") {
        if let Ok(path) = decode_path(&path) {
            prop_assert_eq!(decode_path(&encode_path(&path)).unwrap(), path);
        }
        if let Ok(params) = Params::parse(&query) {
            // Both may refuse; neither may panic.
            let _refused_or_not = params.query(Watched::Sessions);
            let _refused_or_not = params.exclusive(&["a", "b"]);
        }
    }

    #[test]
    fn a_cleaned_path_is_clean(path in "/(/|\\.|[a-z])*") {
        if let Some(clean) = cleaned(&path) {
            prop_assert!(clean.starts_with('/'));
            prop_assert_eq!(cleaned(&clean), None);
        }
    }

    #[test]
    fn parameters_round_trip(pairs in prop::collection::btree_map("[a-z]{1,6}", ".{0,12}", 0..5)) {
        let encoded = pairs.iter().map(|(name, value)| format!("{name}={}", encode_path(value)));
        let params = Params::parse(&encoded.collect::<Vec<_>>().join("&")).unwrap();
        for (name, value) in &pairs {
            prop_assert_eq!(params.get(name), Some(value.as_str()));
        }
    }

    #[test]
    fn any_transaction_body_is_read_or_refused(json in loose_json(), raw in prop::collection::vec(any::<u8>(), 0..64)) {
        let _refused_or_not = txn::parse(&raw);
        let _refused_or_not = txn::parse(json.to_string().as_bytes());
    }

    #[test]
    fn a_transaction_is_read_as_it_was_written(key in ".{0,20}", value in ".{0,40}", index in any::<u64>()) {
        let ops = txn::parse(cas(&key, &value, index).as_bytes()).unwrap();
        prop_assert_eq!(ops.len(), 1);
        prop_assert_eq!(&ops[0].verb, &Verb::Cas);
        prop_assert_eq!((&ops[0].write.key, ops[0].index), (&key, index));
        prop_assert_eq!(&ops[0].write.value, value.as_bytes());
    }

    #[test]
    fn any_session_body_is_read_or_refused(json in loose_json(), raw in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut spec = NewSession::for_node("n");
        let _refused_or_not = session::decode(&mut spec, &raw);
        let _refused_or_not = session::decode(&mut spec, json.to_string().as_bytes());
    }
}
