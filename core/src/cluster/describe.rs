//! Reading what an engine says of a container.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::container::{Container, Entry, HostBits, Mount, NetworkUse, Port, Rare, shares_to_cpus};
use super::copies::Move;
use super::engine::{NANO, Resources};
use super::human;
use super::packed::{Gap, Packed, Part};
use super::ports::Binding;
use super::recipe::Recipe;
use super::specs::EntryContext;
use super::state::{Health, Phase, State};
use crate::json::{self, JsonError, Members, RawObject};
use crate::scheduler::Reschedule;
use crate::time::Wall;

/// Why an engine's description of a container cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Not the JSON of a list entry or an inspect answer.
    #[error("container description cannot be read: {0}")]
    Json(#[from] JsonError),
    /// List entry and inspect answer are of different containers, or without an ID.
    #[error("container description lacks an ID or mixes two containers")]
    Id,
}

impl Container {
    /// Puts a container together from its entry in `GET /containers/json?all=1` and its `GET /containers/{id}/json`.
    ///
    /// # Errors
    /// [`ContainerError`] when one of them is not what an engine answers.
    pub fn parse(
        entry: &[u8],
        inspect: &[u8],
        engine: &EntryContext,
    ) -> Result<Self, ContainerError> {
        let members = Members::parse(entry)?;
        let listed: Listed = read(entry)?;
        let inspected: Inspected = read(inspect)?;
        if listed.id.is_empty() || listed.id != inspected.id {
            return Err(ContainerError::Id);
        }
        let state = inspected.state(engine);
        let created = inspected.created.as_deref().and_then(human::parse_time);
        let created = engine.shift(created.unwrap_or_else(|| listed.created()));
        let names = listed.names.unwrap_or_default();
        let config = inspected.config.unwrap_or_default();
        let image = config.image.unwrap_or_default();
        let labels = config.labels.or(listed.labels).unwrap_or_default();
        let recipe = match Reschedule::of(&labels) {
            Reschedule::OnNodeFailure => Some(Arc::new(Recipe::parse(inspect)?)),
            Reschedule::Off => None,
        };
        let entry = build_entry(&members, &listed.id, &names, &state, created, engine)?;
        let mut names = names.into_iter().map(Arc::from);
        let first_name = names.next();
        let rare = Rare {
            more_names: names.collect(),
            execs: inspected.exec_ids.unwrap_or_default().into_iter().collect(),
            moved: Move::read(&labels, &image).map(Arc::new),
            recipe,
        };
        Ok(Self {
            rare: rare.boxed(),
            entry,
            id: listed.id.into(),
            first_name,
            image: image.into(),
            image_id: listed.image_id.into(),
            created,
            labels: labels.into(),
            state,
            networks: listed
                .network_settings
                .and_then(|settings| settings.networks)
                .unwrap_or_default()
                .into_iter()
                .map(|(name, network)| NetworkUse {
                    name: name.into(),
                    id: network
                        .unwrap_or_default()
                        .network_id
                        .unwrap_or_default()
                        .into(),
                })
                .collect(),
            mounts: listed
                .mounts
                .unwrap_or_default()
                .into_iter()
                .map(ListedMount::read)
                .collect(),
            ports: listed
                .ports
                .unwrap_or_default()
                .into_iter()
                .map(ListedPort::read)
                .collect(),
            host: Arc::new(
                inspected
                    .host_config
                    .unwrap_or_default()
                    .bits(engine.cpus, &config.exposed_ports.unwrap_or_default()),
            ),
        })
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, ContainerError> {
    serde_json::from_slice(text).map_err(|error| JsonError::from(error).into())
}

/// Applies the changes of spec/classic.md section 4.4 item 7 and leaves gaps for the ID and the status.
fn build_entry(
    members: &Members<'_>,
    id: &str,
    names: &[String],
    state: &State,
    created: Wall,
    engine: &EntryContext,
) -> Result<Entry, ContainerError> {
    let id = format!("\"{id}\"");
    let mut parts: Vec<Part> = Vec::with_capacity(3);
    let mut out = String::from("{");
    let mut has_status = false;
    for (name, value) in members.iter() {
        if out != "{" {
            out.push(',');
        }
        json::push_string(&mut out, name);
        out.push(':');
        match name {
            "Id" if value.get() == id => {
                parts.push((std::mem::take(&mut out), Some(Gap::Id)));
            }
            "Status" => {
                has_status = true;
                parts.push((std::mem::take(&mut out), Some(Gap::Status)));
            }
            "State" => json::push_string(&mut out, &state.phase.to_string()),
            "Created" => out.push_str(&created.seconds().to_string()),
            "Names" => {
                let shown: Vec<_> = names
                    .iter()
                    .map(|name| format!("/{}{name}", engine.engine))
                    .collect();
                out.push_str(json::raw(&shown)?.get());
            }
            "Ports" => out.push_str(ports(value, engine)?.get()),
            _ => out.push_str(value.get()),
        }
    }
    if !has_status {
        out.push_str(if out == "{" {
            "\"Status\":"
        } else {
            ",\"Status\":"
        });
        parts.push((std::mem::take(&mut out), Some(Gap::Status)));
    }
    out.push('}');
    parts.push((out, None));
    Ok(Entry(Packed::plain(&parts)))
}

/// Puts the engine's address where a port is published on all of its interfaces.
fn ports(value: &RawValue, engine: &EntryContext) -> Result<Box<RawValue>, JsonError> {
    let ports: Option<Vec<RawObject>> = serde_json::from_str(value.get())?;
    let Some(mut ports) = ports else {
        return Ok(value.to_owned());
    };
    let mut texts = Vec::with_capacity(ports.len());
    for port in &mut ports {
        let unspecified = port
            .read::<String>("IP")?
            .and_then(|text| text.parse::<IpAddr>().ok())
            .is_some_and(|ip| ip.is_unspecified());
        if let (true, Some(ip)) = (unspecified, engine.ip) {
            port.set("IP", json::raw(&ip.to_string())?);
        }
        texts.push(port.to_raw()?);
    }
    json::raw(&texts)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    names: Option<Vec<String>>,
    #[serde(rename = "ImageID", default)]
    image_id: String,
    #[serde(default)]
    created: i64,
    ports: Option<Vec<ListedPort>>,
    labels: Option<BTreeMap<String, String>>,
    network_settings: Option<ListedNetworks>,
    mounts: Option<Vec<ListedMount>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPort {
    private_port: u16,
    #[serde(default)]
    public_port: u16,
    #[serde(rename = "IP")]
    ip: Option<String>,
    #[serde(rename = "Type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedNetworks {
    networks: Option<BTreeMap<String, Option<ListedNetwork>>>,
}

#[derive(Deserialize, Default)]
struct ListedNetwork {
    #[serde(rename = "NetworkID")]
    network_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedMount {
    name: Option<String>,
    destination: Option<String>,
}

impl Listed {
    /// When it was made, to the second.
    fn created(&self) -> Wall {
        let seconds = u64::try_from(self.created).unwrap_or(0);
        Wall(seconds.saturating_mul(NANO))
    }
}

impl ListedPort {
    fn read(self) -> Port {
        Port {
            private: self.private_port,
            public: self.public_port,
            address: self.ip.unwrap_or_default().into(),
            kind: self.kind.unwrap_or_default().into(),
        }
    }
}

impl ListedMount {
    fn read(self) -> Mount {
        Mount {
            name: self.name.unwrap_or_default(),
            destination: self.destination.unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    created: Option<String>,
    state: Option<InspectedState>,
    host_config: Option<InspectedHost>,
    config: Option<InspectedConfig>,
    #[serde(rename = "ExecIDs")]
    exec_ids: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct InspectedState {
    running: bool,
    paused: bool,
    restarting: bool,
    dead: bool,
    removal_in_progress: bool,
    status: Option<String>,
    exit_code: i64,
    started_at: Option<String>,
    finished_at: Option<String>,
    health: Option<InspectedHealth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedHealth {
    status: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct InspectedHost {
    memory: i64,
    memory_reservation: i64,
    cpu_shares: i64,
    nano_cpus: i64,
    network_mode: Option<String>,
    port_bindings: Option<BTreeMap<String, Option<Vec<InspectedBinding>>>>,
    auto_remove: bool,
    isolation: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedBinding {
    host_ip: Option<String>,
    host_port: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct InspectedConfig {
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    exposed_ports: Option<BTreeMap<String, IgnoredAny>>,
}

impl Inspected {
    fn state(&self, engine: &EntryContext) -> State {
        let none = InspectedState::default();
        let state = self.state.as_ref().unwrap_or(&none);
        let time = |text: &Option<String>| {
            text.as_deref()
                .and_then(human::parse_time)
                .map(|time| engine.shift(time))
        };
        let started = time(&state.started_at);
        let phase = if state.running && state.paused {
            Phase::Paused
        } else if state.running && state.restarting {
            Phase::Restarting
        } else if state.running {
            Phase::Running
        } else if state.removal_in_progress || state.status.as_deref() == Some("removing") {
            Phase::Removing
        } else if state.dead {
            Phase::Dead
        } else if started.is_none() {
            Phase::Created
        } else {
            Phase::Exited
        };
        let health = state
            .health
            .as_ref()
            .and_then(|health| health.status.as_deref());
        State {
            phase,
            exit_code: state.exit_code,
            started,
            finished: time(&state.finished_at),
            health: match health {
                Some("starting") => Health::Starting,
                Some("healthy") => Health::Healthy,
                Some("unhealthy") => Health::Unhealthy,
                Some(_) | None => Health::None,
            },
        }
    }
}

impl InspectedHost {
    fn bits(self, cpus: u64, exposed: &BTreeMap<String, IgnoredAny>) -> HostBits {
        let positive = |value: i64| u64::try_from(value).unwrap_or(0);
        let nano_cpus = match positive(self.nano_cpus) {
            0 => shares_to_cpus(positive(self.cpu_shares), cpus).saturating_mul(NANO),
            nano => nano,
        };
        HostBits {
            resources: Resources {
                memory: positive(self.memory).max(positive(self.memory_reservation)),
                nano_cpus,
            },
            network_mode: self.network_mode.unwrap_or_default().into(),
            // What an engine has accepted can be read; were it not, nothing could be said of that port.
            bindings: self
                .port_bindings
                .unwrap_or_default()
                .iter()
                .flat_map(|(port, bindings)| bindings.iter().flatten().map(move |one| (port, one)))
                .filter_map(|(port, one)| {
                    let text = |text: &'_ Option<String>| text.clone().unwrap_or_default();
                    Binding::parse(port, &text(&one.host_ip), &text(&one.host_port)).ok()?
                })
                .collect(),
            exposed: exposed
                .keys()
                .filter_map(|port| port.parse().ok())
                .collect(),
            auto_remove: self.auto_remove,
            isolation: self.isolation.unwrap_or_default().into(),
        }
    }
}
