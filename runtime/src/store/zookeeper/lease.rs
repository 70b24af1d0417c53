//! The lease record: reads, and the swap that ZooKeeper has no single operation for.
//!
//! A version is the record's mzxid: the number of the transaction that changed it last, which grows for as long as the
//! ensemble keeps its data. A write can compare only a node's data version, which counts its changes and starts anew
//! when somebody deletes the node and it is created again: an old version would then fit another record. So every
//! creation also changes a second node, the generation, in the same transaction, and every swap compares the data
//! versions of both. What mzxid goes with which pair is remembered from the last read or write, or read anew.
//!
//! Neither node is ever deleted by swarm. Somebody who deletes both by hand has lost the record as in a wiped store: an
//! old pair fits again only where both counters come to stand where they stood before.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use swarm_core::election::{Reading, Record, SwapOutcome, Version};
use swarm_core::time::Mono;

use super::super::StoreError;
use super::jute::{self, Code, Garbled, Op, Reply, Stat};
use super::outcome;
use super::session::{Answered, Failure, Session};

/// How often a swap starts over because something else than the record changed.
const TRIES: usize = 3;
/// A data version that no node has: a counter from 0.
const NEVER: i32 = i32::MAX;

pub(super) struct Lease {
    path: String,
    generation: String,
    known: Mutex<Option<Known>>,
}

/// What a write has to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    mzxid: Version,
    version: i32,
    /// `None` while there is no such node.
    generation: Option<i32>,
}

