//! `GET /containers/json` over all engines (spec/classic.md section 4.4, with every filter of the Engine API honoured).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ahead::Ahead;
use super::container::{Container, TASK_LABEL};
use super::filters::{Filters, Patterns, QueryError};
use super::image::Reference;
use super::numbered::Numbered;
use super::state::{Health, Phase};
use super::{Cluster, Engine};
use crate::api::Query;
use crate::time::Wall;

/// What is asked of the container list.
#[derive(Clone, Debug)]
pub struct ContainerQuery {
    pub(super) all: bool,
    limit: usize,
    before: Option<String>,
    since: Option<String>,
    /// Whether sizes are asked for; only the engines can tell them.
    pub size: bool,
    /// Whether no filter is left that looks at a container.
    unfiltered: bool,
    filters: Filters,
    health: BTreeSet<String>,
    exited: BTreeSet<i64>,
    task: Option<bool>,
    publish: Vec<PortRange>,
    expose: Vec<PortRange>,
    names: Patterns,
    /// Names given with their engine, `node/name`.
    full_names: Patterns,
    ids: Patterns,
    nodes: Patterns,
    isolation: Patterns,
}

/// A container and the engine it is on.
pub type Row<'a> = (&'a Engine, &'a Arc<Container>);

/// Every filter of the Engine API, and `node`.
const KNOWN: [&str; 16] = [
    "ancestor",
    "before",
    "expose",
    "exited",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "node",
    "publish",
    "since",
    "status",
    "volume",
];

const STATUSES: [&str; 7] = [
    "created",
    "restarting",
    "running",
    "removing",
    "paused",
    "exited",
    "dead",
];

#[derive(Clone, Debug, PartialEq, Eq)]
struct PortRange {
    from: u16,
    to: u16,
    kind: String,
}

impl ContainerQuery {
    /// Reads the query of `GET /containers/json`.
    ///
    /// # Errors
    /// [`QueryError`] for a filter that is unknown or has an impossible value.
    pub fn parse(query: &Query) -> Result<Self, QueryError> {
        let filters = Filters::parse(&query.value("filters").unwrap_or_default())?;
        filters.check(&KNOWN)?;
        for (key, allowed) in [
            ("status", &STATUSES[..]),
            ("health", &["none", "starting", "healthy", "unhealthy"]),
        ] {
            if let Some(value) = filters.values(key).find(|value| !allowed.contains(value)) {
                return Err(invalid(key, value));
            }
        }
        let limit = query
            .value("limit")
            .and_then(|text| text.parse::<i64>().ok());
        let parameter = |key: &str| query.value(key).filter(|value| !value.is_empty());
        let (names, full_names) = name_patterns(&filters)?;
        Ok(Self {
            // As with the engine, asking for a status means asking for containers in any.
            all: query.flag("all") || filters.has("status"),
            limit: limit.map_or(0, |limit| usize::try_from(limit).unwrap_or(0)),
            before: parameter("before"),
            since: parameter("since"),
            size: query.flag("size"),
            health: filters.values("health").map(str::to_owned).collect(),
            exited: filters
                .values("exited")
                .map(|value| value.parse().map_err(|_| invalid("exited", value)))
                .collect::<Result<_, _>>()?,
            task: filters.flag("is-task")?,
            publish: port_ranges(&filters, "publish")?,
            expose: port_ranges(&filters, "expose")?,
            names,
            full_names,
            ids: filters.patterns("id")?,
            nodes: filters.patterns("node")?,
            unfiltered: filters.is_empty(),
            isolation: filters.patterns("isolation")?,
            filters,
        })
    }
}

