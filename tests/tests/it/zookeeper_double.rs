//! The double of ZooKeeper answers as a real one does: the same conversation with both, compared step by step.
//!
//! Answers must agree field by field. Left out is what differs from one server to the next: when nodes were made and
//! changed, and what sessions are called. Transactions are numbered from the first one seen.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use swarm_models::zookeeper::Cluster;
use swarm_tests::double::Double;
use swarm_tests::ensemble::{Ensemble, Kind};
use tokio::net::TcpStream;

mod wire;

use wire::{create, multi, names, path, put, receive, send, set, take, text, versioned};

const LIMIT: Duration = Duration::from_secs(30);
const CREATE: i32 = 1;
const DELETE: i32 = 2;
const EXISTS: i32 = 3;
const GET: i32 = 4;
const SET: i32 = 5;
const CHILDREN: i32 = 8;
const PING: i32 = 11;
const CHECK: i32 = 13;
const MULTI: i32 = 14;
const AUTH: i32 = 100;
const CLOSE: i32 = -11;

#[tokio::test(flavor = "multi_thread")]
async fn the_double_answers_as_a_real_zookeeper_does() -> Result<()> {
    if !Kind::ZooKeeper.is_here()? {
        return Ok(());
    }
    let real = Ensemble::start(Kind::ZooKeeper, 1).await?;
    let discovery = real.discovery();
    let address = discovery.split('/').nth(2).context("no address")?;
    let real = conversation(address.parse()?).await?;
    let double = Double::<Cluster>::start().await?;
    let double = conversation(double.address()).await?;
    ensure!(real.len() == double.len(), "one conversation was longer");
    let differences: Vec<_> = real
        .iter()
        .zip(&double)
        .filter(|(real, double)| real != double)
        .map(|(real, double)| format!("real:   {real}\ndouble: {double}"))
        .collect();
    ensure!(
        differences.is_empty(),
        "they differ:\n{}",
        differences.join("\n")
    );
    Ok(())
}

async fn conversation(address: SocketAddr) -> Result<Vec<String>> {
    let mut steps = Vec::new();
    let mut one = Client::greet(address, Hello::default()).await?;
    // Whatever the server did before is done by now.
    one.base = one.zxid(EXISTS, &path("/", false)).await?;
    one.nodes(&mut steps).await?;
    one.transactions(&mut steps).await?;
    one.watches(&mut steps).await?;
    one.oddities(&mut steps).await?;
    sessions(address, one, &mut steps).await?;
    Ok(steps)
}

/// Sessions are resumed by whoever knows them, and take what is theirs with them.
async fn sessions(address: SocketAddr, mut one: Client, steps: &mut Vec<String>) -> Result<()> {
    let mut other = Client::greet(address, Hello::default()).await?;
    other.base = one.base;
    steps.push(one.ask(CREATE, &create("/mine", "x", 1)).await?);
    steps.push(one.ask(EXISTS, &path("/mine", false)).await?);
    steps.push(other.ask(EXISTS, &path("/mine", true)).await?);
    let known = one.session.clone();
    greetings(address, &known, steps).await?;
    let mut odd = Client::greet(address, Hello::default()).await?;
    let told = odd.ask(9_999, &[]).await;
    steps.push(told.unwrap_or_else(|_| "closed".to_owned()));
    drop(one);
    let mut again = Client::greet(address, known.clone()).await?;
    again.base = other.base;
    steps.push(format!(
        "resumed: {}",
        again.session.session == known.session
    ));
    steps.push(again.ask(EXISTS, &path("/mine", false)).await?);
    steps.push(again.ask(CLOSE, &[]).await?);
    steps.push(other.event().await?);
    steps.push(other.ask(EXISTS, &path("/mine", false)).await?);
    let late = Client::greet(address, known).await?;
    steps.push(format!("ended: {}", late.session.session == 0));
    Ok(())
}

/// What servers say to who begins with something odd.
async fn greetings(address: SocketAddr, known: &Hello, steps: &mut Vec<String>) -> Result<()> {
    for (what, hello) in [
        (
            "a wrong password",
            Hello {
                password: Bytes::from_static(&[1; 16]),
                ..known.clone()
            },
        ),
        (
            "a session that never was",
            Hello {
                session: 1,
                ..known.clone()
            },
        ),
        (
            "more seen than there is",
            Hello {
                last_zxid: i64::MAX,
                ..Hello::default()
            },
        ),
        (
            "too short a timeout",
            Hello {
                timeout_ms: 1,
                ..Hello::default()
            },
        ),
        (
            "too long a timeout",
            Hello {
                timeout_ms: i32::MAX,
                ..Hello::default()
            },
        ),
    ] {
        let told = match Client::greet(address, hello).await {
            Ok(client) => {
                let Hello {
                    session,
                    timeout_ms,
                    ..
                } = client.session;
                format!(
                    "{timeout_ms} ms, {}",
                    if session == 0 {
                        "no session"
                    } else {
                        "a session"
                    }
                )
            }
            Err(_) => "closed".to_owned(),
        };
        steps.push(format!("{what}: {told}"));
    }
    Ok(())
}

