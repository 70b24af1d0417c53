//! `GET /events`, which survives the primary it came from.

use std::sync::Arc;

use http::Response;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use swarm_core::proxy::Input;
use swarm_core::proxy::events::EventStream;
use swarm_core::testbed::{Mark, reach};

use super::attempt::Job;
use super::desk::{Attempt, Ticket};
use super::{Proxy, Settled};
use crate::http::body::{self, BodyError, Sender};
use crate::http::{Body, headers};

/// Pieces under way to the client.
const CAPACITY: usize = 16;

/// Passes a stream of events on, from one primary after the other.
pub(super) fn events(
    proxy: &Arc<Proxy>,
    ticket: Ticket,
    job: Job,
    attempt: Attempt,
    response: Response<Body>,
) -> Response<Body> {
    let (mut parts, source) = response.into_parts();
    headers::remove_hop_by_hop(&mut parts.headers);
    if !parts.status.is_success() {
        return Response::from_parts(parts, source);
    }
    parts.headers.remove(CONTENT_LENGTH);
    let (sink, passed_on) = body::channel(CAPACITY);
    let since = job.api.query.value("since");
    let wants_past = since.is_some_and(|since| !matches!(since.as_str(), "" | "0"));
    let follower = Follower {
        proxy: Arc::clone(proxy),
        ticket,
        stream: EventStream::new(job.arrived, wants_past),
        job,
        sink,
    };
    proxy
        .platform
        .spawn("proxy-events", Box::pin(follower.run(attempt, source)));
    Response::from_parts(parts, passed_on)
}

struct Follower {
    proxy: Arc<Proxy>,
    ticket: Ticket,
    job: Job,
    stream: EventStream,
    sink: Sender,
}

/// Why a stream stopped.
enum Stop {
    ClientLeft,
    End,
    Broken,
}

impl Follower {
    async fn run(mut self, mut attempt: Attempt, mut source: Body) {
        loop {
            match self.pass_on(&attempt, source).await {
                Stop::ClientLeft => return,
                Stop::End if self.is_bounded() => return self.sink.finish(),
                // An endless stream that ends is a primary that leaves.
                Stop::End | Stop::Broken => {}
            }
            let Some(resume) = self.stream.resume() else {
                return self
                    .fail("the primary left during a stream that cannot go on at another one")
                    .await;
            };
            self.job.resume = resume;
            let number = attempt.number;
            self.ticket.report(|id| Input::Interrupted {
                id,
                attempt: number,
            });
            let settled = tokio::select! {
                biased;
                () = self.sink.closed() => return,
                settled = self.proxy.settle(&mut self.ticket, &self.job) => settled,
            };
            match settled {
                Settled::Answered(next, response) if response.status().is_success() => {
                    reach(Mark::StreamResumed);
                    (attempt, source) = (next, response.into_body());
                }
                Settled::Answered(..) => {
                    return self.fail("the next primary refused the stream").await;
                }
                Settled::Refused(_) => {
                    return self.fail("no primary took the stream over in time").await;
                }
            }
        }
    }

    async fn pass_on(&mut self, attempt: &Attempt, mut source: Body) -> Stop {
        let mut closing = std::pin::pin!(self.proxy.connection_end(attempt));
        let mut out = Vec::new();
        loop {
            let frame = tokio::select! {
                biased;
                () = self.sink.closed() => return Stop::ClientLeft,
                () = closing.as_mut() => return Stop::Broken,
                frame = source.frame() => frame,
            };
            let data = match frame {
                None => return Stop::End,
                Some(Err(_)) => return Stop::Broken,
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            let now = self.proxy.platform.mono();
            self.stream.push(now, &data, &mut out);
            if !out.is_empty() && self.sink.send(std::mem::take(&mut out)).await.is_err() {
                return Stop::ClientLeft;
            }
        }
    }

    /// Whether the client asked for an end of the stream.
    fn is_bounded(&self) -> bool {
        let until = self.job.api.query.value("until");
        until.is_some_and(|until| !matches!(until.as_str(), "" | "0"))
    }

    async fn fail(self, why: &str) {
        self.sink.fail(BodyError::Aborted(why.to_owned())).await;
    }
}
