//! Where a new container goes (spec/classic.md section 5).
//!
//! Filters drop engines, the strategy ranks the rest; the answer is the whole ranking, so the next engine can be tried
//! when the first one fails. Engines that meet soft expressions come first, each expression counting more than all
//! after it: one that cannot be met changes nothing for the others (classic Swarm dropped all, defect S3). What has been
//! placed but is not yet in the view is kept as a reservation until it is released: memory, CPUs, a place in the count,
//! the name, ports, volumes and labels.

use std::collections::BTreeMap;

use crate::address::HostPort;
use crate::cluster::{Cluster, Container, Engine, Resources, bare};
use crate::config::{Filter, Strategy};
use crate::rng::Random;

mod carriers;
mod dependency;
mod error;
mod expression;
mod filter;
mod ports;
mod strategy;
#[cfg(test)]
mod tests;

pub use carriers::{Carried, CarrierError, Expressions, Reschedule};
pub use dependency::{Beside, Dependencies, Tie, on_engine};
pub use error::{PlaceError, Refusal};
pub use expression::{Expression, ExpressionError, Operator};
pub use ports::PortsWanted;

use filter::Scene;
use strategy::Ranked;

/// What is to be placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Wanted name without slash; empty to let the engine choose.
    pub name: String,
    /// The cluster-wide ID it will carry, by which its reservation is recognised in the view.
    pub swarm_id: String,
    /// Memory and CPUs it reserves.
    pub resources: Resources,
    /// Its labels, which affinities of other containers look at.
    pub labels: BTreeMap<String, String>,
    /// Where it may go.
    pub expressions: Expressions,
    /// The ports it needs.
    pub ports: PortsWanted,
    /// What has to be on its engine.
    pub dependencies: Dependencies,
    /// The containers whose place, and so whose name, it takes.
    pub replaces: Vec<String>,
}

/// An engine that can take the container. It borrows from the view: all but a few candidates are never looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its address.
    pub address: &'a HostPort,
    /// Its host name.
    pub name: &'a str,
    /// What the strategy computed; lower is better under `spread`, higher under `binpack`, without meaning under
    /// `random`.
    pub weight: i64,
    /// Containers on it, pending ones included.
    pub containers: usize,
}

/// The outcome of one placement: best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking<'a> {
    /// Engines to try, in this order.
    pub ranked: Vec<Candidate<'a>>,
    /// Engines left out.
    pub refused: Vec<Refusal>,
}

/// Names a reservation until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReservationId(u64);

#[derive(Clone, Debug)]
struct Reservation {
    request: Request,
    /// `None` for a name alone.
    address: Option<HostPort>,
}

/// Filters, strategy and the reservations of what is being placed.
#[derive(Clone, Debug)]
pub struct Scheduler {
    strategy: Strategy,
    filters: Vec<Filter>,
    overcommit: i64,
    random: Random,
    reservations: BTreeMap<ReservationId, Reservation>,
    next: u64,
}

/// An engine as filters and strategies see it.
#[derive(Clone, Debug)]
struct Node<'a> {
    engine: &'a Engine,
    used: Resources,
    total: Resources,
    /// All its containers in any state, and the pending ones.
    containers: usize,
    /// What is reserved on it and not in the view yet.
    pending: Vec<&'a Request>,
}

impl Scheduler {
    /// A scheduler without reservations. `overcommit` is the percentage by which memory and CPUs may be promised
    /// beyond what there is (see [`overcommit_percent`]); `random` is what the strategy of that name draws from.
    #[must_use]
    pub fn new(strategy: Strategy, filters: Vec<Filter>, overcommit: i64, random: Random) -> Self {
        Self {
            strategy,
            filters,
            overcommit,
            random,
            reservations: BTreeMap::new(),
            next: 0,
        }
    }

    /// The strategy.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The filters in the order they are applied.
    #[must_use]
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The overcommit percentage.
    #[must_use]
    pub fn overcommit(&self) -> i64 {
        self.overcommit
    }

