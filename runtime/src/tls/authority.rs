//! A small CA for trying TLS out, and for tests.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use swarm_core::time::{Civil, Wall};

use super::MANAGER_URI;

/// Signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    now: Wall,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Accepts and connects, and carries [`MANAGER_URI`].
    Manager,
    /// Accepts only.
    Engine,
    /// Connects only.
    Client,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 24 * 3600;
const CA_DAYS: u64 = 3_650;
/// How long certificates are good for; browsers and Go take no longer ones.
pub const CERTIFICATE_DAYS: u64 = 365;

impl Authority {
    /// A CA named `name`, as of `now`.
    ///
    /// # Errors
    /// When the system has no entropy to give.
    pub fn new(name: &str, now: Wall) -> Result<Self, rcgen::Error> {
        let mut params = params(name, &[], now, CA_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer, now })
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn cert(&self) -> String {
        self.issuer.pem()
    }

    /// Its key, in PEM.
    #[must_use]
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for `names`, hosts and addresses.
    ///
    /// # Errors
    /// When a name can be none.
    pub fn issue(&self, role: Role, name: &str, names: &[String]) -> Result<Issued, rcgen::Error> {
        self.issue_for(role, name, names, CERTIFICATE_DAYS)
    }

    /// As [`Authority::issue`], good for `days`.
    ///
    /// # Errors
    /// When a name can be none.
    pub fn issue_for(
        &self,
        role: Role,
        name: &str,
        names: &[String],
        days: u64,
    ) -> Result<Issued, rcgen::Error> {
        let mut params = params(name, names, self.now, days)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let (accepts, connects) = (
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        );
        params.extended_key_usages = match role {
            Role::Manager => vec![accepts, connects],
            Role::Engine => vec![accepts],
            Role::Client => vec![connects],
        };
        if role == Role::Manager {
            let uri = SanType::URI(MANAGER_URI.try_into()?);
            params.subject_alt_names.push(uri);
        }
        let key = KeyPair::generate()?;
        Ok(Issued {
            cert: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

#[cfg(test)]
impl Authority {
    /// A list of revoked certificates, in PEM.
    pub(super) fn revoke(&self, certs: &[String]) -> Result<String, rcgen::Error> {
        use rcgen::{
            CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber,
        };
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;
        use x509_parser::prelude::{FromDer, X509Certificate};

        let span = params("list", &[], self.now, 30)?;
        let (this_update, next_update) = (span.not_before, span.not_after);
        let revoked = certs.iter().map(|cert| {
            let der = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
            let (_, parsed) = X509Certificate::from_der(&der).unwrap();
            RevokedCertParams {
                serial_number: SerialNumber::from_slice(parsed.raw_serial()),
                revocation_time: this_update,
                reason_code: None,
                invalidity_date: None,
            }
        });
        let params = CertificateRevocationListParams {
            this_update,
            next_update,
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer)?.pem()
    }
}

/// Good from the day before, so that a clock that is behind takes it.
fn params(
    name: &str,
    names: &[String],
    now: Wall,
    days: u64,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, name);
    let date = |wall: Wall| {
        let civil = Civil::from(wall);
        let year = i32::try_from(civil.year).unwrap_or(i32::MAX);
        date_time_ymd(year, civil.month, civil.day)
    };
    params.not_before = date(Wall(now.0.saturating_sub(DAY * SECOND)));
    params.not_after = date(Wall(now.0.saturating_add(days * DAY * SECOND)));
    Ok(params)
}
