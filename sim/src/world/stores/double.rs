//! The modelled stores, as far as the world treats them alike.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use swarm_core::rng::Random;
use swarm_models::trouble::{Outage, Watches, Which};
use swarm_models::{Host, Service, consul, etcd, zookeeper};

use crate::plan::StoreKind;

/// A modelled store: servers that share one state.
pub(crate) trait Double: Send + Sync {
    /// Server `n`, from 0.
    fn server(&self, n: usize) -> Arc<dyn Service>;
    /// The server that leads.
    fn leader(&self) -> Option<usize>;
    /// Makes a server the leader, or leaves the store without one.
    fn set_leader(&self, n: Option<usize>);
    /// Makes server `n` behave like this.
    fn misbehave(&self, n: usize, trouble: &Trouble);
    /// The outcome of the next `count` writes remains unknown; `draw` chooses what their clients see.
    fn lose_replies(&self, count: u64, applied: bool, draw: Random);
    /// The value of `key`, as the leader has it.
    fn value(&self, key: &str) -> Option<Bytes>;
    /// A write by somebody else.
    fn put(&self, key: &str, value: Bytes);
    /// A deletion by somebody else.
    fn delete(&self, key: &str);
    /// Another number after each change.
    fn index(&self) -> u64;
    /// How many requests there have been.
    fn requests(&self) -> u64;
    /// The way back to the present content.
    fn way_back(&self) -> WayBack;
    /// Everything is forgotten.
    fn wipe(&self);
    /// The content moves to a new store.
    fn renumber(&self);
}

/// Lets a store come back as it was once.
pub(crate) type WayBack = Box<dyn Fn() + Send>;

/// What one server does wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    pub(super) outage: Outage,
    /// It does not hear a majority.
    pub(super) cut_off: bool,
    /// Which requests it turns down; the draw chooses with what.
    pub(super) refuses: Option<(Which, Random)>,
    pub(super) before_apply: Duration,
    pub(super) before_reply: Duration,
    pub(super) before_read: Duration,
    /// Etcd shows no past.
    pub(super) default_reads: consul::faults::DefaultReads,
    pub(super) watches: Watches,
}

/// Starts a store whose timers run on `host`.
pub(super) fn start(
    kind: StoreKind,
    host: Arc<dyn Host>,
    servers: usize,
    seed: u64,
) -> Arc<dyn Double> {
    match kind {
        StoreKind::Consul => {
            let options = consul::Options {
                servers,
                seed,
                ..consul::Options::default()
            };
            Arc::new(consul::Cluster::new(host, options))
        }
        StoreKind::Etcd => {
            let options = etcd::Options {
                servers,
                seed,
                ..etcd::Options::default()
            };
            Arc::new(etcd::Cluster::new(host, options))
        }
        StoreKind::ZooKeeper => {
            let options = zookeeper::Options {
                servers,
                seed,
                ..zookeeper::Options::default()
            };
            Arc::new(zookeeper::Cluster::new(host, options))
        }
    }
}

impl Double for Arc<consul::Cluster> {
    fn server(&self, n: usize) -> Arc<dyn Service> {
        Arc::new(consul::Cluster::server(self, n))
    }

    fn leader(&self) -> Option<usize> {
        consul::Cluster::leader(self)
    }

    fn set_leader(&self, n: Option<usize>) {
        consul::Cluster::set_leader(self, n);
    }

    fn misbehave(&self, n: usize, trouble: &Trouble) {
        use consul::faults::{Refusal, Refuse};
        let cut_off = trouble.cut_off.then_some(Refuse {
            which: Which::All,
            with: Refusal::NoLeader,
        });
        let refuse = trouble.refuses.clone().map(|(which, mut draw)| {
            let with = match draw.below(6) {
                0 => Refusal::NoLeader,
                1 => Refusal::EnqueueTimeout,
                2 => Refusal::NotLeader,
                3 => Refusal::RateLimited,
                4 => Refusal::Unavailable,
                _ => Refusal::PermissionDenied,
            };
            Refuse { which, with }
        });
        let wanted = consul::Faults {
            outage: trouble.outage,
            refuse: refuse.or(cut_off),
            before_apply: trouble.before_apply,
            before_reply: trouble.before_reply,
            before_read: trouble.before_read,
            default_reads: trouble.default_reads,
            stale_lag: Duration::ZERO,
            watches: trouble.watches,
        };
        consul::Cluster::server(self, n).faults(|faults| *faults = wanted);
    }

