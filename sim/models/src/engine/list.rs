//! `GET /containers/json`: which containers are shown.

use std::collections::BTreeSet;

use super::container::{Container, Health, Phase};
use super::filters::{Filters, Matcher};
use super::refusal::{Answer, Refusal};
use super::spec::Port;
use super::state::State;
use super::view::Entry;

/// What a client asks of the list.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) all: bool,
    pub(super) size: bool,
    /// 0 or less for all.
    pub(super) limit: i64,
    pub(super) filters: Filters,
}

/// The filters `docker ps` knows.
pub(super) const KEYS: [&str; 16] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
    "driver",
];

/// A query made ready for many containers.
struct Plan<'a> {
    query: &'a Query,
    show_stopped: bool,
    names: Matcher,
    ids: Matcher,
    images: Option<BTreeSet<&'a str>>,
    networks: Vec<String>,
    exited: Vec<i64>,
    publish: Vec<Range>,
    expose: Vec<Range>,
    before: Option<u64>,
    since: Option<u64>,
    is_task: Option<bool>,
}

/// Ports with one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    protocol: String,
}

impl State {
    /// The entries to show, newest first.
    pub(super) fn list(&self, query: &Query) -> Answer<Vec<Entry<'_>>> {
        let plan = self.plan(query)?;
        let shown = self
            .newest_first()
            .filter(|container| plan.shows(container));
        let limit = match query.limit {
            1.. => usize::try_from(query.limit).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        let entries = shown.take(limit);
        Ok(entries
            .map(|container| self.entry(container, query.size))
            .collect())
    }

    fn plan<'a>(&'a self, query: &'a Query) -> Answer<Plan<'a>> {
        let filters = &query.filters;
        for status in filters.values("status") {
            let known = [
                "created",
                "restarting",
                "running",
                "removing",
                "paused",
                "exited",
                "dead",
            ];
            if !known.contains(&status.as_str()) {
                return Err(Refusal::bad(format!("invalid filter 'status={status}'")));
            }
        }
        for health in filters.values("health") {
            if !["none", "starting", "healthy", "unhealthy"].contains(&health.as_str()) {
                return Err(Refusal::bad(format!("invalid filter 'health={health}'")));
            }
        }
        let exited = filters.values("exited").iter().map(|code| {
            let refusal = |_| Refusal::bad(format!("invalid filter 'exited={code}'"));
            code.parse().map_err(refusal)
        });
        let number = |key: &str| -> Answer<Option<u64>> {
            match filters.values(key).first() {
                Some(reference) => Ok(Some(self.container(reference)?.number)),
                None => Ok(None),
            }
        };
        let (before, since) = (number("before")?, number("since")?);
        let images = filters.has("ancestor").then(|| {
            let wanted = filters.values("ancestor");
            let images = self.images.values();
            let hits = images.filter(|image| wanted.iter().any(|name| image.answers_to(name)));
            hits.map(|image| image.id.as_ref()).collect()
        });
        let resolve = |name: &String| {
            self.network(name)
                .map_or_else(|_| name.clone(), |network| network.id.to_string())
        };
        Ok(Plan {
            query,
            show_stopped: query.all
                || query.limit > 0
                || filters.has("status")
                || before.is_some()
                || since.is_some(),
            names: filters.matcher("name"),
            ids: filters.matcher("id"),
            images,
            networks: filters.values("network").iter().map(resolve).collect(),
            exited: exited.collect::<Answer<_>>()?,
            publish: ranges(filters, "publish")?,
            expose: ranges(filters, "expose")?,
            before,
            since,
            is_task: filters.flag("is-task")?,
        })
    }
}

impl Plan<'_> {
    fn shows(&self, container: &Container) -> bool {
        let filters = &self.query.filters;
        let spec = &container.spec;
        let health = container.health.map_or("none", Health::name);
        let task = spec.labels.contains_key("com.docker.swarm.task");
        (container.is_up() || self.show_stopped)
            && self.before.is_none_or(|number| container.number < number)
            && self.since.is_none_or(|number| container.number > number)
            && filters.any("status", |status| status == container.phase.name())
            && self.names.accepts(&container.name)
            && self.ids.accepts(&container.id)
            && filters.labels(|key| spec.labels.get(key).map(String::as_str))
            && self
                .images
                .as_ref()
                .is_none_or(|ids| ids.contains(container.image_id.as_ref()))
            && filters.any("health", |wanted| wanted == health)
            && self.is_task.is_none_or(|wanted| wanted == task)
            && (self.exited.is_empty()
                || container.phase == Phase::Exited && self.exited.contains(&container.exit_code))
            && filters.any("volume", |wanted| {
                let mut mounts = spec.mounts.iter();
                mounts.any(|mount| mount.volume() == Some(wanted) || mount.destination == wanted)
            })
            && (self.networks.is_empty() || self.on_network(container))
            && (self.publish.is_empty()
                || container.published.iter().any(|published| {
                    let protocol = &published.port.protocol;
                    self.publish
                        .iter()
                        .any(|range| range.holds(published.host_port, protocol))
                }))
            && (self.expose.is_empty()
                || spec.exposed.iter().any(|port| {
                    self.expose
                        .iter()
                        .any(|range| range.holds(port.number, &port.protocol))
                }))
    }

    fn on_network(&self, container: &Container) -> bool {
        let mut endpoints = container.endpoints.iter();
        endpoints.any(|(name, endpoint)| {
            let wanted = |network: &String| network == name || **network == *endpoint.network;
            self.networks.iter().any(wanted)
        })
    }
}

impl Range {
    /// Reads `80`, `80/udp`, `8000-8080` or `8000-8080/udp`.
    fn parse(text: &str) -> Option<Self> {
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let first = Port::parse(&format!("{first}/{protocol}"))?;
        let last: u16 = last.parse().ok().filter(|last| *last >= first.number)?;
        Some(Self {
            first: first.number,
            last,
            protocol: first.protocol,
        })
    }

    fn holds(&self, port: u16, protocol: &str) -> bool {
        (self.first..=self.last).contains(&port) && self.protocol == protocol
    }
}

fn ranges(filters: &Filters, key: &str) -> Answer<Vec<Range>> {
    let range = |text: &String| {
        Range::parse(text).ok_or_else(|| Refusal::bad(format!("invalid filter '{key}={text}'")))
    };
    filters.values(key).iter().map(range).collect()
}
