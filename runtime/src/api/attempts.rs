//! Where a create is tried: on the engines placement likes best, and again when an engine refuses it
//! (spec/classic.md section 5.6).

use http::StatusCode;
use swarm_core::address::HostPort;
use swarm_core::cluster::Reference;
use swarm_core::scheduler::{self, Operator};
use swarm_core::testbed::{Mark, reach};

use super::Api;
use super::answer::{ApiError, message_in};
use super::containers::Reserved;
use super::create::{Finished, created};
use super::engine::Target;
use super::plan::Plan;

/// How many engines are tried when they cannot be reached.
const ENGINES_MAX: usize = 3;

impl Api {
    /// Creates the container somewhere, unless an earlier attempt at the same create has.
    pub(super) async fn create(&self, plan: &Plan) -> Result<Finished, ApiError> {
        if let Some(made) = self.made_before(plan).await? {
            reach(Mark::KeyFound);
            return Ok(created(&made));
        }
        let mut tried = Vec::new();
        let mut finished = self.attempt(plan, &plan.request, &mut tried).await?;
        let mut retries = self.settings.create_retry;
        if lacks_image(&finished)
            && let Some(request) = self.beside_image(plan)
        {
            retries = retries.saturating_sub(1);
            finished = self.again(plan, &request, finished, &mut tried).await?;
        }
        while retries > 0
            && let Some(reason) = refusal(&finished)
        {
            retries -= 1;
            tracing::warn!(request = %plan.id, "Failed to create container: {reason}, retrying");
            finished = self
                .again(plan, &plan.request, finished, &mut tried)
                .await?;
        }
        Ok(finished)
    }

    /// One more attempt. `before`, an engine's refusal, stays the answer when there is nowhere else to go.
    async fn again(
        &self,
        plan: &Plan,
        request: &scheduler::Request,
        before: Finished,
        tried: &mut Vec<HostPort>,
    ) -> Result<Finished, ApiError> {
        match self.attempt(plan, request, tried).await {
            // Whether that one was carried out is not known.
            Err(unclear @ ApiError::Refused(StatusCode::BAD_GATEWAY, _)) => Err(unclear),
            Err(ApiError::Refused(..)) => Ok(before),
            Err(closed @ ApiError::NotDispatched(_)) => Err(closed),
            Ok(finished) => Ok(finished),
        }
    }

    /// Places the container and creates it on the first engine that can be reached. Engines that refused it before come
    /// last: classic Swarm went back to the same one (defect S4).
    async fn attempt(
        &self,
        plan: &Plan,
        request: &scheduler::Request,
        tried: &mut Vec<HostPort>,
    ) -> Result<Finished, ApiError> {
        let (reserved, engines) = self.reserve(request, tried)?;
        let mut last = None;
        for address in &engines {
            self.scheduler().move_to(reserved.id, address);
            let target = {
                let cluster = self.fleet.cluster().read();
                match cluster.engine(address) {
                    Some(engine) => Target::of(&cluster, engine, plan.version),
                    None => continue,
                }
            };
            match self.create_on(&target, plan).await {
                // Certainly not carried out there: the next engine may take it.
                Err(ApiError::Refused(status @ StatusCode::SERVICE_UNAVAILABLE, message)) => {
                    last = Some(ApiError::Refused(status, message));
                }
                // The connection broke halfway: the engine knows what came of it.
                Err(ApiError::Refused(StatusCode::BAD_GATEWAY, message)) => {
                    return match self.made_on(&target, plan).await {
                        Ok(Some(made)) => {
                            self.see(&target, plan, &made).await?;
                            Ok(created(&made))
                        }
                        Ok(None) | Err(_) => {
                            Err(ApiError::Refused(StatusCode::BAD_GATEWAY, message))
                        }
                    };
                }
                done => {
                    tried.push(target.address);
                    return done;
                }
            }
        }
        Err(last.unwrap_or_else(|| {
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the engines chosen have been removed; the container was not created",
            )
        }))
    }

    /// A reservation, and the engines to try in this order.
    fn reserve(
        &self,
        request: &scheduler::Request,
        tried: &[HostPort],
    ) -> Result<(Reserved<'_>, Vec<HostPort>), ApiError> {
        let mut scheduler = self.scheduler();
        let cluster = self.fleet.cluster().read();
        let (id, ranking) = scheduler.reserve(&cluster, request.clone())?;
        let addresses = ranking.ranked.iter().map(|candidate| candidate.address);
        let (again, new): (Vec<_>, Vec<_>) = addresses.partition(|one| tried.contains(one));
        let best = new.into_iter().chain(again).take(ENGINES_MAX);
        Ok((Reserved { api: self, id }, best.cloned().collect()))
    }

    /// The request, bound to the engines that have the image, if there are any and the user has not chosen an engine:
    /// one that was built here is in no registry.
    fn beside_image(&self, plan: &Plan) -> Option<scheduler::Request> {
        let mut constraints = plan.request.expressions.constraints.iter();
        let chosen = |one: &scheduler::Expression| {
            !one.soft && one.key == "node" && one.operator == Operator::Equal
        };
        if constraints.any(chosen) {
            return None;
        }
        let reference = Reference::parse(&plan.image);
        let separator = if plan.image.contains('@') { '@' } else { ':' };
        let suffix = reference.suffix.unwrap_or("latest");
        let image = format!("{}{separator}{suffix}", reference.repository());
        if self.fleet.cluster().read().image_holders(&image).is_empty() {
            return None;
        }
        let mut request = plan.request.clone();
        let affinity = format!("image=={image}").parse().ok()?;
        request.expressions.affinities.push(affinity);
        Some(request)
    }
}

/// What an engine refused for that another engine, or the same one a moment later, may not refuse for.
fn refusal(finished: &Finished) -> Option<String> {
    match finished {
        Finished::Engine(_, status, text)
            if status.is_server_error() || *status == StatusCode::NOT_FOUND =>
        {
            Some(message_in(text))
        }
        Finished::Engine(..) | Finished::Refused(..) | Finished::NotDispatched => None,
    }
}

/// Whether an engine refused because it has not got the image; other things can be missing too.
pub(super) fn lacks_image(finished: &Finished) -> bool {
    match finished {
        Finished::Engine(_, StatusCode::NOT_FOUND, text) => message_in(text)
            .to_ascii_lowercase()
            .contains("no such image"),
        Finished::Engine(..) | Finished::Refused(..) | Finished::NotDispatched => false,
    }
}
