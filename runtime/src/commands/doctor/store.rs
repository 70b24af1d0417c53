//! The store: each of its servers, what a manager may do there, and what others may.

use std::sync::Arc;
use std::time::Duration;

use swarm_core::address::HostPort;
use swarm_core::config::{DiscoveryConfig, Manage};
use swarm_core::discovery::Discovery;
use swarm_core::election::lease::operation_timeout;
use swarm_core::election::{Reading, Record};

use super::findings::{Area, Findings, Verdict};
use crate::commands::ask::each;
use crate::commands::store;
use crate::manager::classic_holder;
use crate::platform::SharedPlatform;
use crate::store::{Cursor, Store, StoreError};

/// The store, and what its lease record says.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) store: Option<Arc<dyn Store>>,
    pub(super) record: Option<Record>,
}

/// Nothing where discovery is no store.
pub(super) async fn examine(
    platform: &SharedPlatform,
    config: &Manage,
    findings: &mut Findings,
) -> Stored {
    let examination = Examination { platform, config };
    if config.discovery.keys.is_none() {
        return Stored::default();
    }
    let store = match examination.open(&config.discovery) {
        Ok(store) => store,
        Err(error) => {
            findings.failure(Area::Store, format!("{error:#}"));
            return Stored::default();
        }
    };
    if !examination.servers(findings).await {
        return Stored {
            store: Some(store),
            record: None,
        };
    }
    let record = keys(store.as_ref(), findings).await;
    examination.strangers(findings).await;
    Stored {
        store: Some(store),
        record,
    }
}

struct Examination<'a> {
    platform: &'a SharedPlatform,
    config: &'a Manage,
}

impl Examination<'_> {
    /// Each with a client of its own: who is known by a certificate is so on every connection.
    fn open(&self, config: &DiscoveryConfig) -> anyhow::Result<Arc<dyn Store>> {
        Ok(store::open(self.platform, config)?.store)
    }

    /// Asks each server alone; whether one of them can be worked with.
    async fn servers(&self, findings: &mut Findings) -> bool {
        let servers = self.config.discovery.discovery.servers();
        let answers = each(servers, |server| self.server(server)).await;
        let usable = answers.iter().any(Result::is_ok);
        for (server, answer) in servers.iter().zip(answers) {
            let (verdict, text) = match answer {
                Ok(took) => self.pace(server, took),
                // The others will do.
                Err(error) if usable => (Verdict::Warning, format!("{error:#}")),
                Err(error) => (Verdict::Failure, self.explained(&error)),
            };
            findings.add(Area::Store, verdict, text);
        }
        usable
    }

    /// How long a change of the lease record takes at `server`, on a connection that is there.
    async fn server(&self, server: &HostPort) -> anyhow::Result<Duration> {
        let alone = DiscoveryConfig {
            discovery: self.config.discovery.discovery.at(server),
            ..self.config.discovery.clone()
        };
        let store = self.open(&alone)?;
        store.check_write().await?;
        let start = self.platform.mono();
        store.check_write().await?;
        Ok(self.platform.mono().since(start))
    }

    fn pace(&self, server: &HostPort, took: Duration) -> (Verdict, String) {
        let took_ms = took.as_secs_f64() * 1_000.0;
        let lease = self.config.replication.as_ref().map(|one| one.lease);
        match lease.map(operation_timeout) {
            Some(limit) if took > limit / 2 => (
                Verdict::Warning,
                format!(
                    "{server} takes {took_ms:.1} ms for a change, and managers wait for {limit:?}: make the store faster, \
                     or --replication-ttl longer"
                ),
            ),
            Some(_) | None => (
                Verdict::Ok,
                format!(
                    "{server} answers, lets this manager write, and takes {took_ms:.1} ms for it"
                ),
            ),
        }
    }

    fn explained(&self, error: &anyhow::Error) -> String {
        let refused = error.downcast_ref::<StoreError>();
        if !refused.is_some_and(StoreError::is_final) {
            return format!("{error:#}");
        }
        let keys = self.config.discovery.keys.as_ref();
        let below = keys.and_then(|keys| keys.lease().strip_suffix("lease"));
        let option = match self.config.discovery.discovery {
            Discovery::Consul { .. } => "consul.token",
            Discovery::Etcd { .. } => "etcd.user",
            Discovery::ZooKeeper { .. } => "zk.auth",
            Discovery::File(_) | Discovery::Nodes(_) | Discovery::Token => "",
        };
        format!(
            "{error}: who is named by --discovery-opt {option} must be allowed to read and write below {}",
            below.unwrap_or_default()
        )
    }

    /// Whoever may write the lease record tells all managers where to send their clients' requests.
    async fn strangers(&self, findings: &mut Findings) {
        let anybody = DiscoveryConfig {
            options: self.config.discovery.options.without_credentials(),
            ..self.config.discovery.clone()
        };
        let asked = match self.open(&anybody) {
            Ok(store) => store.check_write().await.map_err(Into::into),
            Err(error) => Err(error),
        };
        match asked {
            Ok(()) => findings.warning(
                Area::Store,
                "anybody who reaches the store may write there, and so send the requests of clients and their registry \
                 passwords elsewhere: let it ask for a token, a login or a certificate, or name the managers with \
                 --peer-allow",
            ),
            Err(_) => findings.ok(Area::Store, "nobody writes there without credentials"),
        }
    }
}

/// Reads all that a manager reads.
async fn keys(store: &dyn Store, findings: &mut Findings) -> Option<Record> {
    match classic_holder(store).await {
        Ok(None) => {}
        Ok(Some(conflict)) => findings.failure(Area::Store, conflict),
        Err(error) => findings.failure(Area::Store, error),
    }
    if let Err(error) = store.watch_drained(&mut Cursor::default()).await {
        findings.failure(
            Area::Store,
            format!("cannot read the drained engines: {error}"),
        );
    }
    match store.watch_lease(&mut Cursor::default()).await {
        Ok(Reading::Absent) => {
            findings.ok(
                Area::Store,
                "no manager has been primary below this prefix yet",
            );
            None
        }
        Ok(Reading::Present { record, .. }) => {
            let (holder, epoch) = (&record.holder, record.epoch);
            let state = match record.released {
                true => "has released the lease",
                false => "holds the lease",
            };
            findings.ok(Area::Store, format!("{holder} {state}, epoch {epoch}"));
            Some(record)
        }
        Ok(Reading::Malformed { problem, .. }) => {
            findings.failure(
                Area::Store,
                format!("the lease record was not written by a manager ({problem}): was it written by hand?"),
            );
            None
        }
        Err(error) => {
            findings.failure(Area::Store, error);
            None
        }
    }
}