    fn lose_replies(&self, count: u64, applied: bool, mut draw: Random) {
        use consul::faults::{Ambiguous, AmbiguousAnswer};
        let answer = match draw.below(5) {
            0 => AmbiguousAnswer::Eof,
            1 => AmbiguousAnswer::LeadershipLost,
            2 => AmbiguousAnswer::SnapshotRestored,
            3 => AmbiguousAnswer::Cut,
            _ => AmbiguousAnswer::Silence,
        };
        consul::Cluster::lose_replies(
            self,
            Ambiguous {
                skip: 0,
                count,
                applied,
                answer,
            },
        );
    }

    fn value(&self, key: &str) -> Option<Bytes> {
        self.get(key).map(|entry| entry.value)
    }

    fn put(&self, key: &str, value: Bytes) {
        consul::Cluster::put(self, key, value);
    }

    fn delete(&self, key: &str) {
        consul::Cluster::delete(self, key);
    }

    fn index(&self) -> u64 {
        consul::Cluster::index(self)
    }

    fn requests(&self) -> u64 {
        consul::Cluster::requests(self).values().sum()
    }

    fn way_back(&self) -> WayBack {
        let (cluster, then) = (self.clone(), self.snapshot());
        Box::new(move || cluster.rollback(&then))
    }

    fn wipe(&self) {
        consul::Cluster::wipe(self);
    }

    fn renumber(&self) {
        consul::Cluster::renumber(self);
    }
}

impl Double for Arc<etcd::Cluster> {
    fn server(&self, n: usize) -> Arc<dyn Service> {
        Arc::new(etcd::Cluster::server(self, n))
    }

    fn leader(&self) -> Option<usize> {
        etcd::Cluster::leader(self)
    }

    fn set_leader(&self, n: Option<usize>) {
        etcd::Cluster::set_leader(self, n);
    }

    fn misbehave(&self, n: usize, trouble: &Trouble) {
        use etcd::faults::{Refusal, Refuse};
        let refuse = trouble.refuses.clone().map(|(which, mut draw)| {
            let with = match draw.below(7) {
                0 => Refusal::NoLeader,
                1 => Refusal::LeaderChanged,
                2 => Refusal::TimedOut,
                3 => Refusal::Stopped,
                4 => Refusal::TooManyRequests,
                5 => Refusal::NoSpace,
                _ => Refusal::PermissionDenied,
            };
            Refuse { which, with }
        });
        let wanted = etcd::Faults {
            outage: trouble.outage,
            cut_off: trouble.cut_off,
            refuse,
            before_apply: trouble.before_apply,
            before_reply: trouble.before_reply,
            before_read: trouble.before_read,
            watches: trouble.watches,
        };
        etcd::Cluster::server(self, n).faults(|faults| *faults = wanted);
    }

    fn lose_replies(&self, count: u64, applied: bool, mut draw: Random) {
        use etcd::faults::{Ambiguous, AmbiguousAnswer};
        let answer = match draw.below(5) {
            0 => AmbiguousAnswer::TimedOut,
            1 => AmbiguousAnswer::LeaderFailed,
            2 => AmbiguousAnswer::ConnectionLost,
            3 => AmbiguousAnswer::Cut,
            _ => AmbiguousAnswer::Silence,
        };
        etcd::Cluster::lose_replies(
            self,
            Ambiguous {
                skip: 0,
                count,
                applied,
                answer,
            },
        );
    }

    fn value(&self, key: &str) -> Option<Bytes> {
        self.get(key).map(|pair| pair.value)
    }

    fn put(&self, key: &str, value: Bytes) {
        etcd::Cluster::put(self, key, value);
    }

