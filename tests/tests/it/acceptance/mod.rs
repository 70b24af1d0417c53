//! Acceptance: each test is a story with real `swarm` processes, most of them with real Docker Engines.

mod guide;
mod world;
