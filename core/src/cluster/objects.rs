//! What networks, volumes and images of all engines have in common: how they are called, shown and not found.

use super::Engine;
use crate::json::{self, JsonError, RawObject};

/// Why a reference does not lead to one network or volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Nothing matches. In the engines' words.
    #[error("{}", not_found(kind, reference))]
    NotFound {
        /// `network` or `volume`.
        kind: &'static str,
        /// What was asked for.
        reference: String,
    },
    /// Several match.
    #[error("several engines have a {kind} {reference}: write one of {}", candidates.join(", "))]
    Ambiguous {
        /// `network` or `volume`.
        kind: &'static str,
        /// What was asked for.
        reference: String,
        /// `<engine>/<name>` of each, at most ten.
        candidates: Vec<String>,
    },
}

fn not_found(kind: &str, reference: &str) -> String {
    match kind {
        "volume" => format!("get {reference}: no such volume"),
        kind => format!("{kind} {reference} not found"),
    }
}

/// How many candidates an error names.
const CANDIDATES_MAX: usize = 10;

impl ObjectError {
    /// There is no `kind` (`network` or `volume`) called `reference`.
    #[must_use]
    pub fn not_found(kind: &'static str, reference: &str) -> Self {
        let reference = reference.to_owned();
        Self::NotFound { kind, reference }
    }

    pub(super) fn ambiguous<'a>(
        kind: &'static str,
        reference: &str,
        places: impl Iterator<Item = (&'a Engine, &'a str)>,
    ) -> Self {
        Self::Ambiguous {
            kind,
            reference: reference.to_owned(),
            candidates: places
                .take(CANDIDATES_MAX)
                .map(|(engine, name)| format!("{}/{name}", engine.name()))
                .collect(),
        }
    }
}

/// Whether `reference` is `name`, `/name` or `<engine>/<name>`.
pub(super) fn qualifies(engine: &Engine, name: &str, reference: &str) -> bool {
    let bare = super::bare(reference);
    bare == name
        || bare.split_once('/').is_some_and(|(node, rest)| {
            rest == name && (node == engine.name() || node == engine.id())
        })
}

pub(super) fn shown_name(engine: &Engine, name: &str, local: bool) -> String {
    if local {
        format!("{}/{name}", engine.name())
    } else {
        name.to_owned()
    }
}

pub(super) fn renamed(raw: &serde_json::value::RawValue, name: &str) -> String {
    let change = || -> Result<String, JsonError> {
        let mut object = RawObject::parse(raw.get().as_bytes())?;
        object.set("Name", json::raw(&name)?);
        Ok(object.to_json())
    };
    // The record was read as an object before; were that to fail now, the record as it came is still right.
    change().unwrap_or_else(|_| raw.get().to_owned())
}

pub(super) fn array(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    format!("[{}]", items.join(","))
}
