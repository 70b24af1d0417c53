//! The TLS flags of `manage` and of the commands that ask a manager.

use super::error::{ConfigError, Warning};
use crate::tls::{TlsConfig, TlsFile, TlsIdentity};

/// The files of one role as given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawTlsFiles {
    /// `--…tlscacert`.
    pub ca: Option<String>,
    /// `--…tlscert`.
    pub cert: Option<String>,
    /// `--…tlskey`.
    pub key: Option<String>,
}

/// The TLS flags of `manage` as given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawTls {
    /// `--tls`.
    pub enabled: bool,
    /// `--tlsverify`.
    pub verify: bool,
    /// `--tlscacert`, `--tlscert`, `--tlskey`.
    pub own: RawTlsFiles,
    /// `--tlscrl`.
    pub revoked: Option<String>,
    /// `--peer-tlscacert`, `--peer-tlscert`, `--peer-tlskey`.
    pub peer: RawTlsFiles,
    /// `--engine-tls`.
    pub engine_mode: Option<String>,
    /// `--engine-tlscacert`, `--engine-tlscert`, `--engine-tlskey`.
    pub engine: RawTlsFiles,
    /// `--engine-tlscrl`.
    pub engine_revoked: Option<String>,
}

/// The TLS flags of a command that asks a manager, as given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawClientTls {
    /// `--tls`.
    pub enabled: bool,
    /// `--tlsverify`, `DOCKER_TLS_VERIFY`.
    pub verify: bool,
    /// `--tlscacert`, `--tlscert`, `--tlskey`.
    pub files: RawTlsFiles,
    /// `DOCKER_CERT_PATH`, used for files without a flag.
    pub docker_cert_path: Option<String>,
}

/// What a manager protects with TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManageTls {
    /// What clients and other managers meet on TCP.
    pub listener: Option<ListenerTls>,
    /// What it opens to other managers.
    pub peers: Option<TlsConfig>,
    /// What it opens to engines.
    pub engines: Option<TlsConfig>,
}

/// What listens with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// What is presented.
    pub identity: TlsIdentity,
    /// Who signs clients; without it everybody is let in.
    pub clients: Option<TlsFile>,
    /// Who signs managers, if that is somebody else.
    pub managers: Option<TlsFile>,
    /// What both have revoked, in lists.
    pub revoked: Option<TlsFile>,
}

/// The names of one role's flags.
struct Flags {
    ca: &'static str,
    cert: &'static str,
    key: &'static str,
}

const OWN: Flags = Flags {
    ca: "--tlscacert",
    cert: "--tlscert",
    key: "--tlskey",
};
const PEER: Flags = Flags {
    ca: "--peer-tlscacert",
    cert: "--peer-tlscert",
    key: "--peer-tlskey",
};
const ENGINE: Flags = Flags {
    ca: "--engine-tlscacert",
    cert: "--engine-tlscert",
    key: "--engine-tlskey",
};
const DOCKER_CERT_PATH: &str = "DOCKER_CERT_PATH";

/// `--engine-tls`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Off,
    On,
    Verify,
}

impl RawTlsFiles {
    fn ca(&self, flags: &Flags) -> Option<TlsFile> {
        TlsFile::given(flags.ca, self.ca.as_deref())
    }

    fn identity(&self, flags: &Flags) -> Result<Option<TlsIdentity>, ConfigError> {
        let cert = TlsFile::given(flags.cert, self.cert.as_deref());
        let key = TlsFile::given(flags.key, self.key.as_deref());
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(Some(TlsIdentity { cert, key })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => {
                Err(ConfigError::TlsHalfPair(flags.cert, flags.key))
            }
        }
    }

    fn is_empty(&self) -> bool {
        let given = |path: &Option<String>| path.as_ref().is_some_and(|path| !path.is_empty());
        !(given(&self.ca) || given(&self.cert) || given(&self.key))
    }
}

