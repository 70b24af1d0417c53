//! The fixtures themselves: a fixture that lies makes every test built on it lie.

mod docker_engines;
mod processes;
mod stores;
