//! How containers look in lists and in inspect.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::clock::{between, human, rfc3339};
use super::container::{Container, Health, Phase};
use super::spec::Port;
use super::state::State;

/// An entry of `GET /containers/json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry<'a> {
    id: &'a str,
    names: [String; 1],
    image: &'a str,
    #[serde(rename = "ImageID")]
    image_id: &'a str,
    command: String,
    created: u64,
    ports: Vec<PortEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    labels: &'a BTreeMap<String, String>,
    state: &'a str,
    status: String,
    host_config: HostEntry<'a>,
    network_settings: NetworkEntry<'a>,
    mounts: Vec<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostEntry<'a> {
    network_mode: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkEntry<'a> {
    networks: BTreeMap<&'a str, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PortEntry<'a> {
    #[serde(rename = "IP", skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
    private_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_port: Option<u16>,
    r#type: &'a str,
}

impl State {
    /// A container's entry in the list.
    pub(super) fn entry<'a>(&'a self, container: &'a Container, size: bool) -> Entry<'a> {
        let spec = &container.spec;
        // An image that lost its name is shown by its ID.
        let image = match self.image(&spec.image) {
            Ok(image) if image.id == container.image_id => spec.image.as_str(),
            Ok(_) | Err(_) => &container.image_id,
        };
        let layers = self.images.get(&container.image_id).map(|image| image.size);
        let written = container.files.as_ref().map_or(0, |files| files.bytes());
        Entry {
            id: &container.id,
            names: [format!("/{}", container.name)],
            image,
            image_id: &container.image_id,
            command: spec.command.join(" "),
            created: container.created.seconds(),
            ports: port_entries(container),
            size_rw: size.then_some(written),
            size_root_fs: layers.filter(|_| size),
            labels: &spec.labels,
            state: container.phase.name(),
            status: self.status(container),
            host_config: HostEntry {
                network_mode: &spec.network_mode,
            },
            network_settings: NetworkEntry {
                networks: self.endpoint_views(container),
            },
            mounts: spec
                .mounts
                .iter()
                .map(super::volume::Mount::inspect)
                .collect(),
        }
    }

    /// The status column of `docker ps`.
    pub(super) fn status(&self, container: &Container) -> String {
        let now = self.wall();
        let up = || format!("Up {}", human(between(container.started, now)));
        match container.phase {
            Phase::Created => "Created".to_owned(),
            Phase::Dead => "Dead".to_owned(),
            Phase::Paused => format!("{} (Paused)", up()),
            Phase::Running => match container.health {
                None => up(),
                Some(Health::Starting) => format!("{} (health: starting)", up()),
                Some(health) => format!("{} ({})", up(), health.name()),
            },
            Phase::Exited => format!(
                "Exited ({}) {} ago",
                container.exit_code,
                human(between(container.finished, now))
            ),
        }
    }

