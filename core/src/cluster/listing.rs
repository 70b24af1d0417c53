//! The list of containers as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::ahead::{AHEAD, Ahead, together};
use super::container::Container;
use super::filters::QueryError;
use super::runs::Run;
use super::texts::{Standing, Texts, Written};
use super::{Cluster, ContainerQuery, Row};
use crate::time::Wall;

/// The answer to `GET /containers/json`, written piece by piece: that of a large cluster is never in memory as a whole.
#[derive(Debug)]
pub struct Listing {
    rows: std::vec::IntoIter<Held>,
    /// What comes after these rows.
    runs: ToCome,
    now: Wall,
    sizes: BTreeMap<String, (i64, i64)>,
    progress: Progress,
}

/// Runs of which no row has been taken yet.
#[derive(Debug, Default)]
struct ToCome {
    runs: std::vec::IntoIter<Arc<Run>>,
    standing: Arc<Standing>,
    running_only: bool,
}

/// A container that is listed, and whether its engine is healthy.
type Held = (Arc<Container>, bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Empty,
    Begun,
    Ended,
}

impl Cluster {
    /// The list `query` asks for as a JSON array, statuses as of `now`; `sizes` by container ID.
    ///
    /// # Errors
    /// As [`Cluster::list_containers`].
    pub fn listing(
        &self,
        query: &ContainerQuery,
        now: Wall,
        sizes: BTreeMap<String, (i64, i64)>,
        texts: &Texts,
    ) -> Result<Listing, QueryError> {
        if !query.is_plain() {
            return Ok(Listing::new(&self.list_containers(query)?, now, sizes));
        }
        let runs = self.index.listed.runs().to_vec();
        Ok(Listing {
            runs: ToCome {
                standing: texts.begin(self.standing(), &runs),
                runs: runs.into_iter(),
                running_only: !query.all,
            },
            ..Listing::new(&[], now, sizes)
        })
    }
}

impl Listing {
    /// The rows as a JSON array, statuses as of `now`; `sizes` by container ID.
    #[must_use]
    pub(super) fn new(rows: &[Row<'_>], now: Wall, sizes: BTreeMap<String, (i64, i64)>) -> Self {
        let rows = rows.iter();
        Self {
            rows: held(rows.map(|(engine, container)| (*container, engine.is_healthy()))),
            runs: ToCome::default(),
            now,
            sizes,
            progress: Progress::Empty,
        }
    }

    /// The next piece, not much longer than `length` bytes; `None` after the last one.
    pub fn piece(&mut self, length: usize) -> Option<Bytes> {
        if self.is_over() {
            return None;
        }
        let to_come = self.runs.runs.as_slice().iter();
        let rows = to_come.fold(self.rows.len(), |rows, run| rows + run.rows().len());
        let mut out = String::with_capacity(length.min(rows.saturating_mul(ENTRY)) + ENTRY);
        self.write(&mut out, length);
        while out.len() < length {
            let Some(run) = self.runs.next() else {
                self.end(&mut out);
                break;
            };
            self.rows = self.runs.rows(&run);
            self.write(&mut out, length);
        }
        Some(out.into())
    }

    /// As [`Self::piece`], but where it can, a whole run of containers: its text as it was kept in `texts`, or as it is
    /// kept there from now on.
    pub fn long_piece(&mut self, length: usize, texts: &Texts) -> Option<Bytes> {
        if self.progress != Progress::Begun || !self.sizes.is_empty() {
            return self.piece(length);
        }
        if self.rows.len() > 0 {
            return Some(self.rest(length));
        }
        while let Some(run) = self.runs.next() {
            let text = self.run(&run, length, texts);
            if !text.is_empty() {
                return Some(text);
            }
        }
        self.piece(length)
    }

    /// A run, or so much of it as fits into one piece.
    fn run(&mut self, run: &Run, length: usize, texts: &Texts) -> Bytes {
        let standing = Arc::clone(&self.runs.standing);
        let running_only = self.runs.running_only;
        let kept = texts.find(run, &standing, self.now);
        if let Some(written) = kept.filter(|written| written.is_running || !running_only) {
            return written.text;
        }
        self.rows = self.runs.rows(run);
        let rows = self.rows.as_slice();
        let runs = |(container, is_healthy): &Held| *is_healthy && container.is_running();
        let is_running = rows.len() == run.rows().len() && rows.iter().all(runs);
        let until = rows.iter().filter(|(_, is_healthy)| *is_healthy);
        let until = until.map(|(container, _)| container.state.text_until(self.now));
        let until = until.min().unwrap_or(Wall(u64::MAX));
        let text = self.rest(length);
        if self.rows.len() == 0 && (is_running || !running_only) {
            let written = Written {
                text: text.clone(),
                from: self.now,
                until,
                is_running,
            };
            texts.keep(run, &standing, written);
        }
        text
    }

    /// The rows at hand, not much more than `length` bytes of them.
    fn rest(&mut self, length: usize) -> Bytes {
        let expected = self.rows.len().saturating_mul(ENTRY);
        let mut out = String::with_capacity(length.min(expected) + ENTRY);
        self.write(&mut out, length);
        // It may be kept.
        out.shrink_to_fit();
        out.into()
    }

    /// Writes the rows at hand until there are `length` bytes.
    fn write(&mut self, out: &mut String, length: usize) {
        let mut fetched = 0;
        while out.len() < length {
            if fetched == 0 {
                let next = self.rows.as_slice().iter().take(AHEAD);
                fetched = next.len();
                together(next.clone().map(|(container, _)| container.touch()));
                together(next.map(|(container, _)| container.touch_texts()));
            }
            fetched = fetched.saturating_sub(1);
            let Some((container, healthy)) = self.rows.next() else {
                return;
            };
            out.push(match self.progress {
                Progress::Empty => '[',
                Progress::Begun | Progress::Ended => ',',
            });
            self.progress = Progress::Begun;
            let sizes = self.sizes.get(&*container.id).copied();
            let now = self.now;
            let status = |out: &mut String| match healthy {
                true => container.state.write_text(now, out),
                false => out.push_str("Host Down"),
            };
            container.entry.write(out, &container.id, status, sizes);
        }
    }

    fn end(&mut self, out: &mut String) {
        out.push_str(match self.progress {
            Progress::Empty => "[]",
            Progress::Begun | Progress::Ended => "]",
        });
        self.progress = Progress::Ended;
    }

    /// Whether the last piece has been written.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.progress == Progress::Ended
    }

    /// All of it that is left.
    #[must_use]
    pub fn whole(mut self) -> Bytes {
        self.piece(usize::MAX).unwrap_or_default()
    }
}

impl ToCome {
    fn next(&mut self) -> Option<Arc<Run>> {
        self.runs.next()
    }

    /// What of a run is listed.
    fn rows(&self, run: &Run) -> std::vec::IntoIter<Held> {
        held(run.rows().iter().filter_map(|one| {
            let is_healthy = self.standing.of(one)?;
            let container = one.container();
            let is_wanted = !self.running_only || (is_healthy && container.is_running());
            is_wanted.then_some((container, is_healthy))
        }))
    }
}

/// Takes hold of rows, to be written when nobody looks at the cluster.
fn held<'a>(rows: impl Iterator<Item = (&'a Arc<Container>, bool)>) -> std::vec::IntoIter<Held> {
    let rows = Ahead::new(rows, |(container, _)| container.touch());
    let own: Vec<Held> = rows
        .map(|(container, is_healthy)| (Arc::clone(container), is_healthy))
        .collect();
    own.into_iter()
}

/// About as long as an entry is.
pub(super) const ENTRY: usize = 1024;
