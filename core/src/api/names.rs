//! The names that paths hold, and how they are written in a path.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What a segment may hold unescaped: RFC 3986 section 3.3, `pchar`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Why a text cannot be a name in a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or nothing between two slashes.
    #[error("a name or path segment is empty")]
    Empty,
    /// `.` or `..`, escaped or not.
    #[error("a name or path segment is {0:?}")]
    Dots(String),
    /// A control character, NUL among them.
    #[error("a name or path segment holds a control character: {0:?}")]
    Control(String),
    /// More `/` than this kind of name can have.
    #[error("too many slashes in {0:?}")]
    Slashes(String),
    /// `%` without two hex digits, or bytes that are not UTF-8.
    #[error("invalid percent escape in {0:?}")]
    Escape(String),
}

/// Decodes one path segment, once.
pub(super) fn decode(raw: &str) -> Result<String, NameError> {
    let bad = || NameError::Escape(raw.to_owned());
    let hex = |bytes: Option<&[u8]>| bytes.is_some_and(|b| b.iter().all(u8::is_ascii_hexdigit));
    let well_formed = raw
        .match_indices('%')
        .all(|(at, _)| hex(raw.as_bytes().get(at + 1..at + 3)));
    if !well_formed {
        return Err(bad());
    }
    let text = percent_decode_str(raw).decode_utf8().map_err(|_| bad())?;
    Ok(text.into_owned())
}

/// Checks one decoded segment. A slash in it must have been dealt with before.
pub(super) fn check_segment(segment: &str) -> Result<(), NameError> {
    match segment {
        "" => Err(NameError::Empty),
        "." | ".." => Err(NameError::Dots(segment.to_owned())),
        _ if segment.chars().any(char::is_control) => Err(NameError::Control(segment.to_owned())),
        _ => Ok(()),
    }
}

/// Appends `/` and the name, each of its segments escaped.
fn push_path(path: &mut String, name: &str) {
    for segment in name.split('/') {
        path.push('/');
        path.extend(utf8_percent_encode(segment, ESCAPED));
    }
}

/// A name that can stand in a path.
pub(super) trait Name {
    fn from_segments(segments: &[String]) -> Result<Self, NameError>
    where
        Self: Sized;

    fn push_to(&self, path: &mut String);
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $segments:expr;)+) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            const SEGMENTS: usize = $segments;

            /// Checks a decoded name.
            ///
            /// # Errors
            /// When it could change the meaning of a path: empty, `.`, `..`, control characters, too many slashes.
            pub fn new(text: &str) -> Result<Self, NameError> {
                if text.split('/').count() > Self::SEGMENTS {
                    return Err(NameError::Slashes(text.to_owned()));
                }
                text.split('/').try_for_each(check_segment)?;
                Ok(Self(text.to_owned()))
            }

            /// The name as the client gave it, decoded.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Name for $name {
            fn from_segments(segments: &[String]) -> Result<Self, NameError> {
                if segments.is_empty() {
                    return Err(NameError::Empty);
                }
                Self::new(&segments.join("/"))
            }

            fn push_to(&self, path: &mut String) {
                push_path(path, &self.0);
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+ };
}

names! {
    /// What a client calls a container: ID, ID prefix, name or `node/name` (spec/classic.md section 4.5).
    ContainerRef: 2;
    /// What a client calls a network: ID, ID prefix, name or `node/name` (spec/classic.md section 7.1).
    NetworkRef: 2;
    /// What a client calls a volume: name or `node/name` (spec/classic.md section 7.3).
    VolumeRef: 2;
    /// What a client calls an image: ID or `registry:5000/repository:tag`.
    ImageRef: usize::MAX;
    /// What a client calls a plugin; a registry reference like an image's.
    PluginRef: usize::MAX;
    /// The ID of an exec instance.
    ExecRef: 1;
    /// The name of a checkpoint of a container.
    CheckpointRef: 1;
    /// What a client calls a node, service, task, secret or config of swarm mode.
    ObjectRef: 1;
}
