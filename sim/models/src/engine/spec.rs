//! The body of a create request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::refusal::{Answer, Refusal};
use super::volume::{Mount, MountKind};

/// What a container was created from. Fields the model does not know stay in `body` and come back in inspect.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    /// The configuration, all of the request except `HostConfig` and `NetworkingConfig`.
    pub(super) config: Box<str>,
    /// `HostConfig` as it was sent.
    pub(super) host_config: Box<str>,
    pub(super) image: String,
    pub(super) command: Vec<String>,
    pub(super) labels: Arc<BTreeMap<String, String>>,
    pub(super) hostname: String,
    pub(super) tty: bool,
    pub(super) open_stdin: bool,
    pub(super) stdin_once: bool,
    pub(super) auto_remove: bool,
    pub(super) publish_all: bool,
    pub(super) health_check: bool,
    pub(super) network_mode: String,
    pub(super) exposed: BTreeSet<Port>,
    pub(super) bindings: Vec<Binding>,
    pub(super) mounts: Vec<Mount>,
    /// Networks of `NetworkingConfig` with their endpoint settings.
    pub(super) networks: BTreeMap<String, Value>,
}

/// A port inside a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    pub(super) number: u16,
    /// `tcp`, `udp` or `sctp`.
    pub(super) protocol: String,
}

/// A wish to publish a port on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) port: Port,
    pub(super) address: String,
    /// 0 for any free one.
    pub(super) host_port: u16,
}

/// The fields the model acts on.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    image: Option<String>,
    cmd: Option<Words>,
    entrypoint: Option<Words>,
    labels: Option<BTreeMap<String, String>>,
    hostname: Option<String>,
    tty: Option<bool>,
    open_stdin: Option<bool>,
    stdin_once: Option<bool>,
    exposed_ports: Option<BTreeMap<String, Value>>,
    volumes: Option<BTreeMap<String, Value>>,
    healthcheck: Option<HealthCheck>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HealthCheck {
    test: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    binds: Option<Vec<String>>,
    mounts: Option<Vec<MountWish>>,
    network_mode: Option<String>,
    port_bindings: Option<BTreeMap<String, Option<Vec<HostAddress>>>>,
    publish_all_ports: Option<bool>,
    auto_remove: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct MountWish {
    r#type: String,
    source: String,
    target: String,
    read_only: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostAddress {
    host_ip: String,
    host_port: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkingConfig {
    endpoints_config: Option<BTreeMap<String, Value>>,
}

/// Old clients send a single string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl Words {
    fn list(self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word],
            Self::Many(words) => words,
        }
    }
}