fn invalid(key: &str, value: &str) -> QueryError {
    QueryError::Value {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

/// A name pattern with a slash inside means a name as the list shows it, with its engine; any other means the name
/// alone, or `name=web` would find everything on an engine called `web-1`.
fn name_patterns(filters: &Filters) -> Result<(Patterns, Patterns), QueryError> {
    let (full, bare): (Vec<_>, Vec<_>) = filters
        .values("name")
        .partition(|value| value.trim_start_matches(['^', '/', '?']).contains('/'));
    let of = |values: Vec<&str>| {
        let text = serde_json::json!({ "name": values }).to_string();
        Filters::parse(&text)?.patterns("name")
    };
    Ok((of(bare)?, of(full)?))
}

/// Reads `80`, `80/udp`, `8000-8010/tcp`.
fn port_ranges(filters: &Filters, key: &str) -> Result<Vec<PortRange>, QueryError> {
    filters
        .values(key)
        .map(|value| {
            let (ports, kind) = value.split_once('/').unwrap_or((value, "tcp"));
            let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
            match (from.parse(), to.parse()) {
                (Ok(from), Ok(to)) if from <= to && !kind.is_empty() => Ok(PortRange {
                    from,
                    to,
                    kind: kind.to_ascii_lowercase(),
                }),
                (_, _) => Err(invalid(key, value)),
            }
        })
        .collect()
}

impl Cluster {
    /// The containers `query` asks for, newest first.
    ///
    /// # Errors
    /// When `before` or `since` names no container.
    pub fn list_containers(&self, query: &ContainerQuery) -> Result<Vec<Row<'_>>, QueryError> {
        let before = self.bounds(query.before.as_deref(), &query.filters, "before")?;
        let since = self.bounds(query.since.as_deref(), &query.filters, "since")?;
        let of_ancestor = query.filters.has("ancestor");
        let engines: Numbered<(&Engine, Option<BTreeSet<&str>>)> = self
            .engines
            .iter()
            .filter(|(_, engine)| engine.specs.is_some())
            .filter(|(_, engine)| query.nodes.pass([engine.name(), engine.id()]))
            .map(|(slot, engine)| {
                let ancestors = of_ancestor.then(|| ancestors(engine, &query.filters));
                (slot, (engine, ancestors))
            })
            .collect();
        let listed = Ahead::new(self.index.listed.iter(), |one| query.touch(one.container()));
        let wanted = listed.filter_map(|one| {
            let (engine, ancestors) = engines.get(one.slot)?;
            let container = one.container();
            let wanted = before.iter().all(|bound| order(container) > *bound)
                && since.iter().all(|bound| order(container) < *bound)
                && ancestors
                    .as_ref()
                    .is_none_or(|images| images.contains(&*container.image_id))
                && query.wants(engine, container)
                && !self.is_left_behind(engine, container);
            wanted.then_some((*engine, container))
        });
        Ok(match query.limit {
            0 => wanted.collect(),
            limit => wanted.take(limit).collect(),
        })
    }

    /// The places in the order of all containers that `before` or `since`, as parameter or filter, name.
    fn bounds<'a>(
        &'a self,
        parameter: Option<&str>,
        filters: &Filters,
        key: &str,
    ) -> Result<Vec<Order<'a>>, QueryError> {
        parameter
            .into_iter()
            .chain(filters.values(key))
            .map(|reference| Ok(order(self.container(reference)?.1)))
            .collect()
    }
}

/// Newest first; containers of the same moment by ID, so that the order is the same each time.
type Order<'a> = (std::cmp::Reverse<Wall>, &'a str);

fn order(container: &Container) -> Order<'_> {
    (std::cmp::Reverse(container.created), &*container.id)
}

/// The images of an engine that the `ancestor` filter means: those it names and all made from them.
fn ancestors<'a>(engine: &'a Engine, filters: &Filters) -> BTreeSet<&'a str> {
    let mut found: BTreeSet<&str> = engine
        .images()
        .filter(|image| {
            filters
                .values("ancestor")
                .any(|name| image.matches(&tagged(name)))
        })
        .map(|image| image.id.as_str())
        .collect();
    loop {
        let before = found.len();
        let children: Vec<_> = engine
            .images()
            .filter(|image| found.contains(image.parent.as_str()))
            .map(|image| image.id.as_str())
            .collect();
        found.extend(children);
        if found.len() == before {
            return found;
        }
    }
}

