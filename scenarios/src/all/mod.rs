//! Every scenario there is.
#![expect(
    clippy::too_many_lines,
    reason = "a list of stories is data: it is as long as it is"
)]

use crate::scenario::{Scenario, ScenarioError};
use crate::script::Script;

mod classic_d;
mod classic_h;
mod classic_issues;
mod clients;
mod clocks;
mod document;
mod failsafe;
mod files;
mod operators;
mod other_stores;
mod partitions;
mod paths;
mod pauses;
mod processes;
mod rescheduling;
mod sizes;
mod store_data;
mod store_outages;
mod store_reads;
mod store_writes;

/// Lines of the log that stories wait for.
mod lines {
    pub(super) const ACQUIRED: &str = "Cluster leadership acquired";
    pub(super) const LOST: &str = "Cluster leadership lost";
    pub(super) const ELECTED: &str = "New leader elected";
    pub(super) const LAPSED: &str = "The lease lapsed";
    pub(super) const CONFIRMED: &str = "The lease is confirmed again";
    pub(super) const OUTLIVES: &str = "acting on by the promises";
    pub(super) const OUTLIVED: &str = "failsafe is over";
    pub(super) const TAKEN: &str = "Another manager took over";
    pub(super) const TROUBLE: &str = "Trouble in the store";
    pub(super) const STEPPING: &str = "Stepping down as an operator asked";
}

/// Every scenario, sorted by name.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let told = [
        classic_d::tell(),
        classic_h::tell(),
        classic_issues::tell(),
        clients::tell(),
        clocks::tell(),
        document::tell(),
        other_stores::tell(),
        failsafe::tell(),
        operators::tell(),
        partitions::tell(),
        paths::tell(),
        pauses::tell(),
        processes::tell(),
        rescheduling::tell(),
        sizes::tell(),
        store_data::tell(),
        store_outages::tell(),
        store_reads::tell(),
        store_writes::tell(),
    ];
    let told = told.into_iter().flatten().map(Scenario::from);
    // A file that cannot be read is found by the tests, which compare this list with the folder.
    let read = files().into_iter().filter_map(|(_, read)| read.ok());
    let mut all: Vec<Scenario> = told.chain(read).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// The scenarios of `files/`, by file name.
#[must_use]
pub fn files() -> Vec<(&'static str, Result<Scenario, ScenarioError>)> {
    let parsed = |&(name, text): &(&'static str, &str)| (name, Scenario::parse(text));
    files::FILES.iter().map(parsed).collect()
}

/// What every group of stories is.
type Scripts = Vec<Script>;

#[cfg(test)]
mod tests;
