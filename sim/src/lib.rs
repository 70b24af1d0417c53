//! Runs the shipping runtime of swarm on simulated hosts and judges it on true time.
//!
//! [`World`] is tier B of DESIGN section 7: managers, the Consul and engine doubles and clients on turmoil, with real
//! HTTP bytes between them, host clocks of their own and faults. The runtime is the one that ships; only
//! [`swarm::platform::Platform`] has another implementation here. Same seed, same run.

mod clock;
mod hosts;
mod log;
mod plan;
mod platform;
mod reader;
mod world;

pub use clock::HostClock;
pub use plan::{Fault, Op, Outcome, Plan};
pub use platform::SimPlatform;
pub use reader::Readings;
pub use world::{Promise, STORE, Violation, World, WorldConfig};
