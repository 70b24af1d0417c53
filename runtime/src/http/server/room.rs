//! Room for connections: so many in all, and so many for each client.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Where connections are counted.
pub(super) struct Room {
    all: Arc<Semaphore>,
    size: usize,
    crowd: Arc<Crowd>,
}

/// Who has how many of them.
struct Crowd {
    /// One client's share.
    most: usize,
    clients: Mutex<BTreeMap<IpAddr, Client>>,
}

#[derive(Default)]
struct Client {
    open: usize,
    /// Whether it was told of that it wants more.
    told: bool,
}

/// A connection's place; free again when this is dropped.
pub(super) struct Seat {
    _permit: OwnedSemaphorePermit,
    client: Option<(Arc<Crowd>, IpAddr)>,
}

impl Room {
    pub(super) fn new(size: usize, most: usize) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        let clients = Mutex::default();
        Self {
            all: Arc::new(Semaphore::new(size)),
            size,
            crowd: Arc::new(Crowd { most, clients }),
        }
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.size.saturating_sub(self.all.available_permits())
    }

    /// Waits for a free place.
    pub(super) async fn wait(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.all).acquire_owned().await
    }

    /// A free place, if there is one.
    pub(super) fn free(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.all).try_acquire_owned().ok()
    }

    /// Gives the place to a connection of the client at `ip`; `None` when that has its share. Who comes through a unix
    /// socket is on this machine, and has as much as there is.
    pub(super) fn seat(&self, permit: OwnedSemaphorePermit, ip: Option<IpAddr>) -> Option<Seat> {
        let client = match ip {
            None => None,
            Some(ip) => {
                self.crowd.admit(ip)?;
                Some((Arc::clone(&self.crowd), ip))
            }
        };
        Some(Seat {
            _permit: permit,
            client,
        })
    }
}

impl Crowd {
    fn clients(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, ip: IpAddr) -> Option<()> {
        let mut clients = self.clients();
        let client = clients.entry(ip).or_default();
        if client.open < self.most {
            client.open += 1;
            return Some(());
        }
        if !std::mem::replace(&mut client.told, true) {
            let most = self.most;
            tracing::warn!(
                "{ip} has {most} connections open, as many as one client may: more are closed at once. If it stands for \
                 many clients, raise --max-client-connections"
            );
        }
        None
    }

    fn leave(&self, ip: IpAddr) {
        let mut clients = self.clients();
        if let Some(client) = clients.get_mut(&ip) {
            client.open = client.open.saturating_sub(1);
            if client.open == 0 {
                clients.remove(&ip);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some((crowd, ip)) = &self.client {
            crowd.leave(*ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Identity, Peer};
    use super::*;

    fn seat(room: &Room, peer: &str) -> Option<Seat> {
        let peer = Peer::new(peer, Identity::Unproven);
        room.seat(room.free().unwrap(), peer.ip())
    }

    #[test]
    fn each_client_has_its_share_and_no_more() {
        let room = Room::new(10, 2);
        let first = [
            seat(&room, "10.0.0.1:1").unwrap(),
            seat(&room, "[::ffff:10.0.0.1]:2").unwrap(),
        ];
        assert!(seat(&room, "10.0.0.1:3").is_none());
        let other = seat(&room, "10.0.0.2:1").unwrap();
        let local: Vec<Seat> = (0..4).filter_map(|_| seat(&room, "unix")).collect();
        assert_eq!((local.len(), room.taken()), (4, 7));
        drop(first);
        assert!(seat(&room, "10.0.0.1:4").is_some());
        drop((other, local));
        assert_eq!(room.taken(), 0);
        assert!(room.crowd.clients().is_empty());
    }
}
