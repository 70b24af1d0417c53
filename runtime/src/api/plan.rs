//! A create request, read as far as placement and naming need it.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;
use swarm_core::api::{self as routes, ApiVersion, Query};
use swarm_core::cluster::{
    Cluster, EPOCH_LABEL, NANO, Resources, SWARM_ID_LABEL, bare, cpus_to_shares,
};
use swarm_core::json::{self, JsonError, RawObject};
use swarm_core::scheduler;

use super::answer::ApiError;
use super::engine::clean_request;

/// A create request, taken apart as far as placement needs it.
pub(super) struct Plan {
    pub(super) id: String,
    pub(super) epoch: Option<u64>,
    pub(super) repeat: bool,
    pub(super) version: Option<ApiVersion>,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    config: RawObject,
    host: RawObject,
    pub(super) image: String,
    /// CPUs asked for as `CpuShares` (spec/classic.md section 5.5); 0 if none.
    share_cpus: u64,
    pub(super) request: scheduler::Request,
}

impl Plan {
    pub(super) fn read(
        text: &[u8],
        mut headers: HeaderMap,
        routes::Request { query, version, .. }: routes::Request,
        (id, epoch, repeat): (String, Option<u64>, bool),
    ) -> Result<Self, JsonError> {
        let config = RawObject::parse(text)?;
        let host: RawObject = config.read("HostConfig")?.unwrap_or_default();
        let number = |name: &str| -> Result<u64, JsonError> {
            let number: Option<i64> = host.read(name)?;
            Ok(number
                .and_then(|number| u64::try_from(number).ok())
                .unwrap_or(0))
        };
        let share_cpus = number("CpuShares")?;
        let nano_cpus = match number("NanoCpus")? {
            0 => share_cpus.saturating_mul(NANO),
            nano => nano,
        };
        let resources = Resources {
            memory: number("Memory")?,
            nano_cpus,
        };
        clean_request(&mut headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let name = query.value("name").unwrap_or_default();
        Ok(Self {
            request: scheduler::Request {
                name: bare(&name).to_owned(),
                swarm_id: id.clone(),
                resources,
            },
            image: config.read("Image")?.unwrap_or_default(),
            id,
            epoch,
            repeat,
            version,
            query,
            headers,
            config,
            host,
            share_cpus,
        })
    }

    /// Placing a container by another rule than the one asked for would be a wrong answer.
    pub(super) fn refuse_unserved(&self, cluster: &Cluster) -> Result<(), ApiError> {
        let bad = |error: JsonError| ApiError::new(StatusCode::BAD_REQUEST, error.to_string());
        if let Some(expression) = self.expression().map_err(bad)? {
            let what = format!("placement by {expression:?}");
            return Err(ApiError::not_implemented(&what));
        }
        match self.dependency().map_err(bad)? {
            // The only engine there is has whatever the container depends on.
            Some(member) if cluster.engines().len() > 1 => Err(ApiError::not_implemented(
                &format!("placement beside another container (HostConfig.{member})"),
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn expression(&self) -> Result<Option<String>, JsonError> {
        let environment: Vec<String> = self.config.read("Env")?.unwrap_or_default();
        let labels: Option<serde_json::Map<String, Value>> = self.config.read("Labels")?;
        let labels: Vec<String> = labels.into_iter().flatten().map(|(name, _)| name).collect();
        Ok(scheduler::first_expression(&environment, &labels))
    }

    /// The member that ties the container to another one, which is on one engine only.
    fn dependency(&self) -> Result<Option<&'static str>, JsonError> {
        for member in ["VolumesFrom", "Links"] {
            let others: Option<Vec<String>> = self.host.read(member)?;
            if others.is_some_and(|others| !others.is_empty()) {
                return Ok(Some(member));
            }
        }
        for member in ["NetworkMode", "IpcMode", "PidMode"] {
            let mode: Option<String> = self.host.read(member)?;
            if mode.is_some_and(|mode| mode.starts_with("container:")) {
                return Ok(Some(member));
            }
        }
        Ok(None)
    }

    /// The body for an engine with `cpus` CPUs: as it came, with swarm's labels and CPUs turned into shares.
    pub(super) fn body(&self, cpus: u64) -> Result<String, JsonError> {
        let mut config = self.config.clone();
        let mut labels: serde_json::Map<String, Value> = config.read("Labels")?.unwrap_or_default();
        labels.insert(SWARM_ID_LABEL.to_owned(), self.id.as_str().into());
        labels.remove(EPOCH_LABEL);
        if let Some(epoch) = self.epoch {
            labels.insert(EPOCH_LABEL.to_owned(), epoch.to_string().into());
        }
        config.set("Labels", json::raw(&labels)?);
        if self.share_cpus > 0 {
            let mut host = self.host.clone();
            host.set(
                "CpuShares",
                json::raw(&cpus_to_shares(self.share_cpus, cpus))?,
            );
            config.set("HostConfig", host.to_raw()?);
        }
        Ok(config.to_json())
    }
}
