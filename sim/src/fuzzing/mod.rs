//! What is fed with hostile bytes: one function for each parser that reads input from outside, and for runs of the lab.
//!
//! A harness panics when a property is broken, and for no other reason. `fuzz/` drives the functions with libFuzzer; a
//! test of this crate replays the corpora in `fuzz/corpus`, one folder for each of [`TARGETS`], on the stable compiler.

mod bytes;
mod consul;
mod discovery;
mod duration;
mod engine_json;
mod etcd;
mod events;
mod feed;
mod filters;
mod fixture;
mod http_request;
mod http_response;
mod image;
mod memory;
mod peer_headers;
mod plan;
mod plan_text;
mod record;
mod reference;
mod route;
mod served;
mod upgrade;
mod zookeeper;

pub use consul::consul;
pub use discovery::discovery;
pub use duration::duration;
pub use engine_json::engine_json;
pub use etcd::etcd;
pub use events::events;
pub use feed::feed;
pub use filters::filters;
pub use http_request::http_request;
pub use http_response::http_response;
pub use image::image;
pub use peer_headers::peer_headers;
pub use plan::plan;
pub use plan_text::plan_text;
pub use record::record;
pub use route::route;
pub use upgrade::upgrade;
pub use zookeeper::zookeeper;

/// A harness and its name, which is also that of its program and of its corpus.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// Judges one input.
    pub run: fn(&[u8]),
}

/// Every harness.
pub const TARGETS: [Target; 18] = [
    target("consul", consul),
    target("discovery", discovery),
    target("duration", duration),
    target("engine_json", engine_json),
    target("etcd", etcd),
    target("events", events),
    target("feed", feed),
    target("filters", filters),
    target("http_request", http_request),
    target("http_response", http_response),
    target("image", image),
    target("peer_headers", peer_headers),
    target("plan", plan),
    target("plan_text", plan_text),
    target("record", record),
    target("route", route),
    target("upgrade", upgrade),
    target("zookeeper", zookeeper),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}
