//! What may be done with a request when its first attempt failed.
//!
//! One table for the whole API, after DESIGN section 4 and the retry table of HA.md section 9.3. What is not listed
//! there is in the most careful class that fits.

use super::{
    ContainerAction, ExecAction, Fixed, ImageAction, Method, NetworkAction, ObjectAction,
    PluginAction, Request, Route, VolumeAction,
};

/// How a request behaves when it is carried out a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Changes nothing.
    Safe,
    /// A second time changes nothing more.
    Idempotent,
    /// A second time changes nothing more, though it may be answered differently (304, 409).
    StateIdempotent,
    /// The request id makes the second time find what the first one made.
    Keyed,
    /// A second time could do it twice: never repeated once it may have been dispatched.
    Once,
    /// Changes nothing and goes on until cut; can go on at the next primary from the last thing passed on.
    Stream(Stream),
    /// Becomes a byte stream in both directions; never repeated once it may have been dispatched.
    Upgrade,
}

/// The streams that can be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// `GET /events`
    Events,
    /// `GET /containers/{name}/logs?follow=1`
    Logs,
}

impl Class {
    /// Whether a request that may have been carried out may be sent again.
    #[must_use]
    pub const fn repeatable(self) -> bool {
        match self {
            Self::Safe
            | Self::Idempotent
            | Self::StateIdempotent
            | Self::Keyed
            | Self::Stream(_) => true,
            Self::Once | Self::Upgrade => false,
        }
    }
}

/// The class of a request.
#[must_use]
pub fn class(request: &Request) -> Class {
    let logs = Class::Stream(Stream::Logs);
    match &request.route {
        // An import makes a new image each time, a pull does not.
        Route::Fixed(Fixed::ImageCreate) if request.query.value("fromSrc").is_some() => Class::Once,
        Route::Container(_, ContainerAction::Logs) if request.query.flag("follow") => logs,
        Route::Fixed(_)
        | Route::Container(..)
        | Route::CheckpointRemove(..)
        | Route::Exec(..)
        | Route::Image(..)
        | Route::Distribution(_)
        | Route::Network(..)
        | Route::Volume(..)
        | Route::Plugin(..)
        | Route::Object(..) => of_route(&request.route),
    }
}

/// Whether the route changes something: such a request passes the dispatch gate.
#[must_use]
pub fn is_mutation(route: &Route) -> bool {
    match route {
        // Neither changes an engine, though they are POST.
        Route::Fixed(Fixed::Auth)
        | Route::Container(_, ContainerAction::Wait | ContainerAction::Copy) => false,
        // What is typed into a container is not looked at.
        Route::Container(_, ContainerAction::AttachWebsocket) => true,
        Route::Fixed(_)
        | Route::Container(..)
        | Route::CheckpointRemove(..)
        | Route::Exec(..)
        | Route::Image(..)
        | Route::Distribution(_)
        | Route::Network(..)
        | Route::Volume(..)
        | Route::Plugin(..)
        | Route::Object(..) => match route.method() {
            Method::Get | Method::Head => false,
            Method::Post | Method::Put | Method::Delete => true,
        },
    }
}

/// Whether a connection on this route may become a tunnel after the engine's 101.
#[must_use]
pub fn may_upgrade(route: &Route) -> bool {
    of_route(route) == Class::Upgrade
}

/// Whether a replica answers by itself, primary or not.
#[must_use]
pub fn served_by_replica(route: &Route) -> bool {
    matches!(route, Route::Fixed(Fixed::Ping | Fixed::Info))
}

/// What the answer to a repeated request says, when an earlier attempt may have been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What it says.
    AsIs,
    /// It says that there was nothing left to do: success, with this status and no body.
    Success(u16),
    /// It says that the state forbids it, which may be the doing of the earlier attempt.
    Unknown,
}

/// Judges the status of a repeated request (HA.md section 9.3): after a removal that may have worked, 404 is success;
/// after a start that may have worked, 304 is.
#[must_use]
pub fn after_repeat(request: &Request, status: u16) -> Verdict {
    match (class(request), status) {
        (Class::Idempotent, 404) if request.method == Method::Delete => Verdict::Success(204),
        (Class::StateIdempotent, 304) => Verdict::Success(204),
        // A container cannot be renamed to the name it has: 400.
        (Class::StateIdempotent, 400 | 403 | 404 | 409) => Verdict::Unknown,
        // It is about the second attempt alone. A create that is repeated has looked for what the first one made.
        (Class::Idempotent | Class::StateIdempotent, 503) => Verdict::Unknown,
        (
            Class::Safe
            | Class::Idempotent
            | Class::StateIdempotent
            | Class::Keyed
            | Class::Once
            | Class::Stream(_)
            | Class::Upgrade,
            _,
        ) => Verdict::AsIs,
    }
}

