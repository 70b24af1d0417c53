//! What is answered from the view of all engines.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use swarm_core::api::{Query, Request};
use swarm_core::cluster::{ContainerQuery, LookupError, write_rows};
use swarm_core::scheduler;

use super::answer::{Answer, ApiError, json_text};
use super::engine::{Target, healthy_targets, question};
use super::join::join_all;
use super::{Api, Call};
use crate::http::client::SendOptions;
use crate::platform::BoxFuture;

/// What an engine's list of containers with sizes may take.
const LIST_BYTES_MAX: usize = 64 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sized {
    id: String,
    #[serde(default)]
    size_rw: i64,
    #[serde(default)]
    size_root_fs: i64,
}

impl Api {
    pub(super) async fn list_containers(&self, query: &Query) -> Answer {
        let query = ContainerQuery::parse(query)?;
        let sizes = if query.size {
            self.sizes().await
        } else {
            BTreeMap::new()
        };
        let cluster = self.fleet.cluster().read();
        let rows = cluster.list_containers(&query)?;
        let text = write_rows(&rows, self.platform.wall(), &sizes);
        Ok(json_text(StatusCode::OK, text))
    }

    /// The sizes of all containers, from the engines that tell them: only they can.
    async fn sizes(&self) -> BTreeMap<String, (i64, i64)> {
        let targets = healthy_targets(&self.fleet.cluster().read(), None);
        let asked: Vec<BoxFuture<'_, Vec<Sized>>> = targets
            .into_iter()
            .map(|target| {
                Box::pin(async move {
                    let answer = self
                        .ask(&target, "/containers/json", "all=1&size=1", LIST_BYTES_MAX)
                        .await;
                    match answer {
                        Ok((StatusCode::OK, text)) => {
                            serde_json::from_slice(&text).unwrap_or_default()
                        }
                        Ok(_) | Err(_) => Vec::new(),
                    }
                }) as BoxFuture<'_, Vec<Sized>>
            })
            .collect();
        join_all(asked)
            .await
            .into_iter()
            .flatten()
            .map(|sized| (sized.id, (sized.size_rw, sized.size_root_fs)))
            .collect()
    }

    pub(super) fn list_images(&self, request: &Request) -> Answer {
        let cluster = self.fleet.cluster().read();
        let text = cluster.list_images(&request.query, request.version)?;
        Ok(json_text(StatusCode::OK, text))
    }

    pub(super) fn list_networks(&self, request: &Request) -> Answer {
        let text = self.fleet.cluster().read().list_networks(&request.query)?;
        Ok(json_text(StatusCode::OK, text))
    }

    pub(super) fn list_volumes(&self, request: &Request) -> Answer {
        let text = self.fleet.cluster().read().list_volumes(&request.query)?;
        Ok(json_text(StatusCode::OK, text))
    }

    pub(super) async fn inspect_network(&self, name: &str, call: Call) -> Answer {
        let (target, id) = {
            let cluster = self.fleet.cluster().read();
            let (engine, network) = cluster.network(name)?;
            let what = format!("network {name}");
            let target = Target::healthy(&cluster, engine, call.request.version, &what)?;
            (target, network.id.clone())
        };
        let path = self.engine_path(&call, &id, &target)?;
        self.pass(&target, call, &path, question()).await
    }

    pub(super) async fn inspect_volume(&self, name: &str, call: Call) -> Answer {
        let (target, bare) = {
            let cluster = self.fleet.cluster().read();
            let (engine, volume) = cluster.volume(name)?;
            let what = format!("volume {name}");
            let target = Target::healthy(&cluster, engine, call.request.version, &what)?;
            (target, volume.name.clone())
        };
        let path = self.engine_path(&call, &bare, &target)?;
        self.pass(&target, call, &path, question()).await
    }

    /// Passes a request about one image to an engine that has it and answers.
    pub(super) async fn pass_image(&self, name: &str, call: Call) -> Answer {
        let target = {
            let cluster = self.fleet.cluster().read();
            let holders = cluster.image_holders(name);
            let engine = holders.first().ok_or_else(|| {
                ApiError::new(StatusCode::NOT_FOUND, format!("No such image: {name}"))
            })?;
            let what = format!("image {name}");
            Target::healthy(&cluster, engine, call.request.version, &what)?
        };
        let path = call.request.route.path(Some(target.version));
        self.pass(&target, call, &path, SendOptions::endless())
            .await
    }

    /// Passes a request that any engine can answer to the one the strategy likes best.
    pub(super) async fn pass_any(&self, call: Call) -> Answer {
        let target = {
            let mut scheduler = self.scheduler();
            let cluster = self.fleet.cluster().read();
            let ranking = scheduler.rank(&cluster, &scheduler::Request::default())?;
            let best = ranking.ranked.first().map(|best| &best.address);
            let engine = best.and_then(|address| cluster.engine(address));
            let engine = engine.ok_or_else(|| LookupError::NotFound(String::new()))?;
            Target::healthy(&cluster, engine, call.request.version, "the request")?
        };
        let path = call.request.route.path(Some(target.version));
        self.pass(&target, call, &path, question()).await
    }
}