impl Port {
    /// Reads `80` or `80/udp`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let known = matches!(protocol, "tcp" | "udp" | "sctp");
        let number = number.parse().ok().filter(|number| *number > 0 && known)?;
        Some(Self {
            number,
            protocol: protocol.to_owned(),
        })
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

impl Spec {
    /// Reads a create request. `defaults` gives entrypoint and command of an image.
    pub(super) fn parse(
        body: &[u8],
        defaults: impl FnOnce(&str) -> Answer<(Vec<String>, Vec<String>)>,
    ) -> Answer<Self> {
        let mut whole: Map<String, Value> = parse_json(body)?;
        let host_config = whole.remove("HostConfig").unwrap_or(Value::Null);
        let networking = whole.remove("NetworkingConfig").unwrap_or(Value::Null);
        let config: Config = typed(&Value::Object(whole.clone()))?;
        let host: HostConfig = typed(&host_config)?;
        let networking: NetworkingConfig = typed(&networking)?;

        let image = config.image.unwrap_or_default();
        let (image_entrypoint, image_command) = defaults(&image)?;
        let command = match (
            config.entrypoint.map(Words::list),
            config.cmd.map(Words::list),
        ) {
            (Some(entrypoint), command) if !entrypoint.is_empty() => {
                [entrypoint, command.unwrap_or_default()].concat()
            }
            (_, Some(command)) if !command.is_empty() => [image_entrypoint, command].concat(),
            _ => [image_entrypoint, image_command].concat(),
        };
        if command.is_empty() {
            return Err(Refusal::bad("No command specified"));
        }
        let ports = config.exposed_ports.unwrap_or_default();
        let bindings = bindings(host.port_bindings.unwrap_or_default())?;
        let mut exposed = ports
            .keys()
            .map(|text| port(text))
            .collect::<Answer<BTreeSet<_>>>()?;
        exposed.extend(bindings.iter().map(|binding| binding.port.clone()));
        let network_mode = host.network_mode.filter(|mode| !mode.is_empty());
        let health = config
            .healthcheck
            .and_then(|check| check.test)
            .unwrap_or_default();
        Ok(Self {
            config: Value::Object(whole).to_string().into(),
            host_config: if host_config.is_null() {
                "{}".into()
            } else {
                host_config.to_string().into()
            },
            image,
            command,
            labels: Arc::new(config.labels.unwrap_or_default()),
            hostname: config.hostname.unwrap_or_default(),
            tty: config.tty.unwrap_or(false),
            open_stdin: config.open_stdin.unwrap_or(false),
            stdin_once: config.stdin_once.unwrap_or(false),
            auto_remove: host.auto_remove.unwrap_or(false),
            publish_all: host.publish_all_ports.unwrap_or(false),
            health_check: health.first().is_some_and(|kind| kind != "NONE"),
            network_mode: network_mode.unwrap_or_else(|| "default".to_owned()),
            exposed,
            bindings,
            mounts: mounts(
                host.binds.unwrap_or_default(),
                host.mounts.unwrap_or_default(),
                config.volumes.unwrap_or_default().into_keys(),
            )?,
            networks: networking.endpoints_config.unwrap_or_default(),
        })
    }

    /// The environment variables, `NAME=value`.
    pub(super) fn env(&self) -> Vec<String> {
        #[derive(Default, Deserialize)]
        struct Env {
            #[serde(rename = "Env")]
            env: Option<Vec<String>>,
        }
        let env: Env = serde_json::from_str(&self.config).unwrap_or_default();
        env.env.unwrap_or_default()
    }

