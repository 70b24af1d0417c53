//! Why nothing can be placed (spec/classic.md section 5.1).

use crate::address::HostPort;
use crate::config::Filter;

/// An engine that cannot take the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its address.
    pub address: HostPort,
    /// Its host name.
    pub name: String,
    /// Why, for people.
    pub reason: String,
}

/// Why nothing can be placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No engine has been validated.
    #[error("No nodes available in the cluster")]
    NoEngines,
    /// The `health` filter left none.
    #[error("No healthy node available in the cluster{}", reasons(.0))]
    NoHealthy(Vec<Refusal>),
    /// Another filter left none.
    #[error(
        "Unable to find a node that satisfies the following conditions {}{}",
        lists(.conditions),
        reasons(.refused)
    )]
    Unsatisfied {
        /// What each filter up to the one that left none looked for; empty for those with nothing to say.
        conditions: Vec<Vec<String>>,
        /// Why each engine was dropped.
        refused: Vec<Refusal>,
    },
    /// None has enough left.
    #[error("no resources available to schedule container{}", reasons(.0))]
    NoResources(Vec<Refusal>),
    /// The request asks for what this manager was told not to look at.
    #[error(
        "{expression} cannot be honoured: this manager runs with --filter and without the {filter} filter"
    )]
    FilterOff {
        /// The filter that would be needed.
        filter: Filter,
        /// The first expression for it.
        expression: String,
    },
    /// The name is in use or being used.
    #[error(
        "Conflict: The name {0} is already assigned. You have to delete (or rename) that container to be able to \
         assign {0} to a container again."
    )]
    Conflict(String),
}

/// How many engines an error explains.
const REASONS_MAX: usize = 10;

/// How many conditions of one filter an error names.
const CONDITIONS_MAX: usize = 20;

fn reasons(refused: &[Refusal]) -> String {
    let shown: Vec<_> = refused
        .iter()
        .take(REASONS_MAX)
        .map(|refusal| format!("{}: {}", refusal.name, refusal.reason))
        .collect();
    match (shown.is_empty(), refused.len().saturating_sub(REASONS_MAX)) {
        (true, _) => String::new(),
        (false, 0) => format!(" ({})", shown.join("; ")),
        (false, more) => format!(" ({}; and {more} more)", shown.join("; ")),
    }
}

/// A line for each list that is not empty.
fn lists(conditions: &[Vec<String>]) -> String {
    let filled = conditions.iter().filter(|list| !list.is_empty());
    filled
        .map(|list| match list.split_at_checked(CONDITIONS_MAX) {
            Some((shown, more)) if !more.is_empty() => {
                format!("\n[{} and {} more]", shown.join(" "), more.len())
            }
            Some(_) | None => format!("\n[{}]", list.join(" ")),
        })
        .collect()
}
