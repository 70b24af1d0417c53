//! What is answered from the view of all engines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use swarm_core::api::{Query, Request};
use swarm_core::cluster::ContainerQuery;

use super::Api;
use super::answer::{Answer, json_text};
use super::engine::healthy_targets;
use super::join::join_all;
use crate::http::body;
use crate::platform::{BoxFuture, sleep};

/// A list longer than this is written piece by piece, as fast as the client reads it.
const PIECE_BYTES: usize = 64 << 10;
/// The pieces of as many lists as [`QUICK_LISTS`] are longer: the client is woken less often, and whole runs of
/// containers are sent as they were written for the list before.
const QUICK_PIECE_BYTES: usize = 1 << 20;
/// How many clients at once are given long pieces. A piece stays in memory for as long as its client does not read.
pub(super) const QUICK_LISTS: usize = 32;
/// How much of lists is kept for the next one: as much as 32,000 containers take. Without it, a list of 30,000 takes
/// half as long again, and twice the CPU.
pub(super) const TEXTS_BYTES: usize = 32 << 20;
/// It is let go when no list was asked for in so much time.
pub(super) const TEXTS_UNUSED: Duration = Duration::from_secs(60);

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
        let now = self.platform.wall();
        let texts = Arc::clone(&self.list_texts);
        let mut listing = self
            .fleet
            .cluster()
            .read()
            .listing(&query, now, sizes, &texts)?;
        let first = listing.piece(PIECE_BYTES).unwrap_or_default();
        if listing.is_over() {
            return Ok(json_text(StatusCode::OK, first));
        }
        self.watch_texts();
        let mut response = json_text(StatusCode::OK, "");
        let mut first = Some(first);
        let quick = Arc::clone(&self.quick_lists).try_acquire_owned().ok();
        *response.body_mut() = body::pieces(move || {
            first.take().or_else(|| match quick {
                Some(_) => listing.long_piece(QUICK_PIECE_BYTES, &texts),
                None => listing.piece(PIECE_BYTES),
            })
        });
        Ok(response)
    }

    /// Lets go of kept texts when nobody has asked for a list for a while.
    fn watch_texts(&self) {
        if !self.list_texts.needs_watch() {
            return;
        }
        let (platform, texts) = (Arc::clone(&self.platform), Arc::clone(&self.list_texts));
        let task = async move {
            while !texts.forget_unused() {
                sleep(&*platform, TEXTS_UNUSED).await;
            }
        };
        self.platform.spawn("list texts", Box::pin(task));
    }

    /// The sizes of all containers, from the engines that tell them: only they can.
    async fn sizes(&self) -> BTreeMap<String, (i64, i64)> {
        let targets = healthy_targets(&self.fleet.cluster().read(), None);
        let asked: Vec<BoxFuture<'_, Vec<Sized>>> = targets
            .into_iter()
            .map(|target| {
                Box::pin(async move {
                    let answer = self
                        .ask(
                            &target,
                            "/containers/json",
                            "all=1&size=1",
                            self.settings.limits.answer_size,
                        )
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
}
