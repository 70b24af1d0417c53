//! Follows discovery: which engines there are, from a store, a file or a fixed list.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use swarm_core::address::HostPort;
use swarm_core::discovery::{Change, Damper, Discovery, EntryError, Listing};
use swarm_core::time::Mono;
use tokio::sync::mpsc;

use crate::platform::{BoxFuture, SharedPlatform};
use crate::store::{Cursor, Store, StoreError};

#[cfg(test)]
mod tests;

/// Larger discovery files are refused: 65,536 engines fit.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Between two tries at a store that fails.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Where engines are listed.
#[derive(Clone)]
pub enum Source {
    /// The engine directory of a store.
    Store(Arc<dyn Store>),
    /// A file, read anew every heartbeat.
    File(PathBuf),
    /// A fixed list.
    Nodes(Vec<HostPort>),
}

/// Why there is no listing.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryFailure {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be read.
    #[error("failed to read '{}': {cause}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl Source {
    /// The source that `discovery` names; `store` is the store it names, if it names one.
    #[must_use]
    pub fn new(discovery: &Discovery, store: Option<Arc<dyn Store>>) -> Option<Self> {
        match (discovery, store) {
            (Discovery::File(path), _) => Some(Self::File(path.clone())),
            (Discovery::Nodes(nodes), _) => Some(Self::Nodes(nodes.clone())),
            (_, store) => store.map(Self::Store),
        }
    }

    /// Reads the listing. With a `cursor` that has read before, a store waits a few seconds for a change.
    ///
    /// # Errors
    /// When the store or the file cannot be read.
    pub async fn list(&self, cursor: &mut Cursor) -> Result<Listing, DiscoveryFailure> {
        match self {
            Self::Store(store) => {
                let values = store.watch_engines(cursor).await?;
                Ok(Listing::of(values.iter().map(String::as_str)))
            }
            Self::File(path) => read_file(path).map_err(|cause| DiscoveryFailure::File {
                path: path.clone(),
                cause,
            }),
            Self::Nodes(nodes) => {
                let entries = nodes.iter().cloned().collect();
                Ok(Listing {
                    entries,
                    ..Listing::default()
                })
            }
        }
    }
}

fn read_file(path: &PathBuf) -> io::Result<Listing> {
    use io::Read;
    // A pipe or a device would block, or never end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    let read = std::fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut content)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "it is larger than {FILE_BYTES_MAX} bytes"
        )));
    }
    // One bad byte spoils its own line only.
    Ok(Listing::of_file(&String::from_utf8_lossy(&content)))
}

/// Follows `source` until the receiver is dropped. The first listing comes even if it is empty. Changes are damped: half the fleet does not vanish at once.
pub fn follow(
    platform: &SharedPlatform,
    source: Source,
    heartbeat: Duration,
) -> mpsc::Receiver<Change> {
    let (changes, receiver) = mpsc::channel(16);
    let follower = Follower {
        platform: platform.clone(),
        source,
        heartbeat,
        damper: Damper::default(),
        complaints: BTreeSet::new(),
        failing: false,
    };
    platform.spawn("discovery", Box::pin(follower.run(changes)));
    receiver
}

struct Follower {
    platform: SharedPlatform,
    source: Source,
    heartbeat: Duration,
    damper: Damper,
    /// Malformed entries that were reported: each once, until it is gone.
    complaints: BTreeSet<String>,
    failing: bool,
}

impl Follower {
    async fn run(mut self, changes: mpsc::Sender<Change>) {
        let mut cursor = Cursor::default();
        let mut random = self.platform.random("discovery");
        let mut first = true;
        loop {
            let listing = tokio::select! {
                biased;
                () = changes.closed() => return,
                listing = self.source.list(&mut cursor) => listing,
            };
            let pause = match listing {
                Ok(listing) => {
                    self.report_recovery();
                    self.report_malformed(&listing);
                    let change = self.damper.observe(self.platform.mono(), &listing.entries);
                    self.report_doubt(&change);
                    let news = !change.added.is_empty() || !change.removed.is_empty();
                    if (std::mem::take(&mut first) || news) && changes.send(change).await.is_err() {
                        return;
                    }
                    self.next_look(&mut cursor)
                }
                Err(error) => {
                    self.report_failure(&error);
                    cursor = Cursor::default();
                    self.platform.mono() + random.duration(RETRY.0, RETRY.1)
                }
            };
            let look: BoxFuture<'static, ()> = self.platform.sleep_until(pause);
            tokio::select! {
                biased;
                () = changes.closed() => return,
                () = look => {}
            }
        }
    }

    /// When to read again: a store's watch waits by itself.
    fn next_look(&self, cursor: &mut Cursor) -> Mono {
        let now = self.platform.mono();
        match (self.damper.recheck_at(), &self.source) {
            (Some(recheck), _) => {
                *cursor = Cursor::default();
                recheck
                    .max(now + Duration::from_millis(100))
                    .min(now + Duration::from_secs(1))
            }
            // A watch that returns at once without news must not spin.
            (None, Source::Store(_)) => now + Duration::from_millis(20),
            (None, Source::File(_) | Source::Nodes(_)) => now + self.heartbeat,
        }
    }

    fn report_failure(&mut self, error: &DiscoveryFailure) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "Discovery error: the engines known so far stay");
        }
    }

    fn report_recovery(&mut self) {
        if std::mem::take(&mut self.failing) {
            tracing::info!("Discovery works again");
        }
    }

    fn report_malformed(&mut self, listing: &Listing) {
        let now: BTreeSet<String> = listing.errors.iter().map(EntryError::to_string).collect();
        for complaint in now.difference(&self.complaints) {
            tracing::warn!("Discovery: {complaint}; it is left out, the other entries stay");
        }
        if listing.errors_omitted > 0 && self.complaints.is_empty() {
            tracing::warn!(
                "Discovery: {} more malformed entries are left out",
                listing.errors_omitted
            );
        }
        self.complaints = now;
    }

    fn report_doubt(&self, change: &Change) {
        if let Some(doubt) = change.doubt.as_ref().filter(|doubt| doubt.began) {
            tracing::warn!("Discovery: {doubt}");
        }
    }
}
