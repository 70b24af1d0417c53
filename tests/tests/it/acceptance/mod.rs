//! Acceptance: each test is a story with real `swarm` processes, most of them with real Docker Engines.

mod bad_input;
mod bulk;
mod differential;
mod docker_commands;
mod engine_loss;
mod event_stream;
mod foreign_clients;
mod guide;
mod operators;
mod placement;
mod refusals;
mod rescheduling;
mod store_loss;
mod tls;
mod user;
mod world;
