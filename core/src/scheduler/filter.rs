//! Filters: which engines can take a container at all.

use std::fmt;

use super::{Node, PlaceError, Refusal, Request};

/// One filter (spec/classic.md section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filter {
    /// Keeps engines that answer.
    Health,
}

impl Filter {
    /// The engines this filter keeps; why the others are dropped goes to `refused`.
    pub(super) fn apply<'a>(
        self,
        nodes: Vec<Node<'a>>,
        request: &Request,
        refused: &mut Vec<Refusal>,
    ) -> Vec<Node<'a>> {
        let mut kept = Vec::with_capacity(nodes.len());
        for node in nodes {
            match self.refuses(&node, request) {
                Some(reason) => refused.push(node.refusal(reason)),
                None => kept.push(node),
            }
        }
        kept
    }

    fn refuses(self, node: &Node<'_>, _request: &Request) -> Option<String> {
        match self {
            Self::Health => (!node.engine.is_healthy() || node.engine.indicator == 0).then(|| {
                match &node.engine.error {
                    Some(error) => format!("{}: {error}", node.engine.state),
                    None => node.engine.state.to_string(),
                }
            }),
        }
    }

    /// The error when this filter keeps none.
    pub(super) fn error(self, refused: Vec<Refusal>) -> PlaceError {
        match self {
            Self::Health => PlaceError::NoHealthy(refused),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Health => "health",
        })
    }
}