    /// Lays `changes` over `HostConfig`, as `docker update` does.
    pub(super) fn update(&mut self, changes: Map<String, Value>) {
        let mut host: Map<String, Value> =
            serde_json::from_str(&self.host_config).unwrap_or_default();
        for (key, value) in changes {
            // The CLI sends all fields; zero means "leave it".
            let unset = match &value {
                Value::Null => true,
                Value::Bool(flag) => !flag,
                Value::Number(number) => number.as_f64() == Some(0.0),
                Value::String(text) => text.is_empty(),
                Value::Array(list) => list.is_empty(),
                Value::Object(object) => object.get("Name").and_then(Value::as_str) == Some(""),
            };
            if !unset {
                host.insert(key, value);
            }
        }
        self.host_config = Value::Object(host).to_string().into();
    }
}

/// Reads a JSON body into any shape, refusing as Docker does.
pub(super) fn parse_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Answer<T> {
    if body.is_empty() {
        return Err(Refusal::bad(
            "invalid JSON: got EOF while reading request body",
        ));
    }
    serde_json::from_slice(body).map_err(|error| Refusal::bad(format!("invalid JSON: {error}")))
}

fn typed<T: Default + serde::de::DeserializeOwned>(value: &Value) -> Answer<T> {
    if value.is_null() {
        return Ok(T::default());
    }
    T::deserialize(value).map_err(|error| Refusal::bad(format!("invalid JSON: {error}")))
}

fn port(text: &str) -> Answer<Port> {
    Port::parse(text).ok_or_else(|| Refusal::bad(format!("invalid port specification: {text:?}")))
}

fn bindings(wishes: BTreeMap<String, Option<Vec<HostAddress>>>) -> Answer<Vec<Binding>> {
    let mut bindings = Vec::new();
    for (text, addresses) in wishes {
        let port = port(&text)?;
        for wish in addresses.unwrap_or_default() {
            let host_port = match wish.host_port.as_str() {
                "" => 0,
                text => text
                    .parse()
                    .map_err(|_| Refusal::bad(format!("invalid port specification: {text:?}")))?,
            };
            bindings.push(Binding {
                port: port.clone(),
                address: wish.host_ip,
                host_port,
            });
        }
    }
    Ok(bindings)
}

fn mounts(
    binds: Vec<String>,
    wishes: Vec<MountWish>,
    anonymous: impl Iterator<Item = String>,
) -> Answer<Vec<Mount>> {
    let mut mounts = Vec::new();
    for bind in binds {
        let mount = Mount::parse_bind(&bind)
            .ok_or_else(|| Refusal::bad(format!("invalid volume specification: '{bind}'")))?;
        mounts.push(mount);
    }
    for wish in wishes {
        let kind = match wish.r#type.as_str() {
            "bind" => MountKind::Bind(wish.source),
            "volume" => MountKind::Volume(Some(wish.source).filter(|name| !name.is_empty())),
            "tmpfs" => MountKind::Tmpfs,
            other => {
                let text = format!("invalid mount config for type {other:?}: mount type unknown");
                return Err(Refusal::bad(text));
            }
        };
        mounts.push(Mount {
            kind,
            destination: wish.target,
            mode: String::new(),
            writable: !wish.read_only,
        });
    }
    for destination in anonymous {
        if !mounts.iter().any(|mount| mount.destination == destination) {
            mounts.push(Mount {
                kind: MountKind::Volume(None),
                destination,
                mode: String::new(),
                writable: true,
            });
        }
    }
    Ok(mounts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(body: &Value) -> Answer<Spec> {
        Spec::parse(body.to_string().as_bytes(), |_| {
            Ok((Vec::new(), vec!["sh".to_owned()]))
        })
    }

    #[test]
    fn unknown_fields_survive() {
        let spec = parse(&json!({
            "Image": "a", "Future": {"x": 1},
            "HostConfig": {"Odd": [1, null], "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}},
        }))
        .unwrap();
        let config: Value = serde_json::from_str(&spec.config).unwrap();
        let host: Value = serde_json::from_str(&spec.host_config).unwrap();
        assert_eq!(config, json!({"Image": "a", "Future": {"x": 1}}));
        assert_eq!(host["Odd"], json!([1, null]));
        assert_eq!(spec.bindings.first().unwrap().host_port, 8_080);
        assert_eq!(spec.command, ["sh"]);
    }

    #[test]
    fn bad_wishes_are_refused_not_ignored() {
        for body in [
            json!({"ExposedPorts": {"eighty": {}}}),
            json!({"HostConfig": {"Binds": ["a:b"]}}),
            json!({"HostConfig": {"Mounts": [{"Type": "odd", "Target": "/x"}]}}),
            json!({"Labels": 3}),
            json!([1]),
        ] {
            assert_eq!(parse(&body).unwrap_err().status, 400, "{body}");
        }
    }

    #[test]
    fn an_update_leaves_what_it_does_not_set() {
        let mut spec = parse(&json!({"HostConfig": {"Memory": 5, "CpuShares": 2}})).unwrap();
        let changes = json!({"Memory": 9, "CpuShares": 0, "RestartPolicy": {"Name": ""}});
        spec.update(changes.as_object().unwrap().clone());
        let host: Value = serde_json::from_str(&spec.host_config).unwrap();
        assert_eq!(host, json!({"Memory": 9, "CpuShares": 2}));
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Spec::parse(&body, |_| Ok((Vec::new(), Vec::new())));
        }
    }
}
