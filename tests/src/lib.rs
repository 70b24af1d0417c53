//! Fixtures for the integration tests: real managers, real engines, a modelled or real store.
//!
//! Everything listens on loopback. Whatever a fixture started is gone when it is dropped, and at the latest when the
//! test process has ended, however that happened (see [`scratch`]).
#![expect(
    clippy::disallowed_methods,
    reason = "real processes live in real time and outside any Platform"
)]

pub mod agent;
pub mod certs;
pub mod cluster;
pub mod docker;
pub mod double;
pub mod engines;
pub mod ensemble;
pub mod fault;
pub mod http;
pub mod manager;
pub mod modelled;
pub mod ports;
pub mod process;
pub mod real;
pub mod scratch;
pub mod servers;
pub mod store;
pub mod wait;