impl RawTls {
    /// Classic Swarm's checks first, in its order.
    pub(super) fn check(&self, warnings: &mut Vec<Warning>) -> Result<ManageTls, ConfigError> {
        let enabled = self.enabled || self.verify;
        let identity = self.own.identity(&OWN);
        let own = match (enabled, identity) {
            (true, Ok(Some(identity))) => Some(identity),
            (true, Ok(None) | Err(_)) => return Err(ConfigError::TlsPair),
            (false, _) => None,
        };
        let ca = self.own.ca(&OWN);
        if self.verify && ca.is_none() {
            return Err(ConfigError::TlsCa);
        }
        if !enabled && !self.own.is_empty() {
            return Err(ConfigError::TlsUnused);
        }
        if !self.verify && !self.peer.is_empty() {
            return Err(ConfigError::TlsPeersUnverified);
        }
        let revoked = TlsFile::given("--tlscrl", self.revoked.as_deref());
        if !self.verify && revoked.is_some() {
            return Err(ConfigError::TlsRevokedUnverified("--tlscrl", "--tlsverify"));
        }
        let ca = ca.filter(|_| self.verify);
        let managers = self.peer.ca(&PEER);
        let peer_identity = self.peer.identity(&PEER)?.or_else(|| own.clone());
        let engines = self.engines(ca.as_ref(), own.as_ref())?;
        if enabled && !self.verify {
            warnings.push(Warning::TlsUnverified);
        } else if engines.as_ref().is_some_and(|engines| engines.ca.is_none()) {
            warnings.push(Warning::EnginesUnverified);
        }
        Ok(ManageTls {
            peers: enabled.then(|| TlsConfig {
                ca: managers.clone().or_else(|| ca.clone()),
                identity: peer_identity,
                revoked: revoked.clone(),
            }),
            engines,
            listener: own.map(|identity| ListenerTls {
                identity,
                clients: ca,
                managers,
                revoked,
            }),
        })
    }

    fn engines(
        &self,
        ca: Option<&TlsFile>,
        own: Option<&TlsIdentity>,
    ) -> Result<Option<TlsConfig>, ConfigError> {
        let mode = match self.engine_mode.as_deref() {
            None | Some("") if self.verify => Mode::Verify,
            None | Some("") if self.enabled => Mode::On,
            None | Some("" | "off") => Mode::Off,
            Some("on") => Mode::On,
            Some("verify") => Mode::Verify,
            Some(other) => return Err(ConfigError::EngineTls(other.to_owned())),
        };
        let (engine_ca, identity) = (self.engine.ca(&ENGINE), self.engine.identity(&ENGINE)?);
        let identity = identity.or_else(|| own.cloned());
        let ca = engine_ca.or_else(|| ca.cloned());
        let revoked = TlsFile::given("--engine-tlscrl", self.engine_revoked.as_deref());
        if mode != Mode::Verify && revoked.is_some() {
            let (flag, needed) = ("--engine-tlscrl", "--engine-tls verify or --tlsverify");
            return Err(ConfigError::TlsRevokedUnverified(flag, needed));
        }
        match mode {
            Mode::Off if !self.engine.is_empty() => Err(ConfigError::EngineTlsUnused),
            Mode::Off => Ok(None),
            Mode::On => Ok(Some(TlsConfig {
                identity,
                ..TlsConfig::default()
            })),
            Mode::Verify if ca.is_none() => Err(ConfigError::EngineTlsCa),
            Mode::Verify => Ok(Some(TlsConfig {
                ca,
                identity,
                revoked,
            })),
        }
    }
}

impl RawClientTls {
    /// As the docker command reads the same flags and variables.
    pub(super) fn check(&self) -> Result<Option<TlsConfig>, ConfigError> {
        if !self.enabled && !self.verify {
            return match self.files.is_empty() {
                true => Ok(None),
                false => Err(ConfigError::TlsUnused),
            };
        }
        let docker = |name: &str| {
            let folder = self.docker_cert_path.as_deref()?;
            let path = std::path::Path::new(folder).join(name);
            TlsFile::given(DOCKER_CERT_PATH, Some(path.to_str()?))
        };
        let ca = self.files.ca(&OWN).or_else(|| docker("ca.pem"));
        let identity = self.files.identity(&OWN)?.or_else(|| {
            let (cert, key) = (docker("cert.pem")?, docker("key.pem")?);
            Some(TlsIdentity { cert, key })
        });
        match self.verify {
            true if ca.is_none() => Err(ConfigError::ClientTlsCa),
            verify => Ok(Some(TlsConfig {
                ca: ca.filter(|_| verify),
                identity,
                ..TlsConfig::default()
            })),
        }
    }
}

#[cfg(test)]
mod tests;