/// Docker takes an image name without tag as `:latest`; a reference that could be an ID stays as it is.
fn tagged(name: &str) -> String {
    let hex = name.bytes().all(|b| b.is_ascii_hexdigit());
    match Reference::parse(name).suffix {
        None if !hex => format!("{name}:latest"),
        Some(_) | None => name.to_owned(),
    }
}

impl ContainerQuery {
    /// Whether it asks for all containers or all that run.
    pub(super) fn is_plain(&self) -> bool {
        self.unfiltered && self.limit == 0 && self.before.is_none() && self.since.is_none()
    }

    /// Reads a little of what decides whether the container is wanted.
    fn touch(&self, container: &Container) -> u64 {
        if self.all && self.unfiltered {
            return 0;
        }
        let name = || container.first_name.as_ref()?.as_bytes().first().copied();
        let named = !self.names.is_empty() || !self.full_names.is_empty();
        let first = if named { name() } else { None };
        container
            .touch()
            .wrapping_add(container.created.0)
            .wrapping_add(first.unwrap_or(0).into())
    }

    fn wants(&self, engine: &Engine, container: &Container) -> bool {
        let shown = self.all
            || self.limit > 0
            || self.before.is_some()
            || self.since.is_some()
            || (container.is_running() && engine.is_healthy());
        shown && (self.unfiltered || self.wants_all_of(engine, container))
    }

    fn wants_all_of(&self, engine: &Engine, container: &Container) -> bool {
        self.wants_state(container)
            && self.wants_name(engine, container)
            && self.wants_parts(container)
    }

    fn wants_state(&self, container: &Container) -> bool {
        let phase = container.state.phase;
        let ended = match phase {
            Phase::Exited | Phase::Dead | Phase::Removing => true,
            Phase::Created | Phase::Running | Phase::Paused | Phase::Restarting => false,
        };
        let health = match container.state.health {
            Health::None => "none",
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        };
        self.filters.exact("status", phase.word())
            && (self.health.is_empty() || self.health.contains(health))
            && (self.exited.is_empty()
                || (ended && self.exited.contains(&container.state.exit_code)))
            && self
                .task
                .is_none_or(|task| task == container.labels.contains_key(TASK_LABEL))
    }

    fn wants_name(&self, engine: &Engine, container: &Container) -> bool {
        if self.names.is_empty() && self.full_names.is_empty() {
            return self.ids.pass([&*container.id]);
        }
        let Some(name) = container.names().next() else {
            return false;
        };
        let bare = !self.names.is_empty() && self.names.pass([name, container.name()]);
        let full = || {
            let shown = format!("/{}{name}", engine.name());
            self.full_names.pass([shown.as_str(), super::bare(&shown)])
        };
        (bare || (!self.full_names.is_empty() && full())) && self.ids.pass([&*container.id])
    }

    fn wants_parts(&self, container: &Container) -> bool {
        let volume = |value: &str| {
            container
                .mounts
                .iter()
                .any(|mount| mount.name == value || mount.destination == value)
        };
        let network = |value: &str| {
            !value.is_empty()
                && container
                    .networks
                    .iter()
                    .any(|network| &*network.name == value || network.id.starts_with(value))
        };
        let any = |key: &str, hit: &dyn Fn(&str) -> bool| {
            !self.filters.has(key) || self.filters.values(key).any(hit)
        };
        self.filters
            .labels_by("label", |name| container.labels.get(name))
            && any("volume", &volume)
            && any("network", &network)
            && self.wants_ports(container)
            && self.isolation.pass([&*container.host.isolation])
    }

    fn wants_ports(&self, container: &Container) -> bool {
        if self.publish.is_empty() && self.expose.is_empty() {
            return true;
        }
        let hit = |ranges: &[PortRange], port: u16, kind: &str| {
            ranges
                .iter()
                .any(|range| (range.from..=range.to).contains(&port) && range.kind == kind)
        };
        container.ports.iter().any(|port| {
            (port.public != 0 && hit(&self.publish, port.public, &port.kind))
                || hit(&self.expose, port.private, &port.kind)
        })
    }
}
