//! Certificates in files, for tests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use swarm_core::config::ListenerTls;
use swarm_core::time::Wall;
use swarm_core::tls::{TlsConfig, TlsFile, TlsIdentity};

use super::authority::{Authority, Issued, Role};

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A directory of its own, removed with everything in it when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("swarm-tls-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    pub(crate) fn file(&self, flag: &'static str, name: &str) -> TlsFile {
        TlsFile::given(flag, self.0.join(name).to_str()).unwrap()
    }

    pub(crate) fn ca(&self, name: &str) -> TlsFile {
        self.file("--tlscacert", &format!("{name}.ca.pem"))
    }

    /// The certificate `name`, if [`Folder::put`] put it there.
    pub(crate) fn identity(&self, name: &str) -> TlsIdentity {
        TlsIdentity {
            cert: self.file("--tlscert", &format!("{name}.pem")),
            key: self.file("--tlskey", &format!("{name}.key.pem")),
        }
    }

    pub(crate) fn put(&self, name: &str, issued: &Issued) {
        self.write(&format!("{name}.pem"), &issued.cert);
        self.write(&format!("{name}.key.pem"), &issued.key);
    }

    /// Trusts the CA `ca` and presents `name`.
    pub(crate) fn opens(&self, ca: &str, name: &str) -> TlsConfig {
        TlsConfig {
            ca: Some(self.ca(ca)),
            identity: Some(self.identity(name)),
            revoked: None,
        }
    }

    /// Presents `name` to clients of the CA `ca`.
    pub(crate) fn listens(&self, ca: &str, name: &str) -> ListenerTls {
        ListenerTls {
            identity: self.identity(name),
            clients: Some(self.ca(ca)),
            managers: None,
            revoked: None,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A CA that puts what it signs into `folder`.
pub(crate) struct Ca<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) authority: Authority,
}

impl<'a> Ca<'a> {
    /// `folder.ca(name)`, as of `now`.
    pub(crate) fn new(folder: &'a Folder, name: &str, now: Wall) -> Self {
        let authority = Authority::new(name, now).unwrap();
        folder.write(&format!("{name}.ca.pem"), &authority.cert());
        Self { folder, authority }
    }

    /// `folder.file(…, "NAME.crl.pem")`: a list with the certificates `revoked`.
    pub(crate) fn revoke(&self, name: &str, revoked: &[&str]) {
        let certs = revoked.iter().map(|name| {
            let path = self.folder.identity(name).cert.path;
            std::fs::read_to_string(path).unwrap()
        });
        let certs: Vec<String> = certs.collect();
        let list = self.authority.revoke(&certs).unwrap();
        self.folder.write(&format!("{name}.crl.pem"), &list);
    }

    /// `folder.identity(name)`, for the host `host`.
    pub(crate) fn issue(&self, role: Role, name: &str, host: &str) {
        let issued = self.authority.issue(role, name, &[host.to_owned()]);
        self.folder.put(name, &issued.unwrap());
    }
}
