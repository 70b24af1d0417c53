//! The list of containers as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Row;
use super::ahead::{AHEAD, together};
use super::container::Container;
use crate::time::Wall;

/// The answer to `GET /containers/json`, written piece by piece: that of a large cluster is never in memory as a whole.
#[derive(Debug)]
pub struct Listing {
    rows: std::vec::IntoIter<(Arc<Container>, bool)>,
    now: Wall,
    sizes: BTreeMap<String, (i64, i64)>,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Empty,
    Begun,
    Ended,
}

impl Listing {
    /// The rows as a JSON array, statuses as of `now`; `sizes` by container ID.
    #[must_use]
    pub fn new(rows: &[Row<'_>], now: Wall, sizes: BTreeMap<String, (i64, i64)>) -> Self {
        let mut own = Vec::with_capacity(rows.len());
        for some in rows.chunks(AHEAD) {
            together(some.iter().map(|(_, container)| container.touch()));
            let shared =
                |(engine, container): &Row<'_>| (Arc::clone(container), engine.is_healthy());
            own.extend(some.iter().map(shared));
        }
        Self {
            rows: own.into_iter(),
            now,
            sizes,
            progress: Progress::Empty,
        }
    }

    /// The next piece, not much longer than `length` bytes; `None` after the last one.
    pub fn piece(&mut self, length: usize) -> Option<String> {
        if self.progress == Progress::Ended {
            return None;
        }
        let mut out =
            String::with_capacity(length.min(self.rows.len().saturating_mul(ENTRY)) + ENTRY);
        let mut fetched = 0;
        while out.len() < length {
            if fetched == 0 {
                let next = self.rows.as_slice().iter().take(AHEAD);
                fetched = next.len();
                together(next.clone().map(|(container, _)| container.touch()));
                together(next.map(|(container, _)| container.touch_texts()));
            }
            fetched = fetched.saturating_sub(1);
            out.push(match self.progress {
                Progress::Empty => '[',
                Progress::Begun | Progress::Ended => ',',
            });
            let Some((container, healthy)) = self.rows.next() else {
                out.pop();
                out.push_str(match self.progress {
                    Progress::Empty => "[]",
                    Progress::Begun | Progress::Ended => "]",
                });
                self.progress = Progress::Ended;
                break;
            };
            self.progress = Progress::Begun;
            let sizes = self.sizes.get(&*container.id).copied();
            let now = self.now;
            let status = |out: &mut String| match healthy {
                true => container.write_status(now, out),
                false => out.push_str("Host Down"),
            };
            container
                .entry
                .write(&mut out, &container.id, status, sizes);
        }
        Some(out)
    }

    /// Whether the last piece has been written.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.progress == Progress::Ended
    }

    /// All of it that is left.
    #[must_use]
    pub fn whole(mut self) -> String {
        self.piece(usize::MAX).unwrap_or_default()
    }
}

/// About as long as an entry is.
const ENTRY: usize = 1024;
