//! `swarm list`.

use std::time::Duration;

use super::discovery::{DiscoveryConfig, RawDiscovery};
use super::error::ConfigError;
use super::{defaults, positive};

/// `swarm list` as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawList {
    /// `--timeout`.
    pub timeout: String,
    /// The discovery URL and options.
    pub discovery: RawDiscovery,
}

/// What `swarm list` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// How long to wait for a listing.
    pub timeout: Duration,
    /// Where engines are listed.
    pub discovery: DiscoveryConfig,
}

impl Default for RawList {
    fn default() -> Self {
        Self {
            timeout: defaults::TIMEOUT.to_owned(),
            discovery: RawDiscovery::default(),
        }
    }
}

impl TryFrom<RawList> for List {
    type Error = ConfigError;

    /// Checks in the order of spec/classic.md section 1.3.
    fn try_from(raw: RawList) -> Result<Self, ConfigError> {
        let url = raw.discovery.required("list", "list a cluster")?;
        let timeout = positive("--timeout", &raw.timeout, ConfigError::Timeout)?;
        let discovery = raw.discovery.parse(url)?;
        Ok(Self { timeout, discovery })
    }
}

#[cfg(test)]
mod tests {
    use super::super::discovery::given;
    use super::*;

    fn error(change: impl FnOnce(&mut RawList)) -> String {
        let mut raw = RawList {
            discovery: given("consul://c:8500/nodes"),
            ..RawList::default()
        };
        change(&mut raw);
        List::try_from(raw).unwrap_err().to_string()
    }

    #[test]
    fn the_default_timeout_is_ten_seconds() {
        let raw = RawList {
            discovery: given("file:///x"),
            ..RawList::default()
        };
        assert_eq!(
            List::try_from(raw).unwrap().timeout,
            Duration::from_secs(10)
        );
    }

    #[test]
    fn the_checks_come_in_order() {
        // Everything wrong at once, then mended one by one.
        let mut raw = RawList {
            timeout: "10".to_owned(),
            discovery: RawDiscovery {
                options: vec!["novalue".to_owned()],
                ..RawDiscovery::default()
            },
        };
        let mut found = Vec::new();
        let mends: [fn(&mut RawList); 4] = [
            |raw| {
                raw.discovery = RawDiscovery {
                    options: vec!["novalue".to_owned()],
                    ..given("http://x")
                }
            },
            |raw| raw.timeout = "0".to_owned(),
            |raw| raw.timeout = "1s".to_owned(),
            |raw| raw.discovery.options.clear(),
        ];
        for mend in mends {
            found.push(List::try_from(raw.clone()).unwrap_err().to_string());
            mend(&mut raw);
        }
        found.push(List::try_from(raw).unwrap_err().to_string());
        assert_eq!(
            found,
            [
                "discovery required to list a cluster. See 'swarm list --help'.",
                "invalid --timeout: time: missing unit in duration \"10\"",
                "--timeout should be a positive number",
                "--discovery-opt must contain key=value strings",
                "discovery service not supported: \"http\" (known: consul, etcd, zk, file, nodes, or a plain \
                 list of host:port)",
            ]
        );
    }

    #[test]
    fn a_negative_timeout_is_not_positive() {
        assert_eq!(
            error(|raw| raw.timeout = "-1s".to_owned()),
            "--timeout should be a positive number"
        );
    }
}
