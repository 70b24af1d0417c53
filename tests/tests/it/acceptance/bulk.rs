//! A gibibyte through a replica, half of it each way, and the memory of both managers meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::http::{Method, Request, Response, StatusCode};
use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::json;
use swarm::http::client::ClientConfig;
use swarm::http::server::ServerConfig;
use swarm::http::{Body, Client, Handler, Peer, Server, body};
use swarm::platform::{BoxFuture, SharedPlatform, TokioPlatform};
use swarm_core::address::{HostPort, ListenAddress};
use swarm_tests::manager::Manager;
use swarm_tests::modelled::{self, ModelledEngine};
use swarm_tests::{http, ports};

use super::world::World;

const PIECE: usize = 64 * 1024;
const PIECES: u64 = (1 << 29) / PIECE as u64;
/// What a manager may grow by, in bytes: the aim is 2 MiB, a busy machine's allocator takes some more.
const GROWTH: u64 = 8 << 20;

/// An engine whose archives have half a gibibyte; everything else is the modelled engine's.
struct BulkEngine {
    modelled: HostPort,
    client: Client,
    taken: AtomicU64,
}

impl Handler for BulkEngine {
    fn handle(
        self: Arc<Self>,
        request: Request<Body>,
        _: Peer,
    ) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let is_archive = request.uri().path().ends_with("/archive");
            match *request.method() {
                Method::GET if is_archive => Response::new(archive(PIECES)),
                Method::PUT if is_archive => {
                    let mut body = request.into_body();
                    while let Some(Ok(frame)) = body.frame().await {
                        let bytes = frame.data_ref().map_or(0, Bytes::len);
                        let bytes = u64::try_from(bytes).unwrap_or(0);
                        self.taken.fetch_add(bytes, Ordering::Relaxed);
                    }
                    Response::new(body::empty())
                }
                _ => {
                    let sent = self.client.send(&self.modelled, request).await;
                    sent.unwrap_or_else(|error| {
                        let mut answer = Response::new(body::full(error.to_string()));
                        *answer.status_mut() = StatusCode::BAD_GATEWAY;
                        answer
                    })
                }
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_passes_through_a_replica_in_little_memory() -> Result<()> {
    let mut world = World::empty().await?;
    let modelled = ModelledEngine::start("node-1").await?;
    let (address, engine, _server) = bulk_engine(modelled.address()).await?;
    modelled::register(&world.store, &address.to_string()).await?;
    world.modelled.push(modelled);
    world.start_managers(2, &[]).await?;
    let (primary, _) = world.settled().await?;
    let replica = world.manager(1 - primary)?;
    let config = json!({"Image": "busybox", "Cmd": ["sleep", "1000"]});
    let made = http::post_json(replica.address(), "/containers/create?name=big", &config).await?;
    made.success()?;

    // The first transfers fill pools and buffers.
    let client = engine.client.clone();
    let manager: HostPort = replica.address().to_string().parse()?;
    ensure!(download(&client, &manager, PIECES / 16).await? > 0);
    upload(&client, &manager, PIECES / 16).await?;
    let before = memory(&world.managers)?;
    let whole = PIECES * u64::try_from(PIECE)?;
    ensure!(download(&client, &manager, PIECES).await? == whole);
    engine.taken.store(0, Ordering::Relaxed);
    upload(&client, &manager, PIECES).await?;
    ensure!(engine.taken.load(Ordering::Relaxed) == whole);
    let after = memory(&world.managers)?;
    for (before, after) in before.iter().zip(&after) {
        println!("from {before} to {after} bytes");
        ensure!(
            *after <= before + GROWTH,
            "a manager grew from {before} to {after} bytes"
        );
    }
    world.check_logs()
}

async fn bulk_engine(modelled: SocketAddr) -> Result<(SocketAddr, Arc<BulkEngine>, Server)> {
    let platform: SharedPlatform = Arc::new(TokioPlatform::new()?);
    let engine = Arc::new(BulkEngine {
        modelled: modelled.to_string().parse()?,
        client: Client::new(platform.clone(), ClientConfig::default()),
        taken: AtomicU64::new(0),
    });
    let address = ports::claim()?;
    let listen = ListenAddress::Tcp {
        host: address.ip().to_string(),
        port: address.port(),
    };
    let listener = platform.listen(&listen).await?;
    let handler: Arc<dyn Handler> = engine.clone();
    let server = Server::new(platform, ServerConfig::default(), handler);
    server.serve(listener);
    Ok((address, engine, server))
}

/// Reads that many pieces of the container's archive and leaves; returns the bytes.
async fn download(client: &Client, manager: &HostPort, pieces: u64) -> Result<u64> {
    let request = Request::get("/containers/big/archive?path=/").body(body::empty())?;
    let mut answer = client.send(manager, request).await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    let wanted = pieces * u64::try_from(PIECE)?;
    let mut bytes = 0;
    while bytes < wanted {
        let Some(frame) = answer.frame().await else {
            break;
        };
        bytes += u64::try_from(frame?.data_ref().map_or(0, Bytes::len))?;
    }
    Ok(bytes)
}

async fn upload(client: &Client, manager: &HostPort, pieces: u64) -> Result<()> {
    let request = Request::put("/containers/big/archive?path=/").body(archive(pieces))?;
    let answer = client.send(manager, request).await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    Ok(())
}

fn archive(pieces: u64) -> Body {
    let mut left = pieces;
    let piece = Bytes::from(vec![7; PIECE]);
    body::pieces(move || {
        left = left.checked_sub(1)?;
        Some(piece.clone())
    })
}

/// What each manager has in memory, in bytes.
fn memory(managers: &[Manager]) -> Result<Vec<u64>> {
    let resident = |manager: &Manager| manager.process.resident();
    managers.iter().map(resident).collect()
}
