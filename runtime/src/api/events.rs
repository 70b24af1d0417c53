//! `GET /events` over all engines (spec/classic.md section 4.8, with `since`, `until` and `filters` honoured).
//!
//! New events come from the manager's own streams: after the view has taken them in, and in each engine's order.
//! What happened before this manager looked is asked of the engines themselves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use swarm_core::address::HostPort;
use swarm_core::api::Query;
use swarm_core::cluster::EventQuery;
use swarm_core::engine::{Event, Node};
use swarm_core::time::{Mono, Wall, nanos};

use super::answer::{Answer, ApiError, json_text};
use super::engine::Target;
use super::join::join_all;
use super::lines::broken;
use super::{Api, Call};
use crate::engine::{Subscription, SubscriptionError};
use crate::http::Body;
use crate::http::body::{BodyError, Sender, channel};
use crate::platform::{BoxFuture, timeout};

/// What an engine's past events may take.
const PAST_BYTES_MAX: usize = 16 << 20;

/// How long engines may take to tell the past. One whose clock is behind ends its answer late: small differences are
/// not corrected ([`Specs::clock_offset`](swarm_core::cluster::Specs::clock_offset)).
const PAST_PATIENCE: Duration = Duration::from_secs(3);

/// Events that wait for a slow client; beyond that they wait in the log all clients share.
const QUEUE: usize = 64;

/// How far the past and the log may overlap: engines' clocks and the manager's differ, and the first look at the engines
/// takes its time.
const OVERLAP: Duration = Duration::from_secs(10);

/// Smaller differences between an engine's clock and the manager's are not corrected.
const CLOCKS_APART: Duration = Duration::from_secs(2);

impl Api {
    pub(super) fn events(self: Arc<Self>, call: Call) -> Answer {
        let query = EventQuery::parse(&call.request.query)?;
        // Engines' clocks differ: what is old is judged event by event.
        let looks_back = query.since.is_some() || query.heard_within.is_some();
        let live = self.fleet.subscribe(looks_back.then_some(Wall(0)));
        let (sender, body) = channel(QUEUE);
        let cancelled = call.cancelled;
        let platform = self.platform.clone();
        let task = async move {
            let ended = tokio::select! {
                biased;
                () = sender.closed() => return,
                () = cancelled => Err(BodyError::Aborted("another manager is the primary".to_owned())),
                ended = self.follow(&query, live, &sender) => ended,
            };
            match ended {
                Ok(()) => sender.finish(),
                Err(error) => sender.fail(error).await,
            }
        };
        platform.spawn("events", Box::pin(task));
        let mut response: Response<Body> = json_text(StatusCode::OK, "");
        *response.body_mut() = body;
        Ok(response)
    }

