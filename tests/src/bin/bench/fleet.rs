//! The engines as data: who they are, what runs on them, and how they describe it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use serde_json::json;
use swarm_core::time::{Wall, nanos};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::options::Size;

/// Loopback addresses from 127.1.0.1 on, 250 in each network of 256.
pub(crate) const ENGINES_MAX: u32 = 250 * 250;
const IMAGE: &str = "registry.example.com/shop/web:1.27.3";
const IMAGE_ID: &str = "sha256:7f553e8bbc897571642d836b31eaf6ecbe395d7641c2b24291356ed28f3f2bd0";
const NETWORK_ID: &str = "2b1f8e3f6a0d4c5e97a1d3b2c4f60718293a4b5c6d7e8f90a1b2c3d4e5f60718";

/// All engines of the process.
pub(crate) struct Fleet {
    size: Size,
    booted: Wall,
    engines: Vec<Mutex<Engine>>,
}

/// One engine. The containers it began with run and are not stored.
#[derive(Default)]
pub(crate) struct Engine {
    made: Vec<Made>,
    listeners: Vec<UnboundedSender<Bytes>>,
}

/// A container that was created later.
struct Made {
    name: String,
    labels: String,
    created: Wall,
    started: Option<Wall>,
}

/// One container, as descriptions need it.
struct Shown<'a> {
    id: String,
    name: String,
    labels: &'a str,
    created: Wall,
    started: Option<Wall>,
    last_octet: u32,
}

/// Where engine number `index` is reached.
pub(crate) fn address(index: u32, port: u16) -> SocketAddrV4 {
    let octet = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    let ip = Ipv4Addr::new(127, 1, octet(index / 250), octet(index % 250 + 1));
    SocketAddrV4::new(ip, port)
}

/// The number of the engine at this address.
pub(crate) fn index_of(ip: Ipv4Addr) -> u32 {
    let [_, _, high, low] = ip.octets();
    u32::from(high) * 250 + u32::from(low).saturating_sub(1)
}

