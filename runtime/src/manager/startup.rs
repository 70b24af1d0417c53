//! What is checked before a manager takes part, and right after.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http::Request;
use swarm_core::address::{HostPort, ListenAddress};
use swarm_core::election::ElectionConfig;

use super::peers::ask_status;
use super::status::{ManagerStatus, STATUS_PATH};
use crate::election::Elector;
use crate::http::{Client, Server, body};
use crate::platform::{Listener, SharedPlatform, sleep, timeout};
use crate::store::{Store, StoreError};
use crate::tls::ServerTls;

/// How long the address a manager advertises may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How often a manager tries to reach itself before it complains.
const SELF_CHECKS: u32 = 3;

/// Refuses to start beside a manager that must not be there.
pub(super) async fn refuse_conflicts(
    platform: &SharedPlatform,
    client: &Client,
    store: &dyn Store,
    election: &ElectionConfig,
) -> anyhow::Result<()> {
    match classic_holder(store).await {
        Ok(Some(conflict)) => bail!(conflict),
        Ok(None) => {}
        // The store may come later; a classic manager without its store is no primary either.
        Err(error) => {
            tracing::warn!(%error, "Cannot ask the store whether a classic Swarm manager is there");
        }
    }
    if let Ok(other) = status_of(platform, client, &election.advertise).await {
        bail!(
            "another manager (instance {}) already answers at --advertise {}: each manager needs an address of its own",
            other.instance,
            election.advertise
        );
    }
    Ok(())
}

/// What keeps managers from starting as long as a classic one holds its lock; `None` if none does.
pub(crate) async fn classic_holder(store: &dyn Store) -> Result<Option<String>, StoreError> {
    let address = store.classic_primary().await?;
    Ok(address.map(|address| {
        format!(
            "a classic Swarm manager at {address} holds the leader lock under this prefix: stop all classic managers \
             of the cluster first, or give this cluster a prefix of its own"
        )
    }))
}

/// The status of the manager at `at`; in words why there is none.
pub(crate) async fn status_of(
    platform: &SharedPlatform,
    client: &Client,
    at: &HostPort,
) -> Result<ManagerStatus, String> {
    let request = Request::builder()
        .uri(STATUS_PATH)
        .body(body::empty())
        .map_err(|error| error.to_string())?;
    let exchange = ask_status(client, at, request);
    timeout(platform.as_ref(), ANSWER_LIMIT, exchange)
        .await
        .map_err(|late| late.to_string())?
}

/// Opens all listeners, or none.
pub(super) async fn listen(
    platform: &SharedPlatform,
    addresses: &[ListenAddress],
) -> anyhow::Result<Vec<Box<dyn Listener>>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let proto = match address {
            ListenAddress::Tcp { .. } => "tcp",
            ListenAddress::Unix(_) => "unix",
        };
        let listener = platform
            .listen(address)
            .await
            .with_context(|| explain(proto, address))?;
        tracing::info!(proto, addr = %listener.local_address(), "Listening for HTTP");
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Who may use a unix socket is a matter of its file: TLS is for the network.
pub(super) fn serve(server: &Server, listener: Box<dyn Listener>, tls: Option<&Arc<ServerTls>>) {
    match (listener.local_address(), tls) {
        (ListenAddress::Tcp { .. }, Some(tls)) => server.serve_tls(listener, Arc::clone(tls)),
        (ListenAddress::Tcp { .. }, None) | (ListenAddress::Unix(_), _) => server.serve(listener),
    }
}

fn explain(proto: &str, address: &ListenAddress) -> String {
    let hint = match address {
        ListenAddress::Tcp { port: 2375, .. } => {
            " (is Docker already running on this machine? Try another port)"
        }
        ListenAddress::Tcp { .. } | ListenAddress::Unix(_) => "",
    };
    format!("cannot listen on --host {proto}://{address}{hint}")
}

/// Tells the operator when the address this manager advertises does not lead to it.
pub(super) fn check_advertise(platform: &SharedPlatform, client: &Client, elector: &Arc<Elector>) {
    let (platform, client, elector) = (platform.clone(), client.clone(), Arc::downgrade(elector));
    let spawner = platform.clone();
    let check = async move {
        let mut trouble = String::new();
        for _ in 0..SELF_CHECKS {
            let Some(config) = elector.upgrade().map(|elector| elector.config().clone()) else {
                return;
            };
            match status_of(&platform, &client, &config.advertise).await {
                Ok(status) if status.instance == config.instance => return,
                Ok(_) => trouble = "another manager answers there".to_owned(),
                Err(reason) => trouble = reason,
            }
            sleep(platform.as_ref(), ANSWER_LIMIT).await;
        }
        if let Some(elector) = elector.upgrade() {
            let advertise = &elector.config().advertise;
            tracing::warn!(
                "This manager does not reach itself at --advertise {advertise} ({trouble}): if the other managers do \
                 not either, requests fail while it is primary"
            );
        }
    };
    spawner.spawn("advertise check", Box::pin(check));
}

#[cfg(test)]
mod tests {
    use http::Response;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::*;
    use crate::http::server::ServerConfig;
    use crate::http::{Body, Handler, Peer};
    use crate::platform::{BoxFuture, TokioPlatform};
    use crate::tls::authority::Role;
    use crate::tls::testing::{Ca, Folder};

    struct Anything;

    impl Handler for Anything {
        fn handle(
            self: Arc<Self>,
            _request: Request<Body>,
            _peer: Peer,
        ) -> BoxFuture<'static, Response<Body>> {
            Box::pin(async { Response::new(body::full("anything")) })
        }
    }

    #[tokio::test]
    async fn unix_sockets_stay_without_tls() {
        let platform: SharedPlatform = Arc::new(TokioPlatform::new().unwrap());
        let folder = Folder::new();
        Ca::new(&folder, "ca", platform.wall()).issue(Role::Manager, "manager", "localhost");
        let tls = ServerTls::new(&platform, &folder.listens("ca", "manager")).unwrap();
        let path = folder.path().join("socket");
        let on = [ListenAddress::Unix(path.clone())];
        let listener = listen(&platform, &on).await.unwrap().pop().unwrap();
        let server = Server::new(platform, ServerConfig::default(), Arc::new(Anything));
        serve(&server, listener, Some(&tls));
        let mut client = UnixStream::connect(path).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
}
