//! The options about certificates.

use clap::Args;
use swarm_core::config::{RawCerts, RawClientTls, RawTls, RawTlsFiles, defaults};

use super::Env;

#[derive(Debug, Args)]
pub(super) struct Tls {
    /// use TLS; implied by --tlsverify
    #[arg(long)]
    tls: bool,
    /// trust only remotes providing a certificate signed by the CA given here
    #[arg(long, value_name = "FILE")]
    tlscacert: Option<String>,
    /// path to TLS certificate file
    #[arg(long, value_name = "FILE")]
    tlscert: Option<String>,
    /// path to TLS key file
    #[arg(long, value_name = "FILE")]
    tlskey: Option<String>,
    /// use TLS and verify the remote
    #[arg(long)]
    tlsverify: bool,
}

#[derive(Debug, Args)]
pub(super) struct RoleTls {
    /// trust only managers with a certificate signed by the CA given here, instead of --tlscacert
    #[arg(long, value_name = "FILE")]
    peer_tlscacert: Option<String>,
    /// certificate to show to other managers when connecting to them, instead of --tlscert
    #[arg(long, value_name = "FILE")]
    peer_tlscert: Option<String>,
    /// its key, instead of --tlskey
    #[arg(long, value_name = "FILE")]
    peer_tlskey: Option<String>,
    /// refuse clients and managers whose certificates are in the revocation lists given here; one list for each CA
    #[arg(long, value_name = "FILE")]
    tlscrl: Option<String>,
    /// TLS to the engines: off, on (engines are not checked) or verify [default: as --tls and --tlsverify say]
    #[arg(long, value_name = "MODE")]
    engine_tls: Option<String>,
    /// trust only engines with a certificate signed by the CA given here, instead of --tlscacert
    #[arg(long, value_name = "FILE")]
    engine_tlscacert: Option<String>,
    /// certificate to show to engines, instead of --tlscert
    #[arg(long, value_name = "FILE")]
    engine_tlscert: Option<String>,
    /// its key, instead of --tlskey
    #[arg(long, value_name = "FILE")]
    engine_tlskey: Option<String>,
    /// refuse engines whose certificates are in the revocation lists given here; one list for each CA of engines
    #[arg(long, value_name = "FILE")]
    engine_tlscrl: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Certs {
    #[arg(hide = true)]
    arguments: Vec<String>,
    /// where to put them
    #[arg(long, value_name = "PATH", default_value = defaults::CERTS_DIR)]
    dir: String,
    /// hosts or addresses of managers, besides this machine's own
    #[arg(long, value_name = "HOST,HOST")]
    manager: Vec<String>,
    /// hosts or addresses of engines, besides this machine's own
    #[arg(long, value_name = "HOST,HOST")]
    engine: Vec<String>,
    /// name in the client's certificate
    #[arg(long, value_name = "NAME", default_value = defaults::CERTS_CLIENT)]
    client: String,
}

impl Tls {
    /// Those of `manage`.
    pub(super) fn manager(self, roles: RoleTls) -> RawTls {
        RawTls {
            enabled: self.tls,
            verify: self.tlsverify,
            own: self.files(),
            peer: RawTlsFiles {
                ca: roles.peer_tlscacert,
                cert: roles.peer_tlscert,
                key: roles.peer_tlskey,
            },
            revoked: roles.tlscrl,
            engine_mode: roles.engine_tls,
            engine: RawTlsFiles {
                ca: roles.engine_tlscacert,
                cert: roles.engine_tlscert,
                key: roles.engine_tlskey,
            },
            engine_revoked: roles.engine_tlscrl,
        }
    }

    /// Those of a command that asks a manager.
    pub(super) fn client(self, env: &Env) -> RawClientTls {
        RawClientTls {
            enabled: self.tls,
            verify: self.tlsverify || env.docker_tls_verify,
            docker_cert_path: env.docker_cert_path.clone(),
            files: self.files(),
        }
    }

    fn files(self) -> RawTlsFiles {
        RawTlsFiles {
            ca: self.tlscacert,
            cert: self.tlscert,
            key: self.tlskey,
        }
    }
}

impl Certs {
    pub(in crate::cli) fn raw(self) -> RawCerts {
        RawCerts {
            arguments: self.arguments,
            dir: self.dir,
            managers: self.manager,
            engines: self.engine,
            client: self.client,
        }
    }
}
