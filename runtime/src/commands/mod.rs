//! What each command does once its configuration is understood.
//!
//! Each is an `async fn(SharedPlatform, Config) -> anyhow::Result<()>`; an error is the reason the process fails with.

mod ask;
mod certs;
mod dev;
mod doctor;
mod engine;
mod join;
mod list;
mod manage;
mod service;
mod signal;
mod status;
mod step_down;
mod store;

pub use certs::certs;
pub use dev::dev;
pub use doctor::doctor;
pub use engine::engine;
pub use join::join;
pub use list::list;
pub use manage::{manage, until_stdin_ends};
pub use signal::{ReloadSignal, StopSignals};
pub use status::status;
pub use step_down::step_down;
