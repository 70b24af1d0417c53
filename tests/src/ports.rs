//! Loopback ports for servers that must come back on the same port after a restart.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// Below Linux's usual ephemeral range (32768 and up): while a server is down no outgoing connection takes its port.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// Ports handed out so far in this process; none is handed out twice.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A free loopback address that stays the caller's until the test process ends.
///
/// # Errors
/// When no port in the range is free.
pub fn claim() -> Result<SocketAddr> {
    // Test processes that run at the same time start their search at different places.
    let start = std::process::id().wrapping_mul(131);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = start.wrapping_add(step) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).context("port offset")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!(
        "no free loopback port between {FIRST} and {}",
        FIRST + COUNT - 1
    )
}
