//! Files in PEM, what is made of them, and making it again.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::VerifierBuilderError;
use swarm_core::time::Wall;
use swarm_core::tls::{TlsFile, TlsIdentity};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use super::keeper::{Certificate, Kept, RevocationList};
use super::{MANAGER_URI, TlsError};

/// A bundle of public CAs is a quarter of a mebibyte, a list of 100,000 revoked certificates some four.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What files hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts(BTreeMap<PathBuf, Vec<u8>>);

impl Texts {
    pub(super) fn read<'a>(files: impl IntoIterator<Item = &'a TlsFile>) -> Result<Self, TlsError> {
        let mut texts = BTreeMap::new();
        for file in files {
            let text = read(file).map_err(|source| TlsError::Read {
                flag: file.flag,
                path: file.path.clone(),
                source,
            })?;
            texts.insert(file.path.clone(), text);
        }
        Ok(Self(texts))
    }

    fn of(&self, file: &TlsFile) -> &[u8] {
        self.0.get(&file.path).map_or(&[], Vec::as_slice)
    }
}

fn read(file: &TlsFile) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let open = std::fs::File::open(&file.path)?;
    let read = open.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    // What is cut off might be the very list that matters.
    if u64::try_from(read).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "it is larger than {FILE_BYTES_MAX} bytes"
        )));
    }
    Ok(text)
}

/// The CAs of `files`, all of them trusted.
pub(super) fn roots<'a>(
    texts: &Texts,
    files: impl IntoIterator<Item = &'a TlsFile>,
) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for file in files {
        for certificate in certificates(texts, file)? {
            roots
                .add(certificate)
                .map_err(|cause| TlsError::certificate(file, cause))?;
        }
    }
    Ok(Arc::new(roots))
}

fn certificates(texts: &Texts, file: &TlsFile) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(texts.of(file)).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::certificate(file, "there is none in it")),
        Ok(found) => Ok(found),
        Err(cause) => Err(TlsError::certificate(file, cause)),
    }
}

/// What the CAs have revoked; nothing without a file.
pub(super) fn revoked(
    texts: &Texts,
    file: Option<&TlsFile>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let lists = CertificateRevocationListDer::pem_slice_iter(texts.of(file));
    let lists: Result<Vec<_>, _> = lists.collect();
    match lists {
        Ok(lists) if lists.is_empty() => Err(TlsError::revoked(file, "there is none in it")),
        Ok(lists) => Ok(lists),
        Err(cause) => Err(TlsError::revoked(file, cause)),
    }
}

/// When each of the lists in a file should have been replaced. RFC 5280, section 5.1.2.5, asks CAs to say so.
pub(super) fn due(texts: &Texts, file: Option<&TlsFile>) -> Result<Vec<RevocationList>, TlsError> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let mut due = Vec::new();
    for list in revoked(texts, Some(file))? {
        let (_, parsed) = CertificateRevocationList::from_der(&list)
            .map_err(|cause| TlsError::revoked(file, cause))?;
        due.extend(parsed.next_update().map(|next| RevocationList {
            file: file.clone(),
            next: wall(next),
        }));
    }
    Ok(due)
}

fn wall(time: ASN1Time) -> Wall {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    Wall(seconds.saturating_mul(1_000_000_000))
}

/// Why there is no verifier: the CAs were looked at before, so that it is the lists, if there are any.
pub(super) fn unusable(file: Option<&TlsFile>) -> impl FnOnce(VerifierBuilderError) -> TlsError {
    move |cause| match file {
        Some(file) => TlsError::revoked(file, cause),
        None => TlsError::setup(cause),
    }
}

/// A certificate of this process and its key.
pub(super) struct Own {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) is_manager: bool,
    certificate: Certificate,
}

impl Own {
    pub(super) fn read(texts: &Texts, identity: &TlsIdentity) -> Result<Self, TlsError> {
        let chain = certificates(texts, &identity.cert)?;
        let key = PrivateKeyDer::from_pem_slice(texts.of(&identity.key))
            .map_err(|cause| TlsError::key(&identity.key, cause))?;
        let leaf = chain.first().map(AsRef::as_ref).unwrap_or_default();
        let (_, parsed) = X509Certificate::from_der(leaf)
            .map_err(|cause| TlsError::certificate(&identity.cert, cause))?;
        let certificate = Certificate {
            file: identity.cert.clone(),
            ends: wall(parsed.validity().not_after),
        };
        let is_manager = is_manager(leaf);
        Ok(Self {
            chain,
            key,
            is_manager,
            certificate,
        })
    }

    pub(super) fn certificate(&self) -> Certificate {
        self.certificate.clone()
    }
}

/// Whether a certificate carries [`MANAGER_URI`]. It proves nothing unless its CA is trusted.
pub(super) fn is_manager(certificate: &[u8]) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let Ok(Some(names)) = parsed.subject_alternative_name() else {
        return false;
    };
    let mut names = names.value.general_names.iter();
    names.any(|name| matches!(name, GeneralName::URI(uri) if *uri == MANAGER_URI))
}

pub(super) fn pair(identity: &TlsIdentity) -> impl FnOnce(rustls::Error) -> TlsError {
    let shown = |file: &TlsFile| format!("{} {}", file.flag, file.path.display());
    let (cert, key) = (shown(&identity.cert), shown(&identity.key));
    move |source| TlsError::Pair { cert, key, source }
}

/// What [`Reloading`] makes of texts.
pub(super) struct Made<T> {
    pub(super) value: T,
    pub(super) certificate: Option<Certificate>,
    pub(super) lists: Vec<RevocationList>,
}

type Make<T> = dyn Fn(&Texts) -> Result<Made<T>, TlsError> + Send + Sync;

/// Something made of files, and made again when they change.
pub(super) struct Reloading<T> {
    files: Vec<TlsFile>,
    make: Box<Make<T>>,
    live: ArcSwap<Live<T>>,
}

struct Live<T> {
    texts: Texts,
    made: Made<T>,
}

impl<T> Reloading<T> {
    pub(super) fn new(
        files: Vec<TlsFile>,
        make: impl Fn(&Texts) -> Result<Made<T>, TlsError> + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        let texts = Texts::read(&files)?;
        let made = make(&texts)?;
        Ok(Self {
            files,
            make: Box::new(make),
            live: ArcSwap::from_pointee(Live { texts, made }),
        })
    }

    /// What new connections use.
    pub(super) fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.live.load().made.value)
    }
}

impl<T: Send + Sync> Kept for Reloading<T> {
    fn look(&self) -> Result<bool, TlsError> {
        let texts = Texts::read(&self.files)?;
        if self.live.load().texts == texts {
            return Ok(false);
        }
        let made = (self.make)(&texts)?;
        self.live.store(Arc::new(Live { texts, made }));
        Ok(true)
    }

    fn certificate(&self) -> Option<Certificate> {
        self.live.load().made.certificate.clone()
    }

    fn lists(&self) -> Vec<RevocationList> {
        self.live.load().made.lists.clone()
    }
}
