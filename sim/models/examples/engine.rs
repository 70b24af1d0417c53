//! Serves one modelled Docker Engine: `cargo run -p swarm-models --example engine -- 127.0.0.1:2375 node-1`,
//! then `docker -H tcp://127.0.0.1:2375 run hello-world`.

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use swarm_core::time::{Wall, nanos};
use swarm_models::engine::{Engine, Options};
use swarm_models::tokio_host::{TokioHost, serve_tcp};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:2375".into());
    let name = arguments.next().unwrap_or_else(|| "engine-1".into());
    let mut options = Options::new(&name);
    options.clock = now()?;
    if let Some(version) = arguments.next() {
        options.api_version = version.parse()?;
    }
    let engine = Engine::new(Arc::new(TokioHost::new()), options);
    let (address, _running) = serve_tcp(&address, engine).await?;
    println!("engine {name} on tcp://{address}");
    std::future::pending().await
}

#[expect(
    clippy::disallowed_methods,
    reason = "this program is served to people, whose clock it shows"
)]
fn now() -> Result<Wall, Box<dyn Error>> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(Wall(nanos(since)))
}
