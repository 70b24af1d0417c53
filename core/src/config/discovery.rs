//! The `<discovery>` argument and `--discovery-opt`.

use super::error::ConfigError;
use crate::discovery::{Discovery, DiscoveryOptions, KeyLayout};

/// Discovery as given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawDiscovery {
    /// The command's arguments: one discovery URL is expected.
    pub arguments: Vec<String>,
    /// `SWARM_DISCOVERY`, used without arguments.
    pub env: Option<String>,
    /// `--discovery-opt`.
    pub options: Vec<String>,
    /// `CONSUL_HTTP_TOKEN`, used for Consul without `consul.token`.
    pub consul_http_token: Option<String>,
    /// Whether `CONSUL_HTTP_AUTH` is set.
    pub consul_http_auth: bool,
    /// `ETCDCTL_USER`, used for etcd without `etcd.user`.
    pub etcdctl_user: Option<String>,
    /// `SWARM_ZK_AUTH`, used for ZooKeeper without `zk.auth`.
    pub zk_auth: Option<String>,
}

/// Where engines are found, ready to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// The URL as given, for logs.
    pub text: String,
    /// The URL, understood and supported by this build.
    pub discovery: Discovery,
    /// The options.
    pub options: DiscoveryOptions,
    /// The keys of the cluster; `None` when discovery is not a store.
    pub keys: Option<KeyLayout>,
}

impl RawDiscovery {
    /// The one discovery URL.
    pub(super) fn required(
        &self,
        command: &'static str,
        purpose: &'static str,
    ) -> Result<&str, ConfigError> {
        match (self.arguments.as_slice(), self.env.as_deref()) {
            ([url], _) if !url.is_empty() => Ok(url),
            ([_] | [], None | Some("")) => Err(ConfigError::DiscoveryRequired { purpose, command }),
            ([_] | [], Some(url)) => Ok(url),
            (many, _) => Err(ConfigError::ManyArguments {
                command,
                count: many.len(),
                arguments: many
                    .iter()
                    .map(|argument| format!("{argument:?}"))
                    .collect::<Vec<_>>()
                    .join(" "),
            }),
        }
    }

    /// Options first, then the URL.
    pub(super) fn parse(&self, url: &str) -> Result<DiscoveryConfig, ConfigError> {
        let options = DiscoveryOptions::parse(self.options.iter().map(String::as_str))?;
        let discovery: Discovery = url.parse()?;
        discovery.check_supported()?;
        let options = match discovery {
            Discovery::Consul { .. } if self.consul_http_auth => {
                return Err(ConfigError::ConsulBasicAuth);
            }
            Discovery::Consul { .. } => {
                options.with_token_from_env(self.consul_http_token.as_deref())?
            }
            Discovery::Etcd { .. } => {
                options.with_etcd_user_from_env(self.etcdctl_user.as_deref())?
            }
            Discovery::ZooKeeper { .. } => {
                options.with_zk_auth_from_env(self.zk_auth.as_deref())?
            }
            Discovery::File(_) | Discovery::Nodes(_) | Discovery::Token => options,
        };
        DiscoveryConfig::new(url, discovery, options)
    }
}

impl DiscoveryConfig {
    /// The place that `text` names, with its options.
    ///
    /// # Errors
    /// When it is no place that this build can use.
    pub fn of(text: &str, options: DiscoveryOptions) -> Result<Self, ConfigError> {
        let discovery: Discovery = text.parse()?;
        discovery.check_supported()?;
        Self::new(text, discovery, options)
    }

    fn new(
        text: &str,
        discovery: Discovery,
        options: DiscoveryOptions,
    ) -> Result<Self, ConfigError> {
        let keys = discovery
            .is_store()
            .then(|| KeyLayout::new(discovery.prefix(), &options.kv_path))
            .transpose()
            .map_err(ConfigError::Keys)?;
        Ok(Self {
            text: text.to_owned(),
            discovery,
            options,
            keys,
        })
    }
}

#[cfg(test)]
pub(super) fn given(url: &str) -> RawDiscovery {
    RawDiscovery {
        arguments: vec![url.to_owned()],
        ..RawDiscovery::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required(arguments: &[&str], env: Option<&str>) -> Result<String, String> {
        RawDiscovery {
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
            env: env.map(str::to_owned),
            ..RawDiscovery::default()
        }
        .required("list", "list a cluster")
        .map(str::to_owned)
        .map_err(|error| error.to_string())
    }

    #[test]
    fn the_argument_counts_more_than_the_environment() {
        assert_eq!(required(&["a:1"], Some("b:1")), Ok("a:1".to_owned()));
        assert_eq!(required(&[], Some("b:1")), Ok("b:1".to_owned()));
        for env in [None, Some("")] {
            assert_eq!(
                required(&[], env).unwrap_err(),
                "discovery required to list a cluster. See 'swarm list --help'."
            );
        }
    }

    #[test]
    fn two_arguments_are_an_error_even_with_the_environment_set() {
        assert_eq!(
            required(&["a:1", "--replication"], Some("b:1")).unwrap_err(),
            "'swarm list' takes one <discovery> argument, but 2 were given: \"a:1\" \"--replication\""
        );
    }

    #[test]
    fn stores_get_their_keys_and_token() {
        let mut raw = given("consul://c:8500/nodes");
        raw.consul_http_token = Some("secret".to_owned());
        let config = raw.parse("consul://c:8500/nodes").unwrap();
        assert_eq!(config.keys.unwrap().lease(), "nodes/docker/swarm/lease");
        assert_eq!(config.options.consul_token.unwrap().reveal(), "secret");
        raw.consul_http_auth = true;
        assert_eq!(
            raw.parse("consul://c:8500"),
            Err(ConfigError::ConsulBasicAuth)
        );
        assert_eq!(raw.parse("file:///x").unwrap().keys, None);
        raw.zk_auth = Some("a:b".to_owned());
        let config = raw.parse("zk://z/nodes").unwrap();
        assert_eq!(config.options.zk_auth.unwrap().name, "a");
    }
}
