//! What a process writes, and who reads it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use swarm_core::time::Wall;

/// Output kept for `docker logs`, per container. Older output is dropped.
const KEPT_BYTES: usize = 256 * 1024;

/// How far a reader may fall behind before input to the process has to wait.
const WINDOW_BYTES: usize = 128 * 1024;

/// The two streams a process writes to, numbered as in Docker's stream frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout = 1,
    Stderr = 2,
}

/// One write of a process.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) at: Wall,
    pub(super) stream: Stream,
    pub(super) data: Bytes,
}

/// The output of one container or exec. It outlives its container, so that `docker run --rm` sees the last line.
#[derive(Debug, Default)]
pub(super) struct Console(Mutex<Inner>);

#[derive(Debug, Default)]
pub(super) struct Inner {
    /// Number of the oldest chunk kept.
    first: u64,
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// Position of each attached reader.
    readers: Vec<(u64, u64)>,
    next_reader: u64,
    /// How often the process ended.
    pub(super) exits: u64,
    /// Exit code of the last run.
    pub(super) code: i64,
    /// Whether a process is running now.
    pub(super) running: bool,
    /// Whether the container is gone.
    pub(super) removed: bool,
}

/// What a reader finds at its position.
#[derive(Debug)]
pub(super) enum Next {
    Chunk(Chunk),
    Nothing,
}

impl Console {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.data.len();
        self.chunks.push_back(chunk);
        while self.bytes > KEPT_BYTES && self.chunks.len() > 1 {
            if let Some(old) = self.chunks.pop_front() {
                self.bytes -= old.data.len();
                self.first += 1;
            }
        }
    }

    /// All chunks kept, oldest first.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter()
    }

    /// The position behind the newest chunk.
    pub(super) fn end(&self) -> u64 {
        self.first + u64::try_from(self.chunks.len()).unwrap_or(0)
    }

    /// The position of the oldest chunk.
    pub(super) fn start(&self) -> u64 {
        self.first
    }

    /// The chunk at `position`, moving it on; a reader that fell behind goes on with the oldest one kept.
    pub(super) fn read(&self, position: &mut u64) -> Next {
        let at = (*position).max(self.first);
        let index = usize::try_from(at - self.first).unwrap_or(usize::MAX);
        match self.chunks.get(index) {
            Some(chunk) => {
                *position = at + 1;
                Next::Chunk(chunk.clone())
            }
            None => Next::Nothing,
        }
    }

    /// Registers a reader for whom input waits.
    pub(super) fn join(&mut self, position: u64) -> u64 {
        self.next_reader += 1;
        self.readers.push((self.next_reader, position));
        self.next_reader
    }

    /// Notes how far a reader came.
    pub(super) fn advance(&mut self, reader: u64, position: u64) {
        for (id, at) in &mut self.readers {
            if *id == reader {
                *at = position;
            }
        }
    }

    pub(super) fn leave(&mut self, reader: u64) {
        self.readers.retain(|(id, _)| *id != reader);
    }

    /// Whether the process may be given more input: no attached reader is too far behind.
    pub(super) fn has_room(&self) -> bool {
        let Some(slowest) = self.readers.iter().map(|(_, at)| *at).min() else {
            return true;
        };
        let behind = usize::try_from(self.end().saturating_sub(slowest)).unwrap_or(usize::MAX);
        let bytes: usize = self
            .chunks
            .iter()
            .rev()
            .take(behind)
            .map(|c| c.data.len())
            .sum();
        bytes < WINDOW_BYTES
    }
}

/// Docker's stream frame: one byte stream, three zero bytes, big-endian length, payload.
pub(super) fn frame(stream: Stream, data: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + data.len());
    frame.put_u8(stream as u8);
    frame.put_bytes(0, 3);
    frame.put_u32(u32::try_from(data.len()).unwrap_or(u32::MAX));
    frame.put_slice(data);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(size: usize) -> Chunk {
        Chunk {
            at: Wall(1),
            stream: Stream::Stdout,
            data: Bytes::from(vec![b'x'; size]),
        }
    }

    #[test]
    fn output_is_bounded_and_a_late_reader_goes_on_with_the_oldest() {
        let console = Console::default();
        let mut inner = console.lock();
        for _ in 0..100 {
            inner.push(chunk(16 * 1024));
        }
        assert!(inner.bytes <= KEPT_BYTES);
        let mut position = 0;
        assert!(matches!(inner.read(&mut position), Next::Chunk(_)));
        assert_eq!(position, inner.start() + 1);
    }

    #[test]
    fn input_waits_for_a_slow_reader_only() {
        let console = Console::default();
        let mut inner = console.lock();
        let reader = inner.join(0);
        assert!(inner.has_room());
        inner.push(chunk(WINDOW_BYTES));
        assert!(!inner.has_room());
        inner.advance(reader, 1);
        assert!(inner.has_room());
        inner.push(chunk(WINDOW_BYTES));
        inner.leave(reader);
        assert!(inner.has_room());
    }

    #[test]
    fn frames_carry_stream_and_length() {
        assert_eq!(
            frame(Stream::Stderr, b"abc").as_ref(),
            [2, 0, 0, 0, 0, 0, 0, 3, b'a', b'b', b'c']
        );
    }
}
