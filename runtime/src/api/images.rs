//! Images that engines have: looked at, named, removed, saved, pushed, and made from containers
//! (spec/classic.md section 7.4).

use http::StatusCode;
use serde_json::value::RawValue;
use swarm_core::api::{ApiVersion, ImageRef};
use swarm_core::cluster::{Cluster, Reference};
use swarm_core::engine::Part;

use super::answer::{Answer, ApiError, json_text};
use super::engine::{Target, healthy_targets};
use super::every::{Errand, Report, answering, failure};
use super::{Api, Call};
use crate::http::client::SendOptions;

impl Api {
    /// Passes a request about one image to an engine that has it and answers.
    pub(super) async fn pass_image(&self, name: &ImageRef, call: Call) -> Answer {
        let holders = self
            .holders(name.as_str(), call.request.version, call.epoch)
            .await?;
        let first = holders.into_iter().next();
        let target = first.ok_or_else(|| no_such_image(name.as_str()))?;
        let path = call.request.route.path(Some(target.version));
        self.pass(&target, call, &path, SendOptions::endless())
            .await
    }

    /// Gives the image one more name on each engine that has it.
    pub(super) async fn tag_image(&self, name: &ImageRef, call: Call) -> Answer {
        self.on_holders(name, call).await?;
        Ok(json_text(StatusCode::CREATED, ""))
    }

    /// Removes the image, or one of its names, from each engine that has it. The answer says once what each of them did.
    pub(super) async fn remove_image(&self, name: &ImageRef, call: Call) -> Answer {
        let mut removed: Vec<Box<RawValue>> = Vec::new();
        for report in self.on_holders(name, call).await? {
            let Ok(text) = report.answer else { continue };
            let records: Vec<Box<RawValue>> = serde_json::from_slice(&text).map_err(|error| {
                let name = &report.target.name;
                let text = format!("the answer of engine {name} cannot be used: {error}");
                ApiError::new(StatusCode::BAD_GATEWAY, text)
            })?;
            for record in records {
                if removed.iter().all(|known| known.get() != record.get()) {
                    removed.push(record);
                }
            }
        }
        let removed: Vec<_> = removed.iter().map(|record| record.get()).collect();
        Ok(json_text(
            StatusCode::OK,
            format!("[{}]", removed.join(",")),
        ))
    }

    /// Tells all engines that have the image, and reads their images anew.
    async fn on_holders(&self, name: &ImageRef, call: Call) -> Result<Vec<Report>, ApiError> {
        let targets = self
            .holders(name.as_str(), call.request.version, call.epoch)
            .await?;
        let reports = self.tell_each(targets, &Errand::of(call)).await?;
        let told = reports.iter().map(|report| &report.target);
        self.refresh_each(told, Part::Images).await;
        failure(&reports)?;
        Ok(reports)
    }

    /// The engines that have the image and answer; there is at least one.
    async fn holders(
        &self,
        name: &str,
        version: Option<ApiVersion>,
        epoch: Option<u64>,
    ) -> Result<Vec<Target>, ApiError> {
        let look = |cluster: &Cluster| {
            let holders = cluster.image_holders(name);
            if holders.is_empty() {
                return Err(no_such_image(name));
            }
            let what = format!("image {name}");
            answering(cluster, holders.into_iter(), version, &what)
        };
        self.found(Part::Images, epoch, look).await
    }

    /// Saves one or several images from an engine that has them all.
    pub(super) async fn save_images(&self, call: Call) -> Answer {
        let names: Vec<String> = call
            .request
            .query
            .pairs()
            .filter_map(|(key, name)| (key == "names").then_some(name))
            .collect();
        let look = |cluster: &Cluster| {
            let has = |target: &Target, name: &String| {
                let engine = cluster.engine(&target.address);
                engine.is_some_and(|engine| engine.images().any(|image| image.matches(name)))
            };
            let target = healthy_targets(cluster, call.request.version)
                .into_iter()
                .find(|target| names.iter().all(|name| has(target, name)));
            target.ok_or_else(|| {
                let names = names.join(" ");
                ApiError::new(
                    StatusCode::NOT_FOUND,
                    format!("Unable to find a healthy engine containing all images: [{names}]"),
                )
            })
        };
        let target = self.found(Part::Images, call.epoch, look).await?;
        let path = call.request.route.path(Some(target.version));
        self.pass(&target, call, &path, SendOptions::endless())
            .await
    }

    /// Makes an image of a container, on the engine of that container.
    pub(super) async fn commit(&self, mut call: Call) -> Answer {
        let query = &call.request.query;
        let name = query.value("container").unwrap_or_default();
        let (target, id) = self.locate(&name, call.request.version, call.epoch).await?;
        call.request.query = query.with("container", &id);
        let path = call.request.route.path(Some(target.version));
        let response = self
            .pass(&target, call, &path, SendOptions::endless())
            .await?;
        if response.status() == StatusCode::CREATED {
            self.fleet.refresh(&target.address, Part::Images).await;
        }
        Ok(response)
    }
}

/// In the engines' words: a name without a tag means the latest.
fn no_such_image(name: &str) -> ApiError {
    let is_id = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let tag = match Reference::parse(name).suffix {
        None if !is_id => ":latest",
        Some(_) | None => "",
    };
    ApiError::new(StatusCode::NOT_FOUND, format!("No such image: {name}{tag}"))
}
