//! What all engines report together: disk usage, and what they pruned.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use swarm_core::cluster::Tally;
use swarm_core::engine::Part;

use super::answer::{Answer, ApiError, json_text, no_engine};
use super::engine::healthy_targets;
use super::every::{Errand, Report, failure};
use super::{Api, Call};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pruned {
    containers_deleted: Option<Vec<String>>,
}

impl Api {
    /// Asks every engine that answers and puts their reports into one.
    pub(super) async fn disk_usage(&self, call: Call) -> Answer {
        let reports = self.tell_all(call).await?;
        tallied(reports)
    }

    /// Prunes on every engine that answers, and puts their reports into one. `stale` is the part of the view to be read
    /// anew.
    pub(super) async fn prune(&self, stale: Option<Part>, call: Call) -> Answer {
        let reports = self.tell_all(call).await?;
        if let Some(part) = stale {
            let told = reports.iter().map(|report| &report.target);
            self.refresh_each(told, part).await;
        }
        tallied(reports)
    }

    pub(super) async fn prune_containers(&self, call: Call) -> Answer {
        let reports = self.tell_all(call).await?;
        self.forget_pruned(&reports);
        tallied(reports)
    }

    fn forget_pruned(&self, reports: &[Report]) {
        let mut cluster = self.fleet.cluster().write();
        for report in reports {
            let Ok(text) = &report.answer else { continue };
            let pruned = serde_json::from_slice::<Pruned>(text).ok();
            let deleted = pruned.and_then(|pruned| pruned.containers_deleted);
            for id in deleted.unwrap_or_default() {
                cluster.remove_container(&report.target.address, &id);
            }
        }
    }

    /// Sends the request to every engine that answers.
    async fn tell_all(&self, call: Call) -> Result<Vec<Report>, ApiError> {
        let targets = healthy_targets(&self.fleet.cluster().read(), call.request.version);
        if targets.is_empty() {
            return Err(no_engine());
        }
        self.tell_each(targets, &Errand::of(call)).await
    }
}

fn tallied(reports: Vec<Report>) -> Answer {
    failure(&reports)?;
    let answered = reports
        .into_iter()
        .filter_map(|report| Some((report.target.name, report.answer.ok()?)));
    let whole = add_up(answered).map_err(|error| {
        ApiError::new(
            StatusCode::BAD_GATEWAY,
            format!("an engine's answer cannot be used: {error}"),
        )
    })?;
    Ok(json_text(StatusCode::OK, whole))
}

fn add_up(
    answered: impl Iterator<Item = (String, Bytes)>,
) -> Result<String, swarm_core::json::JsonError> {
    let mut tally = Tally::default();
    for (engine, text) in answered {
        tally.add(&engine, &text)?;
    }
    tally.to_json()
}