impl Lease {
    /// The record at `path`.
    pub(super) fn new(path: String) -> Self {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        // No other key of a cluster starts like this, whatever its name is.
        let generation = format!("{folder}/generation-of-{name}");
        Self {
            path,
            generation,
            known: Mutex::new(None),
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What a read asks. The generation comes first: one that is too old makes a swap fail, one that is too new would
    /// let it pass.
    pub(super) fn questions(&self, watch: bool) -> Vec<Op> {
        vec![
            Op::Exists {
                path: self.generation.clone(),
                watch: false,
            },
            Op::Exists {
                path: self.path.clone(),
                watch,
            },
            Op::Get {
                path: self.path.clone(),
            },
        ]
    }

    /// Reads the answers to [`Lease::questions`] that are not linearizable. `None` where they show less than was known:
    /// the server lags, or data were lost.
    pub(super) fn read(
        &self,
        session: &Session,
        answered: &Answered,
    ) -> Result<Option<Reading>, StoreError> {
        let (reading, found) = answers(session, answered)?;
        let mut known = self.lock();
        if reading.version() < known.map(|known| known.mzxid) {
            return Ok(None);
        }
        *known = found;
        Ok(Some(reading))
    }

    /// Reads linearizably. Reads come from the data of the server that is asked, which may lag, and a sync does not make
    /// sure that its leader still leads. A transaction does, also one that only compares: it is numbered and logged by a
    /// quorum, and a server answers what a session asks behind a write of that session only after it has applied that
    /// write. So what is read behind it holds everything that was committed before it was sent.
    pub(super) async fn verify(
        &self,
        session: &Session,
        deadline: Mono,
    ) -> Result<Reading, StoreError> {
        let barrier = Op::Multi(vec![Op::Check {
            path: self.generation.clone(),
            version: jute::ANY,
        }]);
        let questions: Vec<Op> = [barrier].into_iter().chain(self.questions(false)).collect();
        for _ in 0..TRIES {
            let mut answered = session.ask(deadline, &questions, true).await?;
            let barrier = answered.replies.remove(0);
            match transaction(session, barrier)? {
                Ok(_) => {
                    let (reading, found) = answers(session, &answered)?;
                    *self.lock() = found;
                    return Ok(reading);
                }
                // Later servers may answer a transaction that fails without asking the others.
                Err(Code::NO_NODE) => {
                    session.make(deadline, &self.generation).await?;
                }
                Err(code) => return Err(session.refused(code)),
            }
        }
        Err(session.garbage("a node is created again and again, and not there"))
    }

    /// Puts `record` where the version is `expected`.
    pub(super) async fn swap(
        &self,
        session: &Session,
        deadline: Mono,
        expected: Option<Version>,
        record: &Record,
    ) -> SwapOutcome {
        match self.try_swap(session, deadline, expected, record).await {
            Ok(outcome) => outcome,
            Err(failure) => outcome::of_failed_write(&failure),
        }
    }

    /// Asks for a write that fails in any case. Rights are looked at before versions, and what is there before rights: a
    /// node that is not there yet is made twice in one transaction, below the nearest that is.
    pub(super) async fn check_write(
        &self,
        session: &Session,
        deadline: Mono,
    ) -> Result<(), StoreError> {
        let create = |path: &str| Op::Create {
            path: path.to_owned(),
            data: Vec::new(),
            ephemeral: false,
        };
        let change = Op::Set {
            path: self.path.clone(),
            data: Vec::new(),
            version: NEVER,
        };
        let mut steps = vec![change];
        let mut above = Some(self.path.as_str());
        loop {
            let mut answered = session.ask(deadline, &[Op::Multi(steps)], true).await?;
            match transaction(session, answered.replies.remove(0))? {
                Ok(_) => return Err(session.garbage("it did what cannot be done")),
                Err(Code::BAD_VERSION | Code::NODE_EXISTS) => return Ok(()),
                Err(Code::NO_NODE) => {}
                Err(code) => return Err(session.refused(code)),
            }
            let Some(path) = above else {
                return Err(session.refused(Code::NO_NODE));
            };
            steps = vec![create(path), create(path)];
            let folder = path.rsplit_once('/').map(|(folder, _)| folder);
            above = folder.filter(|folder| !folder.is_empty());
        }
    }

    /// Nothing that fails on the way to the write itself is more than [`Failure::NotSent`].
    async fn try_swap(
        &self,
        session: &Session,
        deadline: Mono,
        expected: Option<Version>,
        record: &Record,
    ) -> Result<SwapOutcome, Failure> {
        for _ in 0..TRIES {
            let compared = expected.and_then(|expected| self.compared_at(expected));
            let steps = match (expected, compared) {
                (None, _) => self.creation(record),
                (Some(_), Some((version, generation))) => self.change(version, generation, record),
                (Some(_), None) => {
                    let there = self.verify(session, deadline).await;
                    let there = there.map_err(Failure::NotSent)?;
                    if there.version() != expected {
                        return Ok(SwapOutcome::Conflict(Some(there)));
                    }
                    continue;
                }
            };
            let mut answered = session.ask(deadline, &[Op::Multi(steps)], false).await?;
            let written = transaction(session, answered.replies.remove(0));
            match written.map_err(Failure::Lost)? {
                Ok(left) => {
                    let generation = compared.map(|(_, generation)| generation);
                    let written = self.written(session, &left, generation);
                    return written.map_err(Failure::Lost);
                }
                Err(Code::NO_NODE | Code::NODE_EXISTS | Code::BAD_VERSION) => {}
                Err(code) => return Err(Failure::Lost(session.refused(code))),
            }
            let Ok(there) = self.verify(session, deadline).await else {
                return Ok(SwapOutcome::Conflict(None));
            };
            if there.version() != expected {
                return Ok(SwapOutcome::Conflict(Some(there)));
            }
        }
        Ok(SwapOutcome::NotApplied)
    }

    /// The data versions of the record and of the generation at version `expected`, if they are known.
    fn compared_at(&self, expected: Version) -> Option<(i32, i32)> {
        let known = self.lock().filter(|known| known.mzxid == expected)?;
        Some((known.version, known.generation?))
    }

    /// After a write that left these: of a creation the generation comes first, else it is the one that was compared.
    fn written(
        &self,
        session: &Session,
        left: &[Stat],
        compared: Option<i32>,
    ) -> Result<SwapOutcome, StoreError> {
        let (generation, stat) = match left {
            [stat] => (compared, stat),
            [generation, stat] => (Some(generation.version), stat),
            _ => return Err(session.garbage(Garbled)),
        };
        let mzxid = version(stat).map_err(|error| session.garbage(error))?;
        *self.lock() = Some(Known {
            mzxid,
            version: stat.version,
            generation,
        });
        Ok(SwapOutcome::Swapped(mzxid))
    }

    fn creation(&self, record: &Record) -> Vec<Op> {
        let data = record.to_bytes();
        vec![
            Op::Set {
                path: self.generation.clone(),
                data: Vec::new(),
                version: jute::ANY,
            },
            Op::Create {
                path: self.path.clone(),
                data: data.clone(),
                ephemeral: false,
            },
            // Its answer holds the mzxid, which that of a creation does not before ZooKeeper 3.5.
            Op::Set {
                path: self.path.clone(),
                data,
                version: 0,
            },
        ]
    }

    fn change(&self, version: i32, generation: i32, record: &Record) -> Vec<Op> {
        vec![
            Op::Check {
                path: self.generation.clone(),
                version: generation,
            },
            Op::Set {
                path: self.path.clone(),
                data: record.to_bytes(),
                version,
            },
        ]
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the answers to [`Lease::questions`] say.
fn answers(session: &Session, answered: &Answered) -> Result<(Reading, Option<Known>), StoreError> {
    let [generation, _exists, found] = answered.replies.as_slice() else {
        return Err(session.garbage(Garbled));
    };
    let generation = present(session, generation)?.map(read_stat).transpose();
    let generation = generation.map_err(|error| session.garbage(error))?;
    let Some(body) = present(session, found)? else {
        return Ok((Reading::Absent, None));
    };
    let (data, stat) = jute::read_data(body).map_err(|error| session.garbage(error))?;
    let mzxid = version(&stat).map_err(|error| session.garbage(error))?;
    let known = Known {
        mzxid,
        version: stat.version,
        generation: generation.map(|stat| stat.version),
    };
    Ok((Reading::of(mzxid, &data), Some(known)))
}

/// Transactions are numbered from 1.
fn version(stat: &Stat) -> Result<Version, Garbled> {
    let mzxid = u64::try_from(stat.mzxid).ok().filter(|mzxid| *mzxid > 0);
    mzxid.map(Version).ok_or(Garbled)
}

fn read_stat(mut body: Bytes) -> Result<Stat, Garbled> {
    Stat::read(&mut body)
}

/// The body of an answer; `None` where there is no node.
pub(super) fn present(session: &Session, reply: &Reply) -> Result<Option<Bytes>, StoreError> {
    match &reply.body {
        Ok(body) => Ok(Some(body.clone())),
        Err(Code::NO_NODE) => Ok(None),
        Err(code) => Err(session.refused(*code)),
    }
}

/// What became of a transaction.
pub(super) fn transaction(
    session: &Session,
    reply: Reply,
) -> Result<Result<Vec<Stat>, Code>, StoreError> {
    match reply.body {
        Ok(body) => jute::read_multi(body).map_err(|error| session.garbage(error)),
        Err(code) => Ok(Err(code)),
    }
}
