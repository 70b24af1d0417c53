//! HTTP/1.1 over [`crate::platform::Platform`]: bodies, a pooled client, a server that refuses ambiguous requests, upgrades.

pub mod body;
pub mod client;
pub mod error;
pub mod feed;
pub mod headers;
pub(crate) mod lines;
pub mod server;
mod strict;
#[cfg(test)]
pub(crate) mod testing;
pub mod timer;
pub mod upgrade;

pub use body::{Body, BodyError};
pub use client::{Client, SendError};
pub use server::{Handler, Peer, Server};
