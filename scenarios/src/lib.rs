//! Declared scenarios: stories told to the testbed, and what must come of each.
//!
//! Random runs find what nobody thought of; these keep what somebody did think of. A [`Scenario`] is a
//! [`swarm_sim::plan::Plan`] with a sentence and a list of [`Expect`]ations. It is written in the language of [`script`]
//! or as a file in `files/`; [`all`] lists every one, [`check`] runs one and says what did not go as told.
//!
//! [`corpus`] holds the minimised plans of former failures, which must stay mended.

mod all;
mod check;
pub mod corpus;
pub mod expect;
mod paste;
mod scenario;
pub mod script;

pub use all::{all, files};
pub use check::{Verdict, check, judge};
pub use corpus::CorpusEntry;
pub use expect::{Expect, Who};
pub use paste::as_code;
pub use scenario::{SCENARIO_VERSION, Scenario, ScenarioError};
pub use script::Script;
