//! Filters: which engines can take a container at all (spec/classic.md section 5.2).

use super::carriers::Expressions;
use super::dependency::{self, Bound};
use super::expression::Expression;
use super::{Node, Request, ports};
use crate::cluster::{Cluster, Container, Image, SHORT_ID};
use crate::config::Filter;

/// What a request is held against besides the engine itself.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) request: &'a Request,
    pub(super) bound: Vec<Bound<'a>>,
}

impl Filter {
    /// Whether it can drop an engine for this request at all: most requests ask for nothing that most filters look at,
    /// which thousands of engines need not be asked.
    pub(super) fn concerns(self, request: &Request) -> bool {
        match self {
            Self::Health | Self::ContainerSlots => true,
            Self::Port => ports::concerns(request),
            Self::Dependency => request.dependencies.count() > 0,
            Self::Affinity | Self::Constraint | Self::Whitelist => {
                self.of(&request.expressions).iter().any(|one| !one.soft)
            }
        }
    }

    /// Why this filter drops the engine, if it does.
    pub(super) fn refuses(self, node: &Node<'_>, scene: &Scene<'_>) -> Option<String> {
        let Scene {
            cluster,
            request,
            bound,
        } = scene;
        match self {
            Self::Health => (!node.engine.is_healthy() || node.engine.indicator == 0).then(|| {
                match &node.engine.error {
                    Some(error) => format!("{}: {error}", node.engine.state),
                    None => node.engine.state.to_string(),
                }
            }),
            Self::Port => ports::conflict(node, request),
            Self::ContainerSlots => slots(node),
            Self::Dependency => dependency::missing(cluster, node, request, bound),
            Self::Affinity | Self::Constraint | Self::Whitelist => {
                let mut hard = self.of(&request.expressions).iter().filter(|one| !one.soft);
                let broken = hard.find(|one| !self.holds(one, node))?;
                Some(format!("{broken} does not hold"))
            }
        }
    }

    /// For each soft expression of this filter, whether the engine fails it.
    pub(super) fn wishes_unmet(self, node: &Node<'_>, request: &Request) -> Vec<bool> {
        let soft = self.of(&request.expressions).iter().filter(|one| one.soft);
        soft.map(|one| !self.holds(one, node)).collect()
    }

    /// The expressions this filter looks at.
    pub(super) fn of(self, all: &Expressions) -> &[Expression] {
        match self {
            Self::Affinity => &all.affinities,
            Self::Constraint => &all.constraints,
            Self::Whitelist => &all.whitelists,
            Self::Health | Self::Port | Self::ContainerSlots | Self::Dependency => &[],
        }
    }

    /// What the filter looked for, for people (spec/classic.md section 5.1).
    pub(super) fn conditions(self, request: &Request) -> Vec<String> {
        let expressions = self.of(&request.expressions).iter();
        let bare = |one: &Expression| format!("{}{}{}", one.key, one.operator, one.value());
        match self {
            Self::Health => Vec::new(),
            Self::Port => ports::conditions(&request.ports),
            Self::ContainerSlots => vec!["available container slots".to_owned()],
            Self::Dependency => dependency::conditions(&request.dependencies),
            Self::Constraint => expressions.map(bare).collect(),
            Self::Affinity | Self::Whitelist => expressions
                .map(|one| format!("{} (soft={})", bare(one), one.soft))
                .collect(),
        }
    }

    fn holds(self, expression: &Expression, node: &Node<'_>) -> bool {
        match self {
            Self::Affinity => expression.holds(neighbours(&expression.key, node)),
            Self::Constraint | Self::Whitelist => of_engine(expression, node),
            Self::Health | Self::Port | Self::ContainerSlots | Self::Dependency => true,
        }
    }
}

fn slots(node: &Node<'_>) -> Option<String> {
    let slots = node.engine.slots()?;
    let used = node.containers;
    (used >= slots).then(|| format!("{used} of {slots} container slots are used"))
}

/// Whether the expression holds for the engine itself: `node` is its name, its daemon ID, or `<daemon ID>|<address>`;
/// any other key is one of its labels (spec/classic.md section 10.4, S12).
fn of_engine(expression: &Expression, node: &Node<'_>) -> bool {
    if expression.key == "node" {
        let (name, id) = (node.engine.name(), node.engine.id());
        let both = format!("{id}|{}", node.engine.address);
        return expression.holds([name, id, &both]);
    }
    expression.holds([node.label(&expression.key).unwrap_or_default()])
}

/// What an affinity of this key is compared with: the names and IDs of containers, those of images, or the values of a
/// label of containers. Containers that are being created count.
fn neighbours<'a>(key: &str, node: &Node<'a>) -> Vec<&'a str> {
    let containers = node.engine.containers();
    let pending = node.pending.iter();
    match key {
        "container" => containers
            .flat_map(|container| calls(container))
            .chain(pending.flat_map(|request| [request.name.as_str(), &request.swarm_id]))
            .filter(|text| !text.is_empty())
            .collect(),
        "image" => node.engine.images().flat_map(image_names).collect(),
        _ => containers
            .map(|container| container.labels.get(key))
            .chain(pending.map(|request| request.labels.get(key).map(String::as_str)))
            .map(Option::unwrap_or_default)
            .collect(),
    }
}

/// Everything a container is called: full and short ID, swarm ID, own name.
fn calls(container: &Container) -> impl Iterator<Item = &str> {
    let ids = [Some(&*container.id), container.swarm_id()];
    let ids = ids.into_iter().flatten();
    ids.clone()
        .chain(ids.filter_map(|id| id.get(..SHORT_ID)))
        .chain([container.name()])
}

/// Everything an image is called: ID with and without its algorithm, tags, repositories, digests.
fn image_names(image: &Image) -> impl Iterator<Item = &str> {
    let hex = image.id.split_once(':').map(|(_, hex)| hex);
    let short = hex.and_then(|hex| hex.get(..SHORT_ID));
    let repositories = image
        .tags
        .iter()
        .filter_map(|tag| tag.rsplit_once(':').map(|(repository, _)| repository));
    [Some(image.id.as_str()), hex, short]
        .into_iter()
        .flatten()
        .chain(image.tags.iter().map(String::as_str))
        .chain(repositories)
        .chain(image.digests.iter().map(String::as_str))
}
