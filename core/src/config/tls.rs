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
mod tests {
    use super::*;

    fn files(ca: &str, cert: &str, key: &str) -> RawTlsFiles {
        let text = |text: &str| Some(text.to_owned());
        RawTlsFiles {
            ca: text(ca),
            cert: text(cert),
            key: text(key),
        }
    }

    fn verified() -> RawTls {
        RawTls {
            verify: true,
            own: files("ca", "c", "k"),
            ..RawTls::default()
        }
    }

    fn checked(raw: &RawTls) -> Result<(ManageTls, Vec<Warning>), String> {
        let mut warnings = Vec::new();
        let tls = raw
            .check(&mut warnings)
            .map_err(|error| error.to_string())?;
        Ok((tls, warnings))
    }

    fn path(file: Option<&TlsFile>) -> Option<&str> {
        file.and_then(|file| file.path.to_str())
    }

    #[test]
    fn one_set_of_files_serves_all_roles() {
        let (tls, warnings) = checked(&verified()).unwrap();
        let listener = tls.listener.unwrap();
        assert_eq!(path(listener.clients.as_ref()), Some("ca"));
        assert_eq!(listener.managers, None);
        for role in [tls.peers.unwrap(), tls.engines.unwrap()] {
            assert_eq!(path(role.ca.as_ref()), Some("ca"));
            assert_eq!(role.identity, Some(listener.identity.clone()));
        }
        assert_eq!(warnings, []);
    }

    #[test]
    fn a_role_may_have_files_of_its_own() {
        let raw = RawTls {
            peer: files("peer-ca", "", ""),
            engine: files("engine-ca", "ec", "ek"),
            ..verified()
        };
        let (tls, _) = checked(&raw).unwrap();
        let (peers, engines) = (tls.peers.unwrap(), tls.engines.unwrap());
        assert_eq!(path(peers.ca.as_ref()), Some("peer-ca"));
        assert_eq!(
            path(peers.identity.as_ref().map(|own| &own.cert)),
            Some("c")
        );
        assert_eq!(path(engines.ca.as_ref()), Some("engine-ca"));
        let identity = engines.identity.unwrap();
        assert_eq!(path(Some(&identity.cert)), Some("ec"));
        assert_eq!(identity.key.flag, "--engine-tlskey");
        let managers = tls.listener.unwrap().managers;
        assert_eq!(path(managers.as_ref()), Some("peer-ca"));
    }

    #[test]
    fn tls_alone_checks_nobody_and_says_so() {
        let raw = RawTls {
            enabled: true,
            own: files("", "c", "k"),
            ..RawTls::default()
        };
        let (tls, warnings) = checked(&raw).unwrap();
        assert_eq!(tls.listener.unwrap().clients, None);
        assert_eq!(tls.peers.unwrap().ca, None);
        assert_eq!(tls.engines.unwrap().ca, None);
        assert_eq!(warnings, [Warning::TlsUnverified]);
        let told = Warning::TlsUnverified.to_string();
        assert!(told.contains("whoever can connect"), "{told}");
    }

    #[test]
    fn revocation_lists_are_for_clients_and_managers_and_need_verification() {
        let with = |raw: RawTls| {
            let revoked = Some("crl".to_owned());
            checked(&RawTls { revoked, ..raw })
        };
        let (tls, _) = with(verified()).unwrap();
        let listener = tls.listener.unwrap();
        assert_eq!(path(listener.revoked.as_ref()), Some("crl"));
        assert_eq!(path(tls.peers.unwrap().revoked.as_ref()), Some("crl"));
        assert_eq!(tls.engines.unwrap().revoked, None);
        let unverified = RawTls {
            enabled: true,
            verify: false,
            ..verified()
        };
        assert!(with(unverified).unwrap_err().contains("--tlsverify"));
    }

    #[test]
    fn engines_have_revocation_lists_of_their_own() {
        let with = |mode: &str| {
            checked(&RawTls {
                engine_mode: Some(mode.to_owned()),
                engine_revoked: Some("crl".to_owned()),
                ..verified()
            })
        };
        let (tls, _) = with("").unwrap();
        assert_eq!(path(tls.engines.unwrap().revoked.as_ref()), Some("crl"));
        assert_eq!(tls.listener.unwrap().revoked, None);
        for mode in ["on", "off"] {
            let error = with(mode).unwrap_err();
            assert!(error.starts_with("--engine-tlscrl requires"), "{error}");
        }
    }

    #[test]
    fn engines_may_differ_from_the_rest() {
        let with = |mode: &str, raw: RawTls| {
            let engine_mode = Some(mode.to_owned());
            checked(&RawTls { engine_mode, ..raw })
        };
        assert_eq!(with("off", verified()).unwrap().0.engines, None);
        let (tls, warnings) = with("on", verified()).unwrap();
        assert_eq!(tls.engines.unwrap().ca, None);
        assert_eq!(warnings, [Warning::EnginesUnverified]);
        let engines_only = RawTls {
            engine: files("engine-ca", "", ""),
            ..RawTls::default()
        };
        let (tls, _) = with("verify", engines_only.clone()).unwrap();
        assert_eq!((tls.listener, tls.peers), (None, None));
        assert_eq!(tls.engines.unwrap().identity, None);
        let error = |mode, raw| with(mode, raw).unwrap_err();
        assert!(error("off", engines_only).contains("--engine-tls verify"));
        assert!(error("verify", RawTls::default()).contains("--engine-tlscacert"));
        assert!(error("x", verified()).contains("off, on or verify"));
    }

    #[test]
    fn half_of_what_is_needed_is_refused_by_name() {
        let peers = RawTls {
            peer: files("", "pc", ""),
            ..verified()
        };
        assert!(
            checked(&peers)
                .unwrap_err()
                .contains("--peer-tlscert and --peer-tlskey")
        );
        let unverified = RawTls {
            verify: false,
            enabled: true,
            ..peers
        };
        assert!(checked(&unverified).unwrap_err().contains("--tlsverify"));
    }

    #[test]
    fn clients_read_what_the_docker_command_reads() {
        let mut raw = RawClientTls {
            verify: true,
            docker_cert_path: Some("/certs".to_owned()),
            ..RawClientTls::default()
        };
        let tls = raw.check().unwrap().unwrap();
        assert_eq!(path(tls.ca.as_ref()), Some("/certs/ca.pem"));
        let identity = tls.identity.unwrap();
        assert_eq!(path(Some(&identity.key)), Some("/certs/key.pem"));
        raw.files.ca = Some("mine".to_owned());
        let tls = raw.check().unwrap().unwrap();
        assert_eq!(path(tls.ca.as_ref()), Some("mine"));
        raw.verify = false;
        assert_eq!(raw.check(), Err(ConfigError::TlsUnused));
        raw.files.ca = None;
        assert_eq!(raw.check(), Ok(None));
        raw.docker_cert_path = None;
        raw.verify = true;
        assert_eq!(raw.check(), Err(ConfigError::ClientTlsCa));
    }
}