/// What a client begins with, and what it is told of its session.
#[derive(Clone, Debug)]
struct Hello {
    last_zxid: i64,
    timeout_ms: i32,
    session: i64,
    password: Bytes,
}

impl Default for Hello {
    fn default() -> Self {
        Self {
            last_zxid: 0,
            timeout_ms: 5_000,
            session: 0,
            password: Bytes::from_static(&[0; 16]),
        }
    }
}

struct Client {
    stream: TcpStream,
    session: Hello,
    xid: i32,
    /// What transactions are numbered from.
    base: i64,
}

impl Client {
    async fn greet(address: SocketAddr, hello: Hello) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        let mut body = BytesMut::new();
        body.put_i32(0);
        body.put_i64(hello.last_zxid);
        body.put_i32(hello.timeout_ms);
        body.put_i64(hello.session);
        put(&mut body, &hello.password);
        body.put_u8(0);
        send(&mut stream, &body).await?;
        let mut answer = receive(&mut stream).await?;
        ensure!(answer.try_get_i32()? == 0, "another version");
        let timeout_ms = answer.try_get_i32()?;
        let session = answer.try_get_i64()?;
        let session = Hello {
            last_zxid: 0,
            timeout_ms,
            session,
            password: take(&mut answer)?,
        };
        ensure!(answer.as_ref() == [0], "it reads only: {answer:?}");
        Ok(Self {
            stream,
            session,
            xid: 0,
            base: 0,
        })
    }

    async fn nodes(&mut self, steps: &mut Vec<String>) -> Result<()> {
        for (kind, body) in [
            (EXISTS, path("/a", false)),
            (CREATE, create("/a", "one", 0)),
            (CREATE, create("/a", "two", 0)),
            (CREATE, create("/a/b/c", "", 0)),
            (CREATE, create("a", "", 0)),
            (CREATE, create("/a/", "", 0)),
            (EXISTS, path("/a", false)),
            (GET, path("/a", false)),
            (GET, path("/none", false)),
            (CHILDREN, path("/none", false)),
            (CREATE, create("/a/b", "", 0)),
            (CREATE, create("/a/e", "", 1)),
            (CREATE, create("/a/e/x", "", 0)),
            (CREATE, create("/a/s-", "", 2)),
            (CREATE, create("/a/s-", "", 3)),
            (CHILDREN, path("/a", false)),
            (GET, path("/a", false)),
            (EXISTS, path("/a/e", false)),
            (SET, set("/a", "three", 0)),
            (SET, set("/a", "four", 0)),
            (SET, set("/a", "five", -1)),
            (SET, set("/none", "", -1)),
            (GET, path("/a", false)),
            (DELETE, versioned("/a", -1)),
            (DELETE, versioned("/a/b", 7)),
            (DELETE, versioned("/a/b", 0)),
            (DELETE, versioned("/a/b", 0)),
            (EXISTS, path("/a", false)),
        ] {
            steps.push(self.ask(kind, &body).await?);
        }
        Ok(())
    }

    async fn transactions(&mut self, steps: &mut Vec<String>) -> Result<()> {
        let all = [
            (CHECK, versioned("/a", 2)),
            (SET, set("/a", "six", 2)),
            (CREATE, create("/a/n", "", 0)),
            (DELETE, versioned("/a/n", 0)),
        ];
        for several in [
            &all[..],
            &all,
            &[(CHECK, versioned("/a", -1))],
            &[(CHECK, versioned("/a", 9))],
            &[(CHECK, versioned("/none", -1))],
            &[
                (CREATE, create("/a/m", "", 0)),
                (CREATE, create("/a/m", "", 0)),
            ],
            &[
                (CREATE, create("/a/m", "", 0)),
                (DELETE, versioned("/none", 0)),
                (CHECK, versioned("/a", -1)),
            ],
            &[],
        ] {
            steps.push(self.ask(MULTI, &multi(several)).await?);
            steps.push(self.ask(GET, &path("/a", false)).await?);
        }
        Ok(())
    }

    async fn watches(&mut self, steps: &mut Vec<String>) -> Result<()> {
        for (set_at, kind, body) in [
            ((EXISTS, "/w"), CREATE, create("/w", "", 0)),
            ((EXISTS, "/w"), SET, set("/w", "1", -1)),
            ((GET, "/w"), SET, set("/w", "2", -1)),
            ((CHILDREN, "/w"), CREATE, create("/w/c", "", 0)),
            ((CHILDREN, "/w"), DELETE, versioned("/w/c", -1)),
            ((CHILDREN, "/w"), DELETE, versioned("/w", -1)),
        ] {
            steps.push(self.ask(set_at.0, &path(set_at.1, true)).await?);
            self.tell(kind, &body).await?;
            // What is watched is told before whoever changed it is answered.
            steps.push(self.event().await?);
            steps.push(self.answer(kind).await?);
        }
        // Told once, and not of what failed.
        steps.push(self.ask(EXISTS, &path("/w", true)).await?);
        steps.push(self.ask(SET, &set("/w", "", -1)).await?);
        self.tell(CREATE, &create("/w", "", 0)).await?;
        steps.push(self.event().await?);
        steps.push(self.answer(CREATE).await?);
        steps.push(self.ask(SET, &set("/w", "3", -1)).await?);
        Ok(())
    }

    async fn oddities(&mut self, steps: &mut Vec<String>) -> Result<()> {
        self.say(-2, PING, &[]).await?;
        steps.push(self.answer(PING).await?);
        let mut login = BytesMut::new();
        login.put_i32(0);
        put(&mut login, b"digest");
        put(&mut login, b"name:password");
        self.say(-4, AUTH, &login).await?;
        steps.push(self.answer(AUTH).await?);
        Ok(())
    }

    async fn ask(&mut self, kind: i32, body: &[u8]) -> Result<String> {
        self.tell(kind, body).await?;
        self.answer(kind).await
    }

    async fn tell(&mut self, kind: i32, body: &[u8]) -> Result<()> {
        self.xid += 1;
        self.say(self.xid, kind, body).await
    }

    async fn say(&mut self, xid: i32, kind: i32, body: &[u8]) -> Result<()> {
        let mut message = BytesMut::new();
        message.put_i32(xid);
        message.put_i32(kind);
        message.put_slice(body);
        send(&mut self.stream, &message).await
    }

    /// The number of the last transaction.
    async fn zxid(&mut self, kind: i32, body: &[u8]) -> Result<i64> {
        self.tell(kind, body).await?;
        let mut answer = receive(&mut self.stream).await?;
        let _xid = answer.try_get_i32()?;
        Ok(answer.try_get_i64()?)
    }

    /// An answer in words.
    async fn answer(&mut self, kind: i32) -> Result<String> {
        let mut answer = receive(&mut self.stream).await?;
        let (xid, zxid) = (answer.try_get_i32()?, answer.try_get_i64()?);
        let code = answer.try_get_i32()?;
        let mut told = format!("{kind} #{xid} at {}: {code}", zxid - self.base);
        if kind == AUTH {
            told = format!("{kind} #{xid}: {code}");
        }
        if code == 0 {
            told.push_str(&match kind {
                CREATE => text(&mut answer)?,
                EXISTS | SET => self.stat(&mut answer)?,
                GET => format!("{} {}", text(&mut answer)?, self.stat(&mut answer)?),
                CHILDREN => names(&mut answer)?,
                MULTI => self.results(&mut answer)?,
                _ => String::new(),
            });
        }
        ensure!(answer.is_empty(), "{told}, and more: {answer:?}");
        Ok(told)
    }

    async fn event(&mut self) -> Result<String> {
        let mut event = receive(&mut self.stream).await?;
        let (xid, zxid) = (event.try_get_i32()?, event.try_get_i64()?);
        let code = event.try_get_i32()?;
        let (kind, state) = (event.try_get_i32()?, event.try_get_i32()?);
        Ok(format!(
            "event {xid} {zxid} {code} {kind} {state} {}",
            text(&mut event)?
        ))
    }

    fn results(&self, answer: &mut Bytes) -> Result<String> {
        let mut told = String::new();
        loop {
            let kind = answer.try_get_i32()?;
            let is_end = answer.try_get_u8()? != 0;
            told.push_str(&format!(" [{kind} {}", answer.try_get_i32()?));
            if is_end {
                return Ok(told);
            }
            told.push_str(&match kind {
                CREATE => text(answer)?,
                SET => self.stat(answer)?,
                -1 => answer.try_get_i32()?.to_string(),
                _ => String::new(),
            });
        }
    }

    fn stat(&self, answer: &mut Bytes) -> Result<String> {
        let since = |zxid: i64| if zxid == 0 { 0 } else { zxid - self.base };
        let (created, changed) = (answer.try_get_i64()?, answer.try_get_i64()?);
        let _times = (answer.try_get_i64()?, answer.try_get_i64()?);
        let versions = [
            answer.try_get_i32()?,
            answer.try_get_i32()?,
            answer.try_get_i32()?,
        ];
        let owner = match answer.try_get_i64()? {
            0 => "nobody's",
            owner if owner == self.session.session => "its own",
            _ => "another's",
        };
        let (length, children) = (answer.try_get_i32()?, answer.try_get_i32()?);
        Ok(format!(
            " ({}, {}, {}; {versions:?}; {owner}, {length} bytes, {children} children)",
            since(created),
            since(changed),
            since(answer.try_get_i64()?),
        ))
    }
}
