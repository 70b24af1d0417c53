//! Connections that are accepted.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Acceptor, WebPkiClientVerifier};
use swarm_core::config::ListenerTls;
use swarm_core::tls::TlsFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;

use super::files::{Made, Own, Reloading, Texts, due, is_manager, pair, revoked, roots, unusable};
use super::keeper::Kept;
use super::{Calendar, TlsError, VERSIONS, alpn, provider};
use crate::platform::{BoxIo, SharedPlatform};

/// Who a certificate says is at the other end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// Nothing tells managers from clients: no TLS, no certificate, or any certificate would do.
    #[default]
    Unproven,
    /// A manager.
    Manager,
    /// Somebody known, but no manager.
    Other,
}

/// Turns connections that were accepted into TLS.
pub struct ServerTls {
    calendar: Calendar,
    live: Reloading<Live>,
}

struct Live {
    config: Arc<ServerConfig>,
    managers: Managers,
}

/// How managers are told from others that the CA signed.
struct Managers {
    /// Clients have certificates.
    verified: bool,
    /// Managers carry the URI.
    by_uri: bool,
    /// Managers are signed by somebody of their own.
    by_ca: Option<Arc<dyn ClientCertVerifier>>,
}

/// What Go's servers answer, and Docker's command shows.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

impl ServerTls {
    /// As `config` says.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn new(platform: &SharedPlatform, config: &ListenerTls) -> Result<Arc<Self>, TlsError> {
        let calendar = Calendar(platform.clone());
        let (clock, wanted) = (calendar.clone(), config.clone());
        let live = Reloading::new(files(config), move |texts| make(&clock, texts, &wanted))?;
        Ok(Arc::new(Self { calendar, live }))
    }

    /// Speaks TLS over `io`, and says who is there. Who has sent something needs one of `turns` until it is known; who
    /// is silent takes nobody's place.
    ///
    /// # Errors
    /// When the other side does not speak TLS, or must not be let in.
    pub async fn accept(&self, mut io: BoxIo, turns: &Semaphore) -> io::Result<(BoxIo, Identity)> {
        let first = [io.read_u8().await?];
        let _turn = turns.acquire().await.map_err(io::Error::other)?;
        // Methods are capital letters; a TLS connection begins with the number 22.
        if first.iter().all(u8::is_ascii_uppercase) {
            io.write_all(PLAIN_HTTP).await?;
            io.shutdown().await?;
            return Err(io::Error::other("plain HTTP"));
        }
        let mut acceptor = Acceptor::default();
        acceptor.read_tls(&mut first.as_slice())?;
        let hello = LazyConfigAcceptor::new(acceptor, io).await?;
        let config = self.live.with(|live| Arc::clone(&live.config));
        let stream = hello.into_stream(config).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let identity = self.identity(chain);
        Ok((Box::new(stream), identity))
    }

    /// Whether connections of managers can be told from others.
    #[must_use]
    pub fn knows_managers(&self) -> bool {
        self.live.with(|live| live.managers.are_known())
    }

    pub(super) fn kept(&self) -> &dyn Kept {
        &self.live
    }

    /// The chain has been verified for a client.
    fn identity(&self, chain: &[CertificateDer<'_>]) -> Identity {
        let Some((leaf, others)) = chain.split_first() else {
            return Identity::Unproven;
        };
        self.live.with(|live| {
            let Managers { by_uri, by_ca, .. } = &live.managers;
            let now = self.calendar.now();
            let signed =
                |ca: &Arc<dyn ClientCertVerifier>| ca.verify_client_cert(leaf, others, now).is_ok();
            if !live.managers.are_known() {
                Identity::Unproven
            } else if (!by_uri || is_manager(leaf)) && by_ca.as_ref().is_none_or(signed) {
                Identity::Manager
            } else {
                Identity::Other
            }
        })
    }
}

impl Managers {
    fn are_known(&self) -> bool {
        self.verified && (self.by_uri || self.by_ca.is_some())
    }
}

fn files(config: &ListenerTls) -> Vec<TlsFile> {
    let own = [config.identity.cert.clone(), config.identity.key.clone()];
    let cas = config.clients.iter().chain(&config.managers);
    let others = cas.chain(&config.revoked).cloned();
    own.into_iter().chain(others).collect()
}

fn make(calendar: &Calendar, texts: &Texts, config: &ListenerTls) -> Result<Made<Live>, TlsError> {
    let own = Own::read(texts, &config.identity)?;
    let verifier = |cas: Vec<&TlsFile>| -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let roots = roots(texts, cas)?;
        let lists = revoked(texts, config.revoked.as_ref())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let verifier = verifier.with_crls(lists).build();
        verifier.map_err(unusable(config.revoked.as_ref()))
    };
    let managers = Managers {
        verified: config.clients.is_some(),
        by_uri: own.is_manager,
        by_ca: config
            .managers
            .as_ref()
            .map(|ca| verifier(vec![ca]))
            .transpose()?,
    };
    let builder = ServerConfig::builder_with_details(provider(), Arc::new(calendar.clone()))
        .with_protocol_versions(&VERSIONS)
        .map_err(TlsError::setup)?;
    let builder = match &config.clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let cas = std::iter::once(ca).chain(&config.managers).collect();
            builder.with_client_cert_verifier(verifier(cas)?)
        }
    };
    let certificate = own.certificate();
    let mut server = builder
        .with_single_cert(own.chain, own.key)
        .map_err(pair(&config.identity))?;
    server.alpn_protocols = alpn();
    Ok(Made {
        value: Live {
            config: Arc::new(server),
            managers,
        },
        certificate: Some(certificate),
        lists: due(texts, config.revoked.as_ref())?,
    })
}