/// The full ID of a container: its place, between digits that look random.
fn id(engine: u32, number: u32) -> String {
    let place = u64::from(engine) << 32 | u64::from(number);
    let scatter = |seed: u64| {
        let mixed = (place ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    format!(
        "{:016x}{place:016x}{:016x}{:016x}",
        scatter(1),
        scatter(2),
        scatter(3)
    )
}

fn number_in(id: &str) -> Option<usize> {
    let place = u64::from_str_radix(id.get(16..32)?, 16).ok()?;
    usize::try_from(place & 0xffff_ffff).ok()
}

pub(crate) fn now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Wall(since.map_or(0, nanos))
}

impl Fleet {
    pub(crate) fn new(size: Size) -> Self {
        Self {
            size,
            booted: Wall(now().0 - 3 * 3_600_000_000_000),
            engines: (0..size.engines).map(|_| Mutex::default()).collect(),
        }
    }

    fn engine(&self, index: u32) -> Option<MutexGuard<'_, Engine>> {
        let engine = self.engines.get(usize::try_from(index).ok()?)?;
        Some(engine.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `GET /containers/json`, of all containers or the one with this ID.
    pub(crate) fn list(&self, index: u32, wanted: Option<&str>) -> Option<String> {
        let engine = self.engine(index)?;
        let all = usize::try_from(self.size.containers).ok()? + engine.made.len();
        let mut out = String::from("[");
        let mut push = |number: usize| {
            if let Some(shown) = self.shown(&engine, index, number) {
                out.push_str(if out.len() > 1 { "," } else { "" });
                out.push_str(&shown.entry());
            }
        };
        match wanted {
            Some(wanted) => number_in(wanted).into_iter().for_each(&mut push),
            None => (0..all).rev().for_each(&mut push),
        }
        out.push(']');
        Some(out)
    }

    /// `GET /containers/{id}/json`.
    pub(crate) fn inspect(&self, index: u32, id: &str) -> Option<String> {
        let engine = self.engine(index)?;
        Some(self.shown(&engine, index, number_in(id)?)?.inspect())
    }

    /// `POST /containers/create`: the ID.
    pub(crate) fn create(&self, index: u32, name: Option<String>, body: &[u8]) -> Option<String> {
        let mut engine = self.engine(index)?;
        let number = self.size.containers + u32::try_from(engine.made.len()).ok()?;
        let id = id(index, number);
        let body: serde_json::Value = serde_json::from_slice(body).ok()?;
        let name = name.unwrap_or_else(|| format!("made-{index}-{number}"));
        let event = event("create", &id, &name, now());
        engine.made.push(Made {
            name,
            labels: body.get("Labels").unwrap_or(&json!({})).to_string(),
            created: now(),
            started: None,
        });
        engine.tell(&event);
        Some(id)
    }

    /// `POST /containers/{id}/start`.
    pub(crate) fn start(&self, index: u32, id: &str) -> Option<()> {
        let mut engine = self.engine(index)?;
        let made = number_in(id)?.checked_sub(usize::try_from(self.size.containers).ok()?)?;
        let container = engine.made.get_mut(made)?;
        container.started = Some(now());
        let event = event("start", id, &container.name, now());
        engine.tell(&event);
        Some(())
    }

    /// A listener to the events of an engine from now on.
    pub(crate) fn listen(&self, index: u32) -> Option<UnboundedReceiver<Bytes>> {
        let (sender, receiver) = unbounded_channel();
        self.engine(index)?.listeners.push(sender);
        Some(receiver)
    }

    /// Makes `count` events that change nothing, on all engines in turn.
    pub(crate) fn burst(&self, count: u32) {
        let first = now().0;
        for number in 0..count {
            let index = number % self.size.engines;
            let at = Wall(first + u64::from(number));
            if let Some(mut engine) = self.engine(index) {
                engine.tell(&event("exec_start: true", &id(index, 0), "web", at));
            }
        }
    }

    fn shown<'a>(&self, engine: &'a Engine, index: u32, number: usize) -> Option<Shown<'a>> {
        let base = usize::try_from(self.size.containers).ok()?;
        let number_text = u32::try_from(number).ok()?;
        let id = id(index, number_text);
        let last_octet = number_text % 250 + 2;
        let Some(made) = number.checked_sub(base) else {
            // No two engines do it at the same moment.
            let within = u64::from(index) * 618_033_989 % 1_000_000_000;
            let created = u64::from(number_text) * 1_000_000_007 + within;
            let created = Wall(self.booted.0 + created);
            return Some(Shown {
                id,
                name: format!("web-{index}-{number}"),
                labels: r#"{"com.example.team":"shop","com.example.version":"1.27.3"}"#,
                created,
                started: Some(Wall(created.0 + 300_000_000)),
                last_octet,
            });
        };
        let made = engine.made.get(made)?;
        Some(Shown {
            id,
            name: made.name.clone(),
            labels: &made.labels,
            created: made.created,
            started: made.started,
            last_octet,
        })
    }
}

impl Engine {
    fn tell(&mut self, event: &str) {
        let line = Bytes::from(format!("{:x}\r\n{event}\n\r\n", event.len() + 1));
        self.listeners
            .retain(|listener| listener.send(line.clone()).is_ok());
    }
}

fn event(action: &str, id: &str, name: &str, at: Wall) -> String {
    format!(
        r#"{{"status":"{action}","id":"{id}","from":"{IMAGE}","Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{"com.example.team":"shop","com.example.version":"1.27.3","image":"{IMAGE}","name":"{name}"}}}},"scope":"local","time":{},"timeNano":{}}}"#,
        at.seconds(),
        at.0
    )
}

