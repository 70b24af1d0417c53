//! Containers that are to run whatever happens to their engines: what managers do with them on their own account.
//!
//! A copy is made only when the engine of the one before it has been in trouble for the grace period; only what another
//! copy has replaced is stopped, renamed or removed, and never removed once it ran; in the end each runs exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use swarm_core::cluster::MOVE_LABEL;
use swarm_models::engine::{Change, Engine, Mutation, Phase};

use super::KEY_LABEL;
use crate::plan::{Family, Op, Plan};

/// Trouble that was over longer ago does not excuse a move: a job is done within this.
const JOB_MAX: u64 = 20_000_000_000;
/// Two looks closer than this are one stretch of trouble.
const APART: u64 = 500_000_000;
/// Within this every manager knows that an engine is drained.
const KNOWN_WITHIN: u64 = 1_000_000_000;

/// What is known of them.
#[derive(Debug, Default)]
pub(in super::super) struct Moves {
    /// True nanoseconds of which a manager's clock may make the grace period.
    grace: u64,
    /// By the number of the create; whether it is to run.
    wanted: BTreeMap<u64, bool>,
    /// Where each container was made, by its full ID.
    places: BTreeMap<String, String>,
    ran: BTreeSet<String>,
    /// Which containers each was replaced by.
    copies: BTreeMap<String, BTreeSet<String>>,
    /// The last stretch of trouble of each engine.
    trouble: BTreeMap<String, (u64, u64)>,
    /// Registrations can end.
    agents: bool,
    /// A manager may not hear its engines, or its clock may err: nothing is said of early moves.
    blurred: bool,
    drained: BTreeMap<String, u64>,
}

impl Moves {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            grace: plan.knobs.reschedule_grace_ms.saturating_mul(950_000),
            agents: plan.topology.agents,
            ..Self::default()
        }
    }

    /// Request `id` asks for such a container.
    pub(in super::super) fn expect(&mut self, id: u64) {
        self.wanted.insert(id, false);
    }

    /// Whether an engine may have left the cluster, with all it has.
    pub(in super::super) fn may_be_out(&self) -> bool {
        self.agents && self.blurred
    }

    /// The client was told that the container of request `id` runs.
    pub(in super::super) fn runs(&mut self, id: u64) {
        self.wanted.insert(id, true);
    }

    pub(super) fn fault(&mut self, now: u64, op: &Op, hosts: &[&str]) {
        match op.family() {
            Family::Link | Family::Path | Family::Pause | Family::Clock => self.blurred = true,
            Family::Process
            | Family::Operator
            | Family::StoreLeader
            | Family::StoreReads
            | Family::StoreWrites
            | Family::StoreData
            | Family::Engine => {}
        }
        for host in hosts.iter().filter(|host| host.starts_with('e')) {
            if matches!(op, Op::Drain { .. }) {
                self.drained.entry((*host).to_owned()).or_insert(now);
                continue;
            }
            let stretch = self.trouble.entry((*host).to_owned()).or_insert((now, now));
            if now > stretch.1 + APART {
                stretch.0 = now;
            }
            stretch.1 = now;
        }
    }

    /// What an engine carried out for such a container. `None`: a client asked for it, look there. Otherwise whether it
    /// was allowed.
    pub(super) fn carried_out(
        &mut self,
        now: u64,
        engine: &str,
        key: u64,
        mutation: &Mutation,
    ) -> Option<Result<(), String>> {
        if !self.wanted.contains_key(&key) {
            return None;
        }
        let id = &mutation.object;
        match mutation.change {
            Change::Create => {
                self.places.insert(id.clone(), engine.to_owned());
                let replaced = replaced_by(mutation);
                let old = replaced.last()?.clone();
                for old in replaced {
                    self.copies.entry(old).or_default().insert(id.clone());
                }
                Some(self.may_move(now, &old))
            }
            Change::Start => {
                self.ran.insert(id.clone());
                Some(Ok(()))
            }
            Change::Stop | Change::Rename | Change::Remove => Some(self.may_retire(mutation)),
            Change::Kill
            | Change::Exec
            | Change::Put
            | Change::NetworkCreate
            | Change::NetworkRemove
            | Change::VolumeCreate
            | Change::VolumeRemove => None,
        }
    }

    fn may_move(&self, now: u64, old: &str) -> Result<(), String> {
        let engine = self.places.get(old).map_or("", String::as_str);
        let fits = |(from, to): &(u64, u64)| now <= to + JOB_MAX && to - from >= self.grace;
        if self.blurred || self.trouble.get(engine).is_some_and(fits) {
            return Ok(());
        }
        Err(format!(
            "container {old} was moved though {engine} has not failed for the grace period"
        ))
    }

    fn may_retire(&self, mutation: &Mutation) -> Result<(), String> {
        let (id, change) = (&mutation.object, mutation.change);
        let replaced_by_one_that = |wanted: &dyn Fn(&String) -> bool| {
            let by = self.copies.get(id).into_iter().flatten();
            let sibling = replaced_by(mutation)
                .into_iter()
                .filter_map(|old| self.copies.get(&old))
                .flatten()
                .filter(|other| *other != id);
            by.chain(sibling).any(wanted)
        };
        let ran = |copy: &String| self.ran.contains(copy);
        if !replaced_by_one_that(&|_| true) {
            return Err(format!(
                "{change:?} of container {id}, which nothing has replaced"
            ));
        }
        if change == Change::Remove && self.ran.contains(id) {
            return Err(format!("container {id} was removed though it had run"));
        }
        if change == Change::Stop && !replaced_by_one_that(&ran) {
            return Err(format!(
                "container {id} was stopped though no other copy had been started"
            ));
        }
        Ok(())
    }

    /// Whether an engine may be given a container.
    pub(super) fn may_place(&self, now: u64, engine: &str) -> Result<(), String> {
        match self.drained.get(engine) {
            Some(since) if now > since + KNOWN_WITHIN => Err(format!(
                "{engine} was given a container though it is drained"
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// In calm weather: each that is to run runs exactly once, and its name is its own.
    pub(super) fn finish(&self, engines: &[Arc<Engine>]) -> Result<(), (&'static str, String)> {
        for (key, _) in self.wanted.iter().filter(|(_, runs)| **runs) {
            let key = key.to_string();
            let copies: Vec<_> = engines
                .iter()
                .flat_map(|engine| engine.containers())
                .filter(|one| one.labels.get(KEY_LABEL) == Some(&key))
                .collect();
            let running = copies.iter().filter(|one| one.phase == Phase::Running);
            let running: Vec<_> = running.map(|one| one.name.clone()).collect();
            if running.len() != 1 {
                let what = format!(
                    "the container of request {key} runs {} times in the end, among {} copies",
                    running.len(),
                    copies.len()
                );
                return Err(("copies", what));
            }
            let named = copies.iter().filter(|one| running.contains(&one.name));
            if named.count() != 1 {
                let what = format!("two copies of the container of request {key} have one name");
                return Err(("name-twice", what));
            }
        }
        Ok(())
    }
}

/// What the container of a mutation replaces, oldest first.
fn replaced_by(mutation: &Mutation) -> Vec<String> {
    let label = mutation.labels.get(MOVE_LABEL);
    let label: Option<Value> = label.and_then(|text| serde_json::from_str(text).ok());
    let list = label.as_ref().and_then(|label| label.get("replaces"));
    let ids = list.and_then(Value::as_array).into_iter().flatten();
    ids.filter_map(|id| id.as_str().map(str::to_owned))
        .collect()
}