    /// Ranks the engines for `request`.
    ///
    /// # Errors
    /// [`PlaceError`] when no engine can take it. Whether the name is free is not looked at.
    pub fn rank<'a>(
        &mut self,
        cluster: &'a Cluster,
        request: &Request,
    ) -> Result<Ranking<'a>, PlaceError> {
        self.check_filters(request)?;
        let engines: Vec<&Engine> = cluster.in_order().collect();
        let nodes = nodes(cluster, &engines, &self.reservations, self.overcommit);
        if nodes.is_empty() {
            return Err(PlaceError::NoEngines);
        }
        let scene = Scene {
            cluster,
            request,
            bound: dependency::bound(&nodes, request),
        };
        let (mut drained, mut refused, mut full) = (Vec::new(), Vec::new(), Vec::new());
        let wishes = self.has_wishes(request);
        let filters: Vec<(usize, Filter)> = self
            .filters
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, filter)| filter.concerns(request))
            .collect();
        let mut ranked = Vec::with_capacity(nodes.len());
        for (at, node) in nodes.iter().enumerate() {
            if cluster.is_drained(node.engine) {
                drained.push(node.refusal(format!("engine {} is drained", node.engine.name())));
                continue;
            }
            if let Some(refusal) = refusal(&filters, node, &scene) {
                refused.push(refusal);
                continue;
            }
            match self.strategy.weight(node, request) {
                Ok(weight) => ranked.push(Ranked {
                    at,
                    weight,
                    containers: node.containers,
                    unmet: match wishes {
                        true => self.wishes_unmet(node, request),
                        false => Vec::new(),
                    },
                }),
                Err(reason) => full.push(node.refusal(reason)),
            }
        }
        // As if one filter after the other had looked at all engines.
        refused.sort_by_key(|(at, _)| *at);
        let last = refused.last().map(|(at, _)| *at);
        let no_room = !full.is_empty();
        let refused: Vec<Refusal> = drained
            .into_iter()
            .chain(refused.into_iter().map(|(_, refusal)| refusal))
            .chain(full)
            .collect();
        if ranked.is_empty() {
            return Err(match last {
                _ if no_room => PlaceError::NoResources(refused),
                Some(at) => self.none_left(at, request, refused),
                None => PlaceError::NoHealthy(refused),
            });
        }
        self.strategy.order(&mut ranked, &mut self.random);
        // The nodes borrow from the reservations too: what is handed out must not.
        let candidate = |one: Ranked| {
            let engine = engines.get(one.at)?;
            Some(Candidate {
                address: &engine.address,
                name: engine.name(),
                weight: one.weight,
                containers: one.containers,
            })
        };
        let ranked = ranked.into_iter().filter_map(candidate).collect();
        Ok(Ranking { ranked, refused })
    }

    /// Ranks the engines and reserves name and resources on the best one.
    ///
    /// # Errors
    /// [`PlaceError`] when the name is taken or no engine can take the container.
    pub fn reserve<'a>(
        &mut self,
        cluster: &'a Cluster,
        request: Request,
    ) -> Result<(ReservationId, Ranking<'a>), PlaceError> {
        self.check_name(cluster, &request)?;
        let ranking = self.rank(cluster, &request)?;
        let best = ranking.ranked.first();
        let address = best.map(|best| HostPort::clone(best.address));
        Ok((self.keep(Reservation { request, address }), ranking))
    }

    /// Reserves a name alone, as a rename needs it.
    ///
    /// # Errors
    /// [`PlaceError::Conflict`] when it is taken.
    pub fn reserve_name(
        &mut self,
        cluster: &Cluster,
        name: &str,
    ) -> Result<ReservationId, PlaceError> {
        let request = Request {
            name: bare(name).to_owned(),
            ..Request::default()
        };
        self.check_name(cluster, &request)?;
        Ok(self.keep(Reservation {
            request,
            address: None,
        }))
    }

    /// Moves a reservation to another engine of its ranking.
    pub fn move_to(&mut self, id: ReservationId, address: &HostPort) {
        if let Some(reservation) = self.reservations.get_mut(&id) {
            reservation.address = Some(address.clone());
        }
    }

    /// Gives a reservation up: the container is in the view, or will never be.
    pub fn release(&mut self, id: ReservationId) {
        self.reservations.remove(&id);
    }

    /// Reservations held.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.reservations.len()
    }

    /// An empty name is always free.
    fn check_name(&self, cluster: &Cluster, request: &Request) -> Result<(), PlaceError> {
        let name = bare(&request.name);
        let pending = || {
            self.reservations
                .values()
                .any(|reservation| reservation.request.name == name)
        };
        let holds = |(engine, container): (&Engine, &Container)| {
            !request.replaces.iter().any(|id| **id == *container.id)
                && !cluster.is_left_behind(engine, container)
        };
        if !name.is_empty() && (cluster.named(name).any(holds) || pending()) {
            return Err(PlaceError::Conflict(name.to_owned()));
        }
        Ok(())
    }

    fn keep(&mut self, reservation: Reservation) -> ReservationId {
        let id = ReservationId(self.next);
        self.next += 1;
        self.reservations.insert(id, reservation);
        id
    }

    /// An expression that nobody looks at would let the container go anywhere.
    fn check_filters(&self, request: &Request) -> Result<(), PlaceError> {
        let off = Filter::ALL
            .into_iter()
            .filter(|filter| !self.filters.contains(filter));
        for filter in off {
            let mut hard = filter
                .of(&request.expressions)
                .iter()
                .filter(|one| !one.soft);
            if let Some(one) = hard.next() {
                return Err(PlaceError::FilterOff {
                    filter,
                    expression: format!("{filter}:{one}"),
                });
            }
        }
        Ok(())
    }

    /// The error when the filter at this place has left no engine.
    fn none_left(&self, at: usize, request: &Request, refused: Vec<Refusal>) -> PlaceError {
        if self.filters.get(at) == Some(&Filter::Health) {
            return PlaceError::NoHealthy(refused);
        }
        let asked = self.filters.iter().take(at + 1);
        PlaceError::Unsatisfied {
            conditions: asked.map(|filter| filter.conditions(request)).collect(),
            refused,
        }
    }

    fn has_wishes(&self, request: &Request) -> bool {
        let of = |filter: &Filter| filter.of(&request.expressions).iter();
        self.filters.iter().flat_map(of).any(|one| one.soft)
    }

    fn wishes_unmet(&self, node: &Node<'_>, request: &Request) -> Vec<bool> {
        let filters = self.filters.iter();
        filters
            .flat_map(|filter| filter.wishes_unmet(node, request))
            .collect()
    }
}