impl Shown<'_> {
    fn network(&self) -> String {
        let (ip, mac) = match self.started {
            Some(_) => (
                format!("172.17.0.{}", self.last_octet),
                format!("02:42:ac:11:00:{:02x}", self.last_octet),
            ),
            None => Default::default(),
        };
        format!(
            r#"{{"bridge":{{"IPAMConfig":null,"Links":null,"Aliases":null,"NetworkID":"{NETWORK_ID}","EndpointID":"{}","Gateway":"172.17.0.1","IPAddress":"{ip}","IPPrefixLen":16,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"MacAddress":"{mac}","DriverOpts":null}}}}"#,
            self.id
        )
    }

    fn entry(&self) -> String {
        let Self {
            id, name, labels, ..
        } = self;
        let (state, status) = match self.started {
            Some(_) => ("running", "Up 3 hours"),
            None => ("created", "Created"),
        };
        format!(
            r#"{{"Id":"{id}","Names":["/{name}"],"Image":"{IMAGE}","ImageID":"{IMAGE_ID}","Command":"/docker-entrypoint.sh nginx -g 'daemon off;'","Created":{},"Ports":[{{"PrivatePort":80,"Type":"tcp"}}],"Labels":{labels},"State":"{state}","Status":"{status}","HostConfig":{{"NetworkMode":"bridge"}},"NetworkSettings":{{"Networks":{}}},"Mounts":[]}}"#,
            self.created.seconds(),
            self.network()
        )
    }

    fn inspect(&self) -> String {
        let Self {
            id, name, labels, ..
        } = self;
        let (state, running) = match self.started {
            Some(_) => ("running", true),
            None => ("created", false),
        };
        let never = "0001-01-01T00:00:00Z".to_owned();
        let started = self.started.map_or(never, Wall::rfc3339_nanos);
        let head = format!(
            r#"{{"Id":"{id}","Created":"{}","Path":"/docker-entrypoint.sh","Args":["nginx","-g","daemon off;"],"State":{{"Status":"{state}","Running":{running},"Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false,"Pid":4242,"ExitCode":0,"Error":"","StartedAt":"{started}","FinishedAt":"0001-01-01T00:00:00Z"}},"Image":"{IMAGE_ID}","ResolvConfPath":"/var/lib/docker/containers/{id}/resolv.conf","HostnamePath":"/var/lib/docker/containers/{id}/hostname","HostsPath":"/var/lib/docker/containers/{id}/hosts","LogPath":"/var/lib/docker/containers/{id}/{id}-json.log","Name":"/{name}","RestartCount":0,"Driver":"overlay2","Platform":"linux","MountLabel":"","ProcessLabel":"","AppArmorProfile":"docker-default","ExecIDs":null,"#,
            self.created.rfc3339_nanos()
        );
        let config = format!(
            r#""Config":{{"Hostname":"{}","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"ExposedPorts":{{"80/tcp":{{}}}},"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","NGINX_VERSION=1.27.3","NJS_VERSION=0.8.7","PKG_RELEASE=1~bookworm"],"Cmd":["nginx","-g","daemon off;"],"Image":"{IMAGE}","Volumes":null,"WorkingDir":"","Entrypoint":["/docker-entrypoint.sh"],"OnBuild":null,"Labels":{labels},"StopSignal":"SIGQUIT"}},"#,
            id.get(..12).unwrap_or(id)
        );
        let network = format!(
            r#""NetworkSettings":{{"Bridge":"","SandboxID":"{id}","HairpinMode":false,"LinkLocalIPv6Address":"","LinkLocalIPv6PrefixLen":0,"Ports":{{"80/tcp":null}},"SandboxKey":"/var/run/docker/netns/{}","SecondaryIPAddresses":null,"SecondaryIPv6Addresses":null,"EndpointID":"{id}","Gateway":"172.17.0.1","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"IPAddress":"172.17.0.{}","IPPrefixLen":16,"IPv6Gateway":"","MacAddress":"02:42:ac:11:00:02","Networks":{}}}}}"#,
            id.get(..12).unwrap_or(id),
            self.last_octet,
            self.network()
        );
        [&head, HOST_CONFIG, &config, &network].concat()
    }
}

