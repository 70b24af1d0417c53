//! The testbed: proves the promises of swarm over hostile runs, finds the shortest story of a failure, and shows it.
//!
//! A [`plan::Plan`] is a run as data. [`run::run`] runs it in one of two tiers: the [`lab`], the machines of `core` in an
//! event loop, or the [`world`], the shipping runtime on turmoil. Checkers ([`judge`], [`history`]) see the truth and
//! influence nothing. Same plan, same run: [`trace`] hashes every event.

pub mod campaign;
pub mod canary;
pub mod cli;
pub mod findings;
pub mod fuzzing;
pub mod history;
pub mod hunt;
pub mod judge;
pub mod lab;
pub mod parallel;
pub mod plan;
pub mod property;
pub mod report;
pub mod run;
pub mod shrink;
pub mod stopwatch;
pub mod trace;
pub mod world;
