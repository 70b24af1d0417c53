//! One connection of a client: its session, its requests in order, and what its watches tell.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use swarm_core::time::Mono;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Server;
use super::faults::{Outage, Watches};
use super::jute::{self, Code, Garbled, Hello, Request};
use super::server::Failure;
use super::state::{Change, Event, Failed, Outcome, State};
use crate::changes::Changes;
use crate::{BoxFuture, BoxIo};

/// Serves one connection until it ends or the server does.
pub(super) async fn serve(server: Server, io: BoxIo) {
    let ends = server.clone();
    tokio::select! {
        biased;
        () = ends.ended() => {}
        // What went wrong on the connection is the client's to notice.
        () = converse(server, io) => {}
    }
}

async fn converse(server: Server, mut io: BoxIo) {
    let mut received = BytesMut::new();
    let hello = loop {
        match jute::take_message(&mut received) {
            Ok(Some(message)) => break message,
            Ok(None) => {}
            Err(Garbled) => return,
        }
        match io.read_buf(&mut received).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    };
    server.awake().await;
    let Ok(hello) = jute::read_hello(hello) else {
        return;
    };
    let Some((session, welcome)) = greet(&server, &hello).await else {
        return;
    };
    if io.write_all(&welcome).await.is_err() {
        return;
    }
    if let Some(session) = session {
        let told = server.cluster.lock().applied(server.id);
        let connection = Connection {
            changes: server.cluster.changes(),
            server,
            io,
            received,
            session,
            told,
            watches: BTreeSet::new(),
            child_watches: BTreeSet::new(),
        };
        connection.run().await;
    }
}

/// The session of whoever says hello, if there is one, and what is answered. `None` closes the connection.
async fn greet(server: &Server, hello: &Hello) -> Option<(Option<i64>, Bytes)> {
    // Who has seen more must not be shown less (`ZooKeeperServer.processConnectRequest`).
    if hello.last_zxid > server.cluster.lock().shown(server.id).zxid() {
        return None;
    }
    server.cluster.count("connect");
    // Sessions begin, and move, with the leader's word.
    server.reach_leader().await;
    let options = &server.cluster.options;
    let now = server.now();
    Some(server.cluster.change(|inner| {
        if hello.session == 0 {
            let (id, session) = inner.begin(now, server.id, hello.timeout_ms, options);
            let welcome = jute::welcome(Some((id, session.timeout_ms, &session.password)));
            return (Some(id), welcome);
        }
        let known = inner.state().session(hello.session).cloned();
        let Some(session) = known.filter(|session| session.password == hello.password) else {
            return (None, jute::welcome(None));
        };
        inner.settle(hello.session, server.id);
        inner.touch(now, hello.session, options.tick);
        let welcome = jute::welcome(Some((hello.session, session.timeout_ms, &session.password)));
        (Some(hello.session), welcome)
    }))
}

struct Connection {
    server: Server,
    io: BoxIo,
    received: BytesMut,
    session: i64,
    changes: Changes,
    /// How many transactions its watches have been told of.
    told: u64,
    /// Paths whose data or being there is watched.
    watches: BTreeSet<String>,
    child_watches: BTreeSet<String>,
}

/// A request that was carried out as far as nothing has to be shown.
enum Carried {
    /// This is answered as it is.
    Answered(Bytes),
    /// It is answered from what the server shows now.
    Look(i32, Request),
    /// This is the last answer.
    Last(Bytes),
}

impl Connection {
    /// Works until the connection ends.
    async fn run(mut self) {
        let mut at_work: Option<BoxFuture<Result<Carried, Failure>>> = None;
        loop {
            // Before any answer that shows what they tell of.
            let Some(next) = self.tell().await else {
                return;
            };
            if at_work.is_none() {
                match self.next_request() {
                    Ok(Some((xid, request))) => {
                        let server = self.server.clone();
                        let session = self.session;
                        at_work = Some(Box::pin(carry_out(server, session, xid, request)));
                    }
                    Ok(None) => {}
                    Err(Garbled) => return,
                }
            }
            let carried = match &mut at_work {
                Some(work) => {
                    tokio::select! {
                        biased;
                        carried = work => carried,
                        () = self.changes.next(next) => continue,
                    }
                }
                None => {
                    tokio::select! {
                        biased;
                        read = self.io.read_buf(&mut self.received) => match read {
                            Ok(0) | Err(_) => return,
                            Ok(_) => continue,
                        },
                        () = self.changes.next(next) => continue,
                    }
                }
            };
            at_work = None;
            if self.answer(carried).await.is_none() {
                return;
            }
        }
    }

