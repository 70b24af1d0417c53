//! Which files protect connections with TLS. Nothing here reads them.

use std::path::PathBuf;

/// A file in PEM, and who named it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsFile {
    /// The flag or option, for messages.
    pub flag: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificate, with those between it and its CA.
    pub cert: TlsFile,
    /// Its private key.
    pub key: TlsFile,
}

/// How the connections that one role opens are protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// The CAs that are trusted. Without them the other side is not checked at all.
    pub ca: Option<TlsFile>,
    /// What is presented to the other side, if it asks.
    pub identity: Option<TlsIdentity>,
    /// What the CAs have revoked, in lists; used with `ca` only.
    pub revoked: Option<TlsFile>,
}

impl TlsFile {
    /// The file at `path`, named by `flag`; `None` when no path was given.
    #[must_use]
    pub fn given(flag: &'static str, path: Option<&str>) -> Option<Self> {
        let path = path.filter(|path| !path.is_empty())?;
        Some(Self {
            flag,
            path: PathBuf::from(path),
        })
    }
}
