//! What a modelled engine is, and how it may misbehave.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use swarm_core::rng::Random;
use swarm_core::time::Wall;

/// A Docker API version such as 1.41.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion(pub u32, pub u32);

impl ApiVersion {
    /// The oldest version an engine speaks.
    pub const MIN: Self = Self(1, 24);
    /// The version of Docker 20.10.
    pub const DOCKER_20_10: Self = Self(1, 41);
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for ApiVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (major, minor) = text.split_once('.')?;
            Some(Self(major.parse().ok()?, minor.parse().ok()?))
        };
        parse().ok_or_else(|| format!("invalid API version {text:?}: two numbers and a dot"))
    }
}

/// What a modelled engine is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Host name, as in `docker info`.
    pub name: String,
    /// The daemon's ID; all other IDs derive from it.
    pub id: String,
    /// Number of CPUs.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Daemon labels, `key=value`.
    pub labels: Vec<String>,
    /// Docker version, for instance `20.10.24`.
    pub version: String,
    /// The newest API version it speaks.
    pub api_version: ApiVersion,
    /// Images that are there from the start.
    pub images: Vec<String>,
    /// What the engine's calendar clock shows when it is created.
    pub clock: Wall,
    /// `OperatingSystem` of `docker info`.
    pub operating_system: String,
    /// `KernelVersion` of `docker info`.
    pub kernel_version: String,
    /// Storage driver.
    pub driver: String,
    /// How long the last line of a pull's progress takes to come.
    pub pull_takes: Duration,
    /// Whether it has a cluster store and so may create overlay networks of global scope.
    pub cluster_store: bool,
}

impl Options {
    /// An engine like Docker 20.10 on a small Linux machine. Its ID derives from its name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut random = Random::new(0).fork(&format!("engine/{name}"));
        Self {
            name: name.to_owned(),
            id: daemon_id(&mut random),
            cpus: 4,
            memory_bytes: 8 << 30,
            labels: Vec::new(),
            version: "20.10.24".to_owned(),
            api_version: ApiVersion::DOCKER_20_10,
            images: ["alpine:latest", "busybox:latest", "nginx:latest"]
                .map(str::to_owned)
                .to_vec(),
            // 2026-01-01, so that a simulated engine shows a plausible date.
            clock: Wall(1_767_225_600_000_000_000),
            operating_system: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            kernel_version: "6.1.0-13-amd64".to_owned(),
            driver: "overlay2".to_owned(),
            pull_takes: Duration::ZERO,
            cluster_store: false,
        }
    }
}

/// Twelve groups of four base32 characters, the form of a daemon ID before Docker 25.
fn daemon_id(random: &mut Random) -> String {
    const ALPHABET: [char; 32] = [
        'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R',
        'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', '2', '3', '4', '5', '6', '7',
    ];
    let mut character = || {
        let at = usize::try_from(random.below(32)).unwrap_or(0);
        ALPHABET.get(at).copied().unwrap_or('A')
    };
    let groups: Vec<String> = (0..12)
        .map(|_| (0..4).map(|_| character()).collect())
        .collect();
    groups.join(":")
}

/// How an engine misbehaves right now. All off by default.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The daemon is down: connections are closed at once, those that exist are cut.
    pub stopped: bool,
    /// The daemon is frozen: it accepts connections and says nothing until this is off again.
    pub hung: bool,
    /// Waits this long before each answer.
    pub latency: Duration,
    /// Answers every request with bytes that are not HTTP.
    pub garbage: bool,
    /// Reports another daemon ID in `info`.
    pub daemon_id: Option<String>,
    /// Refuses the n-th create since the engine was made, counted from 1, with a status and a message.
    pub fail_creates: BTreeMap<u64, (u16, String)>,
    /// Does the n-th create, and cuts the connection instead of answering.
    pub lose_creates: BTreeSet<u64>,
    /// Images no registry has; `pull` refuses them.
    pub missing_images: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_looks_like_dockers_and_belongs_to_the_name() {
        let id = Options::new("a").id;
        assert_eq!(id.len(), 59);
        assert_eq!(id.split(':').count(), 12);
        assert_eq!(id, Options::new("a").id);
        assert_ne!(id, Options::new("b").id);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!("1.9".parse::<ApiVersion>().unwrap() < ApiVersion::MIN);
        assert_eq!("1.41".parse(), Ok(ApiVersion::DOCKER_20_10));
        assert!("1".parse::<ApiVersion>().is_err());
    }
}
