//! Serves one modelled Consul server: `cargo run -p swarm-models --example consul -- 127.0.0.1:8500`

use std::sync::Arc;

use swarm_models::consul::{Cluster, Options};
use swarm_models::tokio_host::{TokioHost, serve_tcp};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8500".to_owned());
    let cluster = Cluster::new(Arc::new(TokioHost::new()), Options::default());
    let (address, _stop) = serve_tcp(&address, Arc::new(cluster.server(0))).await?;
    println!("consul://{address}");
    std::future::pending().await
}
