//! [`Platform`] on tokio and Linux.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place that binds clocks, tasks and sockets"
)]

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};
use swarm_core::address::{HostPort, ListenAddress, Reach};
use swarm_core::rng::Random;
use swarm_core::time::{Mono, Wall, nanos};
use tokio::net::{TcpListener, TcpStream, UnixListener, lookup_host};

use super::{BoxFuture, BoxIo, Listener, Platform, out_of_reach};

/// The production platform. Create it inside a tokio runtime.
#[derive(Debug)]
pub struct TokioPlatform {
    random: Random,
}

impl TokioPlatform {
    /// Seeds the random streams from the operating system.
    ///
    /// # Errors
    /// When the operating system has no entropy to give.
    pub fn new() -> io::Result<Self> {
        let seed = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self {
            random: Random::new(seed),
        })
    }
}

impl Platform for TokioPlatform {
    fn mono(&self) -> Mono {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Mono(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    fn wall(&self) -> Wall {
        Wall(
            SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, nanos),
        )
    }

    fn sleep_until(&self, at: Mono) -> BoxFuture<'static, ()> {
        let wait = at.since(self.mono());
        Box::pin(tokio::time::sleep(wait))
    }

    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn random(&self, name: &str) -> Random {
        self.random.fork(name)
    }

    fn connect_within(
        &self,
        to: &HostPort,
        reach: &Reach,
    ) -> BoxFuture<'static, io::Result<BoxIo>> {
        let (to, reach) = (to.clone(), reach.clone());
        Box::pin(async move {
            let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            for address in lookup_host((to.host(), to.port())).await? {
                if let Err(why) = reach.check(&to, address.ip()) {
                    failure = out_of_reach(&to, address.ip(), why);
                    continue;
                }
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        return Ok(Box::new(stream) as BoxIo);
                    }
                    Err(error) => failure = error,
                }
            }
            Err(failure)
        })
    }

    fn listen(&self, on: &ListenAddress) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let on = on.clone();
        Box::pin(async move {
            match &on {
                ListenAddress::Tcp { host, port } => {
                    let listener = bind_tcp(host, *port).await?;
                    let port = listener.local_addr()?.port();
                    let address = ListenAddress::Tcp {
                        host: host.clone(),
                        port,
                    };
                    Ok(Box::new(Tcp { listener, address }) as Box<dyn Listener>)
                }
                ListenAddress::Unix(path) => Ok(Box::new(Unix {
                    listener: bind_unix(path)?,
                    address: on.clone(),
                }) as Box<dyn Listener>),
            }
        })
    }
}

/// Binds all interfaces with one dual-stack socket where the machine has IPv6.
async fn bind_tcp(host: &str, port: u16) -> io::Result<TcpListener> {
    if !host.is_empty() {
        return TcpListener::bind((host, port)).await;
    }
    match TcpListener::bind(("::", port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(("0.0.0.0", port)).await
        }
        bound => bound,
    }
}

/// Binds in a directory of our own and moves the socket to its place: it is never there with the rights that the process's
/// umask would leave to others. What a dead process left there is replaced.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(in_use("something that is no socket is there"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(in_use("another process listens there"));
        }
        Ok(_) | Err(_) => {}
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    let private = parent.join(format!(".swarm-{}", std::process::id()));
    std::fs::DirBuilder::new().mode(0o700).create(&private)?;
    let bound = bind_privately(&private.join("s"), path);
    std::fs::remove_dir(&private)?;
    bound
}

fn bind_privately(private: &Path, path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(private)?;
    let moved = std::fs::set_permissions(private, std::fs::Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(private, path));
    if moved.is_err() {
        std::fs::remove_file(private)?;
    }
    moved.map(|()| listener)
}

fn in_use(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, why.to_owned())
}

struct Tcp {
    listener: TcpListener,
    address: ListenAddress,
}

impl Listener for Tcp {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, String)>> {
        Box::pin(async move {
            let (stream, peer) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as BoxIo, peer.to_string()))
        })
    }

    fn local_address(&self) -> ListenAddress {
        self.address.clone()
    }
}

struct Unix {
    listener: UnixListener,
    address: ListenAddress,
}

impl Listener for Unix {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, String)>> {
        Box::pin(async move {
            let (stream, _) = self.listener.accept().await?;
            Ok((Box::new(stream) as BoxIo, "unix".to_owned()))
        })
    }

    fn local_address(&self) -> ListenAddress {
        self.address.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_leads_only_to_addresses_within_reach() {
        let platform = TokioPlatform::new().unwrap();
        let listener = bind_tcp("127.0.0.1", 0).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let to = HostPort::new("localhost", port).unwrap();
        let own = HostPort::new("m1", 4000).unwrap();
        let refused = platform.connect_within(&to, &Reach::peers_of(own)).await;
        let error = refused.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        assert!(error.to_string().starts_with("localhost is at "), "{error}");
        assert!(platform.connect_within(&to, &Reach::Engines).await.is_ok());
    }

    #[tokio::test]
    async fn a_unix_socket_is_for_its_owner_and_replaces_only_a_dead_one() {
        let folder = std::env::temp_dir().join(format!("swarm-unix-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("swarm.sock");
        let listener = bind_unix(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = bind_unix(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        drop(bind_unix(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "no socket").unwrap();
        let error = bind_unix(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"no socket");
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
