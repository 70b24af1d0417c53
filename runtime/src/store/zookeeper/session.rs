//! The session: one for a store, moved from server to server, replaced when it has ended.

use std::sync::Arc;
use std::time::Duration;

use swarm_core::address::HostPort;
use swarm_core::discovery::StoreUser;
use swarm_core::time::Mono;

use super::super::StoreError;
use super::jute::{Code, Op, Reply, Welcome};
use super::link::{self, Link};
use crate::http::Client;
use crate::platform::{SharedPlatform, timeout};

/// How long a server keeps a session that it hears nothing of, unless a registration asks for something else; classic
/// Swarm asked for the same. The lease does not depend on it.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Session {
    platform: SharedPlatform,
    client: Client,
    servers: Vec<HostPort>,
    user: Option<StoreUser>,
    /// Locked while a connection is made: two on one session would end each other.
    slot: tokio::sync::Mutex<Slot>,
}

struct Slot {
    /// The connection in use.
    link: Option<Arc<Link>>,
    /// The session to resume.
    resumed: Option<Welcome>,
    /// The server to connect to next, by position.
    next: usize,
    /// What servers are asked for.
    timeout: Duration,
}

/// How questions went unanswered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No server has received them.
    NotSent(StoreError),
    /// A server may have received them: the connection broke, or nothing came in time.
    Lost(StoreError),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(error) | Failure::Lost(error) => error,
        }
    }
}

/// Answers, and the connection they came on.
pub(super) struct Answered {
    pub(super) replies: Vec<Reply>,
    pub(super) link: Arc<Link>,
}

impl Session {
    pub(super) fn new(
        platform: SharedPlatform,
        client: Client,
        servers: Vec<HostPort>,
        user: Option<StoreUser>,
    ) -> Self {
        // As clients of ZooKeeper do, so that not all are at the first server.
        let count = u64::try_from(servers.len()).unwrap_or(1);
        let first = platform.random("zookeeper").below(count.max(1));
        let next = usize::try_from(first).unwrap_or(0);
        let slot = Slot {
            link: None,
            resumed: None,
            next,
            timeout: TIMEOUT,
        };
        Self {
            platform,
            client,
            servers,
            user,
            slot: tokio::sync::Mutex::new(slot),
        }
    }

    pub(super) fn platform(&self) -> &SharedPlatform {
        &self.platform
    }

    /// The moment at which something that starts now and may take `limit` has to end.
    pub(super) fn deadline(&self, limit: Duration) -> Mono {
        self.platform.mono() + limit
    }

    /// Asks all of `ops` on one connection, in their order. With `repeatable` a second server is asked when the first
    /// does not answer in half the time.
    pub(super) async fn ask(
        &self,
        deadline: Mono,
        ops: &[Op],
        repeatable: bool,
    ) -> Result<Answered, Failure> {
        self.ask_watching(deadline, ops, repeatable, |_| ())
            .await
            .map(|(answered, ())| answered)
    }

    /// As [`Session::ask`]; `before` is called with the connection before anything is sent on it.
    pub(super) async fn ask_watching<W: Send>(
        &self,
        deadline: Mono,
        ops: &[Op],
        repeatable: bool,
        before: impl Fn(&Link) -> W + Send + Sync,
    ) -> Result<(Answered, W), Failure> {
        let (link, is_new) = self.link(deadline).await?;
        let left = deadline.since(self.platform.mono());
        let again = repeatable && !is_new;
        let share = if again { left / 2 } else { left };
        let early = before(&link);
        match self.exchange(&link, share, ops).await {
            Ok(replies) => Ok((Answered { replies, link }, early)),
            Err(_) if again => {
                let (link, _) = self.link(deadline).await?;
                let left = deadline.since(self.platform.mono());
                let early = before(&link);
                let replies = self.exchange(&link, left, ops).await?;
                Ok((Answered { replies, link }, early))
            }
            Err(failure) => Err(failure),
        }
    }

    /// From the next connection on, servers are asked to keep the session this long; they have limits of their own.
    pub(super) async fn set_timeout(&self, timeout: Duration) {
        let mut slot = self.slot.lock().await;
        if slot.timeout != timeout {
            slot.timeout = timeout;
            if let Some(link) = slot.link.take() {
                link.close("another session timeout is wanted");
            }
        }
    }