/// The first filter that drops the engine, by its place, and why.
fn refusal(
    filters: &[(usize, Filter)],
    node: &Node<'_>,
    scene: &Scene<'_>,
) -> Option<(usize, Refusal)> {
    filters.iter().find_map(|(at, filter)| {
        let reason = filter.refuses(node, scene)?;
        Some((*at, node.refusal(reason)))
    })
}

/// The validated engines by name and address, with what is reserved on each and not in the view yet counted as used.
fn nodes<'a>(
    cluster: &'a Cluster,
    engines: &[&'a Engine],
    reservations: &'a BTreeMap<ReservationId, Reservation>,
    overcommit: i64,
) -> Vec<Node<'a>> {
    let mut nodes: Vec<_> = engines
        .iter()
        .map(|engine| Node {
            engine,
            used: engine.used(),
            total: engine.total(overcommit),
            containers: engine.containers().len(),
            pending: Vec::new(),
        })
        .collect();
    for Reservation { request, address } in reservations.values() {
        let engine = address.as_ref().and_then(|address| cluster.engine(address));
        let seen = |engine: &&Engine| cluster.has_swarm_id(&engine.address, &request.swarm_id);
        let Some(engine) = engine.filter(|engine| !seen(engine)) else {
            continue;
        };
        let place = (engine.name(), &engine.address);
        let at =
            nodes.binary_search_by(|node| (node.engine.name(), &node.engine.address).cmp(&place));
        if let Some(node) = at.ok().and_then(|at| nodes.get_mut(at)) {
            node.used = node.used.plus(request.resources);
            node.containers += 1;
            node.pending.push(request);
        }
    }
    nodes
}

impl<'a> Node<'a> {
    fn refusal(&self, reason: String) -> Refusal {
        Refusal {
            address: self.engine.address.clone(),
            name: self.engine.name().to_owned(),
            reason,
        }
    }

    fn label(&self, key: &str) -> Option<&'a str> {
        let specs = self.engine.specs.as_ref()?;
        specs.labels.get(key).map(String::as_str)
    }
}

/// `swarm.overcommit=0.05` as whole percent, cut off as classic Swarm does (spec/classic.md section 5.5).
#[must_use]
pub fn overcommit_percent(ratio: f64) -> i64 {
    // Wide enough for every ratio that makes sense; the conversion saturates, and NaN is 0.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "cutting the fraction off is the rule, and the range is clamped"
    )]
    let percent = (ratio * 100.0).clamp(-100.0, 1e9) as i64;
    percent
}
