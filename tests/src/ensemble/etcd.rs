//! etcd's command line, and what a server says of itself.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::Member;
use crate::certs::Certificates;
use crate::http as client;

pub(super) fn command(
    members: &[Member],
    member: &Member,
    certs: Option<&Certificates>,
) -> Command {
    let name = |member: &Member| format!("m{}", member.number);
    let peer = |member: &Member| format!("http://{}", member.peer);
    let cluster: Vec<String> = members
        .iter()
        .map(|member| format!("{}={}", name(member), peer(member)))
        .collect();
    let mut clients = format!("http://{}", member.client);
    if certs.is_some() {
        clients.push_str(&format!(",https://{}", member.secure));
    }
    let mut command = Command::new("etcd");
    for (flag, value) in [
        ("--name", name(member)),
        (
            "--data-dir",
            member.data.path().join("data").display().to_string(),
        ),
        ("--listen-client-urls", clients.clone()),
        ("--advertise-client-urls", clients),
        ("--listen-peer-urls", peer(member)),
        ("--initial-advertise-peer-urls", peer(member)),
        ("--initial-cluster", cluster.join(",")),
        ("--heartbeat-interval", "50".to_owned()),
        ("--election-timeout", "500".to_owned()),
        ("--log-level", "warn".to_owned()),
    ] {
        command.arg(flag).arg(value);
    }
    if let Some(certs) = certs {
        command
            .arg("--cert-file")
            .arg(certs.file("engine", "cert.pem"));
        command
            .arg("--key-file")
            .arg(certs.file("engine", "key.pem"));
    }
    // The lock of classic Swarm is there.
    command.arg("--enable-v2=true");
    command
}

/// Whether the server leads; an error while it does not answer or knows no leader.
pub(super) async fn leads(address: SocketAddr) -> Result<bool> {
    let answer = client::post_json(address, "/v3/maintenance/status", &json!({})).await?;
    let status = answer.success()?.json()?;
    let text = |pointer: &str| status.pointer(pointer).and_then(|value| value.as_str());
    let leader = text("/leader").context("no leader")?;
    ensure!(leader != "0", "no leader");
    Ok(text("/header/member_id") == Some(leader))
}
