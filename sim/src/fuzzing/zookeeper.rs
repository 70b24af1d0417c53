//! What ZooKeeper, or whatever answers in its place, says: its own encoding, Jute.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use swarm::http::Client;
use swarm::http::client::ClientConfig;
use swarm::platform::Platform;
use swarm::store::zookeeper::ZooKeeperConfig;
use swarm::store::{Cursor, Store, ZooKeeper};
use swarm_core::address::HostPort;
use swarm_core::discovery::{KV_PATH_DEFAULT, KeyLayout, Secret, StoreUser};
use swarm_core::election::{SwapOutcome, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::memory::{self, Dialled, Memory};
use super::served::{ask, record};

const PING: i32 = -2;
const MULTI: i32 = 14;

/// No answer is taken for more than it says: a swap counts as done only if a transaction was answered without an error
/// and with the number that becomes the version.
///
/// The first byte chooses the operation (`w`, `v`, `s`, `S`, `u`, `p`, `e`, `r`, `d`), the second what the server says:
/// `r` what follows, as it is; `g` the same behind a greeting; else answers to questions, one after the other, each of
/// them an error code's last byte (0 for none), a length in two bytes, and a body.
///
/// # Panics
/// When that is not so.
pub fn zookeeper(bytes: &[u8]) {
    let (operation, rest) = bytes.split_first().unwrap_or((&b'w', &[]));
    let (mode, rest) = rest.split_first().unwrap_or((&b'a', &[]));
    let Ok(layout) = KeyLayout::new("p", KV_PATH_DEFAULT) else {
        return;
    };
    let transactions = Transactions::default();
    let served = Served {
        mode: *mode,
        raw: rest.to_vec(),
        answers: answers(Bytes::copy_from_slice(rest)),
        transactions: transactions.clone(),
    };
    memory::run(async |memory, dialled| {
        play(&memory, dialled, served);
        let user = (*operation == b'u').then(|| StoreUser {
            name: "u".to_owned(),
            password: Secret::new("p"),
        });
        let config = ZooKeeperConfig {
            servers: vec![HostPort::localhost()],
            user,
            layout: layout.clone(),
            operation: Duration::from_millis(500),
        };
        let client = Client::new(memory.clone(), ClientConfig::default());
        let store = ZooKeeper::new(memory, client, config);
        operate(store.as_ref(), *operation, &transactions).await;
    });
}

async fn operate(store: &ZooKeeper, operation: u8, transactions: &Transactions) {
    match operation {
        b'v' | b'u' => {
            let _ = store.verify_lease().await;
        }
        b's' => swap(&store.swap_lease(None, &record()).await, transactions),
        b'S' => {
            let outcome = store.swap_lease(Some(Version(5)), &record()).await;
            swap(&outcome, transactions);
        }
        b'p' | b'e' | b'r' | b'd' => ask(store, operation).await,
        _ => {
            let mut cursor = Cursor::default();
            for _ in 0..3 {
                let _ = store.watch_lease(&mut cursor).await;
            }
        }
    }
}

fn swap(outcome: &SwapOutcome, transactions: &Transactions) {
    let SwapOutcome::Swapped(version) = outcome else {
        return;
    };
    assert!(version.0 > 0, "{outcome:?}");
    let number = version.0.to_be_bytes();
    let transactions = transactions.lock().unwrap_or_else(PoisonError::into_inner);
    let is_named = |body: &Bytes| body.windows(number.len()).any(|bytes| bytes == number);
    assert!(
        transactions.iter().any(is_named),
        "{outcome:?} of {transactions:?}"
    );
}

/// The bodies of answers without an error to transactions.
type Transactions = Arc<Mutex<Vec<Bytes>>>;

struct Served {
    mode: u8,
    raw: Vec<u8>,
    answers: VecDeque<Answer>,
    transactions: Transactions,
}

/// An error code and a body.
struct Answer(i32, Bytes);

fn answers(mut rest: Bytes) -> VecDeque<Answer> {
    let mut answers = VecDeque::new();
    while rest.len() >= 3 {
        let code = match rest.get_u8() {
            0 => 0,
            code => -i32::from(code),
        };
        let length = usize::from(rest.get_u16()).min(rest.len());
        answers.push_back(Answer(code, rest.split_to(length)));
    }
    answers
}

fn play(memory: &Arc<Memory>, mut dialled: Dialled, mut served: Served) {
    let serve = async move {
        while let Some(io) = dialled.recv().await {
            // However it ends, the client may connect again.
            let _ = connection(io, &mut served).await;
        }
    };
    memory.spawn("server", Box::pin(serve));
}

async fn connection(mut io: DuplexStream, served: &mut Served) -> io::Result<()> {
    if served.mode != b'r' {
        let _hello = receive(&mut io).await?;
        let mut welcome = BytesMut::new();
        welcome.put_i32(0);
        welcome.put_i32(6_000);
        welcome.put_i64(7);
        welcome.put_i32(16);
        welcome.put_bytes(0, 16);
        send(&mut io, &welcome).await?;
    }
    if [b'r', b'g'].contains(&served.mode) {
        memory::write_and_close(&mut io, &served.raw).await;
        memory::read_all(&mut io).await;
        return Ok(());
    }
    loop {
        let mut question = receive(&mut io).await?;
        let xid = question.try_get_i32().map_err(io::Error::other)?;
        let kind = question.try_get_i32().map_err(io::Error::other)?;
        let answer = match xid {
            PING => Some(Answer(0, Bytes::new())),
            _ => served.answers.pop_front(),
        };
        let Some(Answer(code, body)) = answer else {
            return Ok(());
        };
        if kind == MULTI && code == 0 {
            let mut transactions = served
                .transactions
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            transactions.push(body.clone());
        }
        let mut reply = BytesMut::new();
        reply.put_i32(xid);
        reply.put_i64(100);
        reply.put_i32(code);
        reply.extend_from_slice(&body);
        send(&mut io, &reply).await?;
    }
}

async fn receive(io: &mut DuplexStream) -> io::Result<Bytes> {
    let length = io.read_u32().await?;
    let mut message = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    io.read_exact(&mut message).await?;
    Ok(message.into())
}

async fn send(io: &mut DuplexStream, message: &[u8]) -> io::Result<()> {
    io.write_u32(u32::try_from(message.len()).map_err(io::Error::other)?)
        .await?;
    io.write_all(message).await
}
