//! A host for one case: connections in memory, and tokio's clock, which jumps to the next timer when nothing can move.
#![expect(
    clippy::disallowed_methods,
    reason = "a platform binds clocks and tasks"
)]

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use swarm::platform::{BoxFuture, BoxIo, Listener, Platform};
use swarm_core::address::{HostPort, ListenAddress, Reach};
use swarm_core::rng::Random;
use swarm_core::time::{Mono, Wall};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Bytes each direction of a connection holds.
const PIPE: usize = 16 * 1024;

/// No exchange with a peer that keeps its part of the contract takes longer.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The host.
pub(super) struct Memory {
    start: Instant,
    dialled: mpsc::UnboundedSender<DuplexStream>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// The other ends of the connections the host opens, whatever their address.
pub(super) type Dialled = mpsc::UnboundedReceiver<DuplexStream>;

/// Runs `case` on a host of its own.
///
/// # Panics
/// When it does not end, or a task of the host panicked.
#[expect(
    clippy::expect_used,
    reason = "a harness that cannot run must not look as if it had passed"
)]
pub(super) fn run<T>(case: impl AsyncFnOnce(Arc<Memory>, Dialled) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    runtime.block_on(async {
        let (dialled, others) = mpsc::unbounded_channel();
        let memory = Arc::new(Memory {
            start: Instant::now(),
            dialled,
            tasks: Mutex::default(),
        });
        let outcome = tokio::time::timeout(LONGEST, case(Arc::clone(&memory), others)).await;
        let tasks =
            std::mem::take(&mut *memory.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks.into_iter().filter(JoinHandle::is_finished) {
            let Err(error) = task.await else { continue };
            if error.is_panic() {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        outcome.expect("the exchange ends")
    })
}

impl Platform for Memory {
    fn mono(&self) -> Mono {
        Mono::ZERO + self.start.elapsed()
    }

    fn wall(&self) -> Wall {
        Wall(1_700_000_000_000_000_000 + self.mono().0)
    }

    fn sleep_until(&self, at: Mono) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(at.since(self.mono())))
    }

    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        let task = tokio::spawn(task);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.push(task);
    }

    fn random(&self, name: &str) -> Random {
        Random::new(7).fork(name)
    }

    fn connect_within(
        &self,
        _to: &HostPort,
        _reach: &Reach,
    ) -> BoxFuture<'static, io::Result<BoxIo>> {
        let (ours, theirs) = duplex(PIPE);
        let sent = self.dialled.send(theirs);
        Box::pin(async move {
            sent.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(ours) as BoxIo)
        })
    }

    fn listen(&self, _on: &ListenAddress) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

/// Completes after `duration` of the host's time.
pub(super) async fn wait(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Reads a message head and no more; what there was when the stream ends before.
pub(super) async fn read_head(io: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match io.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    head
}

/// Writes everything and closes that direction. The other side may have stopped reading: that is an outcome, no failure.
pub(super) async fn write_and_close(io: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    if io.write_all(bytes).await.is_ok() {
        let _ = io.shutdown().await;
    }
}

/// Everything until the stream ends, however it does.
pub(super) async fn read_all(io: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = io.read_to_end(&mut all).await;
    all
}
