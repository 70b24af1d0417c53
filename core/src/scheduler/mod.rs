//! Where a new container goes (spec/classic.md section 5).
//!
//! Filters drop engines, the strategy ranks the rest; the answer is the whole ranking, so the next engine can be tried
//! when the first one fails. What has been placed but is not yet in the view is kept as a reservation until it is
//! released: memory, CPUs, a place in the count, and the name.

use std::collections::BTreeMap;

use crate::address::HostPort;
use crate::cluster::{Cluster, Engine, Resources, bare, human};
use crate::config::{self, Strategy};
use crate::rng::Random;

mod carriers;
mod filter;
mod strategy;
#[cfg(test)]
mod tests;

pub use carriers::first_expression;
pub use filter::Filter;

/// What is to be placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Wanted name without slash; empty to let the engine choose.
    pub name: String,
    /// The cluster-wide ID it will carry, by which its reservation is recognised in the view.
    pub swarm_id: String,
    /// Memory and CPUs it reserves.
    pub resources: Resources,
}

/// An engine that can take the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its address.
    pub address: HostPort,
    /// Its host name.
    pub name: String,
    /// What the strategy computed; lower is better under `spread`, higher under `binpack`, without meaning under
    /// `random`.
    pub weight: i64,
    /// Containers on it, pending ones included.
    pub containers: usize,
}

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

/// The outcome of one placement: best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// Engines to try, in this order.
    pub ranked: Vec<Candidate>,
    /// Engines left out.
    pub refused: Vec<Refusal>,
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
    /// None has enough left.
    #[error("no resources available to schedule container{}", reasons(.0))]
    NoResources(Vec<Refusal>),
    /// The name is in use or being used.
    #[error(
        "Conflict: The name {0} is already assigned. You have to delete (or rename) that container to be able to \
         assign {0} to a container again."
    )]
    Conflict(String),
}

/// How many engines an error explains.
const REASONS_MAX: usize = 10;

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
#[derive(Clone, Copy, Debug)]
struct Node<'a> {
    engine: &'a Engine,
    used: Resources,
    total: Resources,
    containers: usize,
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
    pub fn rank(&mut self, cluster: &Cluster, request: &Request) -> Result<Ranking, PlaceError> {
        let mut nodes = self.nodes(cluster);
        if nodes.is_empty() {
            return Err(PlaceError::NoEngines);
        }
        let mut refused = Vec::new();
        for filter in &self.filters {
            nodes = filter.apply(nodes, request, &mut refused);
            if nodes.is_empty() {
                return Err(filter.error(refused));
            }
        }
        let ranked = self
            .strategy
            .rank(&nodes, request, &mut self.random, &mut refused);
        if ranked.is_empty() {
            return Err(PlaceError::NoResources(refused));
        }
        Ok(Ranking { ranked, refused })
    }

    /// Ranks the engines and reserves name and resources on the best one.
    ///
    /// # Errors
    /// [`PlaceError`] when the name is taken or no engine can take the container.
    pub fn reserve(
        &mut self,
        cluster: &Cluster,
        request: Request,
    ) -> Result<(ReservationId, Ranking), PlaceError> {
        self.check_name(cluster, &request.name)?;
        let ranking = self.rank(cluster, &request)?;
        let address = ranking.ranked.first().map(|best| best.address.clone());
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
        self.check_name(cluster, name)?;
        let request = Request {
            name: bare(name).to_owned(),
            ..Request::default()
        };
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
    fn check_name(&self, cluster: &Cluster, name: &str) -> Result<(), PlaceError> {
        let name = bare(name);
        let pending = || {
            self.reservations
                .values()
                .any(|reservation| reservation.request.name == name)
        };
        if !name.is_empty() && (cluster.named(name).next().is_some() || pending()) {
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

    /// The validated engines, with what is reserved on each and not in the view yet counted as used.
    fn nodes<'a>(&self, cluster: &'a Cluster) -> Vec<Node<'a>> {
        let mut pending: BTreeMap<&HostPort, (Resources, usize)> = BTreeMap::new();
        for Reservation { request, address } in self.reservations.values() {
            let visible = || cluster.by_swarm_id(&request.swarm_id).is_some();
            if let Some(address) = address
                && !visible()
            {
                let (resources, count) = pending.entry(address).or_default();
                *resources = resources.plus(request.resources);
                *count += 1;
            }
        }
        cluster
            .validated()
            .map(|engine| {
                let (resources, count) = pending.get(&engine.address).copied().unwrap_or_default();
                Node {
                    engine,
                    used: engine.used().plus(resources),
                    total: engine.total(self.overcommit),
                    containers: engine.containers().len() + count,
                }
            })
            .collect()
    }
}

impl Node<'_> {
    fn refusal(&self, reason: String) -> Refusal {
        Refusal {
            address: self.engine.address.clone(),
            name: self.engine.name().to_owned(),
            reason,
        }
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

/// The configuration asks for something this version does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// `--filter`
    #[error("--filter {0} is not implemented by this version of swarm")]
    Filter(config::Filter),
}

impl TryFrom<config::Filter> for Filter {
    type Error = Unsupported;

    fn try_from(filter: config::Filter) -> Result<Self, Unsupported> {
        match filter {
            config::Filter::Health => Ok(Self::Health),
            config::Filter::Port
            | config::Filter::ContainerSlots
            | config::Filter::Dependency
            | config::Filter::Affinity
            | config::Filter::Constraint
            | config::Filter::Whitelist => Err(Unsupported::Filter(filter)),
        }
    }
}

/// `<amount> requested, <used> of <total> in use` for a refusal.
fn shortage(what: &str, wanted: u64, used: u64, total: u64, show: fn(u64) -> String) -> String {
    debug_assert!(wanted > 0, "nothing requested cannot be short");
    format!(
        "{what}: {} requested, {} of {} reserved",
        show(wanted),
        show(used),
        show(total)
    )
}

fn show_bytes(amount: u64) -> String {
    human::bytes(amount)
}
