//! `--discovery-opt key=value`.

use std::fmt;

use super::layout::{KV_PATH_DEFAULT, PathError, clean_path};
use crate::tls::{TlsConfig, TlsFile, TlsIdentity};

/// The options of a discovery store (spec/classic.md section 2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryOptions {
    /// The directory of the engines below the prefix, cleaned.
    pub kv_path: String,
    /// Consul ACL token.
    pub consul_token: Option<Secret>,
    /// Who to log in to etcd as.
    pub etcd_user: Option<StoreUser>,
    /// Who to log in to ZooKeeper as; the nodes that are created belong to it alone.
    pub zk_auth: Option<StoreUser>,
    /// Set when the store is reached with TLS, always verified. The CA alone will do.
    pub tls: Option<TlsConfig>,
}

/// Who logs in to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
}

impl Default for DiscoveryOptions {
    fn default() -> Self {
        Self {
            kv_path: KV_PATH_DEFAULT.to_owned(),
            consul_token: None,
            etcd_user: None,
            zk_auth: None,
            tls: None,
        }
    }
}

/// A text that must not reach logs: its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why the discovery options cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No `=` in an option. The option itself is not shown: it may be a token.
    #[error("--discovery-opt must contain key=value strings")]
    NotKeyValue,
    /// A key that means nothing. Classic Swarm ignored it.
    #[error(
        "unknown --discovery-opt {0:?}: the known keys are kv.path, kv.cacertfile, kv.certfile, kv.keyfile, \
         consul.token, etcd.user and zk.auth"
    )]
    UnknownKey(String),
    /// Files that do not make TLS to the store. Classic Swarm spoke plain text unless all three were given (defect D8).
    #[error(
        "--discovery-opt kv.certfile and kv.keyfile go together and need kv.cacertfile, which works alone"
    )]
    StoreTls,
    /// `kv.path` cannot be a path.
    #[error("invalid --discovery-opt kv.path {path:?}: {cause}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        cause: PathError,
    },
    /// The token cannot be sent in a header.
    #[error("invalid --discovery-opt consul.token: it must be 1 to 1,024 visible ASCII characters")]
    Token,
    /// The user of a store is not a name and a password.
    #[error("invalid --discovery-opt {0}: it must be NAME:PASSWORD")]
    User(&'static str),
}

/// Longest ACL token, in bytes.
const TOKEN_LEN_MAX: usize = 1_024;

impl DiscoveryOptions {
    /// The same, for somebody whom the store does not know.
    #[must_use]
    pub fn without_credentials(&self) -> Self {
        let tls = self.tls.clone().map(|tls| TlsConfig {
            identity: None,
            ..tls
        });
        Self {
            kv_path: self.kv_path.clone(),
            consul_token: None,
            etcd_user: None,
            zk_auth: None,
            tls,
        }
    }

    /// Reads `key=value` texts; the last of several with the same key counts.
    ///
    /// # Errors
    /// On the first option that is not understood.
    pub fn parse<'a>(options: impl IntoIterator<Item = &'a str>) -> Result<Self, OptionError> {
        let mut parsed = Self::default();
        let mut tls = StoreTls::default();
        for option in options {
            let (key, value) = option.split_once('=').ok_or(OptionError::NotKeyValue)?;
            match key {
                "kv.path" => parsed.kv_path = kv_path(value)?,
                "kv.cacertfile" => tls.ca = Some(value),
                "kv.certfile" => tls.cert = Some(value),
                "kv.keyfile" => tls.key = Some(value),
                "etcd.user" => parsed.etcd_user = Some(user("etcd.user", value)?),
                "zk.auth" => parsed.zk_auth = Some(user("zk.auth", value)?),
                "consul.token" => parsed.consul_token = Some(token(value)?),
                _ => return Err(OptionError::UnknownKey(key.to_owned())),
            }
        }
        parsed.tls = tls.config()?;
        Ok(parsed)
    }

    /// What [`DiscoveryOptions::parse`] reads: with its secrets, for a process that works on behalf of this one.
    #[must_use]
    pub fn to_texts(&self) -> Vec<String> {
        let Self {
            kv_path,
            consul_token,
            etcd_user,
            zk_auth,
            tls,
        } = self;
        let token = consul_token
            .as_ref()
            .map(|token| format!("consul.token={}", token.reveal()));
        let user = |key: &str, user: &Option<StoreUser>| {
            let user = user.as_ref()?;
            Some(format!("{key}={}:{}", user.name, user.password.reveal()))
        };
        let (etcd, zk) = (user("etcd.user", etcd_user), user("zk.auth", zk_auth));
        let path = format!("kv.path={kv_path}");
        let texts = [Some(path), token, etcd, zk].into_iter().flatten();
        texts.chain(tls.iter().flat_map(tls_texts)).collect()
    }

    /// Takes the user of etcd from the environment if no option gave one.
    ///
    /// # Errors
    /// When it is not a name and a password.
    pub fn with_etcd_user_from_env(mut self, value: Option<&str>) -> Result<Self, OptionError> {
        if let (None, Some(value)) = (&self.etcd_user, value.filter(|value| !value.is_empty())) {
            self.etcd_user = Some(user("etcd.user", value)?);
        }
        Ok(self)
    }

    /// Takes the user of ZooKeeper from the environment if no option gave one.
    ///
    /// # Errors
    /// When it is not a name and a password.
    pub fn with_zk_auth_from_env(mut self, value: Option<&str>) -> Result<Self, OptionError> {
        if let (None, Some(value)) = (&self.zk_auth, value.filter(|value| !value.is_empty())) {
            self.zk_auth = Some(user("zk.auth", value)?);
        }
        Ok(self)
    }

    /// Takes the token from the environment if no option gave one.
    ///
    /// # Errors
    /// When it cannot be a token.
    pub fn with_token_from_env(mut self, value: Option<&str>) -> Result<Self, OptionError> {
        if let (None, Some(value)) = (&self.consul_token, value.filter(|value| !value.is_empty())) {
            self.consul_token = Some(token(value)?);
        }
        Ok(self)
    }
}

