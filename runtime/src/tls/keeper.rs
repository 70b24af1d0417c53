//! Looks after certificates while they are used: reads changed files again, and tells when one is about to end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use swarm_core::time::{Mono, Wall, nanos};
use swarm_core::tls::TlsFile;

use super::{ClientTls, ServerTls, TlsError};
use crate::platform::{SharedPlatform, sleep};

/// Between two looks at the files.
const LOOK_PERIOD: Duration = Duration::from_secs(10);
/// A certificate that ends sooner is told of, once a day.
const NOTICE: Duration = Duration::from_secs(14 * DAY.as_secs());
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A certificate of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The file it came from.
    pub file: TlsFile,
    /// When its validity ends.
    pub ends: Wall,
}

/// A list of revoked certificates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RevocationList {
    /// The file it came from.
    pub(super) file: TlsFile,
    /// When its CA will have made the next one, at the latest.
    pub(super) next: Wall,
}

/// What is made of files.
pub(super) trait Kept: Send + Sync {
    /// Reads the files; whether new connections use something else now. After an error they use what they used before.
    fn look(&self) -> Result<bool, TlsError>;
    /// The certificate in use.
    fn certificate(&self) -> Option<Certificate>;
    /// The lists in use.
    fn lists(&self) -> Vec<RevocationList>;
}

enum Leg {
    Client(Arc<ClientTls>),
    Server(Arc<ServerTls>),
}

/// Looks after the certificates of one process.
pub struct Keeper {
    platform: SharedPlatform,
    legs: Vec<Leg>,
    /// What was told already.
    told: Mutex<BTreeSet<String>>,
}

impl Leg {
    fn kept(&self) -> &dyn Kept {
        match self {
            Self::Client(tls) => tls.kept(),
            Self::Server(tls) => tls.kept(),
        }
    }
}

impl Keeper {
    /// Looks after nothing yet.
    #[must_use]
    pub fn new(platform: &SharedPlatform) -> Self {
        Self {
            platform: platform.clone(),
            legs: Vec::new(),
            told: Mutex::default(),
        }
    }

    /// Looks after what is accepted as well.
    pub fn add_server(&mut self, tls: &Arc<ServerTls>) {
        self.legs.push(Leg::Server(Arc::clone(tls)));
    }

    /// Looks after what is opened as well.
    pub fn add_client(&mut self, tls: &Arc<ClientTls>) {
        self.legs.push(Leg::Client(Arc::clone(tls)));
    }

    /// Whether there is anything to look after.
    #[must_use]
    pub fn has_any(&self) -> bool {
        !self.legs.is_empty()
    }

    /// The certificates in use, each once.
    #[must_use]
    pub fn certificates(&self) -> Vec<Certificate> {
        let mut found: Vec<Certificate> = Vec::new();
        for certificate in self.legs.iter().filter_map(|leg| leg.kept().certificate()) {
            if !found.contains(&certificate) {
                found.push(certificate);
            }
        }
        found
    }

    /// The certificate that ends first.
    #[must_use]
    pub fn first_to_end(&self) -> Option<Certificate> {
        let certificates = self.certificates().into_iter();
        certificates.min_by_key(|certificate| certificate.ends)
    }

    /// Reads all files again. A file that cannot be used changes nothing.
    pub fn reload(&self) -> bool {
        let (mut changed, mut trouble) = (false, BTreeSet::new());
        for leg in &self.legs {
            match leg.kept().look() {
                Ok(new) => changed |= new,
                Err(error) => {
                    trouble.insert(error.to_string());
                }
            }
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for error in trouble.difference(&told) {
            tracing::warn!("{error}: what was read before stays in use");
        }
        *told = trouble;
        if changed {
            tracing::info!("New certificates are in use; open connections stay as they are");
        }
        changed
    }

    /// As [`Keeper::reload`], for somebody who asked: tells again what was told.
    pub fn reload_as_asked(&self) {
        let told = || self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told().clear();
        if !self.reload() && told().is_empty() {
            tracing::info!("No certificate has changed");
        }
        self.warn_of_ends();
    }

    /// Looks at the files every few seconds, for as long as somebody else holds this keeper. Without certificates there
    /// is nothing to do.
    pub fn start(self: &Arc<Self>) {
        if self.legs.is_empty() {
            return;
        }
        let (keeper, platform) = (Arc::downgrade(self), self.platform.clone());
        let spawner = platform.clone();
        let task = async move {
            let mut next_warning = Mono::ZERO;
            while let Some(keeper) = keeper.upgrade() {
                if keeper.reload() || platform.mono() >= next_warning {
                    keeper.warn_of_ends();
                    next_warning = platform.mono() + DAY;
                }
                drop(keeper);
                sleep(platform.as_ref(), LOOK_PERIOD).await;
            }
        };
        spawner.spawn("certificates", Box::pin(task));
    }

    fn warn_of_ends(&self) {
        for warning in self.ends_to_tell() {
            tracing::warn!("{warning}");
        }
    }

    /// What to say of certificates that have ended, or are about to, and of lists that are too old.
    pub(super) fn ends_to_tell(&self) -> Vec<String> {
        let now = self.platform.wall();
        let certificates = self.certificates().into_iter();
        let certificates = certificates.filter_map(|certificate| certificate.notice(now));
        certificates.chain(self.overdue_lists()).collect()
    }

    /// What to say of revocation lists that their CAs should have replaced.
    #[must_use]
    pub fn overdue_lists(&self) -> Vec<String> {
        let now = self.platform.wall();
        let lists = self.lists().into_iter().filter(|list| list.next < now);
        let overdue = |RevocationList { file, next }: RevocationList| {
            let name = format!("The revocation list {} {}", file.flag, file.path.display());
            format!(
                "{name} should have been followed by another at {}: what was revoked since is still let in. Put the new \
                 one in its place; it is read without a restart",
                next.rfc3339()
            )
        };
        lists.map(overdue).collect()
    }

    fn lists(&self) -> BTreeSet<RevocationList> {
        let lists = self.legs.iter().flat_map(|leg| leg.kept().lists());
        lists.collect()
    }
}

impl Certificate {
    /// What to say of it at `now` if it has ended, or is about to.
    #[must_use]
    pub fn notice(&self, now: Wall) -> Option<String> {
        let name = format!(
            "The certificate {} {}",
            self.file.flag,
            self.file.path.display()
        );
        let date = self.ends.rfc3339();
        if self.ends < now {
            Some(format!(
                "{name} ended at {date}: nobody who checks it connects any more. Put a new one in its place; it is \
                 read without a restart"
            ))
        } else if self.ends.0 - now.0 < nanos(NOTICE) {
            Some(format!(
                "{name} ends at {date}: put a new one in its place in time; it is read without a restart"
            ))
        } else {
            None
        }
    }

    /// Whole days of validity left at `now`; below zero when it has ended.
    #[must_use]
    pub fn days_left(&self, now: Wall) -> i64 {
        let seconds = |wall: Wall| i64::try_from(wall.seconds()).unwrap_or(i64::MAX);
        let left = seconds(self.ends).saturating_sub(seconds(now));
        left.div_euclid(24 * 3600)
    }
}
