//! Watches: a stream of messages, from a revision on (etcd.io/docs/v3.4/learning/api, "Watch API").

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use swarm_core::time::Mono;

use super::Server;
use super::faults::{Outage, Refusal, Watches};
use super::http::wire;
use super::state::Span;
use crate::changes::Changes;

/// Elections that a member may be without a leader before it ends the watches of those who need one
/// (`maxNoLeaderCnt` in `etcdserver/api/v3rpc/interceptor.go`).
const ELECTIONS_WITHOUT_LEADER: u32 = 3;

/// One open watch.
pub(super) struct Watch {
    server: Server,
    changes: Changes,
    span: Span,
    /// The first revision not yet told.
    next: u64,
    requires_leader: bool,
    leaderless_since: Option<Mono>,
    lines: VecDeque<Bytes>,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It tells of changes.
    Open,
    /// It was canceled: the stream stays open and has nothing more to tell.
    Canceled,
    /// The stream ends.
    Over,
}

/// What a watch does next.
enum Turn {
    /// It says this, so much later.
    Say(Bytes, Duration),
    /// Nothing happens before this time, unless something changes.
    Wait(Option<Mono>),
}

impl Watch {
    /// A watch of `span` from revision `start` on; 0 is from now on.
    pub(super) fn open(server: &Server, span: Span, start: u64, requires_leader: bool) -> Self {
        let changes = server.cluster.changes();
        let inner = server.cluster.lock();
        let next = match start {
            0 => inner.state.revision() + 1,
            start => start,
        };
        let created = wire::created(&wire::Header::of(&inner, server.id));
        drop(inner);
        Self {
            server: server.clone(),
            changes,
            span,
            next,
            requires_leader,
            leaderless_since: None,
            lines: VecDeque::from([created]),
            standing: Standing::Open,
        }
    }

    /// The next message, when there is one; `None` at the end of the stream.
    pub(super) async fn step(mut self) -> Option<(Bytes, Self)> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some((line, self));
            }
            if self.standing == Standing::Over {
                return None;
            }
            match self.turn() {
                Turn::Say(line, later) => {
                    self.server.sleep(later).await;
                    self.server.awake().await;
                    self.lines.push_back(line);
                }
                Turn::Wait(until) => self.changes.next(until).await,
            }
        }
    }

    fn turn(&mut self) -> Turn {
        let cluster = self.server.cluster.clone();
        let now = cluster.host.mono();
        let inner = cluster.lock();
        let faults = inner.faults(self.server.id);
        if faults.outage == Outage::Hung {
            return Turn::Wait(None);
        }
        let header = wire::Header::of(&inner, self.server.id);
        if inner.leader_of(self.server.id).is_some() {
            self.leaderless_since = None;
        } else {
            // Whoever has no leader hears of no changes.
            let since = *self.leaderless_since.get_or_insert(now);
            let patience = cluster.options.election_timeout * ELECTIONS_WITHOUT_LEADER;
            if !self.requires_leader || now < since + patience {
                return Turn::Wait(self.requires_leader.then_some(since + patience));
            }
            self.standing = Standing::Over;
            return Turn::Say(
                wire::stream_error(&Refusal::NoLeader.into()),
                Duration::ZERO,
            );
        }
        if self.standing == Standing::Canceled {
            return Turn::Wait(None);
        }
        if self.next < inner.state.compacted() {
            self.standing = Standing::Canceled;
            let line = wire::compacted(&header, inner.state.compacted());
            return Turn::Say(line, Duration::ZERO);
        }
        let later = match faults.watches {
            Watches::Working => Duration::ZERO,
            Watches::Late(by) => by,
            Watches::Stuck => return Turn::Wait(None),
            Watches::Dropped => {
                self.next = self.next.max(inner.state.revision() + 1);
                return Turn::Wait(None);
            }
        };
        let events = inner.state.changes(&self.span, self.next);
        self.next = self.next.max(inner.state.revision() + 1);
        if events.is_empty() {
            return Turn::Wait(None);
        }
        Turn::Say(wire::changed(&header, &events), later)
    }
}
