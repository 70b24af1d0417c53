//! Taking streams of bytes apart: lines, and the frames that carry a process's output.

use bytes::{Buf, Bytes, BytesMut};

/// Lines of a stream that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: BytesMut,
}

impl Lines {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The next whole line, without its end.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let line = self.rest.split_to(end).freeze();
        self.rest.advance(1);
        Some(line)
    }
}

/// Docker's stream frames: one byte stream, three zero bytes, big-endian length, payload.
#[derive(Debug, Default)]
pub(super) struct Frames {
    rest: BytesMut,
}

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The payload of the next whole frame.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let mut head = self.rest.get(..8)?;
        head.advance(4);
        let length = usize::try_from(head.get_u32()).ok()?;
        if self.rest.len() < 8 + length {
            return None;
        }
        self.rest.advance(8);
        Some(self.rest.split_to(length).freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_frames_come_out_whole_however_they_are_cut() {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        for byte in b"one\n\ntwo\nthr" {
            lines.push(&[*byte]);
            got.extend(lines.next());
        }
        assert_eq!(got, ["one", "", "two"]);
        let mut frames = Frames::default();
        let mut got = Vec::new();
        for byte in [
            &[1, 0, 0, 0, 0, 0, 0, 2],
            &b"ab"[..],
            &[2, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat()
        {
            frames.push(&[byte]);
            got.extend(frames.next());
        }
        assert_eq!(got, ["ab", ""]);
    }
}