    /// What errors call the store.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.servers.iter().map(HostPort::to_string).collect();
        names.join(",")
    }

    pub(super) fn unreachable(&self, cause: String) -> StoreError {
        StoreError::Unreachable {
            servers: self.names(),
            cause,
        }
    }

    pub(super) fn refused(&self, code: Code) -> StoreError {
        StoreError::Refused {
            servers: self.names(),
            status: code.0,
            message: code.to_string(),
        }
    }

    pub(super) fn garbage(&self, cause: impl ToString) -> StoreError {
        StoreError::Garbage {
            servers: self.names(),
            cause: cause.to_string(),
        }
    }

    async fn exchange(
        &self,
        link: &Link,
        limit: Duration,
        ops: &[Op],
    ) -> Result<Vec<Reply>, Failure> {
        let mut replies = Vec::new();
        for op in ops {
            match link.ask(op) {
                Ok(reply) => replies.push(reply),
                Err(cause) if replies.is_empty() => {
                    return Err(Failure::NotSent(self.unreachable(cause)));
                }
                Err(cause) => return Err(Failure::Lost(self.unreachable(cause))),
            }
        }
        let all = async {
            let mut answers = Vec::new();
            for reply in replies {
                answers.push(reply.await.ok()?);
            }
            Some(answers)
        };
        match timeout(self.platform.as_ref(), limit, all).await {
            Ok(Some(answers)) => Ok(answers),
            Ok(None) => Err(Failure::Lost(self.unreachable(link.cause()))),
            Err(late) => {
                // It may be cut off or stopped: what comes next goes elsewhere, long before the session ends.
                link.close(&late.to_string());
                Err(Failure::Lost(self.unreachable(link.cause())))
            }
        }
    }

    /// The connection, made if there is none; true if it is new.
    async fn link(&self, deadline: Mono) -> Result<(Arc<Link>, bool), Failure> {
        let left = || deadline.since(self.platform.mono());
        let failed = |cause| Failure::NotSent(self.unreachable(cause));
        let slot = timeout(self.platform.as_ref(), left(), self.slot.lock()).await;
        let mut slot = slot.map_err(|late| failed(format!("the connection {late}")))?;
        if let Some(link) = &slot.link
            && !link.is_closed()
        {
            return Ok((link.clone(), false));
        }
        slot.link = None;
        let count = self.servers.len();
        let mut cause = String::from("no server is configured");
        for turn in 0..count {
            let position = slot.next % count;
            let Some(server) = self.servers.get(position) else {
                break;
            };
            // Also when whoever wants this gives up.
            slot.next = position + 1;
            let share = left() / u32::try_from(count - turn).unwrap_or(1);
            let connect = self.connect(server, &mut slot);
            match timeout(self.platform.as_ref(), share, connect).await {
                Ok(Ok(link)) => return Ok((link, true)),
                Ok(Err(said)) => cause = format!("{server}: {said}"),
                Err(late) => cause = format!("{server} {late}"),
            }
        }
        Err(failed(cause))
    }

    async fn connect(&self, server: &HostPort, slot: &mut Slot) -> Result<Arc<Link>, String> {
        let open = async || {
            let io = self.client.dial(server).await;
            io.map_err(|error| error.to_string())
        };
        let mut io = open().await?;
        let resumed = slot.resumed.as_ref();
        let mut welcome = link::greet(&mut io, slot.timeout, resumed).await?;
        if welcome.session == 0 && resumed.is_some() {
            tracing::debug!(%server, "The session at ZooKeeper has ended; starting another");
            slot.resumed = None;
            io = open().await?;
            welcome = link::greet(&mut io, slot.timeout, None).await?;
        }
        if welcome.session == 0 || welcome.timeout_ms == 0 {
            return Err("the server gives no session".to_owned());
        }
        slot.resumed = Some(welcome.clone());
        if let Some(user) = &self.user {
            let user = format!("{}:{}", user.name, user.password.reveal());
            link::log_in(&mut io, &user).await?;
        }
        let owned = self.user.is_some();
        let link = Link::start(&self.platform, io, server.clone(), &welcome, owned);
        slot.link = Some(link.clone());
        Ok(link)
    }
}
