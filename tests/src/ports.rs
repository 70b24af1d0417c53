//! Loopback ports for servers that must come back on the same port after a restart.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

/// Below Linux's usual ephemeral range (32768 and up).
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// What keeps the ports handed out so far.
static CLAIMS: Mutex<Claims> = Mutex::new(Claims {
    tried: 0,
    held: Vec::new(),
});

struct Claims {
    tried: u32,
    held: Vec<OwnedFd>,
}

/// A free loopback address that stays the caller's until the test process ends.
///
/// # Errors
/// When no port in the range is free.
pub fn claim() -> Result<SocketAddr> {
    let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
    // Test processes that run at the same time start their search at different places.
    let start = std::process::id().wrapping_mul(131);
    for _ in 0..COUNT {
        let offset = start.wrapping_add(claims.tried) % u32::from(COUNT);
        claims.tried = claims.tried.wrapping_add(1);
        let port = FIRST + u16::try_from(offset).context("port offset")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Ok(held) = hold(address) {
            claims.held.push(held);
            return Ok(address);
        }
    }
    anyhow::bail!(
        "no free loopback port between {FIRST} and {}",
        FIRST + COUNT - 1
    )
}

/// Binds `address` alone, and from then on lets servers that reuse addresses, as all do, listen there.
///
/// The socket never listens: a child that is being started holds a copy of it for a moment, and a listening copy would
/// keep the server out. While it is bound no outgoing connection takes the port.
fn hold(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let held = socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    bind(&held, &address)?;
    sockopt::set_socket_reuseaddr(&held, true)?;
    Ok(held)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_claimed_port_is_free_for_a_server_and_for_no_other_claim() -> Result<()> {
        let address = claim()?;
        assert!(TcpStream::connect(address).is_err(), "nobody listens yet");
        assert!(hold(address).is_err(), "claimed twice");
        for _ in 0..2 {
            let server = TcpListener::bind(address)?;
            let client = TcpStream::connect(address)?;
            // A connection left in TIME_WAIT must not keep the server from coming back.
            drop(server.accept()?);
            drop(client);
        }
        Ok(())
    }

    #[test]
    fn a_child_that_is_being_started_keeps_no_server_out() -> Result<()> {
        let address = claim()?;
        let copies: Vec<_> = {
            let claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
            claims.held.iter().map(OwnedFd::try_clone).collect()
        };
        TcpListener::bind(address)?;
        drop(copies);
        Ok(())
    }
}
