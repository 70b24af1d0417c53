//! The local Docker Engine on a loopback port: managers reach engines over TCP only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use http::Method;
use swarm_core::address::{HostPort, ListenAddress};
use swarm_core::config::Endpoint;
use tokio::io::copy_bidirectional;
use tokio::net::UnixStream;

use crate::commands::ask::Asker;
use crate::platform::{BoxIo, Listener, SharedPlatform, sleep};

/// Where a local Docker Engine listens.
pub(super) const SOCKET: &str = "/var/run/docker.sock";
/// How long the local Docker Engine may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// How long to leave the listener alone after it failed, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Whether a Docker Engine answers on its usual socket.
pub(super) async fn engine_answers(platform: &SharedPlatform) -> bool {
    let socket = Endpoint::Unix(PathBuf::from(SOCKET));
    let asker = Asker::new(platform.clone(), ANSWER_LIMIT);
    let answer = asker.ask(&socket, Method::GET, "/_ping").await;
    answer.is_ok_and(|answer| answer.status.is_success())
}

/// Carries connections from a loopback port to `socket` for as long as this process runs.
pub(super) async fn open(platform: &SharedPlatform, socket: &Path) -> anyhow::Result<HostPort> {
    let any = ListenAddress::Tcp {
        host: "127.0.0.1".to_owned(),
        port: 0,
    };
    let listener = platform
        .listen(&any)
        .await
        .context("no free loopback port")?;
    let ListenAddress::Tcp { host, port } = listener.local_address() else {
        bail!("the listener has no TCP port")
    };
    let work = accept(platform.clone(), listener, socket.to_owned());
    platform.spawn("engine bridge", Box::pin(work));
    Ok(HostPort::new(&host, port)?)
}

async fn accept(platform: SharedPlatform, mut listener: Box<dyn Listener>, socket: PathBuf) {
    loop {
        match listener.accept().await {
            Ok((io, _)) => platform.spawn("engine bridge", Box::pin(carry(io, socket.clone()))),
            Err(_) => sleep(platform.as_ref(), ACCEPT_PAUSE).await,
        }
    }
}

/// A failure on either side ends the other: that is all either can be told.
async fn carry(mut client: BoxIo, socket: PathBuf) {
    if let Ok(mut engine) = UnixStream::connect(&socket).await {
        let _ = copy_bidirectional(&mut client, &mut engine).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;
    use crate::platform::TokioPlatform;

    #[tokio::test]
    async fn the_end_of_each_direction_is_carried_by_itself() {
        let folder = super::super::logs::Logs::create().unwrap();
        let socket = folder.path().join("engine.sock");
        let engine = UnixListener::bind(&socket).unwrap();
        let platform: SharedPlatform = Arc::new(TokioPlatform::new().unwrap());
        let address = open(&platform, &socket).await.unwrap();
        let mut client = platform.connect(&address).await.unwrap();
        let (mut accepted, _) = engine.accept().await.unwrap();

        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        accepted.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "question");

        accepted.write_all(b"answer").await.unwrap();
        drop(accepted);
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "answer");
    }
}
