//! Which request goes where.

use std::sync::Arc;

use http::StatusCode;
use swarm_core::api::{
    ContainerAction, Fixed, ImageAction, NetworkAction, ObjectAction, Route, VolumeAction,
};
use swarm_core::engine::Part;

use super::answer::{Answer, ApiError, json_text};
use super::{Api, Call};

impl Api {
    pub(super) async fn route(self: Arc<Self>, call: Call) -> Answer {
        match call.request.route.clone() {
            Route::Fixed(fixed) => self.fixed(fixed, call).await,
            Route::Container(name, action) => self.container(name.as_str(), action, call).await,
            Route::CheckpointRemove(name, _) => {
                self.pass_container(name.as_str(), ContainerAction::CheckpointList, call)
                    .await
            }
            Route::Exec(id, action) => self.pass_exec(&id, action, call).await,
            Route::Image(name, action) => match action {
                ImageAction::Inspect
                | ImageAction::History
                | ImageAction::Attestations
                | ImageAction::Save
                | ImageAction::Push => self.pass_image(&name, call).await,
                ImageAction::Tag => self.tag_image(&name, call).await,
                ImageAction::Remove => self.remove_image(&name, call).await,
            },
            Route::Network(name, action) => match action {
                NetworkAction::Inspect => self.inspect_network(&name, call).await,
                NetworkAction::Connect => self.connect_network(&name, call).await,
                NetworkAction::Disconnect => self.disconnect_network(&name, call).await,
                NetworkAction::Remove => self.remove_network(&name, call).await,
            },
            Route::Volume(name, action) => match action {
                VolumeAction::Inspect => self.inspect_volume(&name, call).await,
                VolumeAction::Update => self.update_volume(&name, call).await,
                VolumeAction::Remove => self.remove_volume(&name, call).await,
            },
            Route::Distribution(_) => self.pass_any(call).await,
            Route::Plugin(name, action) => self.plugin(&name, action, call).await,
            Route::Object(_, _, action) => match action {
                ObjectAction::Inspect
                | ObjectAction::Logs
                | ObjectAction::Update
                | ObjectAction::Remove => Err(not_in_swarm_mode()),
            },
        }
    }

    async fn container(&self, name: &str, action: ContainerAction, call: Call) -> Answer {
        match action {
            ContainerAction::Inspect => self.inspect_container(name, call).await,
            ContainerAction::Rename => self.rename_container(name, call).await,
            ContainerAction::Exec => self.create_exec(name, call).await,
            ContainerAction::Remove => self.remove_container(name, call).await,
            ContainerAction::Top
            | ContainerAction::Logs
            | ContainerAction::Stats
            | ContainerAction::Changes
            | ContainerAction::Export
            | ContainerAction::ArchiveGet
            | ContainerAction::ArchiveHead
            | ContainerAction::ArchivePut
            | ContainerAction::AttachWebsocket
            | ContainerAction::Attach
            | ContainerAction::Copy
            | ContainerAction::Kill
            | ContainerAction::Pause
            | ContainerAction::Resize
            | ContainerAction::Restart
            | ContainerAction::Start
            | ContainerAction::Stop
            | ContainerAction::Unpause
            | ContainerAction::Update
            | ContainerAction::Wait
            | ContainerAction::CheckpointList
            | ContainerAction::CheckpointCreate => self.pass_container(name, action, call).await,
        }
    }

    async fn fixed(self: Arc<Self>, fixed: Fixed, call: Call) -> Answer {
        match fixed {
            Fixed::Ping => Ok(self.ping(call.request.method)),
            Fixed::Info => self.info(),
            Fixed::Version => {
                let text = self.fleet.cluster().read().version_json(&self.host);
                Ok(json_text(StatusCode::OK, text))
            }
            Fixed::Events => self.events(call),
            Fixed::Auth | Fixed::ImageSearch => self.pass_any(call).await,
            Fixed::DiskUsage => self.disk_usage(call).await,
            Fixed::ContainerList => self.list_containers(&call.request.query).await,
            Fixed::ContainerCreate => self.create_container(call).await,
            Fixed::Commit => self.commit(call).await,
            Fixed::Build => self.build(call).await,
            Fixed::BuildCancel => self.cancel_build(call).await,
            Fixed::Session => self.build_session(call).await,
            Fixed::Grpc => self.build_control(call).await,
            Fixed::ImageList => self.list_images(&call.request),
            Fixed::ImageCreate if is_import(&call) => self.import_image(call).await,
            Fixed::ImageCreate => self.pull_image(call).await,
            Fixed::ImageLoad => self.load_images(call).await,
            Fixed::ImageSave => self.save_images(call).await,
            Fixed::NetworkList => self.list_networks(&call.request),
            Fixed::NetworkCreate => self.create_network(call).await,
            Fixed::VolumeList => self.list_volumes(&call.request),
            Fixed::VolumeCreate => self.create_volume(call).await,
            Fixed::ContainerPrune => self.prune_containers(call).await,
            Fixed::ImagePrune => self.prune(Some(Part::Images), call).await,
            Fixed::NetworkPrune => self.prune(Some(Part::Networks), call).await,
            Fixed::VolumePrune => self.prune(Some(Part::Volumes), call).await,
            Fixed::BuildPrune => self.prune(None, call).await,
            Fixed::PluginList => self.list_plugins(call).await,
            Fixed::PluginPrivileges => self.pass_any(call).await,
            Fixed::PluginPull => self.pull_plugin(call).await,
            Fixed::ImageViz
            | Fixed::PluginCreate
            | Fixed::SwarmInit
            | Fixed::SwarmJoin
            | Fixed::SwarmUnlock => Err(unserved(&call)),
            Fixed::SwarmLeave => Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "This node is not part of a swarm",
            )),
            Fixed::SwarmInspect
            | Fixed::SwarmUpdate
            | Fixed::SwarmUnlockKey
            | Fixed::NodeList
            | Fixed::ServiceList
            | Fixed::ServiceCreate
            | Fixed::TaskList
            | Fixed::SecretList
            | Fixed::SecretCreate
            | Fixed::ConfigList
            | Fixed::ConfigCreate => Err(not_in_swarm_mode()),
        }
    }
}

fn is_import(call: &Call) -> bool {
    let source = call.request.query.value("fromSrc");
    source.is_some_and(|source| !source.is_empty())
}

fn unserved(call: &Call) -> ApiError {
    let request = &call.request;
    ApiError::not_implemented(&format!("{} {}", request.method, request.route.template()))
}

/// What an engine answers that is not in swarm mode, Docker's own orchestration, in its words.
fn not_in_swarm_mode() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to \
         swarm and try again.",
    )
}
