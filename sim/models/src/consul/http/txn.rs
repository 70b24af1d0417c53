//! `/v1/txn` (developer.hashicorp.com/consul/api-docs/txn, HA.md section 2.4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::kv::EntryJson;
use super::params::{content_length, read_body};
use super::{Access, Call, MAX_VALUE, Reply, refuse, with_contact};
use crate::consul::Server;
use crate::consul::query::{Consistency, Query};
use crate::consul::server::Failure;
use crate::consul::state::{TxnError, TxnOp, TxnResult, Verb, Watched, Write};

const MAX_OPS: usize = 64;

type Outcome = Result<Vec<TxnResult>, Vec<TxnError>>;

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TxnJson<'a> {
    results: Option<Vec<ResultJson<'a>>>,
    errors: Option<Vec<ErrorJson<'a>>>,
    /// Only read-only transactions tell about it.
    #[serde(flatten)]
    meta: Option<MetaJson>,
}

#[derive(Debug, Serialize)]
struct ResultJson<'a> {
    #[serde(rename = "KV")]
    kv: EntryJson<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorJson<'a> {
    op_index: usize,
    what: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetaJson {
    index: u64,
    last_contact: u64,
    known_leader: bool,
    consistency_level: &'static str,
}

pub(super) async fn answer(server: &Server, call: Call) -> Result<Reply, Failure> {
    let Call {
        params,
        access,
        request,
        ..
    } = call;
    let too_large = || {
        let text = format!("Request body too large, max size: {MAX_VALUE} bytes");
        Failure::Answer(413, text)
    };
    if content_length(&request).is_some_and(|length| length > MAX_VALUE) {
        return Err(too_large());
    }
    let body = read_body(request.into_body()).await?;
    let body = body.filter(|body| body.len() <= MAX_VALUE);
    let ops = parse(&body.ok_or_else(too_large)?)?;
    let writes = ops.iter().any(|op| op.verb.is_write());
    refuse(server, writes)?;
    let denied = denied(access, &ops);
    if writes {
        let outcome = if denied.is_empty() {
            let transact = move |inner: &mut crate::consul::cluster::Inner, now| {
                Ok(inner.store.transact(now, &ops))
            };
            server.write(transact).await?
        } else {
            Err(denied)
        };
        return params.json(status(&outcome), &json(&outcome, None));
    }
    let query = Query {
        watched: Watched::Prefix(String::new()),
        consistency: params.consistency()?,
        index: 0,
        wait: std::time::Duration::ZERO,
    };
    let seen = server.query(&query).await?;
    let now = server.cluster.host.mono();
    let refused = match denied.is_empty() {
        true => server.cluster.lock().store.precheck(now, &ops),
        false => denied,
    };
    let outcome = if refused.is_empty() {
        // Nothing in it writes, so neither the time nor the index matters.
        let mut state = crate::consul::state::State::clone(&seen.state);
        let read = state.transact(now, 0, &ops);
        read.map(|results| match access {
            Access::All => results,
            Access::Nothing => Vec::new(),
        })
    } else {
        Err(refused)
    };
    let meta = MetaJson {
        index: 0,
        last_contact: u64::try_from(seen.last_contact.as_nanos()).unwrap_or(u64::MAX),
        known_leader: seen.known_leader,
        consistency_level: match query.consistency {
            Consistency::Default | Consistency::Consistent | Consistency::Stale => "",
        },
    };
    let reply = params.json(status(&outcome), &json(&outcome, Some(meta)))?;
    Ok(with_contact(reply, seen.known_leader, seen.last_contact))
}

/// Without rights every operation fails on its own, so the answer is a 409, not a 403. Reads only hide what they find.
fn denied(access: Access, ops: &[TxnOp]) -> Vec<TxnError> {
    let forbidden = |op: &TxnOp| match access {
        Access::All => false,
        Access::Nothing => !matches!(op.verb, Verb::Get | Verb::GetTree),
    };
    let ops = ops.iter().enumerate().filter(|(_, op)| forbidden(op));
    ops.map(|(op_index, _)| TxnError {
        op_index,
        what: "Permission denied".to_owned(),
    })
    .collect()
}

fn status(outcome: &Outcome) -> u16 {
    match outcome {
        Ok(_) => 200,
        Err(_) => 409,
    }
}

fn json(outcome: &Outcome, meta: Option<MetaJson>) -> TxnJson<'_> {
    let results = outcome.as_ref().ok().map(|results| {
        let results = results.iter().map(|result| ResultJson {
            kv: EntryJson::new(&result.entry, result.with_value),
        });
        results.collect()
    });
    let errors = outcome.as_ref().err().map(|errors| {
        let errors = errors.iter().map(|error| ErrorJson {
            op_index: error.op_index,
            what: &error.what,
        });
        errors.collect()
    });
    TxnJson {
        results,
        errors,
        meta,
    }
}

pub(super) fn parse(body: &[u8]) -> Result<Vec<TxnOp>, Failure> {
    let bad = |what: &str| Failure::Answer(400, format!("Failed to parse body: {what}"));
    let ops: Vec<Value> = serde_json::from_slice(body).map_err(|error| bad(&error.to_string()))?;
    if ops.len() > MAX_OPS {
        let text = format!(
            "Transaction contains too many operations ({} > {MAX_OPS})",
            ops.len()
        );
        return Err(Failure::Answer(413, text));
    }
    let mut parsed = Vec::with_capacity(ops.len());
    for op in &ops {
        match field(op, "KV").filter(|kv| !kv.is_null()) {
            Some(kv) => parsed.push(parse_op(kv).map_err(|what| bad(&what))?),
            None if ["Node", "Service", "Check"]
                .iter()
                .any(|name| field(op, name).is_some()) =>
            {
                let text = "this double of Consul has transactions over keys only";
                return Err(Failure::Answer(501, text.to_owned()));
            }
            // Consul skips an operation that says nothing.
            None => {}
        }
    }
    Ok(parsed)
}

fn parse_op(kv: &Value) -> Result<TxnOp, String> {
    if !kv.is_object() {
        return Err("the operation is not an object".to_owned());
    }
    let text = |name: &str| match field(kv, name) {
        None | Some(Value::Null) => Ok(""),
        Some(value) => value
            .as_str()
            .ok_or_else(|| format!("{name} is not a string")),
    };
    let number = |name: &str| match field(kv, name) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value
            .as_u64()
            .ok_or_else(|| format!("{name} is not a number")),
    };
    let value = STANDARD.decode(text("Value")?);
    Ok(TxnOp {
        verb: Verb::from(text("Verb")?),
        write: Write {
            key: text("Key")?.to_owned(),
            value: Bytes::from(value.map_err(|error| format!("illegal base64 data: {error}"))?),
            flags: number("Flags")?,
        },
        index: number("Index")?,
        session: text("Session")?.to_owned(),
    })
}

/// A field of a JSON object, by its name in any case, as Go's decoder finds it.
pub(super) fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let object = object.as_object()?;
    object.get(name).or_else(|| {
        let found = object
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_key, value)| value)
    })
}
