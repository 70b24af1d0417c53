//! Waiting for changes: ZooKeeper's watches tell of one change each and are set anew with each read.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::{Cursor, StoreError, WATCH_WAIT};
use super::jute::Op;
use super::session::{Answered, Session};
use crate::platform::timeout;

/// What waits at one path.
#[derive(Default)]
pub(super) struct Watch {
    armed: Mutex<Option<Armed>>,
}

struct Armed {
    cursor: Cursor,
    event: oneshot::Receiver<()>,
}

impl Watch {
    /// Waits until something may have changed after `cursor`, then asks `ops`, which set the watch at `path` anew.
    pub(super) async fn ask(
        &self,
        session: &Session,
        operation: Duration,
        cursor: &mut Cursor,
        path: &str,
        ops: &[Op],
    ) -> Result<Answered, StoreError> {
        let armed = self.armed().take();
        if let Some(armed) = armed.filter(|armed| armed.cursor == *cursor) {
            // An event, or the end of the connection, which may hide one.
            let _ = timeout(session.platform().as_ref(), WATCH_WAIT, armed.event).await;
        }
        // What fails is read at once the next time.
        *cursor = Cursor::default();
        let deadline = session.deadline(operation);
        let asked = session.ask_watching(deadline, ops, true, |link| link.event_at(path));
        let (answered, event) = asked.await?;
        let seen = answered.replies.iter().map(|reply| reply.zxid).max();
        *cursor = Cursor(seen.and_then(|zxid| u64::try_from(zxid).ok()).unwrap_or(1));
        *self.armed() = Some(Armed {
            cursor: *cursor,
            event,
        });
        Ok(answered)
    }

    fn armed(&self) -> std::sync::MutexGuard<'_, Option<Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