/// As Docker 24 writes it for a container without limits.
const HOST_CONFIG: &str = r#""HostConfig":{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"json-file","Config":{}},"NetworkMode":"bridge","PortBindings":{},"RestartPolicy":{"Name":"always","MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[0,0],"CapAdd":null,"CapDrop":null,"CgroupnsMode":"private","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"private","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":67108864,"Runtime":"runc","Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":null,"OomKillDisable":null,"PidsLimit":null,"Ulimits":null,"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":["/proc/asound","/proc/acpi","/proc/kcore","/proc/keys","/proc/latency_stats","/proc/timer_list","/proc/timer_stats","/proc/sched_debug","/proc/scsi","/sys/firmware","/sys/devices/virtual/powercap"],"ReadonlyPaths":["/proc/bus","/proc/fs","/proc/irq","/proc/sys","/proc/sysrq-trigger"]},"GraphDriver":{"Data":{"LowerDir":"/var/lib/docker/overlay2/1","MergedDir":"/var/lib/docker/overlay2/2","UpperDir":"/var/lib/docker/overlay2/3","WorkDir":"/var/lib/docker/overlay2/4"},"Name":"overlay2"},"Mounts":[],"#;

/// `GET /info`.
pub(crate) fn info(index: u32) -> String {
    json!({
        "ID": format!("{index:08x}-4a5b-4c6d-8e7f-{:012x}", u64::from(index) * 7919),
        "Containers": 30, "Images": 3, "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
        "MemoryLimit": true, "SwapLimit": true, "NFd": 26, "NGoroutines": 38,
        "SystemTime": now().rfc3339_nanos(),
        "KernelVersion": "6.1.0-18-amd64", "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
        "OSType": "linux", "Architecture": "x86_64", "NCPU": 64, "MemTotal": 274_877_906_944_u64,
        "Name": format!("node-{index}"), "Labels": ["zone=a", "disk=ssd"], "ServerVersion": "24.0.7",
        "LiveRestoreEnabled": false, "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin"],
    })
    .to_string()
}

/// `GET /version`.
pub(crate) const VERSION: &str = r#"{"Platform":{"Name":"Docker Engine - Community"},"Components":[],"Version":"24.0.7","ApiVersion":"1.43","MinAPIVersion":"1.12","GitCommit":"311b9ff","GoVersion":"go1.20.10","Os":"linux","Arch":"amd64","KernelVersion":"6.1.0-18-amd64"}"#;

/// `GET /images/json`: what the containers are made from, and two more.
pub(crate) fn images() -> String {
    let image = |id: &str, name: &str| {
        json!({
            "Id": id, "ParentId": "", "RepoTags": [name],
            "RepoDigests": [format!("{}@{IMAGE_ID}", name.rsplit_once(':').unwrap_or((name, "")).0)],
            "Created": 1_732_600_000, "Size": 192_000_000, "SharedSize": -1, "Containers": -1,
            "Labels": {"maintainer": "NGINX Docker Maintainers <docker-maint@nginx.com>"},
        })
    };
    json!([
        image(IMAGE_ID, IMAGE),
        image(&IMAGE_ID.replace('7', "8"), "busybox:1.36"),
        image(
            &IMAGE_ID.replace('7', "9"),
            "registry.example.com/shop/agent:4.2"
        ),
    ])
    .to_string()
}

/// `GET /networks`.
pub(crate) fn networks() -> String {
    let network = |id: &str, name: &str, driver: &str| {
        json!({
            "Name": name, "Id": id, "Created": "2026-11-20T08:00:00.123456789Z", "Scope": "local",
            "Driver": driver, "EnableIPv6": false,
            "IPAM": {"Driver": "default", "Options": null, "Config": [{"Subnet": "172.17.0.0/16"}]},
            "Internal": false, "Attachable": false, "Ingress": false, "ConfigFrom": {"Network": ""},
            "ConfigOnly": false, "Containers": {}, "Options": {}, "Labels": {},
        })
    };
    json!([
        network(NETWORK_ID, "bridge", "bridge"),
        network(&NETWORK_ID.replace('1', "2"), "host", "host"),
        network(&NETWORK_ID.replace('1', "3"), "none", "null"),
    ])
    .to_string()
}
