//! The calls (etcd.io/docs/v3.4/dev-guide/api_reference_v3).

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Deserialize;

use super::wire::{Base64, Changed, Found, Header, Int, LeaseJson, Transacted, message};
use super::{Reply, json, refuse, streamed, with_body};
use crate::etcd::Server;
use crate::etcd::cluster::Inner;
use crate::etcd::faults::Code;
use crate::etcd::server::{Failure, Need};
use crate::etcd::state::{self, Op, Span, StateError};
use crate::etcd::watch::Watch;
use crate::unfold::unfold;

/// As many operations a transaction may have (`--max-txn-ops`).
const MAX_OPS: usize = 128;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Keys {
    key: Base64,
    range_end: Base64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Put {
    key: Base64,
    value: Base64,
    lease: Int,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Txn {
    compare: Vec<Compare>,
    success: Vec<TxnOp>,
    failure: Vec<TxnOp>,
}

/// "The key was changed last at this revision": the one compare that is known here.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compare {
    key: Base64,
    #[serde(rename = "target")]
    _target: Target,
    #[serde(rename = "result", default)]
    _result: Relation,
    #[serde(default)]
    mod_revision: Int,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Target {
    #[serde(rename = "MOD")]
    Mod,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Relation {
    #[default]
    #[serde(rename = "EQUAL")]
    Equal,
}

#[derive(Clone, Debug, Deserialize)]
enum TxnOp {
    #[serde(rename = "request_put")]
    Put(Put),
    #[serde(rename = "request_delete_range")]
    Delete(Keys),
    #[serde(rename = "request_range")]
    Range(Keys),
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Compaction {
    revision: Int,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WatchRequest {
    create_request: WatchCreate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WatchCreate {
    key: Base64,
    range_end: Base64,
    start_revision: Int,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Lease {
    #[serde(rename = "ID")]
    id: Int,
    /// In seconds; of a grant.
    #[serde(rename = "TTL")]
    ttl: Int,
}

impl TryFrom<Keys> for Span {
    type Error = Failure;

    fn try_from(keys: Keys) -> Result<Self, Failure> {
        Ok(Self {
            key: given(keys.key)?,
            end: keys.range_end.0,
        })
    }
}

impl TryFrom<Put> for state::Put {
    type Error = Failure;

    fn try_from(put: Put) -> Result<Self, Failure> {
        Ok(Self {
            key: given(put.key)?,
            value: put.value.0,
            lease: put.lease.0,
        })
    }
}

impl TryFrom<TxnOp> for Op {
    type Error = Failure;

    fn try_from(op: TxnOp) -> Result<Self, Failure> {
        Ok(match op {
            TxnOp::Put(put) => Self::Put(put.try_into()?),
            TxnOp::Delete(keys) => Self::Delete(keys.try_into()?),
            TxnOp::Range(keys) => Self::Range(keys.try_into()?),
        })
    }
}

fn given(key: Base64) -> Result<Bytes, Failure> {
    if key.0.is_empty() {
        let text = "etcdserver: key is not provided";
        return Err(Failure::answer(Code::InvalidArgument, text));
    }
    Ok(key.0)
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let code = match error {
            StateError::NoLease => Code::NotFound,
            StateError::Compacted | StateError::Future => Code::OutOfRange,
        };
        Self::answer(code, error.to_string())
    }
}

pub(super) async fn range(server: &Server, keys: Keys) -> Result<Reply, Failure> {
    refuse(server, false)?;
    let (span, id) = (Span::try_from(keys)?, server.id);
    let found = server.read(|inner| {
        let header = Header::of(inner, id);
        Ok(Found::new(header, &inner.state.range(&span)))
    });
    Ok(json(&found.await?))
}

pub(super) async fn put(server: &Server, put: Put) -> Result<Reply, Failure> {
    refuse(server, true)?;
    let op = Op::Put(put.try_into()?);
    Ok(json(&change(server, op).await?))
}

pub(super) async fn delete_range(server: &Server, keys: Keys) -> Result<Reply, Failure> {
    refuse(server, true)?;
    let op = Op::Delete(keys.try_into()?);
    Ok(json(&change(server, op).await?))
}

async fn change(server: &Server, op: Op) -> Result<Changed, Failure> {
    let id = server.id;
    let done = server.write(move |inner, _now| {
        let done = inner.state.carry_out(&[op])?;
        let deleted = done.iter().map(|done| match done.what {
            state::Did::Deleted(count) => count,
            state::Did::Put | state::Did::Found(_) => 0,
        });
        Ok(Changed {
            deleted: Int(deleted.sum()),
            header: Header::of(inner, id),
        })
    });
    done.await
}

/// A transaction that only reads is a linearizable read, whatever its compares say.
pub(super) async fn txn(server: &Server, txn: Txn) -> Result<Reply, Failure> {
    let txn = understood(txn)?;
    let writes = txn.success.iter().chain(&txn.failure).any(Op::writes);
    refuse(server, writes)?;
    let id = server.id;
    let transact = move |state: &mut state::State, header: &dyn Fn(&state::State) -> Header| {
        let (succeeded, done) = state.transact(&txn)?;
        Ok(Transacted::new(header(state), succeeded, &done))
    };
    let answer = if writes {
        let transact = move |inner: &mut Inner, _now| {
            let whose = Header::of(inner, id);
            transact(&mut inner.state, &|state| whose.moved_to(state.revision()))
        };
        server.write(transact).await?
    } else {
        let look = |inner: &Inner| {
            let whose = Header::of(inner, id);
            transact(&mut inner.state.clone(), &|_| whose)
        };
        server.read(look).await?
    };
    Ok(json(&answer))
}

fn understood(txn: Txn) -> Result<state::Txn, Failure> {
    let invalid = |text: &str| Failure::answer(Code::InvalidArgument, text);
    let counts = [txn.compare.len(), txn.success.len(), txn.failure.len()];
    if counts.into_iter().any(|count| count > MAX_OPS) {
        return Err(invalid("etcdserver: too many operations in txn request"));
    }
    let compare = |compare: Compare| Ok((given(compare.key)?, compare.mod_revision.0));
    let ops = |ops: Vec<TxnOp>| -> Result<Vec<Op>, Failure> {
        ops.into_iter().map(Op::try_from).collect()
    };
    let txn = state::Txn {
        compares: txn
            .compare
            .into_iter()
            .map(compare)
            .collect::<Result<_, Failure>>()?,
        success: ops(txn.success)?,
        failure: ops(txn.failure)?,
    };
    if changes_twice(&txn.success) || changes_twice(&txn.failure) {
        return Err(invalid("etcdserver: duplicate key given in txn request"));
    }
    Ok(txn)
}

/// Whether a key is put that another of the operations puts or deletes.
fn changes_twice(ops: &[Op]) -> bool {
    let mut put = BTreeSet::new();
    let twice = ops
        .iter()
        .any(|op| matches!(op, Op::Put(one) if !put.insert(one.key.clone())));
    let deleted =
        |op: &Op| matches!(op, Op::Delete(span) if put.iter().any(|key| span.contains(key)));
    twice || ops.iter().any(deleted)
}

pub(super) async fn compaction(server: &Server, asked: Compaction) -> Result<Reply, Failure> {
    refuse(server, true)?;
    let id = server.id;
    let done = server.write(move |inner, _now| {
        inner.state.compact(asked.revision.0)?;
        Ok(Changed {
            header: Header::of(inner, id),
            ..Changed::default()
        })
    });
    Ok(json(&done.await?))
}

pub(super) fn watch(
    server: &Server,
    asked: WatchRequest,
    requires_leader: bool,
) -> Result<Reply, Failure> {
    refuse(server, false)?;
    let asked = asked.create_request;
    let span = Span {
        key: given(asked.key)?,
        end: asked.range_end.0,
    };
    let watch = Watch::open(server, span, asked.start_revision.0, requires_leader);
    Ok(streamed(unfold(watch, |watch| Box::pin(watch.step()))))
}

pub(super) async fn grant(server: &Server, asked: Lease) -> Result<Reply, Failure> {
    refuse(server, true)?;
    let ttl = asked
        .ttl
        .0
        .max(Inner::shortest_ttl(&server.cluster.options));
    let id = server.id;
    let granted = server.write(move |inner, now| {
        if asked.id.0 != 0 && inner.state.ttl(asked.id.0).is_some() {
            let text = "etcdserver: lease already exists";
            return Err(Failure::answer(Code::FailedPrecondition, text));
        }
        let lease = inner.grant(now, asked.id.0, ttl);
        Ok(LeaseJson {
            header: Header::of(inner, id),
            id: Int(lease),
            ttl: Int(ttl),
        })
    });
    Ok(json(&granted.await?))
}

/// No raft entry: the leader resets a timer in its memory. A lease that is gone has no time to live.
pub(super) async fn keep_alive(server: &Server, asked: Lease) -> Result<Reply, Failure> {
    refuse(server, true)?;
    server.reach_leader(Need::KeepAlive).await?;
    let now = server.cluster.host.mono();
    let alive = server.cluster.change(|inner| LeaseJson {
        ttl: Int(inner.renew(now, asked.id.0).unwrap_or(0)),
        id: asked.id,
        header: Header::of(inner, server.id),
    });
    Ok(with_body(200, message(&alive)))
}

pub(super) async fn revoke(server: &Server, asked: Lease) -> Result<Reply, Failure> {
    refuse(server, true)?;
    let id = server.id;
    let revoked = server.write(move |inner, _now| {
        inner.state.revoke(asked.id.0)?;
        Ok(Changed {
            header: Header::of(inner, id),
            ..Changed::default()
        })
    });
    Ok(json(&revoked.await?))
}
