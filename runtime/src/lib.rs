//! The shipping runtime of swarm: it carries out what `swarm-core` decides.
//!
//! Everything that touches the outside world goes through [`platform::Platform`], so the simulation runs this very
//! code on simulated hosts. `main.rs` only binds it to tokio and the command line.

pub mod agent;
pub mod api;
pub mod cli;
pub mod commands;
pub mod discovery;
pub mod driver;
pub mod election;
pub mod engine;
pub mod guard;
pub mod http;
pub mod log;
pub mod manager;
pub mod platform;
pub mod proxy;
pub mod store;
pub mod tls;
