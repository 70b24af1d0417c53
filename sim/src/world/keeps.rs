//! Requests that the network keeps: a fault names a few, and nothing of their connections arrives until it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use swarm_core::api;

use crate::trace::HostId;

/// Who sends, and who is sent to.
pub(crate) type Connection = (SocketAddr, SocketAddr);

/// What is kept, by fault.
#[derive(Debug, Default)]
pub(crate) struct Keeps(Mutex<BTreeMap<u32, Keep>>);

#[derive(Debug)]
struct Keep {
    way: (HostId, HostId),
    /// Method and path without version; `{}` stands for any part of the path.
    request: String,
    left: u8,
    connections: BTreeSet<Connection>,
}

impl Keeps {
    /// Fault `id` keeps the first `count` such requests that go this way.
    pub(crate) fn begin(&self, id: u32, way: (HostId, HostId), request: &str, count: u8) {
        let keep = Keep {
            way,
            request: request.to_owned(),
            left: count,
            connections: BTreeSet::new(),
        };
        self.lock().insert(id, keep);
    }

    /// What fault `id` kept goes on its way.
    pub(crate) fn end(&self, id: u32) {
        self.lock().remove(&id);
    }

    /// A request leaves, with this line. The fault that keeps it.
    pub(crate) fn meet(
        &self,
        way: (HostId, HostId),
        line: &str,
        connection: Connection,
    ) -> Option<u32> {
        let mut keeps = self.lock();
        let (id, keep) = keeps
            .iter_mut()
            .find(|(_, keep)| keep.left > 0 && keep.way == way && keep.names(line))?;
        keep.left -= 1;
        keep.connections.insert(connection);
        Some(*id)
    }

    /// Whether what is sent on this connection is kept.
    pub(crate) fn holds(&self, connection: Connection) -> bool {
        let keeps = self.lock();
        keeps
            .values()
            .any(|keep| keep.connections.contains(&connection))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Keep>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keep {
    /// Whether a request with this line is meant.
    fn names(&self, line: &str) -> bool {
        let Some(request) = without_version(line) else {
            return false;
        };
        let (ours, theirs) = (self.request.split('/'), request.split('/'));
        ours.clone().count() == theirs.clone().count()
            && ours
                .zip(theirs)
                .all(|(one, other)| one == "{}" || one == other)
    }
}

/// Method and path of a request line, without version and query.
fn without_version(line: &str) -> Option<String> {
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let request = api::Request::parse(method, target).ok()?;
    Some(format!("{method} {}", request.route.path(None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_such_requests_are_kept_until_the_end() {
        let keeps = Keeps::default();
        let connection = |port| (([10, 0, 0, 1], port).into(), ([10, 0, 0, 2], 2375).into());
        let create = "POST /v1.41/containers/create?name=web HTTP/1.1";
        keeps.begin(7, (1, 4), "POST /containers/create", 2);
        let met = |way, line, port| keeps.meet(way, line, connection(port));
        assert_eq!(met((1, 5), create, 1), None);
        assert_eq!(
            met((1, 4), "POST /v1.41/containers/web/start HTTP/1.1", 1),
            None
        );
        assert_eq!(met((1, 4), create, 1), Some(7));
        assert_eq!(met((1, 4), "POST /containers/create HTTP/1.1", 2), Some(7));
        assert_eq!(met((1, 4), create, 3), None);
        assert_eq!(
            [1, 2, 3].map(|port| keeps.holds(connection(port))),
            [true, true, false]
        );
        keeps.end(7);
        assert!(!keeps.holds(connection(1)));
        keeps.begin(8, (1, 4), "POST /containers/{}/start", 1);
        assert_eq!(met((1, 4), create, 4), None);
        assert_eq!(
            met((1, 4), "POST /v1.41/containers/web/start HTTP/1.1", 4),
            Some(8)
        );
    }
}
