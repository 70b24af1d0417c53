//! The part of swarm that decides and never acts.
//!
//! Everything here is sans-IO: no clock is read, no entropy drawn, nothing logged, no socket opened. Time comes in
//! as [`time::Mono`], randomness as a [`rng::Random`] stream, and what should happen goes out as effects. That is
//! what lets the same code run in production and in the simulation. Start with [`machine::Machine`].

pub mod address;
pub mod api;
pub mod cluster;
pub mod config;
pub mod discovery;
pub mod duration;
pub mod election;
pub mod engine;
pub mod json;
pub mod machine;
pub mod proxy;
pub mod reschedule;
pub mod rng;
pub mod scheduler;
pub mod size;
pub mod testbed;
pub mod time;
pub mod tls;
pub mod watch;