fn of_route(route: &Route) -> Class {
    match route {
        Route::Fixed(fixed) => of_fixed(*fixed),
        Route::Container(_, action) => of_container(*action),
        Route::CheckpointRemove(..) => Class::Idempotent,
        Route::Exec(_, action) => match action {
            ExecAction::Inspect => Class::Safe,
            ExecAction::Resize => Class::StateIdempotent,
            ExecAction::Start => Class::Upgrade,
        },
        Route::Image(_, action) => match action {
            ImageAction::Inspect
            | ImageAction::History
            | ImageAction::Attestations
            | ImageAction::Save => Class::Safe,
            ImageAction::Push | ImageAction::Remove => Class::Idempotent,
            ImageAction::Tag => Class::StateIdempotent,
        },
        Route::Distribution(_) => Class::Safe,
        Route::Network(_, action) => match action {
            NetworkAction::Inspect => Class::Safe,
            NetworkAction::Connect | NetworkAction::Disconnect => Class::StateIdempotent,
            NetworkAction::Remove => Class::Idempotent,
        },
        Route::Volume(_, action) => match action {
            VolumeAction::Inspect => Class::Safe,
            VolumeAction::Update => Class::Once,
            VolumeAction::Remove => Class::Idempotent,
        },
        Route::Plugin(_, action) => match action {
            PluginAction::Inspect => Class::Safe,
            PluginAction::Remove => Class::Idempotent,
            PluginAction::Enable
            | PluginAction::Disable
            | PluginAction::Upgrade
            | PluginAction::Push
            | PluginAction::Set => Class::Once,
        },
        Route::Object(_, _, action) => match action {
            ObjectAction::Inspect | ObjectAction::Logs => Class::Safe,
            ObjectAction::Update => Class::Once,
            ObjectAction::Remove => Class::Idempotent,
        },
    }
}

fn of_fixed(fixed: Fixed) -> Class {
    match fixed {
        Fixed::Ping
        | Fixed::Info
        | Fixed::Version
        | Fixed::DiskUsage
        | Fixed::Auth
        | Fixed::ContainerList
        | Fixed::ImageList
        | Fixed::ImageViz
        | Fixed::ImageSearch
        | Fixed::ImageSave
        | Fixed::NetworkList
        | Fixed::VolumeList
        | Fixed::PluginList
        | Fixed::PluginPrivileges
        | Fixed::SwarmInspect
        | Fixed::SwarmUnlockKey
        | Fixed::NodeList
        | Fixed::ServiceList
        | Fixed::TaskList
        | Fixed::SecretList
        | Fixed::ConfigList => Class::Safe,
        Fixed::Events => Class::Stream(Stream::Events),
        Fixed::ImageCreate | Fixed::VolumeCreate | Fixed::BuildCancel => Class::Idempotent,
        Fixed::ContainerCreate | Fixed::NetworkCreate => Class::Keyed,
        // A prune that comes late could remove what was made in between.
        Fixed::BuildPrune
        | Fixed::ContainerPrune
        | Fixed::ImagePrune
        | Fixed::NetworkPrune
        | Fixed::VolumePrune
        | Fixed::Build
        | Fixed::Commit
        | Fixed::ImageLoad
        | Fixed::PluginPull
        | Fixed::PluginCreate
        | Fixed::SwarmInit
        | Fixed::SwarmJoin
        | Fixed::SwarmLeave
        | Fixed::SwarmUpdate
        | Fixed::SwarmUnlock
        | Fixed::ServiceCreate
        | Fixed::SecretCreate
        | Fixed::ConfigCreate => Class::Once,
        Fixed::Session | Fixed::Grpc => Class::Upgrade,
    }
}

fn of_container(action: ContainerAction) -> Class {
    match action {
        ContainerAction::Inspect
        | ContainerAction::Top
        | ContainerAction::Logs
        | ContainerAction::Stats
        | ContainerAction::Changes
        | ContainerAction::Export
        | ContainerAction::ArchiveGet
        | ContainerAction::ArchiveHead
        | ContainerAction::CheckpointList
        | ContainerAction::Copy => Class::Safe,
        ContainerAction::ArchivePut | ContainerAction::Remove => Class::Idempotent,
        ContainerAction::Start
        | ContainerAction::Stop
        | ContainerAction::Pause
        | ContainerAction::Unpause
        | ContainerAction::Resize
        | ContainerAction::Rename
        | ContainerAction::Update => Class::StateIdempotent,
        ContainerAction::Kill
        | ContainerAction::Restart
        | ContainerAction::Exec
        | ContainerAction::CheckpointCreate
        | ContainerAction::Wait => Class::Once,
        ContainerAction::Attach | ContainerAction::AttachWebsocket => Class::Upgrade,
    }
}
