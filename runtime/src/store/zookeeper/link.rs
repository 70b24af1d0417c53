//! One connection to one server, on which a session lives: questions in order, answers, events, pings.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use swarm_core::address::HostPort;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::jute::{self, Op, Reply, Welcome};
use crate::platform::{BoxIo, SharedPlatform, timeout};

/// What comes before a connection is open is some 40 bytes.
const GREETING_BYTES_MAX: usize = 4 * 1024;

/// An open connection. Dropping the last handle closes it.
pub(super) struct Link {
    pub(super) server: HostPort,
    /// The session's number.
    pub(super) session: i64,
    /// Nodes belong to who logged in.
    owned: bool,
    /// Closed by taking it away.
    outgoing: Mutex<Option<mpsc::UnboundedSender<Bytes>>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    last_xid: i32,
    pending: BTreeMap<i32, oneshot::Sender<Reply>>,
    /// Who waits for a change, by path.
    watches: BTreeMap<String, Vec<oneshot::Sender<()>>>,
    /// Who waits for the end.
    closing: Vec<oneshot::Sender<()>>,
    /// Why it ended.
    closed: Option<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for anything: their channels end.
    fn close(&self, cause: &str) {
        let mut state = self.lock();
        let closed = state.closed.take();
        *state = State {
            closed: closed.or_else(|| Some(cause.to_owned())),
            ..State::default()
        };
    }

    fn deliver(&self, message: Bytes) -> Result<(), jute::Garbled> {
        let reply = Reply::read(message)?;
        match (reply.xid, reply.body) {
            (jute::XID_EVENT, Ok(body)) => {
                let path = jute::event_path(body)?;
                let waiting = self.lock().watches.remove(&path);
                for waiter in waiting.into_iter().flatten() {
                    let _ = waiter.send(());
                }
            }
            (jute::XID_EVENT | jute::XID_PING, _) => {}
            (xid, body) => {
                // Somebody who no longer waits.
                let asked = self.lock().pending.remove(&xid);
                let zxid = reply.zxid;
                if let Some(asked) = asked {
                    let _ = asked.send(Reply { xid, zxid, body });
                }
            }
        }
        Ok(())
    }
}

impl Link {
    /// Works on `io`, on which `welcome` has come.
    pub(super) fn start(
        platform: &SharedPlatform,
        io: BoxIo,
        server: HostPort,
        welcome: &Welcome,
        owned: bool,
    ) -> Arc<Self> {
        let (outgoing, messages) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let link = Self {
            server,
            session: welcome.session,
            owned,
            outgoing: Mutex::new(Some(outgoing)),
            shared: shared.clone(),
        };
        let silence = Duration::from_millis(welcome.timeout_ms.into());
        let kept = platform.clone();
        let work = async move {
            let cause = serve(&kept, io, messages, &shared, silence).await;
            tracing::debug!(cause, "A connection to ZooKeeper has ended");
            shared.close(&cause);
        };
        platform.spawn("zookeeper", Box::pin(work));
        Arc::new(link)
    }

    /// Asks; the answer comes through what is returned, which ends without one when the connection does.
    ///
    /// # Errors
    /// Why the connection has ended already.
    pub(super) fn ask(&self, op: &Op) -> Result<oneshot::Receiver<Reply>, String> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.shared.lock();
        let outgoing = self.outgoing();
        let (None, Some(outgoing)) = (&state.closed, outgoing.as_ref()) else {
            return Err(self.cause_in(&state));
        };
        state.last_xid = state.last_xid.checked_add(1).unwrap_or(1);
        let xid = state.last_xid;
        // Under the lock, so that the numbers go out in order.
        if outgoing.send(op.message(xid, self.owned)).is_err() {
            return Err(self.cause_in(&state));
        }
        state.pending.insert(xid, sender);
        Ok(receiver)
    }

    /// Completes at the next event at `path`, of a watch that is set afterwards, and when the connection ends.
    pub(super) fn event_at(&self, path: &str) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.shared.lock();
        if state.closed.is_none() {
            let waiting = state.watches.entry(path.to_owned()).or_default();
            waiting.retain(|waiter| !waiter.is_closed());
            waiting.push(sender);
        }
        receiver
    }

    /// Completes when the connection ends. Does not keep it open.
    pub(super) fn end(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.shared.lock();
        if state.closed.is_none() {
            state.closing.push(sender);
        }
        receiver
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared.lock().closed.is_some()
    }

    /// Why it ended.
    pub(super) fn cause(&self) -> String {
        self.cause_in(&self.shared.lock())
    }

    fn cause_in(&self, state: &State) -> String {
        let cause = state.closed.as_deref().unwrap_or("the connection broke");
        format!("{}: {cause}", self.server)
    }

    /// Ends it: nobody waits for its answers any more.
    pub(super) fn close(&self, cause: &str) {
        drop(self.outgoing().take());
        self.shared.close(cause);
    }

    fn outgoing(&self) -> MutexGuard<'_, Option<mpsc::UnboundedSender<Bytes>>> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns why it ended. `silence` is the session's timeout.
