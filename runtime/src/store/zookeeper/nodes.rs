//! Nodes by their path, and the nodes above them.

use bytes::Bytes;
use swarm_core::time::Mono;

use super::super::StoreError;
use super::jute::{self, Code, Op, Stat};
use super::lease::present;
use super::session::Session;

impl Session {
    /// Asks one question.
    pub(super) async fn one(
        &self,
        deadline: Mono,
        op: Op,
        repeatable: bool,
    ) -> Result<Result<Bytes, Code>, StoreError> {
        let mut answered = self.ask(deadline, &[op], repeatable).await?;
        Ok(answered.replies.remove(0).body)
    }

    /// Makes a node that stays, and those above it, unless it is there.
    pub(super) async fn make(&self, deadline: Mono, path: &str) -> Result<(), StoreError> {
        // From the top: those that are there cost a question each, once in the life of a cluster.
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
        for end in ends.chain([path.len()]) {
            let Some(above) = path.get(..end) else {
                continue;
            };
            let create = Op::Create {
                path: above.to_owned(),
                data: Vec::new(),
                ephemeral: false,
            };
            match self.one(deadline, create, false).await? {
                Ok(_) | Err(Code::NODE_EXISTS) => {}
                // Above what is ours there may be what is not.
                Err(Code::NO_AUTH) if end < path.len() => {}
                Err(code) => return Err(self.refused(code)),
            }
        }
        Ok(())
    }

    /// Writes a node that stays, which is made if it is not there.
    pub(super) async fn put(
        &self,
        deadline: Mono,
        path: &str,
        data: &str,
    ) -> Result<(), StoreError> {
        for last in [false, true] {
            let set = Op::Set {
                path: path.to_owned(),
                data: data.into(),
                version: jute::ANY,
            };
            match self.one(deadline, set, false).await? {
                Ok(_) => return Ok(()),
                Err(Code::NO_NODE) if !last => self.make(deadline, path).await?,
                Err(code) => return Err(self.refused(code)),
            }
        }
        Ok(())
    }

    /// Removes a node, if it is there.
    pub(super) async fn delete(&self, deadline: Mono, path: &str) -> Result<(), StoreError> {
        let delete = Op::Delete {
            path: path.to_owned(),
            version: jute::ANY,
        };
        match self.one(deadline, delete, false).await? {
            Ok(_) | Err(Code::NO_NODE) => Ok(()),
            Err(code) => Err(self.refused(code)),
        }
    }

    /// The status of a node, if it is there, and the session that asked.
    pub(super) async fn stat(
        &self,
        deadline: Mono,
        path: &str,
    ) -> Result<(Option<Stat>, i64), StoreError> {
        let exists = Op::Exists {
            path: path.to_owned(),
            watch: false,
        };
        let mut answered = self.ask(deadline, &[exists], true).await?;
        let reply = answered.replies.remove(0);
        let stat = present(self, &reply)?.map(|mut body| Stat::read(&mut body));
        let stat = stat.transpose().map_err(|error| self.garbage(error))?;
        Ok((stat, answered.link.session))
    }
}