    /// Takes a request off what was received; it shows that the session lives.
    fn next_request(&mut self) -> Result<Option<(i32, Request)>, Garbled> {
        let cluster = &self.server.cluster;
        if self.server.fault(|faults| faults.outage) == Outage::Hung {
            return Ok(None);
        }
        let Some(message) = jute::take_message(&mut self.received)? else {
            return Ok(None);
        };
        let now = self.server.now();
        {
            let mut inner = cluster.lock();
            if inner.reachable_leader(self.server.id).is_some() {
                inner.touch(now, self.session, cluster.options.tick);
            }
        }
        jute::read_request(message, self.session).map(Some)
    }

    /// `None` when the connection ends.
    async fn answer(&mut self, carried: Result<Carried, Failure>) -> Option<()> {
        // A server that was paused meanwhile does not answer before it goes on.
        self.server.awake().await;
        let message = match carried {
            Ok(Carried::Answered(message)) => message,
            Ok(Carried::Look(xid, request)) => {
                self.tell().await?;
                self.look(xid, request)
            }
            Ok(Carried::Last(message)) => {
                self.io.write_all(&message).await.ok();
                return None;
            }
            Err(Failure::Silence) => {
                // The client has the last word.
                while self
                    .io
                    .read_buf(&mut self.received)
                    .await
                    .is_ok_and(|read| read > 0)
                {}
                return None;
            }
            Err(Failure::Cut | Failure::Code(_)) => return None,
        };
        self.tell().await?;
        self.io.write_all(&message).await.ok()
    }

    /// Answers from what the server shows, and watches it.
    fn look(&mut self, xid: i32, request: Request) -> Bytes {
        let state: Arc<State> = self.server.cluster.lock().shown(self.server.id);
        let zxid = state.zxid();
        let none = || jute::bare(xid, zxid, Code::NO_NODE);
        match request {
            Request::Exists { path, watch } => {
                let found = state.get(&path);
                // Also of what is not there yet.
                if watch {
                    self.watches.insert(path);
                }
                found.map_or_else(none, |node| jute::stat(xid, zxid, node))
            }
            Request::Get { path, watch } => {
                let Some(node) = state.get(&path) else {
                    return none();
                };
                if watch {
                    self.watches.insert(path);
                }
                jute::data(xid, zxid, node)
            }
            Request::Children { path, watch } => {
                let Some(node) = state.get(&path) else {
                    return none();
                };
                if watch {
                    self.child_watches.insert(path);
                }
                jute::children(xid, zxid, node)
            }
            Request::Ping => jute::bare(xid, zxid, Code::OK),
            Request::Write(_)
            | Request::Multi(_)
            | Request::Auth
            | Request::Close
            | Request::Unknown => jute::bare(xid, zxid, Code::UNIMPLEMENTED),
        }
    }

    /// Tells watches of what the server has applied. When to do so again; `None` when the connection ends.
    async fn tell(&mut self) -> Option<Option<Mono>> {
        let (messages, next) = self.news()?;
        for message in messages {
            self.io.write_all(&message).await.ok()?;
        }
        Some(next)
    }