    fn delete(&self, key: &str) {
        etcd::Cluster::delete(self, key);
    }

    fn index(&self) -> u64 {
        self.revision()
    }

    fn requests(&self) -> u64 {
        etcd::Cluster::requests(self).values().sum()
    }

    fn way_back(&self) -> WayBack {
        let (cluster, then) = (self.clone(), self.snapshot());
        Box::new(move || cluster.rollback(&then))
    }

    fn wipe(&self) {
        etcd::Cluster::wipe(self);
    }

    fn renumber(&self) {
        etcd::Cluster::renumber(self);
    }
}

impl Double for Arc<zookeeper::Cluster> {
    fn server(&self, n: usize) -> Arc<dyn Service> {
        Arc::new(zookeeper::Cluster::server(self, n))
    }

    fn leader(&self) -> Option<usize> {
        zookeeper::Cluster::leader(self)
    }

    fn set_leader(&self, n: Option<usize>) {
        zookeeper::Cluster::set_leader(self, n);
    }

    fn misbehave(&self, n: usize, trouble: &Trouble) {
        use consul::faults::DefaultReads;
        use zookeeper::faults::{Refusal, Refuse};
        let refuse = trouble.refuses.clone().map(|(which, mut draw)| {
            let with = match draw.below(5) {
                0 => Refusal::Throttled,
                1 => Refusal::QuotaExceeded,
                2 => Refusal::NoAuth,
                3 => Refusal::Marshalling,
                _ => Refusal::Cut,
            };
            Refuse { which, with }
        });
        // One server never goes back; whoever comes to another may find older data there.
        let lag = match trouble.default_reads {
            DefaultReads::Behind(by) => by,
            DefaultReads::Regressing(by) if n % 2 == 1 => by,
            DefaultReads::Fresh | DefaultReads::Regressing(_) => Duration::ZERO,
        };
        let wanted = zookeeper::Faults {
            outage: trouble.outage,
            cut_off: trouble.cut_off,
            refuse,
            before_apply: trouble.before_apply,
            before_reply: trouble.before_reply,
            before_read: trouble.before_read,
            lag,
            watches: trouble.watches,
        };
        zookeeper::Cluster::server(self, n).faults(|faults| *faults = wanted);
    }

    fn lose_replies(&self, count: u64, applied: bool, mut draw: Random) {
        use zookeeper::faults::{Ambiguous, AmbiguousAnswer};
        let answer = match draw.below(4) {
            0 => AmbiguousAnswer::Silence,
            _ => AmbiguousAnswer::Cut,
        };
        zookeeper::Cluster::lose_replies(
            self,
            Ambiguous {
                skip: 0,
                count,
                applied,
                answer,
            },
        );
    }

    fn value(&self, key: &str) -> Option<Bytes> {
        self.get(&node(key)).map(|node| node.data)
    }

    fn put(&self, key: &str, value: Bytes) {
        zookeeper::Cluster::put(self, &node(key), value);
    }

    fn delete(&self, key: &str) {
        zookeeper::Cluster::delete(self, &node(key));
    }

    fn index(&self) -> u64 {
        self.zxid().cast_unsigned()
    }

    /// What other stores answer in one go takes several questions here, sent together: those whether a node exists, and
    /// what makes sure that it is the present, go with another one.
    fn requests(&self) -> u64 {
        let all = zookeeper::Cluster::requests(self);
        let counted = all
            .iter()
            .filter(|(kind, _)| !["check", "connect", "exists", "ping"].contains(*kind));
        counted.map(|(_, count)| count).sum()
    }

    fn way_back(&self) -> WayBack {
        let (cluster, then) = (self.clone(), self.snapshot());
        Box::new(move || cluster.rollback(&then))
    }

    fn wipe(&self) {
        zookeeper::Cluster::wipe(self);
    }

    fn renumber(&self) {
        zookeeper::Cluster::renumber(self);
    }
}

/// The node that a key is.
fn node(key: &str) -> String {
    format!("/{key}")
}
