//! The replicated state: the tree of nodes, and the sessions that own some of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::jute::Code;

/// The version that fits every node.
pub const ANY: i32 = -1;

/// A node with what ZooKeeper records about it (zookeeperProgrammers, "Stat Structure").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// What it holds.
    pub data: Bytes,
    /// The transaction that created it.
    pub czxid: i64,
    /// The one that changed its data last.
    pub mzxid: i64,
    /// The one that changed its children last.
    pub pzxid: i64,
    /// When it was created, in milliseconds.
    pub ctime: i64,
    /// When its data were changed last, in milliseconds.
    pub mtime: i64,
    /// How often its data were changed.
    pub version: i32,
    /// How often its children were changed.
    pub cversion: i32,
    /// The session it goes with; 0 if it stays.
    pub owner: i64,
    /// The names of its children.
    pub children: BTreeSet<String>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// How long it outlives silence, in milliseconds.
    pub timeout_ms: u64,
    /// Whoever knows it may go on with the session.
    pub password: Bytes,
}

/// One change, or what has to hold for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Creates a node.
    Create {
        /// Where.
        path: String,
        /// With what in it.
        data: Bytes,
        /// The session it goes with, or 0.
        owner: i64,
        /// Whether its name ends with a number.
        sequential: bool,
    },
    /// Deletes a node.
    Delete {
        /// Which.
        path: String,
        /// If it has this version.
        version: i32,
    },
    /// Changes a node's data.
    Set {
        /// Which.
        path: String,
        /// To what.
        data: Bytes,
        /// If it has this version.
        version: i32,
    },
    /// Does nothing if a node has a version.
    Check {
        /// Which.
        path: String,
        /// What version.
        version: i32,
    },
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// A node of this path was created.
    Created(String),
    /// It was deleted.
    Deleted,
    /// Its data were changed, and it is like this now.
    Set(Node),
    /// It is as it should be.
    Checked,
}

/// What happened to a node, as watches tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was created.
    Created,
    /// It was deleted.
    Deleted,
    /// Its data were changed.
    Changed,
    /// A child of it was created or deleted.
    Children,
}

/// What happened to which nodes.
pub type News = Vec<(Event, String)>;

/// What became of the changes of a transaction.
pub type Outcome = Result<Vec<Done>, Failed>;

/// Why nothing of a transaction was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The change that was impossible, from 0.
    pub step: usize,
    /// Why.
    pub code: Code,
}

/// The content after one transaction.
#[derive(Clone, Debug)]
pub struct State {
    zxid: i64,
    nodes: BTreeMap<String, Arc<Node>>,
    sessions: BTreeMap<i64, Session>,
}

/// Changes of one transaction.
struct Transaction<'a> {
    state: &'a mut State,
    now_ms: i64,
    news: News,
}

impl Default for State {
    fn default() -> Self {
        let root = Arc::new(Node::default());
        Self {
            zxid: 0,
            nodes: BTreeMap::from([("/".to_owned(), root)]),
            sessions: BTreeMap::new(),
        }
    }
}

impl State {
    /// The number of the last transaction.
    #[must_use]
    pub const fn zxid(&self) -> i64 {
        self.zxid
    }

    /// The node at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Arc<Node>> {
        self.nodes.get(path)
    }

    /// A session.
    #[must_use]
    pub fn session(&self, id: i64) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// All sessions.
    pub fn sessions(&self) -> impl Iterator<Item = (i64, &Session)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// Carries out changes at transaction `zxid`, all or none, and says what watches tell.
    pub fn carry_out(&mut self, zxid: i64, now_ms: i64, changes: &[Change]) -> (Outcome, News) {
        let mut after = self.clone();
        // One that fails is numbered and logged, too.
        self.zxid = zxid;
        after.zxid = zxid;
        let mut transaction = Transaction {
            state: &mut after,
            now_ms,
            news: News::new(),
        };
        let steps = changes.iter().enumerate();
        let outcome: Outcome = steps
            .map(|(step, change)| {
                let done = transaction.carry_out(change);
                done.map_err(|code| Failed { step, code })
            })
            .collect();
        let mut news = transaction.news;
        match outcome {
            Ok(_) => *self = after,
            Err(_) => news.clear(),
        }
        (outcome, news)
    }

    /// Begins a session.
    pub fn begin(&mut self, zxid: i64, id: i64, session: Session) {
        self.zxid = zxid;
        self.sessions.insert(id, session);
    }

    /// Ends a session, and deletes what it owns.
    pub fn end(&mut self, zxid: i64, now_ms: i64, id: i64) -> News {
        self.zxid = zxid;
        self.sessions.remove(&id);
        let owned = self.nodes.iter().filter(|(_, node)| node.owner == id);
        let owned: Vec<Change> = owned
            .map(|(path, _)| Change::Delete {
                path: path.clone(),
                version: ANY,
            })
            .collect();
        self.carry_out(zxid, now_ms, &owned).1
    }

    /// The same content in an empty store, as an export and an import leave it: all numbers are small again, and what
    /// sessions owned is nobody's.
    #[must_use]
    pub fn renumbered(&self) -> Self {
        let mut fresh = Self::default();
        for (path, node) in &self.nodes {
            let create = Change::Create {
                path: path.clone(),
                data: node.data.clone(),
                owner: 0,
                sequential: false,
            };
            // The root is there.
            let _ = fresh.carry_out(fresh.zxid + 1, 0, &[create]);
        }
        fresh
    }
}

