//! `PUT /v1/txn`, which `consulrs` does not have. Its answer carries the new `ModifyIndex`, a plain PUT's does not.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use consulrs::api::kv::common::KVPair;
use rustify_derive::Endpoint;
use serde::Deserialize;
use serde_json::json;
use swarm_core::election::Version;
use swarm_core::testbed::{Mutant, planted};

/// Reference: developer.hashicorp.com/consul/api-docs/txn
#[derive(Debug, Endpoint)]
#[endpoint(path = "txn", method = "PUT", response = "TxnResponse")]
pub(super) struct TxnRequest {
    #[endpoint(raw)]
    pub(super) operations: Vec<u8>,
}

/// What a transaction that succeeded touched.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TxnResponse {
    #[serde(default)]
    results: Vec<TxnResult>,
}

#[derive(Debug, Deserialize)]
struct TxnResult {
    #[serde(rename = "KV")]
    kv: Option<KVPair>,
}

impl TxnResponse {
    /// The version `key` has now.
    pub(super) fn version_of(&self, key: &str) -> Option<Version> {
        let pair = self
            .results
            .iter()
            .filter_map(|result| result.kv.as_ref())
            .find(|pair| pair.key == key)?;
        Some(Version(pair.modify_index))
    }
}

/// What is wrong according to `answer`: a transaction that was rolled back tells it in JSON, anything else in plain words.
pub(super) fn complaint(answer: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct RolledBack {
        errors: Vec<Complaint>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Complaint {
        what: String,
    }
    match serde_json::from_str(answer) {
        Ok(RolledBack { errors }) => {
            let all: Vec<String> = errors.into_iter().map(|one| one.what).collect();
            all.join("; ")
        }
        Err(_) => answer.trim().to_owned(),
    }
}

/// Sets `key` to `value` if it is at `expected`; `None` means that it must not exist.
pub(super) fn cas(key: &str, expected: Option<Version>, value: &[u8]) -> TxnRequest {
    let index = expected.map_or(0, |version| version.0);
    let verb = if planted(Mutant::BlindSwap) {
        "set"
    } else {
        "cas"
    };
    let operation =
        json!({"Verb": verb, "Key": key, "Value": BASE64_STANDARD.encode(value), "Index": index});
    TxnRequest {
        operations: json!([{ "KV": operation }]).to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rolled_back_tells_why_in_few_words() {
        let pretty = "{\n    \"Results\": null,\n    \"Errors\": [\n        {\n            \"OpIndex\": 0,\n            \
                      \"What\": \"Permission denied\"\n        }\n    ]\n}";
        assert_eq!(complaint(pretty), "Permission denied");
        assert_eq!(complaint(" No cluster leader\n"), "No cluster leader");
        assert_eq!(complaint("{\"Errors\": 1}"), "{\"Errors\": 1}");
    }
}
