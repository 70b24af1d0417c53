//! What an engine says of itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::engine::NANO;
use super::human;
use crate::address::HostPort;
use crate::api::{ApiVersion, VersionError};
use crate::time::Wall;

/// What an engine says of itself (spec/classic.md section 6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specs {
    /// The daemon's ID: the engine's identity.
    pub id: String,
    /// Host name.
    pub name: String,
    /// CPUs, at least 1.
    pub cpus: u64,
    /// Bytes, at least 1.
    pub memory: u64,
    /// Built-in labels (`storagedriver`, `kernelversion`, `operatingsystem`, `ostype`) and the engine's own.
    pub labels: BTreeMap<String, String>,
    /// Engine version, for instance `24.0.7`.
    pub version: String,
    /// Newest API version it speaks.
    pub api_version: ApiVersion,
    /// Oldest API version it speaks, if it says so.
    pub api_version_min: Option<ApiVersion>,
    /// Nanoseconds to add to the engine's times to get the manager's; 0 below two seconds.
    pub clock_offset: i64,
}

/// What rewriting a container's list entry needs to know of its engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryContext {
    /// Host name of the engine.
    pub engine: String,
    /// Its resolved address.
    pub ip: Option<IpAddr>,
    /// Its CPUs: CPU shares are a part of them.
    pub cpus: u64,
    /// See [`Specs::clock_offset`].
    pub clock_offset: i64,
}

/// Why an engine's `/info` and `/version` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpecsError {
    /// Not the JSON of an engine.
    #[error("{what} of engine {address} cannot be read: {source}")]
    Json {
        /// `/info` or `/version`.
        what: &'static str,
        /// The engine.
        address: HostPort,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No CPUs or memory.
    #[error(
        "cannot get resources for this engine, make sure {0} is a Docker Engine, not a Swarm manager"
    )]
    NoResources(HostPort),
    /// No daemon ID: it could not be told from others.
    #[error("engine {0} reports no daemon ID")]
    NoId(HostPort),
    /// A label without `=`.
    #[error(
        "engine (ID: {id}, Addr: {address}) contains an invalid label ({label}) not formatted as \"key=value\""
    )]
    Label {
        /// Daemon ID.
        id: String,
        /// The engine.
        address: HostPort,
        /// The label.
        label: String,
    },
    /// No usable API version.
    #[error("engine {address}: {source}")]
    ApiVersion {
        /// The engine.
        address: HostPort,
        /// What is wrong.
        source: VersionError,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct InfoAnswer {
    #[serde(rename = "ID")]
    id: Option<String>,
    name: Option<String>,
    #[serde(rename = "NCPU")]
    ncpu: i64,
    mem_total: i64,
    labels: Option<Vec<String>>,
    driver: Option<String>,
    kernel_version: Option<String>,
    operating_system: Option<String>,
    #[serde(rename = "OSType")]
    os_type: Option<String>,
    system_time: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct VersionAnswer {
    version: Option<String>,
    api_version: Option<String>,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: Option<String>,
}

impl Specs {
    /// Reads an engine's answers to `GET /info` and `GET /version`, received at `now`. The second value are warnings
    /// an operator should see (ignored labels, a clock that is off).
    ///
    /// # Errors
    /// [`SpecsError`] when the engine cannot be used.
    pub fn parse(
        address: &HostPort,
        info: &[u8],
        version: &[u8],
        now: Wall,
    ) -> Result<(Self, Vec<String>), SpecsError> {
        let json = |what| {
            move |source| SpecsError::Json {
                what,
                address: address.clone(),
                source,
            }
        };
        let info: InfoAnswer = serde_json::from_slice(info).map_err(json("/info"))?;
        let version: VersionAnswer = serde_json::from_slice(version).map_err(json("/version"))?;
        let cpus = u64::try_from(info.ncpu).unwrap_or(0);
        let memory = u64::try_from(info.mem_total).unwrap_or(0);
        if cpus == 0 || memory == 0 {
            return Err(SpecsError::NoResources(address.clone()));
        }
        let id = info.id.clone().unwrap_or_default();
        if id.is_empty() {
            return Err(SpecsError::NoId(address.clone()));
        }
        let mut warnings = Vec::new();
        let labels = labels(&info, &id, address, &mut warnings)?;
        let clock_offset = clock_offset(&info, address, now, &mut warnings);
        let api = |text: &str| {
            text.parse::<ApiVersion>()
                .map_err(|source| SpecsError::ApiVersion {
                    address: address.clone(),
                    source,
                })
        };
        let specs = Self {
            name: match info.name {
                Some(name) if !name.is_empty() => name,
                Some(_) | None => address.to_string(),
            },
            id,
            cpus,
            memory,
            labels,
            version: version.version.unwrap_or_default(),
            api_version: api(version.api_version.as_deref().unwrap_or("1.24"))?,
            api_version_min: version
                .min_api_version
                .as_deref()
                .filter(|text| !text.is_empty())
                .map(api)
                .transpose()?,
            clock_offset,
        };
        Ok((specs, warnings))
    }
}

fn labels(
    info: &InfoAnswer,
    id: &str,
    address: &HostPort,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, String>, SpecsError> {
    let builtin: BTreeMap<String, String> = [
        ("storagedriver", &info.driver),
        ("kernelversion", &info.kernel_version),
        ("operatingsystem", &info.operating_system),
        ("ostype", &info.os_type),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)))
    .filter(|(_, value)| !value.is_empty())
    .collect();
    let mut all = builtin.clone();
    for label in info.labels.iter().flatten() {
        let (key, value) = label.split_once('=').ok_or_else(|| SpecsError::Label {
            id: id.to_owned(),
            address: address.clone(),
            label: label.clone(),
        })?;
        if key == "node" || builtin.contains_key(key) {
            warnings.push(format!(
                "engine {address} has a label {label:?} whose key is reserved; it is ignored"
            ));
        } else {
            all.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(all)
}

/// Below this a difference is the time the answer was under way.
const CLOCK_TOLERANCE: u64 = 2 * NANO;

fn clock_offset(
    info: &InfoAnswer,
    address: &HostPort,
    now: Wall,
    warnings: &mut Vec<String>,
) -> i64 {
    let Some(theirs) = info.system_time.as_deref().and_then(human::parse_time) else {
        return 0;
    };
    if now.0.abs_diff(theirs.0) < CLOCK_TOLERANCE {
        return 0;
    }
    warnings.push(format!(
        "engine {address} has unsynchronized systime with swarm ({} against {}), please synchronize it",
        theirs.rfc3339(),
        now.rfc3339()
    ));
    i64::try_from(i128::from(now.0) - i128::from(theirs.0)).unwrap_or(0)
}

impl EntryContext {
    /// An engine's time on the manager's clock.
    #[must_use]
    pub(super) fn shift(&self, time: Wall) -> Wall {
        Wall(time.0.saturating_add_signed(self.clock_offset))
    }
}