    fn endpoint_views<'a>(&self, container: &'a Container) -> BTreeMap<&'a str, Value> {
        let endpoints = container.endpoints.iter();
        endpoints
            .map(|(name, endpoint)| {
                let subnet = self.networks.get(&endpoint.network).and_then(|n| n.subnet);
                (name.as_str(), endpoint.inspect(subnet))
            })
            .collect()
    }

    /// `GET /containers/{id}/json`.
    pub(super) fn inspect(&self, container: &Container, size: bool) -> Value {
        let spec = &container.spec;
        let (path, args) = spec
            .command
            .split_first()
            .map_or(("", &[][..]), |(path, args)| (path.as_str(), args));
        let execs: Vec<&str> = container
            .execs
            .iter()
            .filter(|id| {
                self.execs
                    .get(*id)
                    .is_some_and(|exec| exec.exit_code.is_none())
            })
            .map(AsRef::as_ref)
            .collect();
        let mut view = json!({
            "Id": container.id.as_ref(),
            "Created": rfc3339(container.created),
            "Path": path,
            "Args": args,
            "State": self.state_view(container),
            "Image": container.image_id.as_ref(),
            "ResolvConfPath": "",
            "HostnamePath": "",
            "HostsPath": "",
            "LogPath": "",
            "Name": format!("/{}", container.name),
            "RestartCount": container.restarts,
            "Driver": self.options.driver,
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": "",
            "ExecIDs": if execs.is_empty() { Value::Null } else { json!(execs) },
            "HostConfig": host_config(container),
            "GraphDriver": {"Data": null, "Name": self.options.driver},
            "Mounts": spec.mounts.iter().map(super::volume::Mount::inspect).collect::<Vec<_>>(),
            "Config": self.config_view(container),
            "NetworkSettings": self.network_view(container),
        });
        if let (true, Some(view)) = (size, view.as_object_mut()) {
            let written = container.files.as_ref().map_or(0, |files| files.bytes());
            let layers = self
                .images
                .get(&container.image_id)
                .map_or(0, |image| image.size);
            view.insert("SizeRw".into(), written.into());
            view.insert("SizeRootFs".into(), layers.into());
        }
        view
    }

    fn state_view(&self, container: &Container) -> Value {
        let mut view = json!({
            "Status": container.phase.name(),
            "Running": container.is_up(),
            "Paused": container.phase == Phase::Paused,
            "Restarting": false,
            "OOMKilled": false,
            "Dead": container.phase == Phase::Dead,
            "Pid": container.pid,
            "ExitCode": container.exit_code,
            "Error": container.error,
            "StartedAt": rfc3339(container.started),
            "FinishedAt": rfc3339(container.finished),
        });
        if let (Some(health), Some(view)) = (container.health, view.as_object_mut()) {
            let failing = u8::from(health == Health::Unhealthy);
            let health = json!({"Status": health.name(), "FailingStreak": failing, "Log": []});
            view.insert("Health".into(), health);
        }
        view
    }

    /// The configuration as it was sent, over what the engine fills in.
    fn config_view(&self, container: &Container) -> Value {
        let spec = &container.spec;
        let image = self.images.get(&container.image_id);
        let mut view = json!({
            "Hostname": container.hostname(),
            "Domainname": "",
            "User": "",
            "AttachStdin": false,
            "AttachStdout": false,
            "AttachStderr": false,
            "Tty": false,
            "OpenStdin": false,
            "StdinOnce": false,
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": image.map(|image| &image.command),
            "Image": spec.image,
            "Volumes": null,
            "WorkingDir": "",
            "Entrypoint": null,
            "OnBuild": null,
            "Labels": {},
        });
        overlay(&mut view, &spec.config);
        view
    }

    fn network_view(&self, container: &Container) -> Value {
        let endpoints = self.endpoint_views(container);
        let bridge = endpoints.get("bridge");
        let of = |key: &str| bridge.and_then(|bridge| bridge.get(key)).cloned();
        let text = |key: &str| of(key).unwrap_or_else(|| "".into());
        let up = container.is_up();
        json!({
            "Bridge": "",
            "SandboxID": if up { container.id.as_ref() } else { "" },
            "HairpinMode": false,
            "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0,
            "Ports": if up { port_map(container) } else { json!({}) },
            "SandboxKey": "",
            "SecondaryIPAddresses": null,
            "SecondaryIPv6Addresses": null,
            "EndpointID": text("EndpointID"),
            "Gateway": text("Gateway"),
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "IPAddress": text("IPAddress"),
            "IPPrefixLen": of("IPPrefixLen").unwrap_or_else(|| 0.into()),
            "IPv6Gateway": "",
            "MacAddress": text("MacAddress"),
            "Networks": endpoints,
        })
    }
}

/// `HostConfig` as it was sent, over the defaults that clients rely on.
fn host_config(container: &Container) -> Value {
    let mut view = json!({
        "Binds": null,
        "ContainerIDFile": "",
        "LogConfig": {"Type": "json-file", "Config": {}},
        "NetworkMode": container.spec.network_mode,
        "PortBindings": {},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": false,
        "VolumeDriver": "",
        "VolumesFrom": null,
        "Privileged": false,
        "PublishAllPorts": false,
        "ReadonlyRootfs": false,
        "IpcMode": "private",
        "PidMode": "",
        "ShmSize": 67_108_864,
        "Runtime": "runc",
        "CpuShares": 0,
        "Memory": 0,
        "NanoCpus": 0,
    });
    overlay(&mut view, &container.spec.host_config);
    view
}

/// Lays the members of a JSON object over those of another, the numbers as they were written.
fn overlay(view: &mut Value, raw: &str) {
    let sent: Map<String, Value> = serde_json::from_str(raw).unwrap_or_default();
    if let Some(view) = view.as_object_mut() {
        view.extend(sent);
    }
}

fn port_entries(container: &Container) -> Vec<PortEntry<'_>> {
    if !container.is_up() {
        return Vec::new();
    }
    let published = container.published.iter().map(|published| PortEntry {
        ip: Some(&published.address),
        private_port: published.port.number,
        public_port: Some(published.host_port),
        r#type: &published.port.protocol,
    });
    let open = |port: &Port| {
        container
            .published
            .iter()
            .any(|published| published.port == *port)
    };
    let exposed = container.spec.exposed.iter().filter(|port| !open(port));
    let exposed = exposed.map(|port| PortEntry {
        ip: None,
        private_port: port.number,
        public_port: None,
        r#type: &port.protocol,
    });
    published.chain(exposed).collect()
}

fn port_map(container: &Container) -> Value {
    let mut ports: BTreeMap<String, Value> = BTreeMap::new();
    for port in &container.spec.exposed {
        ports.insert(port.to_string(), Value::Null);
    }
    for published in &container.published {
        let entry = json!({
            "HostIp": published.address,
            "HostPort": published.host_port.to_string(),
        });
        let slot = ports.entry(published.port.to_string()).or_default();
        match slot.as_array_mut() {
            Some(list) => list.push(entry),
            None => *slot = json!([entry]),
        }
    }
    json!(ports)
}