async fn serve(
    platform: &SharedPlatform,
    mut io: BoxIo,
    mut messages: mpsc::UnboundedReceiver<Bytes>,
    shared: &Shared,
    silence: Duration,
) -> String {
    let mut received = BytesMut::new();
    let third = silence / 3;
    let mut heard = platform.mono();
    let mut next_ping = heard + third;
    loop {
        let message = tokio::select! {
            biased;
            read = io.read_buf(&mut received) => {
                match read {
                    Ok(0) => return "the server closed the connection".to_owned(),
                    Ok(_) => heard = platform.mono(),
                    Err(error) => return error.to_string(),
                }
                None
            }
            message = messages.recv() => match message {
                Some(message) => Some(message),
                None => return "given up".to_owned(),
            },
            () = platform.sleep_until(next_ping) => {
                if platform.mono().since(heard) > third * 2 {
                    return "the server is silent".to_owned();
                }
                next_ping = platform.mono() + third;
                Some(jute::ping())
            }
        };
        if let Some(message) = message {
            match timeout(platform.as_ref(), third, io.write_all(&message)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return "the server takes nothing".to_owned(),
            }
        }
        if let Err(error) = deliver_all(&mut received, shared) {
            return error.to_string();
        }
    }
}

fn deliver_all(received: &mut BytesMut, shared: &Shared) -> Result<(), jute::Garbled> {
    while let Some(message) = jute::take_message(received)? {
        shared.deliver(message)?;
    }
    Ok(())
}

/// Starts a session on `io`, or resumes the one that is given.
///
/// # Errors
/// What the network or the server said.
pub(super) async fn greet(
    io: &mut BoxIo,
    timeout: Duration,
    resumed: Option<&Welcome>,
) -> Result<Welcome, String> {
    let (session, password) = match resumed {
        Some(welcome) => (welcome.session, welcome.password.as_ref()),
        None => (0, &[][..]),
    };
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    send(io, jute::hello(timeout_ms, session, password)).await?;
    Welcome::read(receive(io).await?).map_err(|error| error.to_string())
}

/// Logs in. A server of the digest scheme takes any password; a wrong one shows when a node is not ours.
///
/// # Errors
/// What the network or the server said.
pub(super) async fn log_in(io: &mut BoxIo, user: &str) -> Result<(), String> {
    send(io, jute::login(user)).await?;
    let reply = Reply::read(receive(io).await?).map_err(|error| error.to_string())?;
    match reply.body {
        Ok(_) if reply.xid == jute::XID_AUTH => Ok(()),
        Ok(_) => Err(jute::Garbled.to_string()),
        Err(code) => Err(code.to_string()),
    }
}

async fn send(io: &mut BoxIo, message: Bytes) -> Result<(), String> {
    io.write_all(&message)
        .await
        .map_err(|error| error.to_string())
}

async fn receive(io: &mut BoxIo) -> Result<Bytes, String> {
    let length = io.read_i32().await.map_err(closed)?;
    let mut message = match usize::try_from(length) {
        Ok(length) if length <= GREETING_BYTES_MAX => vec![0; length],
        Ok(_) | Err(_) => return Err(jute::Garbled.to_string()),
    };
    io.read_exact(&mut message).await.map_err(closed)?;
    Ok(message.into())
}

fn closed(error: io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        "the server closed the connection: it may have no quorum".to_owned()
    } else {
        error.to_string()
    }
}