    fn news(&mut self) -> Option<(Vec<Bytes>, Option<Mono>)> {
        let cluster = Arc::clone(&self.server.cluster);
        let now = self.server.now();
        let inner = cluster.lock();
        let faults = inner.faults(self.server.id);
        let applied = inner.applied(self.server.id);
        let mut messages = Vec::new();
        if faults.outage == Outage::Hung || faults.watches == Watches::Stuck {
            return Some((messages, None));
        }
        while self.told < applied {
            // Of what is forgotten nobody can be told: as good as another server.
            let transaction = inner.transaction(self.told + 1)?;
            match faults.watches {
                Watches::Late(by) if transaction.at + by > now => {
                    return Some((messages, Some(transaction.at + by)));
                }
                Watches::Working | Watches::Late(_) => {
                    for (event, path) in &transaction.news {
                        if self.is_due(*event, path) {
                            messages.push(jute::event(*event, path));
                        }
                    }
                }
                Watches::Dropped | Watches::Stuck => {}
            }
            self.told += 1;
        }
        Some((messages, inner.applies_next(self.server.id)))
    }

    /// Whether somebody watches for this, who does so no longer then.
    fn is_due(&mut self, event: Event, path: &str) -> bool {
        match event {
            Event::Created | Event::Changed => self.watches.remove(path),
            Event::Children => self.child_watches.remove(path),
            Event::Deleted => self.watches.remove(path) | self.child_watches.remove(path),
        }
    }
}

/// Does what is asked, but for what shows something: that is looked at when its turn to be answered has come.
async fn carry_out(
    server: Server,
    session: i64,
    xid: i32,
    request: Request,
) -> Result<Carried, Failure> {
    server.awake().await;
    server.cluster.count(request.name());
    let zxid = || server.cluster.lock().shown(server.id).zxid();
    if !matches!(request, Request::Ping | Request::Auth) {
        let refuse = server.fault(|faults| faults.refuse);
        let refused = refuse.and_then(|refuse| refuse.to(request.writes()));
        match refused.map(Failure::from) {
            Some(Failure::Code(code)) => {
                return Ok(Carried::Answered(jute::bare(xid, zxid(), code)));
            }
            Some(failure) => return Err(failure),
            None => {}
        }
    }
    match request {
        Request::Write(change) => {
            let written = commit(&server, session, vec![change]).await;
            answered(&server, xid, written, |zxid, outcome| match outcome {
                Ok(done) => done
                    .first()
                    .map_or_else(Bytes::new, |done| jute::done(xid, zxid, done)),
                Err(Failed { code, .. }) => jute::bare(xid, zxid, code),
            })
        }
        Request::Multi(changes) => {
            let steps = changes.len();
            let written = commit(&server, session, changes).await;
            answered(&server, xid, written, |zxid, outcome| {
                jute::transaction(xid, zxid, steps, &outcome)
            })
        }
        Request::Close => {
            let ended = server.write(session, true, move |inner, now| inner.end(now, session));
            ended.await?;
            Ok(Carried::Last(jute::bare(xid, zxid(), Code::OK)))
        }
        Request::Auth => Ok(Carried::Answered(jute::bare(xid, 0, Code::OK))),
        Request::Unknown => Ok(Carried::Last(jute::bare(xid, -1, Code::UNIMPLEMENTED))),
        Request::Exists { .. } | Request::Get { .. } | Request::Children { .. } => {
            server
                .sleep(server.fault(|faults| faults.before_read))
                .await;
            Ok(Carried::Look(xid, request))
        }
        Request::Ping => Ok(Carried::Look(xid, request)),
    }
}

/// The number of the transaction, and what became of it.
async fn commit(
    server: &Server,
    session: i64,
    changes: Vec<Change>,
) -> Result<(i64, Outcome), Failure> {
    let is_change = !jute::only_checks(&changes);
    let committing = server.write(session, is_change, move |inner, now| {
        let outcome = inner.commit(now, &changes);
        (inner.state().zxid(), outcome)
    });
    committing.await
}

fn answered(
    server: &Server,
    xid: i32,
    written: Result<(i64, Outcome), Failure>,
    write: impl FnOnce(i64, Outcome) -> Bytes,
) -> Result<Carried, Failure> {
    match written {
        Ok((zxid, outcome)) => Ok(Carried::Answered(write(zxid, outcome))),
        Err(Failure::Code(code)) => {
            let zxid = server.cluster.lock().state().zxid();
            Ok(Carried::Answered(jute::bare(xid, zxid, code)))
        }
        Err(failure) => Err(failure),
    }
}
