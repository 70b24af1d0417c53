//! `swarm join`.

use std::time::Duration;

use super::discovery::{DiscoveryConfig, RawDiscovery};
use super::error::{ConfigError, Warning};
use super::{defaults, duration, heartbeat};
use crate::address::HostPort;

/// `swarm join` as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawJoin {
    /// `--advertise`, `SWARM_ADVERTISE`.
    pub advertise: Option<String>,
    /// `--heartbeat`.
    pub heartbeat: String,
    /// `--ttl`.
    pub ttl: String,
    /// `--delay`.
    pub delay: String,
    /// `--no-check`.
    pub no_check: bool,
    /// The discovery URL and options.
    pub discovery: RawDiscovery,
}

/// What `swarm join` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Where managers reach the engine.
    pub advertise: HostPort,
    /// Time between registrations, at least a second.
    pub heartbeat: Duration,
    /// How long a registration lives, longer than a heartbeat.
    pub ttl: Duration,
    /// Upper bound of the random delay before the first registration.
    pub delay: Duration,
    /// Whether to register only while the engine answers (classic Swarm never looked: defect D2).
    pub check: bool,
    /// Where to register: a store.
    pub discovery: DiscoveryConfig,
    /// What to log first.
    pub warnings: Vec<Warning>,
}

impl Default for RawJoin {
    fn default() -> Self {
        Self {
            advertise: None,
            heartbeat: defaults::HEARTBEAT.to_owned(),
            ttl: defaults::TTL.to_owned(),
            delay: defaults::DELAY.to_owned(),
            no_check: false,
            discovery: RawDiscovery::default(),
        }
    }
}

impl TryFrom<RawJoin> for Join {
    type Error = ConfigError;

    /// Checks in the order of spec/classic.md section 1.4.
    fn try_from(raw: RawJoin) -> Result<Self, ConfigError> {
        let mut warnings = Vec::new();
        let url = raw.discovery.required("join", "join a cluster")?;
        let advertise = advertise(
            raw.advertise.as_deref(),
            ConfigError::AdvertiseMissing,
            &mut warnings,
        )?;
        let delay = duration("--delay", &raw.delay)?
            .to_duration()
            .ok_or(ConfigError::DelayNegative)?;
        let heartbeat = heartbeat(&raw.heartbeat)?;
        let ttl = duration("--ttl", &raw.ttl)?
            .to_duration()
            .filter(|ttl| *ttl > heartbeat)
            .ok_or(ConfigError::TtlTooShort)?;
        let discovery = raw.discovery.parse(url)?;
        discovery.discovery.check_registration()?;
        Ok(Self {
            advertise,
            heartbeat,
            ttl,
            delay,
            check: !raw.no_check,
            discovery,
            warnings,
        })
    }
}

/// Reads `--advertise`. Classic Swarm took an empty host and addresses nobody can connect to (defect C7).
pub(super) fn advertise(
    text: Option<&str>,
    missing: ConfigError,
    warnings: &mut Vec<Warning>,
) -> Result<HostPort, ConfigError> {
    let text = text.filter(|text| !text.is_empty()).ok_or(missing)?;
    let address: HostPort = text.parse().map_err(|_| ConfigError::AdvertiseForm)?;
    if address.ip().is_some_and(|ip| ip.is_unspecified()) {
        return Err(ConfigError::AdvertiseUnspecified(address));
    }
    if address.host() == "localhost" || address.ip().is_some_and(|ip| ip.is_loopback()) {
        warnings.push(Warning::AdvertiseLoopback(address.clone()));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::super::discovery::given;
    use super::*;

    type Mend = fn(&mut RawJoin);

    fn valid() -> RawJoin {
        RawJoin {
            advertise: Some("10.0.0.1:2375".to_owned()),
            discovery: given("consul://c:8500/nodes"),
            ..RawJoin::default()
        }
    }

    fn error(change: impl FnOnce(&mut RawJoin)) -> String {
        let mut raw = valid();
        change(&mut raw);
        Join::try_from(raw).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_those_of_classic_swarm() {
        let join = Join::try_from(valid()).unwrap();
        assert_eq!(join.heartbeat, Duration::from_secs(60));
        assert_eq!(join.ttl, Duration::from_secs(180));
        assert_eq!(join.delay, Duration::ZERO);
        assert!(join.check);
        assert_eq!(join.warnings, []);
    }

    #[test]
    fn the_checks_come_in_order() {
        let mut raw = RawJoin {
            advertise: None,
            heartbeat: "x".to_owned(),
            ttl: "x".to_owned(),
            delay: "x".to_owned(),
            no_check: true,
            discovery: RawDiscovery::default(),
        };
        let mends: [(Mend, &str); 9] = [
            (
                |raw| raw.discovery = given("file:///engines"),
                "discovery required to join a cluster. See 'swarm join --help'.",
            ),
            (
                |raw| raw.advertise = Some("http://h:1".to_owned()),
                "missing mandatory --advertise flag",
            ),
            (
                |raw| raw.advertise = Some("h:1".to_owned()),
                "--advertise should be of the form ip:port or hostname:port",
            ),
            (
                |raw| raw.delay = "-1s".to_owned(),
                "invalid --delay: time: invalid duration \"x\"",
            ),
            (
                |raw| raw.delay = "0".to_owned(),
                "--delay should not be a negative number",
            ),
            (
                |raw| raw.heartbeat = "999ms".to_owned(),
                "invalid --heartbeat: time: invalid duration \"x\"",
            ),
            (
                |raw| raw.heartbeat = "1s".to_owned(),
                "--heartbeat should be at least one second",
            ),
            (
                |raw| raw.ttl = "1s".to_owned(),
                "invalid --ttl: time: invalid duration \"x\"",
            ),
            (
                |raw| raw.ttl = "1001ms".to_owned(),
                "--ttl must be strictly superior to the heartbeat value",
            ),
        ];
        for (mend, expected) in mends {
            assert_eq!(
                Join::try_from(raw.clone()).unwrap_err().to_string(),
                expected
            );
            mend(&mut raw);
        }
        let last = Join::try_from(raw.clone()).unwrap_err().to_string();
        assert!(last.contains("not implemented for registration"), "{last}");
        raw.discovery = given("consul://c:8500");
        assert!(!Join::try_from(raw).unwrap().check);
    }

    #[test]
    fn advertised_addresses_have_a_host_somebody_can_connect_to() {
        for text in [
            ":2375", "h:0", "h:65536", "h", "h:", "::1:1", "[v6]:1", "h:1 ",
        ] {
            assert_eq!(
                error(|raw| raw.advertise = Some(text.to_owned())),
                "--advertise should be of the form ip:port or hostname:port",
                "{text}"
            );
        }
        for text in ["0.0.0.0:2375", "[::]:2375"] {
            assert!(
                error(|raw| raw.advertise = Some(text.to_owned())).contains("unspecified address"),
                "{text}"
            );
        }
        assert_eq!(
            error(|raw| raw.advertise = Some(String::new())),
            "missing mandatory --advertise flag"
        );
    }

    #[test]
    fn loopback_is_taken_with_a_warning() {
        for text in ["127.0.0.1:2375", "[::1]:2375", "localhost:2375"] {
            let mut raw = valid();
            raw.advertise = Some(text.to_owned());
            let join = Join::try_from(raw).unwrap();
            assert_eq!(
                join.warnings,
                [Warning::AdvertiseLoopback(text.parse().unwrap())]
            );
        }
    }
}