/// The files of the store's TLS as given.
#[derive(Default)]
struct StoreTls<'a> {
    ca: Option<&'a str>,
    cert: Option<&'a str>,
    key: Option<&'a str>,
}

impl StoreTls<'_> {
    fn config(&self) -> Result<Option<TlsConfig>, OptionError> {
        let file = |flag, path: Option<&str>| match path {
            None => Ok(None),
            path => TlsFile::given(flag, path)
                .map(Some)
                .ok_or(OptionError::StoreTls),
        };
        let ca = file("--discovery-opt kv.cacertfile", self.ca)?;
        let cert = file("--discovery-opt kv.certfile", self.cert)?;
        let key = file("--discovery-opt kv.keyfile", self.key)?;
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some(TlsIdentity { cert, key }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(OptionError::StoreTls),
        };
        match ca {
            None if identity.is_some() => Err(OptionError::StoreTls),
            None => Ok(None),
            ca => Ok(Some(TlsConfig {
                ca,
                identity,
                ..TlsConfig::default()
            })),
        }
    }
}

/// What [`StoreTls`] was read from.
fn tls_texts(tls: &TlsConfig) -> Vec<String> {
    let identity = tls.identity.as_ref();
    let files = [
        ("kv.cacertfile", tls.ca.as_ref()),
        ("kv.certfile", identity.map(|own| &own.cert)),
        ("kv.keyfile", identity.map(|own| &own.key)),
    ];
    let text = |(key, file): (&str, Option<&TlsFile>)| {
        file.map(|file| format!("{key}={}", file.path.display()))
    };
    files.into_iter().filter_map(text).collect()
}

fn kv_path(value: &str) -> Result<String, OptionError> {
    let error = |cause| OptionError::Path {
        path: value.to_owned(),
        cause,
    };
    let path = clean_path(value).map_err(error)?;
    if path.is_empty() {
        return Err(error(PathError::Empty));
    }
    Ok(path)
}

fn token(value: &str) -> Result<Secret, OptionError> {
    let visible = value.bytes().all(|byte| byte.is_ascii_graphic());
    if value.is_empty() || value.len() > TOKEN_LEN_MAX || !visible {
        return Err(OptionError::Token);
    }
    Ok(Secret::new(value))
}

