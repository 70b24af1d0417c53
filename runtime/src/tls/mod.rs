//! TLS above the boxed I/O of [`crate::platform`]: what is dialled ([`ClientTls`]), what is accepted ([`ServerTls`]), and
//! the files behind both, which are read again while connections go on ([`Keeper`]).
//!
//! Managers are told from everybody else by their certificates: by a CA that signs managers only
//! (`--peer-tlscacert`), or by the URI [`MANAGER_URI`] in them, which is asked of others as soon as the own certificate
//! carries it. Without either any certificate of the CA passes as a manager's, also that of an engine.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use swarm_core::tls::TlsFile;

use crate::platform::SharedPlatform;

pub mod authority;
mod client;
mod files;
mod keeper;
mod server;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod verify;

pub use client::ClientTls;
pub use keeper::{Certificate, Keeper};
pub use server::{Identity, ServerTls};

/// The name that a manager's certificate carries, as a URI among its alternative names.
pub const MANAGER_URI: &str = "swarm://manager";

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {flag} {}: {source}", path.display())]
    Read {
        /// Who named it.
        flag: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds no certificate, or one that cannot be used. Classic Swarm took such a CA silently (defect T2).
    #[error("{flag} {} holds no usable certificate: {cause}", path.display())]
    Certificate {
        /// Who named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A file holds no revocation list, or one that cannot be used.
    #[error("{flag} {} holds no usable revocation list: {cause}", path.display())]
    Revoked {
        /// Who named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A file holds no key.
    #[error("{flag} {} holds no private key that can be used (an encrypted one cannot): {cause}", path.display())]
    Key {
        /// Who named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A certificate and a key that cannot be used together.
    #[error("{cert} and {key} cannot be used together: {source}")]
    Pair {
        /// The certificate's file.
        cert: String,
        /// The key's file.
        key: String,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The TLS library refuses what it is given.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
}

impl TlsError {
    fn certificate(file: &TlsFile, cause: impl ToString) -> Self {
        Self::Certificate {
            flag: file.flag,
            path: file.path.clone(),
            cause: cause.to_string(),
        }
    }

    fn revoked(file: &TlsFile, cause: impl ToString) -> Self {
        Self::Revoked {
            flag: file.flag,
            path: file.path.clone(),
            cause: cause.to_string(),
        }
    }

    fn key(file: &TlsFile, cause: impl ToString) -> Self {
        Self::Key {
            flag: file.flag,
            path: file.path.clone(),
            cause: cause.to_string(),
        }
    }

    fn setup(cause: impl ToString) -> Self {
        Self::Setup(cause.to_string())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// TLS 1.2 and later.
static VERSIONS: [&rustls::SupportedProtocolVersion; 2] =
    [&rustls::version::TLS13, &rustls::version::TLS12];

/// The one application protocol.
fn alpn() -> Vec<Vec<u8>> {
    vec![b"http/1.1".to_vec()]
}

/// The platform's calendar, for the validity of certificates.
#[derive(Clone)]
struct Calendar(SharedPlatform);

impl Calendar {
    fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(self.0.wall().seconds()))
    }
}

impl std::fmt::Debug for Calendar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Calendar")
    }
}

impl TimeProvider for Calendar {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.now())
    }
}
