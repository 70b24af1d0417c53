//! Volumes: made on every engine unless the user names some, and removed wherever they are (spec/classic.md section 7.3).

use std::collections::BTreeMap;

use http::StatusCode;
use swarm_core::api::{ApiVersion, Route, VolumeRef};
use swarm_core::cluster::{Cluster, ObjectError};
use swarm_core::engine::Part;
use swarm_core::json::{self, RawObject};
use swarm_core::scheduler::{self, Carried};

use super::answer::{Answer, ApiError, json_text, no_content};
use super::bodies::bad;
use super::engine::Target;
use super::every::{Errand, Report, answering, failure, named_in_front};
use super::{Api, Call};
use crate::http::body;
use crate::http::client::SendOptions;

impl Api {
    pub(super) async fn create_volume(&self, mut call: Call) -> Answer {
        let text = self.take_body(&mut call).await?;
        let made = self.make_volume(&text, call).await;
        made.map_err(|error| error.unsent(body::full(text)))
    }

    async fn make_volume(&self, text: &[u8], call: Call) -> Answer {
        let mut config = RawObject::parse(text).map_err(bad)?;
        let name: String = config.read("Name").map_err(bad)?.unwrap_or_default();
        let labels: BTreeMap<String, String> =
            config.read("Labels").map_err(bad)?.unwrap_or_default();
        let (targets, own_name) = self.volume_engines(&name, &labels, call.request.version)?;
        // A name of its own for all engines, and the same one should the request be repeated.
        let own_name = if own_name.is_empty() {
            call.request_id.clone()
        } else {
            own_name
        };
        config.set("Name", json::raw(&own_name).map_err(bad)?);
        let errand = Errand::with(call, config.to_json());
        let reports = self.tell_each(targets, &errand).await?;
        self.see_volumes(&reports).await;
        failure(&reports)?;
        let first = reports.into_iter().find_map(|report| report.answer.ok());
        Ok(json_text(StatusCode::CREATED, first.unwrap_or_default()))
    }

    /// Where a new volume goes: to the engine named in front, to those its labels allow, or to every engine; and its
    /// name without the engine.
    fn volume_engines(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        version: Option<ApiVersion>,
    ) -> Result<(Vec<Target>, String), ApiError> {
        let carried = Carried::read(Vec::new(), labels).map_err(bad)?;
        let mut scheduler = self.scheduler();
        let cluster = self.fleet.cluster().read();
        if let Some((engine, own_name)) = named_in_front(&cluster, name) {
            let target = Target::healthy(&cluster, engine, version, "the volume")?;
            return Ok((vec![target], own_name.to_owned()));
        }
        let request = scheduler::Request {
            expressions: carried.expressions,
            ..scheduler::Request::default()
        };
        let ranking = scheduler.rank(&cluster, &request)?;
        let engines = ranking
            .ranked
            .iter()
            .filter_map(|candidate| cluster.engine(candidate.address))
            .filter(|engine| engine.is_healthy());
        let targets = engines.map(|engine| Target::of(&cluster, engine, version));
        Ok((targets.collect(), name.to_owned()))
    }

    /// Describes a volume as one engine that has it does.
    pub(super) async fn inspect_volume(&self, name: &VolumeRef, call: Call) -> Answer {
        self.pass_volume(name, call, self.question()).await
    }

    /// Passes a change of a volume to one engine that has it: only cluster volumes can be changed, and an engine says so.
    pub(super) async fn update_volume(&self, name: &VolumeRef, call: Call) -> Answer {
        self.pass_volume(name, call, self.work()).await
    }

    async fn pass_volume(&self, name: &VolumeRef, call: Call, options: SendOptions) -> Answer {
        let (targets, own_name) = self
            .volume_targets(name, call.request.version, call.epoch)
            .await?;
        let target = targets.first().ok_or_else(|| no_such_volume(name))?;
        let path = self.engine_path(&call, &own_name, target)?;
        self.pass(target, call, &path, options).await
    }

    pub(super) async fn remove_volume(&self, name: &VolumeRef, call: Call) -> Answer {
        let (targets, own_name) = self
            .volume_targets(name, call.request.version, call.epoch)
            .await?;
        let mut errand = Errand::of(call);
        if let Route::Volume(volume, _) = &mut errand.route {
            *volume = VolumeRef::new(&own_name).map_err(bad)?;
        }
        let mut reports = self.tell_each(targets, &errand).await?;
        self.see_volumes(&reports).await;
        // What a plugin keeps for all engines is gone from all with the first removal.
        let gone = |report: &Report| {
            let refusal = report.answer.as_ref().err();
            refusal.is_some_and(|refusal| refusal.status == StatusCode::NOT_FOUND)
        };
        if reports.iter().any(|report| report.answer.is_ok()) {
            reports.retain(|report| !gone(report));
        }
        failure(&reports)?;
        Ok(no_content())
    }

    async fn see_volumes(&self, reports: &[Report]) {
        let told = reports.iter().map(|report| &report.target);
        self.refresh_each(told, Part::Volumes).await;
    }

    /// The engines that have the volume and answer; and its name without the engine.
    async fn volume_targets(
        &self,
        name: &VolumeRef,
        version: Option<ApiVersion>,
        epoch: Option<u64>,
    ) -> Result<(Vec<Target>, String), ApiError> {
        let look = |cluster: &Cluster| {
            let holders = cluster.volume_holders(name.as_str())?;
            let own_name = holders.first().map(|(_, volume)| volume.name.clone());
            let engines = holders.iter().map(|(engine, _)| *engine);
            let targets = answering(cluster, engines, version, &format!("volume {name}"))?;
            Ok((targets, own_name.ok_or_else(|| no_such_volume(name))?))
        };
        self.found(Part::Volumes, epoch, look).await
    }
}

fn no_such_volume(name: &VolumeRef) -> ApiError {
    ObjectError::not_found("volume", name.as_str()).into()
}