    /// Sends what the query wants until its end, or until the client is too slow.
    async fn follow(
        &self,
        query: &EventQuery,
        mut live: Subscription,
        sender: &Sender,
    ) -> Result<(), BodyError> {
        let mut seen = BTreeSet::new();
        let now = self.platform.mono();
        let around = query.heard_around.and_then(|time| live.heard_of(time));
        let around = around.map(|heard| ago(heard, OVERLAP));
        let within = query.heard_within.map(|within| ago(now, within));
        let heard_from = within.map(|within| around.map_or(within, |around| around.min(within)));
        if let Some(since) = self.since_before_looks(query, now) {
            for event in self.past(query, since, &live.remembered()).await {
                let sent = sender.send(line(&event)).await;
                seen.insert(event.raw);
                if sent.is_err() {
                    return Ok(());
                }
            }
        }
        let end = async {
            match query.until {
                Some(until) => {
                    let left = until.0.saturating_sub(self.platform.wall().0);
                    let at = self.platform.mono() + Duration::from_nanos(left);
                    self.platform.sleep_until(at).await;
                }
                None => std::future::pending().await,
            }
        };
        let mut end = std::pin::pin!(end);
        loop {
            // Events first: what is here already belongs to the answer of a query that ends now.
            let event = tokio::select! {
                biased;
                event = live.next() => event,
                () = &mut end => return Ok(()),
            };
            match event {
                Ok(event)
                    if heard_from.is_none_or(|from| event.heard >= from)
                        && query.wants(&event.event, self.clock_offset(&event.address))
                        && !seen.contains(&event.event.raw) =>
                {
                    if sender.send(line(&event.event)).await.is_err() {
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(SubscriptionError::Closed) => return Ok(()),
                Err(error @ SubscriptionError::Lagged { .. }) => {
                    return Err(BodyError::Aborted(error.to_string()));
                }
            }
        }
    }

    /// Since when events are wanted, if that is before this manager looked at every engine.
    fn since_before_looks(&self, query: &EventQuery, now: Mono) -> Option<Wall> {
        let since = match query.heard_within {
            Some(within) => {
                let here = Wall(self.started.0 + nanos(now.since(self.looks_since)));
                Some(Wall(here.0.saturating_sub(nanos(within + CLOCKS_APART))))
            }
            None => query.since,
        };
        since.filter(|since| *since < self.looks_at_all())
    }

    /// From then on nothing that happens is missed: a stream to each engine is opened some time after the start.
    fn looks_at_all(&self) -> Wall {
        Wall(self.started.0 + nanos(OVERLAP))
    }

    /// What the engines say happened before this manager looked, oldest first, each engine's own order kept; with
    /// the times on this manager's clock.
    ///
    /// From the first event of an engine that is `logged` on, the log tells.
    async fn past(
        &self,
        query: &EventQuery,
        since: Wall,
        logged: &BTreeSet<Arc<str>>,
    ) -> Vec<Event> {
        let until = self.looks_at_all().min(self.platform.wall());
        let until = query.until.map_or(until, |wanted| wanted.min(until));
        let targets: Vec<(Target, Node)> = {
            let cluster = self.fleet.cluster().read();
            cluster
                .validated()
                .filter(|engine| engine.is_healthy())
                .map(|engine| {
                    let node = Node {
                        name: engine.name().to_owned(),
                        id: engine.id().to_owned(),
                        addr: engine.address.to_string(),
                        ip: engine.ip_text(),
                    };
                    (Target::of(&cluster, engine, None), node)
                })
                .collect()
        };
        let asked: Vec<BoxFuture<'_, Vec<(Wall, Event)>>> = targets
            .iter()
            .map(|(target, node)| {
                Box::pin(self.past_of(target, node, (since, until), query))
                    as BoxFuture<'_, Vec<(Wall, Event)>>
            })
            .collect();
        let mut events: Vec<(Wall, Event)> = Vec::new();
        for own in join_all(asked).await {
            // An engine whose clock went back keeps its order all the same.
            let mut newest = Wall(0);
            let missed = own.into_iter();
            for (time, event) in missed.take_while(|(_, event)| !logged.contains(&event.raw)) {
                newest = newest.max(time);
                events.push((newest, event));
            }
        }
        events.sort_by_key(|(time, _)| *time);
        events.into_iter().map(|(_, event)| event).collect()
    }

    /// What one engine says; what it has said so far when it takes too long.
    async fn past_of(
        &self,
        target: &Target,
        node: &Node,
        (since, until): (Wall, Wall),
        query: &EventQuery,
    ) -> Vec<(Wall, Event)> {
        let offset = self.clock_offset(&target.address);
        let theirs = |time: Wall| Wall(time.0.saturating_add_signed(offset.saturating_neg()));
        let ours = |time: Wall| Wall(time.0.saturating_add_signed(offset));
        let span = Query::default()
            .with("since", &docker_seconds(theirs(since)))
            .with("until", &docker_seconds(theirs(until)));
        let mut events = Vec::new();
        let mut bytes = 0;
        let reading = async {
            let mut lines = self.lines(target, "/events", span.as_str()).await?;
            while let Some(line) = lines.next().await.map_err(|e| broken(target, &e))? {
                bytes += line.len();
                if bytes > PAST_BYTES_MAX {
                    break;
                }
                let event = std::str::from_utf8(&line).ok().map(Event::parse);
                let dressed = event.and_then(|event| event.ok()?.dressed(node).ok());
                events.extend(
                    dressed
                        .filter(|event| query.wants(event, offset))
                        .map(|event| (ours(event.time), event)),
                );
            }
            Ok::<(), ApiError>(())
        };
        match timeout(&*self.platform, PAST_PATIENCE, reading).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) => tracing::debug!(engine = %target.name, %error, "no past events"),
        }
        events
    }

    fn clock_offset(&self, engine: &HostPort) -> i64 {
        let cluster = self.fleet.cluster().read();
        let specs = cluster
            .engine(engine)
            .and_then(|engine| engine.specs.as_ref());
        specs.map_or(0, |specs| specs.clock_offset)
    }
}

fn ago(now: Mono, time: Duration) -> Mono {
    Mono(now.0.saturating_sub(nanos(time)))
}

fn line(event: &Event) -> String {
    format!("{}\n", event.raw)
}

/// A time as the command line writes it for engines.
fn docker_seconds(time: Wall) -> String {
    format!("{}.{:09}", time.seconds(), time.subsec_nanos())
}
