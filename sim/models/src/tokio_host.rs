//! [`Host`] on tokio, and doubles served over loopback TCP: for tests and for `swarm dev`.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place of the doubles that binds clocks, tasks and sockets"
)]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use swarm_core::time::{Mono, nanos};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::{BoxFuture, Host, Service};

/// A [`Host`] on the current tokio runtime; its clock follows tokio's, so a test may pause it.
#[derive(Clone, Copy, Debug)]
pub struct TokioHost {
    start: Instant,
}

impl TokioHost {
    /// Starts the host's clock. Create it inside a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for TokioHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for TokioHost {
    fn mono(&self) -> Mono {
        Mono(nanos(self.start.elapsed()))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn(&self, task: BoxFuture<()>) {
        tokio::spawn(task);
    }
}

/// Stops what [`serve_tcp`] started, also when it is dropped.
#[derive(Debug)]
#[must_use = "dropping the handle stops the service"]
pub struct StopHandle {
    // Never sent on: that it is gone is the signal.
    running: oneshot::Sender<()>,
    accept: JoinHandle<()>,
}

impl StopHandle {
    /// Stops accepting and cuts off every connection; when this returns they are gone and the port is free.
    pub async fn stop(self) {
        drop(self.running);
        // It fails only when the runtime itself shuts down, which stops the service too.
        self.accept.await.ok();
    }
}

/// Serves `service` on `address` (`host:port`, port 0 for any free one) until the handle is stopped or dropped.
///
/// # Errors
/// When the address cannot be resolved or bound.
pub async fn serve_tcp(
    address: &str,
    service: Arc<dyn Service>,
) -> io::Result<(SocketAddr, StopHandle)> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    let (running, stopped) = oneshot::channel();
    let accept = tokio::spawn(accept(listener, service, stopped));
    Ok((local, StopHandle { running, accept }))
}

/// How long to leave the listener alone after it failed, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

async fn accept(
    listener: TcpListener,
    service: Arc<dyn Service>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _peer)) => {
                    // Only latency depends on it; a peer that is already gone fails here.
                    stream.set_nodelay(true).ok();
                    connections.spawn(service.serve(Box::new(stream)));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::BoxIo;
    use crate::consul::{Cluster, Options};

    struct Echo;

    impl Service for Echo {
        fn serve(&self, mut io: BoxIo) -> BoxFuture<()> {
            Box::pin(async move {
                let mut byte = [0];
                while io.read_exact(&mut byte).await.is_ok() && io.write_all(&byte).await.is_ok() {}
            })
        }
    }

    async fn echoes(stream: &mut TcpStream) -> bool {
        let mut byte = [0];
        stream.write_all(b"x").await.is_ok()
            && stream.read_exact(&mut byte).await.is_ok()
            && byte == *b"x"
    }

    #[tokio::test]
    async fn stop_cuts_connections_and_frees_the_port_for_a_return() {
        let (address, stop) = serve_tcp("127.0.0.1:0", Arc::new(Echo)).await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(echoes(&mut stream).await);

        stop.stop().await;
        assert!(!echoes(&mut stream).await);
        assert!(TcpStream::connect(address).await.is_err());

        let (again, _stop) = serve_tcp(&address.to_string(), Arc::new(Echo))
            .await
            .unwrap();
        assert_eq!(again, address);
        assert!(echoes(&mut TcpStream::connect(address).await.unwrap()).await);
    }

    /// The answer to a GET on a connection of its own, as text.
    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: consul\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_stopped_store_returns_on_its_port_with_its_content() {
        let cluster = Cluster::new(Arc::new(TokioHost::new()), Options::default());
        cluster.put("k", "kept");
        let server: Arc<dyn Service> = Arc::new(cluster.server(0));
        let (address, stop) = serve_tcp("127.0.0.1:0", Arc::clone(&server)).await.unwrap();
        assert!(get(address, "/v1/kv/k?raw").await.ends_with("\r\n\r\nkept"));
        stop.stop().await;
        assert!(TcpStream::connect(address).await.is_err());
        let (_, _stop) = serve_tcp(&address.to_string(), server).await.unwrap();
        assert!(get(address, "/v1/kv/k?raw").await.ends_with("\r\n\r\nkept"));
    }
}
