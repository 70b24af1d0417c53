//! A house in which everybody speaks TLS: what `swarm certs init` makes, and who uses which part of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, ensure};
use swarm::platform::{SharedPlatform, TokioPlatform};
use swarm::tls::{ClientTls, ServerTls};
use swarm_core::config::ListenerTls;
use swarm_core::tls::{TlsConfig, TlsFile, TlsIdentity};
use swarm_models::{BoxFuture, BoxIo, Service};
use tokio::sync::Semaphore;

use crate::manager;
use crate::scratch::Scratch;

/// A CA, with certificates in `manager`, `engine` and `client`. The files go with it.
#[derive(Debug)]
pub struct Certificates {
    directory: Scratch,
}

impl Certificates {
    /// Lets `swarm certs init` make them.
    ///
    /// # Errors
    /// When it fails.
    pub async fn new() -> Result<Arc<Self>> {
        let directory = Scratch::new("certs")?;
        let mut command = manager::command().await?;
        command
            .args(["certs", "init", "--dir"])
            .arg(directory.path());
        let made = command.output()?;
        ensure!(made.status.success(), "{made:?}");
        Ok(Arc::new(Self { directory }))
    }

    /// Where the CA and the directories of the roles are.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `ca.pem`, `cert.pem` or `key.pem` of a role.
    pub fn file(&self, role: &str, name: &str) -> PathBuf {
        self.path().join(role).join(name)
    }

    /// The flags of a manager that checks everybody.
    pub fn manager_flags(&self) -> Vec<String> {
        let mut flags = vec!["--tlsverify".to_owned()];
        for (flag, name) in [
            ("--tlscacert", "ca.pem"),
            ("--tlscert", "cert.pem"),
            ("--tlskey", "key.pem"),
        ] {
            flags.push(format!("{flag}={}", self.file("manager", name).display()));
        }
        flags
    }

    /// The values of `--discovery-opt` for a store that checks its clients, the CA first.
    pub fn store_options(&self) -> Vec<String> {
        [
            ("kv.cacertfile", "ca.pem"),
            ("kv.certfile", "cert.pem"),
            ("kv.keyfile", "key.pem"),
        ]
        .map(|(key, name)| format!("{key}={}", self.file("client", name).display()))
        .into()
    }

    /// How a client goes by them.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub fn client(&self) -> Result<Arc<ClientTls>> {
        let config = TlsConfig {
            ca: Some(self.tls_file("client", "ca.pem")),
            identity: Some(self.identity("client")),
            ..TlsConfig::default()
        };
        Ok(ClientTls::new(&platform()?, &config)?)
    }

    /// `service` behind TLS, with the certificate of an engine, for those who show a certificate.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub fn guard(&self, service: Arc<dyn Service>) -> Result<Arc<dyn Service>> {
        let config = ListenerTls {
            identity: self.identity("engine"),
            clients: Some(self.tls_file("engine", "ca.pem")),
            managers: None,
            revoked: None,
        };
        let tls = ServerTls::new(&platform()?, &config)?;
        Ok(Arc::new(Guarded { service, tls }))
    }

    fn identity(&self, role: &str) -> TlsIdentity {
        TlsIdentity {
            cert: self.tls_file(role, "cert.pem"),
            key: self.tls_file(role, "key.pem"),
        }
    }

    fn tls_file(&self, role: &str, name: &str) -> TlsFile {
        TlsFile {
            flag: "the fixture's",
            path: self.file(role, name),
        }
    }
}

fn platform() -> Result<SharedPlatform> {
    Ok(Arc::new(TokioPlatform::new()?))
}

struct Guarded {
    service: Arc<dyn Service>,
    tls: Arc<ServerTls>,
}

impl Service for Guarded {
    fn serve(&self, io: BoxIo) -> BoxFuture<()> {
        let (service, tls) = (Arc::clone(&self.service), Arc::clone(&self.tls));
        Box::pin(async move {
            // Who fails to show a certificate is told by TLS itself, and gets nothing else.
            if let Ok((io, _)) = tls.accept(Box::new(io), &Semaphore::new(1)).await {
                service.serve(Box::new(io)).await;
            }
        })
    }
}