/// As `etcdctl --user` and the scheme `digest` of ZooKeeper read it.
fn user(key: &'static str, value: &str) -> Result<StoreUser, OptionError> {
    match value.split_once(':') {
        Some((name, password)) if !name.is_empty() && !password.is_empty() => Ok(StoreUser {
            name: name.to_owned(),
            password: Secret::new(password),
        }),
        _ => Err(OptionError::User(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_options_are_read() {
        assert_eq!(DiscoveryOptions::parse([]), Ok(DiscoveryOptions::default()));
        let options =
            DiscoveryOptions::parse(["kv.path=/a//b/", "consul.token=x=y", "kv.path=c"]).unwrap();
        assert_eq!(options.kv_path, "c");
        assert_eq!(options.consul_token.unwrap().reveal(), "x=y");
    }

    #[test]
    fn options_can_be_handed_on() {
        for texts in [
            &[][..],
            &["kv.path=a/b", "consul.token=x=y"],
            &["etcd.user=a:b:c"],
            &["zk.auth=a:b:c"],
            &["kv.cacertfile=/ca"],
            &["kv.cacertfile=/ca", "kv.certfile=/c", "kv.keyfile=/k"],
        ] {
            let options = DiscoveryOptions::parse(texts.iter().copied()).unwrap();
            let handed = options.to_texts();
            let again = DiscoveryOptions::parse(handed.iter().map(String::as_str));
            assert_eq!(again, Ok(options));
        }
    }

    #[test]
    fn a_ca_alone_is_enough_for_tls_to_the_store() {
        let tls =
            |options: &[&str]| DiscoveryOptions::parse(options.iter().copied()).map(|o| o.tls);
        let ca_alone = tls(&["kv.cacertfile=/ca"]).unwrap().unwrap();
        assert_eq!(ca_alone.ca.unwrap().flag, "--discovery-opt kv.cacertfile");
        assert_eq!(ca_alone.identity, None);
        assert_eq!(tls(&["kv.path=a"]), Ok(None));
        let half = ["kv.cacertfile=/ca", "kv.certfile=/c"];
        assert_eq!(tls(&half), Err(OptionError::StoreTls));
        let untrusting = ["kv.certfile=/c", "kv.keyfile=/k"];
        assert_eq!(tls(&untrusting), Err(OptionError::StoreTls));
    }

    #[test]
    fn users_may_have_colons_in_the_password() {
        let users = |options: &[&str], env: Option<&str>| {
            let options = DiscoveryOptions::parse(options.iter().copied()).unwrap();
            let options = options.with_etcd_user_from_env(env).unwrap();
            let options = options.with_zk_auth_from_env(env).unwrap();
            [options.etcd_user, options.zk_auth]
                .map(|user| user.map(|user| format!("{} {}", user.name, user.password.reveal())))
        };
        let both = |text: &str| [Some(text.to_owned()), Some(text.to_owned())];
        let given = ["etcd.user=a:b:c", "zk.auth=a:b:c"];
        assert_eq!(users(&given, Some("x:y")), both("a b:c"));
        assert_eq!(users(&[], Some("x:y")), both("x y"));
        assert_eq!(users(&[], Some("")), [None, None]);
    }

    #[test]
    fn an_option_counts_more_than_the_environment() {
        let token = |options: &[&str], env: Option<&str>| {
            DiscoveryOptions::parse(options.iter().copied())
                .and_then(|options| options.with_token_from_env(env))
                .map(|options| options.consul_token.map(|token| token.reveal().to_owned()))
        };
        assert_eq!(token(&[], Some("env")), Ok(Some("env".to_owned())));
        assert_eq!(
            token(&["consul.token=opt"], Some("env")),
            Ok(Some("opt".to_owned()))
        );
        assert_eq!(token(&[], Some("")), Ok(None));
        assert_eq!(token(&[], None), Ok(None));
        assert_eq!(token(&[], Some("a b")), Err(OptionError::Token));
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (option, error) in [
            ("kv.path", "--discovery-opt must contain key=value strings"),
            ("", "--discovery-opt must contain key=value strings"),
            ("kv.pth=x", "unknown --discovery-opt \"kv.pth\": the known"),
            ("kv.cacertfile=", "need kv.cacertfile"),
            ("kv.certfile=/c", "need kv.cacertfile"),
            ("kv.keyfile=/k", "need kv.cacertfile"),
            ("kv.path=", "it is empty"),
            ("kv.path=../x", "\"..\" is not allowed"),
            ("consul.token=", "invalid --discovery-opt consul.token"),
            ("etcd.user=root", "it must be NAME:PASSWORD"),
            ("etcd.user=:x", "it must be NAME:PASSWORD"),
            ("zk.auth=root:", "zk.auth: it must be NAME:PASSWORD"),
            (
                "consul.token=a\r\nb",
                "invalid --discovery-opt consul.token",
            ),
        ] {
            let found = DiscoveryOptions::parse([option]).unwrap_err().to_string();
            assert!(found.contains(error), "{option}: {found}");
        }
    }

    #[test]
    fn the_token_stays_out_of_debug_output() {
        let options =
            DiscoveryOptions::parse(["consul.token=hunter2", "etcd.user=root:hunter2"]).unwrap();
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(option in "(kv\\.path|consul\\.token|\\PC{0,8})=?\\PC{0,20}") {
            let _ = DiscoveryOptions::parse([option.as_str()]);
        }
    }
}
