//! Bodies that come line by line: events, progress, watches.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::Body;

/// A longer line ends the stream as failed: it is neither progress nor an event.
const LINE_BYTES_MAX: usize = 1 << 20;

/// The lines of a body, of bounded length.
pub(crate) struct Lines {
    body: Body,
    rest: BytesMut,
    ended: bool,
}

impl Lines {
    pub(crate) fn new(body: Body) -> Self {
        Self {
            body,
            rest: BytesMut::new(),
            ended: false,
        }
    }

    /// The next line that is not empty, without its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(end + 1).freeze();
                let line = line.slice_ref(line.trim_ascii());
                if !line.is_empty() {
                    return Ok(Some(line));
                }
            }
            if self.ended {
                let line = self.rest.split().freeze();
                let line = line.slice_ref(line.trim_ascii());
                return Ok((!line.is_empty()).then_some(line));
            }
            if self.rest.len() > LINE_BYTES_MAX {
                return Err(format!("a line is longer than {LINE_BYTES_MAX} bytes"));
            }
            match self.body.frame().await {
                None => self.ended = true,
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.rest.extend_from_slice(data);
                    }
                }
            }
        }
    }
}
