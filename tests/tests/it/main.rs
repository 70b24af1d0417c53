//! All integration tests, in one binary: it links once, and the fixtures are shared.
#![expect(
    clippy::disallowed_methods,
    reason = "real processes live in real time and outside any Platform"
)]

mod acceptance;
mod consul_double;
mod dependencies;
mod dev;
mod engine_view;
mod etcd_double;
mod fixtures;
mod report_page;
mod stores;
mod tables;
mod zookeeper_double;
