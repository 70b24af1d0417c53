//! An answer other than success.

use std::fmt::Display;

/// What the engine says when it does not do what was asked: a status code and Docker's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// HTTP status; 304 goes out without a body.
    pub(super) status: u16,
    /// The `message` of the JSON body.
    pub(super) message: String,
}

/// The result of anything a client can ask for.
pub(super) type Answer<T> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(super) fn unmodified() -> Self {
        Self::new(304, "")
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::new(404, message)
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, message)
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(500, message)
    }

    pub(super) fn no_container(reference: impl Display) -> Self {
        Self::missing(format!("No such container: {reference}"))
    }
}
