//! The Docker Engine API as swarm sees it: one table of routes, parsed once per request.
//!
//! [`Request::parse`] is the only place that reads a path. Whatever is sent on to an engine or to the primary is built
//! from its parts again ([`Route::path`], [`Route::engine_path`]), so the path that was judged is the path that is
//! used. [`class`] says what may be repeated after a failure.

pub mod class;
mod names;
mod query;
mod route;
mod table;
#[cfg(test)]
mod tests;
mod version;

pub use class::Class;
pub use names::{
    CheckpointRef, ContainerRef, ExecRef, ImageRef, NameError, NetworkRef, ObjectRef, PluginRef,
    VolumeRef,
};
pub use query::Query;
pub use route::{Request, Route, RouteError};
pub use table::{
    ContainerAction, ExecAction, Fixed, ImageAction, Method, NetworkAction, ObjectAction,
    ObjectKind, PluginAction, VolumeAction,
};
pub use version::{ApiVersion, VersionError};