impl Transaction<'_> {
    fn carry_out(&mut self, change: &Change) -> Result<Done, Code> {
        match change {
            Change::Create {
                path,
                data,
                owner,
                sequential,
            } => self
                .create(path, data, *owner, *sequential)
                .map(Done::Created),
            Change::Delete { path, version } => self.delete(path, *version),
            Change::Set {
                path,
                data,
                version,
            } => self.set(path, data, *version),
            Change::Check { path, version } => self.at(path, *version).map(|_| Done::Checked),
        }
    }

    fn create(
        &mut self,
        path: &str,
        data: &Bytes,
        owner: i64,
        sequential: bool,
    ) -> Result<String, Code> {
        let zxid = self.state.zxid;
        let (above, name) = split(path).ok_or(Code::BAD_ARGUMENTS)?;
        let parent = self.state.nodes.get(above).ok_or(Code::NO_NODE)?;
        let number = match sequential {
            true => format!("{:010}", parent.cversion),
            false => String::new(),
        };
        let (path, name) = (format!("{path}{number}"), format!("{name}{number}"));
        if self.state.nodes.contains_key(&path) {
            return Err(Code::NODE_EXISTS);
        }
        if parent.owner != 0 {
            return Err(Code::NO_CHILDREN_FOR_EPHEMERALS);
        }
        let mut parent = Node::clone(parent);
        parent.children.insert(name);
        parent.cversion += 1;
        parent.pzxid = zxid;
        self.state.nodes.insert(above.to_owned(), Arc::new(parent));
        let node = Node {
            data: data.clone(),
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: self.now_ms,
            mtime: self.now_ms,
            owner,
            ..Node::default()
        };
        self.state.nodes.insert(path.clone(), Arc::new(node));
        self.news.push((Event::Created, path.clone()));
        self.news.push((Event::Children, above.to_owned()));
        Ok(path)
    }

    fn delete(&mut self, path: &str, version: i32) -> Result<Done, Code> {
        let (above, name) = split(path).ok_or(Code::BAD_ARGUMENTS)?;
        let node = self.at(path, version)?;
        if !node.children.is_empty() {
            return Err(Code::NOT_EMPTY);
        }
        if let Some(parent) = self.state.nodes.get_mut(above) {
            let parent = Arc::make_mut(parent);
            parent.children.remove(name);
            parent.cversion += 1;
            parent.pzxid = self.state.zxid;
        }
        self.state.nodes.remove(path);
        self.news.push((Event::Deleted, path.to_owned()));
        self.news.push((Event::Children, above.to_owned()));
        Ok(Done::Deleted)
    }

    fn set(&mut self, path: &str, data: &Bytes, version: i32) -> Result<Done, Code> {
        let mut node = Node::clone(self.at(path, version)?);
        node.data = data.clone();
        node.version += 1;
        node.mzxid = self.state.zxid;
        node.mtime = self.now_ms;
        self.state
            .nodes
            .insert(path.to_owned(), Arc::new(node.clone()));
        self.news.push((Event::Changed, path.to_owned()));
        Ok(Done::Set(node))
    }

    /// The node at `path`, if it has this version.
    fn at(&self, path: &str, version: i32) -> Result<&Arc<Node>, Code> {
        let node = self.state.nodes.get(path).ok_or(Code::NO_NODE)?;
        if version != ANY && version != node.version {
            return Err(Code::BAD_VERSION);
        }
        Ok(node)
    }
}

/// The path of the node above, and the name below it. The root has neither.
fn split(path: &str) -> Option<(&str, &str)> {
    let (above, name) = path.rsplit_once('/')?;
    let above = if above.is_empty() { "/" } else { above };
    (path.starts_with('/') && !name.is_empty()).then_some((above, name))
}
