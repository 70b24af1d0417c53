//! Connections that are opened.

use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, Error, InvalidMessage};
use swarm_core::address::HostPort;
use swarm_core::tls::{TlsConfig, TlsFile};
use tokio_rustls::TlsConnector;

use super::files::{Made, Own, Reloading, Texts, due, pair, revoked, roots, unusable};
use super::keeper::Kept;
use super::verify::{Anybody, ManagersOnly};
use super::{Calendar, TlsError, VERSIONS, alpn, provider};
use crate::platform::{BoxIo, SharedPlatform};

/// Turns connections that were opened into TLS.
pub struct ClientTls {
    live: Reloading<Arc<ClientConfig>>,
    /// The flag that names the revocation lists, if there are any.
    lists: Option<&'static str>,
}

impl ClientTls {
    /// As `config` says; the other side may be anybody of that CA, if its certificate names the host that was dialled.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn new(platform: &SharedPlatform, config: &TlsConfig) -> Result<Arc<Self>, TlsError> {
        Self::load(platform, config, false)
    }

    /// As [`ClientTls::new`], if there is something to go by.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn optional(
        platform: &SharedPlatform,
        config: Option<&TlsConfig>,
    ) -> Result<Option<Arc<Self>>, TlsError> {
        config.map(|config| Self::new(platform, config)).transpose()
    }

    /// As [`ClientTls::new`], towards other managers: a manager that is known as one by its certificate asks the same of
    /// the others.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn to_managers(
        platform: &SharedPlatform,
        config: &TlsConfig,
    ) -> Result<Arc<Self>, TlsError> {
        Self::load(platform, config, true)
    }

    fn load(
        platform: &SharedPlatform,
        config: &TlsConfig,
        peers: bool,
    ) -> Result<Arc<Self>, TlsError> {
        let (calendar, wanted) = (Calendar(platform.clone()), config.clone());
        let live = Reloading::new(files(config), move |texts| {
            make(&calendar, texts, &wanted, peers)
        })?;
        let lists = config.revoked.as_ref().map(|file| file.flag);
        Ok(Arc::new(Self { live, lists }))
    }

    /// Speaks TLS over `io`, which leads to `to`.
    ///
    /// # Errors
    /// When the other side does not, or is not who it should be.
    pub async fn connect(&self, to: &HostPort, io: BoxIo) -> io::Result<BoxIo> {
        // A zone such as `%eth0` is nobody's name.
        let host = to.host().split('%').next().unwrap_or_default();
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(self.live.with(Arc::clone));
        let connected = connector.connect(name, io).await;
        Ok(Box::new(connected.map_err(|error| self.explained(error))?))
    }

    pub(super) fn kept(&self) -> &dyn Kept {
        &self.live
    }

    /// The usual mistakes in the words of an operator.
    fn explained(&self, error: io::Error) -> io::Error {
        let inner = error.get_ref();
        let known = inner.and_then(|inner| inner.downcast_ref::<Error>());
        let text = match known {
            Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                "what answers there does not speak TLS".to_owned()
            }
            Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                "the certificate there is not signed by the trusted CA".to_owned()
            }
            Some(Error::InvalidCertificate(CertificateError::Revoked)) => {
                "the certificate there is revoked".to_owned()
            }
            Some(Error::InvalidCertificate(CertificateError::UnknownRevocationStatus)) => {
                let flag = self.lists.unwrap_or_default();
                format!("{flag} has no revocation list of the CA that signed the certificate there")
            }
            Some(Error::InvalidCertificate(CertificateError::Other(cause))) => cause.0.to_string(),
            Some(_) | None => return error,
        };
        io::Error::new(error.kind(), text)
    }
}

fn files(config: &TlsConfig) -> Vec<TlsFile> {
    let identity = config.identity.iter();
    let own = identity.flat_map(|own| [own.cert.clone(), own.key.clone()]);
    let cas = config.ca.iter().chain(&config.revoked).cloned();
    cas.chain(own).collect()
}

fn make(
    calendar: &Calendar,
    texts: &Texts,
    config: &TlsConfig,
    peers: bool,
) -> Result<Made<Arc<ClientConfig>>, TlsError> {
    let provider = provider();
    let own = config
        .identity
        .as_ref()
        .map(|identity| Own::read(texts, identity).map(|own| (identity, own)))
        .transpose()?;
    let managers_only = peers && own.as_ref().is_some_and(|(_, own)| own.is_manager);
    let verifier: Arc<dyn ServerCertVerifier> = match &config.ca {
        None => Arc::new(Anybody(provider.clone())),
        Some(ca) => {
            let roots = roots(texts, [ca])?;
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
            let lists = revoked(texts, config.revoked.as_ref())?;
            let verifier = verifier.with_crls(lists).build();
            let verifier = verifier.map_err(unusable(config.revoked.as_ref()))?;
            match managers_only {
                true => Arc::new(ManagersOnly(verifier)),
                false => verifier,
            }
        }
    };
    let builder = ClientConfig::builder_with_details(provider, Arc::new(calendar.clone()))
        .with_protocol_versions(&VERSIONS)
        .map_err(TlsError::setup)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let certificate = own.as_ref().map(|(_, own)| own.certificate());
    let mut value = match own {
        None => builder.with_no_client_auth(),
        Some((identity, own)) => builder
            .with_client_auth_cert(own.chain, own.key)
            .map_err(pair(identity))?,
    };
    value.alpn_protocols = alpn();
    Ok(Made {
        value: Arc::new(value),
        certificate,
        lists: due(texts, config.revoked.as_ref())?,
    })
}
