//! What clients do, and how long it took them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::client::Client;

static NEXT_NAME: AtomicU64 = AtomicU64::new(1);

/// What `docker run -d` sends, roughly.
const BODY: &str = r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":["MODE=production"],"Cmd":["nginx","-g","daemon off;"],"Image":"registry.example.com/shop/web:1.27.3","Volumes":{},"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":{"com.example.team":"shop"},"HostConfig":{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[0,0],"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"Devices":[],"MemorySwap":0,"MemorySwappiness":-1,"PidsLimit":0,"Ulimits":null},"NetworkingConfig":{"EndpointsConfig":{}}}"#;

/// One client that asks the same again and again, for a while and at least ten times; with the length of the last answer.
pub(crate) fn repeat(
    server: SocketAddr,
    path: &str,
    for_: Duration,
) -> Result<(Vec<Duration>, usize)> {
    let mut client = Client::open(server)?;
    let mut length = client.skim("GET", path)?;
    let mut all = Vec::new();
    let start = Instant::now();
    while start.elapsed() < for_ || all.len() < 10 {
        let before = Instant::now();
        length = client.skim("GET", path)?;
        all.push(before.elapsed());
    }
    Ok((all, length))
}

/// As [`repeat`], of somebody who has an answer of `length` bytes ready: what this machine can do.
pub(crate) fn repeat_bare(length: usize, for_: Duration) -> Result<Vec<Duration>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let (body, mut request) = (vec![b'x'; length], [0; 1024]);
        while stream.read(&mut request)? > 0 {
            stream.write_all(head.as_bytes())?;
            stream.write_all(&body)?;
        }
        Ok(())
    });
    let (all, _) = repeat(address, "/", for_)?;
    let served = server.join();
    served.map_err(|_| anyhow!("the bare server panicked"))??;
    Ok(all)
}

/// Creates a container with a name of its own and starts it.
pub(crate) fn create_and_start(client: &mut Client) -> Result<()> {
    let number = NEXT_NAME.fetch_add(1, Ordering::Relaxed);
    let created = client.expect(
        "POST",
        &format!("/v1.41/containers/create?name=bench-{number}"),
        BODY,
    )?;
    let id = id_in(created)?;
    client.expect("POST", &format!("/v1.41/containers/{id}/start"), "")?;
    Ok(())
}

/// What a manager asks one engine for a create and a start, asked without a manager.
pub(crate) fn create_directly(client: &mut Client) -> Result<()> {
    let number = NEXT_NAME.fetch_add(1, Ordering::Relaxed);
    let name = format!("/v1.41/containers/create?name=direct-{number}");
    let created = client.expect("POST", &name, BODY)?;
    let id = id_in(created)?;
    let entry = format!("/v1.41/containers/json?all=1&filters=%7B%22id%22%3A%5B%22{id}%22%5D%7D");
    let inspect = format!("/v1.41/containers/{id}/json");
    client.expect("GET", &entry, "")?;
    client.expect("GET", &inspect, "")?;
    client.expect("POST", &format!("/v1.41/containers/{id}/start"), "")?;
    client.expect("GET", &entry, "")?;
    client.expect("GET", &inspect, "")?;
    Ok(())
}

/// `clients` at the same time, each on a connection of its own, for a while; all durations, and the time it took.
pub(crate) fn at_once(
    server: SocketAddr,
    clients: usize,
    for_: Duration,
    work: fn(&mut Client) -> Result<()>,
) -> Result<(Vec<Duration>, Duration)> {
    let start = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            thread::spawn(move || -> Result<Vec<Duration>> {
                let mut client = Client::open(server)?;
                let mut all = Vec::new();
                while start.elapsed() < for_ {
                    let before = Instant::now();
                    work(&mut client)?;
                    all.push(before.elapsed());
                }
                Ok(all)
            })
        })
        .collect();
    let mut all = Vec::new();
    for thread in threads {
        let own = thread.join().map_err(|_| anyhow!("a client panicked"))?;
        all.extend(own?);
    }
    Ok((all, start.elapsed()))
}

fn id_in(created: &[u8]) -> Result<String> {
    let created: serde_json::Value = serde_json::from_slice(created)?;
    let id = created.get("Id").and_then(|id| id.as_str());
    Ok(id.context("no Id")?.to_owned())
}
