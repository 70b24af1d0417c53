//! The lease record and what a store can say about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::address::HostPort;

/// The longest lease a record may ask others to wait for, in milliseconds (ten minutes).
pub const LEASE_MS_MAX: u64 = 600_000;
/// A record is a few hundred bytes; anything this large is not ours.
const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Epochs and beats stay below this, so that adding to one never overflows.
const COUNT_END: u64 = u64::MAX / 2;
/// Members beyond this are not written: the record stays small in a fleet of mistakes.
const MEMBERS_MAX: usize = 64;

/// A version of the record as the store counts it, growing with every change (Consul: `ModifyIndex`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The one small record all managers compete for, stored as JSON at `<prefix>/docker/swarm/lease`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Names the cluster; chosen when the first record is written.
    pub cluster: String,
    /// The fencing number: grows by at least one with every change of holder.
    pub epoch: u64,
    /// Where the holder can be reached.
    pub holder: HostPort,
    /// The holder's process: new at each start.
    pub instance: String,
    /// New with each swap, so that its author recognises a swap whose answer was lost.
    pub nonce: String,
    /// Counts the holder's renewals.
    pub beat: u64,
    /// How long the holder may act after sending this record, in milliseconds.
    pub lease_ms: u64,
    /// The holder gave the lease up: anyone may take over at once.
    pub released: bool,
    /// Only `members` may take over while the record lives, and without the store the holder acts on by their promises.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failsafe: bool,
    /// The managers the holder has heard of lately, itself included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<HostPort>,
}

/// Why the value under the lease key is not a [`Record`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// More bytes than any record has.
    #[error("the value has {0} bytes, a lease record has at most {RECORD_BYTES_MAX}")]
    TooLarge(usize),
    /// Not the JSON of a record.
    #[error("the value is not a lease record: {0}")]
    Json(String),
    /// A field outside its range.
    #[error("the lease record's field {0:?} is out of range")]
    Range(&'static str),
}

impl Record {
    /// Reads a record from the store's bytes, strictly: they may have been written by anyone.
    ///
    /// # Errors
    /// When the bytes are not a record that a manager could have written.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLarge(bytes.len()));
        }
        let record: Self =
            serde_json::from_slice(bytes).map_err(|error| RecordError::Json(error.to_string()))?;
        let token = |text: &str| {
            !text.is_empty()
                && text.len() <= 64
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        for (field, fits) in [
            ("cluster", token(&record.cluster)),
            ("instance", token(&record.instance)),
            ("nonce", token(&record.nonce)),
            ("epoch", (1..COUNT_END).contains(&record.epoch)),
            ("beat", record.beat < COUNT_END),
            ("lease_ms", (1..=LEASE_MS_MAX).contains(&record.lease_ms)),
            ("members", record.members.len() <= MEMBERS_MAX),
        ] {
            if !fits {
                return Err(RecordError::Range(field));
            }
        }
        Ok(record)
    }

    /// The bytes to store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // A record is plain strings and numbers: serialising it cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Keeps `members` within what [`Record::parse`] accepts. Only of several members can one be asked for a promise.
    #[must_use]
    pub(super) fn with_members(mut self, members: &[HostPort], failsafe: bool) -> Self {
        self.members = members.iter().take(MEMBERS_MAX).cloned().collect();
        let others = self.members.iter().any(|member| *member != self.holder);
        self.failsafe = failsafe && others && self.members.contains(&self.holder);
        self
    }
}

/// What a read of the lease key showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The key does not exist.
    Absent,
    /// A record.
    Present {
        /// Its version.
        version: Version,
        /// The record.
        record: Record,
    },
    /// A value nobody of us wrote.
    Malformed {
        /// Its version.
        version: Version,
        /// Why it is not a record.
        problem: RecordError,
    },
}

impl Reading {
    /// Judges the bytes found at `version`.
    #[must_use]
    pub fn of(version: Version, bytes: &[u8]) -> Self {
        match Record::parse(bytes) {
            Ok(record) => Self::Present { version, record },
            Err(problem) => Self::Malformed { version, problem },
        }
    }

    /// The version of what is there, `None` if nothing is.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        match self {
            Self::Absent => None,
            Self::Present { version, .. } | Self::Malformed { version, .. } => Some(*version),
        }
    }

    /// The record, if there is one.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Present { record, .. } => Some(record),
            Self::Absent | Self::Malformed { .. } => None,
        }
    }
}

/// What the guard of a dead manager puts in the place of `found`: the same record, released, if it is that manager's.
///
/// `instance` is the process that died; `nonce` is new. The expected version comes first.
#[must_use]
pub fn release_for(found: &Reading, instance: &str, nonce: String) -> Option<(Version, Record)> {
    let version = found.version()?;
    let record = found
        .record()
        .filter(|record| record.instance == instance && !record.released)?;
    Some((
        version,
        Record {
            released: true,
            // The nonce tells it from the record before; a beat at its end must not make it unreadable.
            beat: (record.beat + 1).min(COUNT_END - 1),
            nonce,
            ..record.clone()
        },
    ))
}

/// How a swap ended. Which answer of which store means what is part of the store contract (HA.md section 2.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwapOutcome {
    /// Done; the record has this version now.
    Swapped(Version),
    /// Not done: the record had another version. With what a linearizable read after it showed, if that succeeded.
    Conflict(Option<Reading>),
    /// Certainly not done, for a reason that has nothing to do with the version.
    NotApplied,
    /// May have been done.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> Record {
        Record {
            cluster: "c0ffee".into(),
            epoch: 7,
            holder: "192.168.42.200:4000".parse().unwrap(),
            instance: "00ff".into(),
            nonce: "n1".into(),
            beat: 41,
            lease_ms: 2_000,
            released: false,
            failsafe: false,
            members: Vec::new(),
        }
    }

    #[test]
    fn a_record_survives_the_store() {
        let text = String::from_utf8(record().to_bytes()).unwrap();
        assert_eq!(
            text,
            r#"{"cluster":"c0ffee","epoch":7,"holder":"192.168.42.200:4000","instance":"00ff","nonce":"n1","beat":41,"lease_ms":2000,"released":false}"#
        );
        assert_eq!(Record::parse(text.as_bytes()).unwrap(), record());
        let failsafe = Record {
            failsafe: true,
            ..record()
        };
        let text = String::from_utf8(failsafe.to_bytes()).unwrap();
        assert!(
            text.ends_with(r#""released":false,"failsafe":true}"#),
            "{text}"
        );
        assert_eq!(Record::parse(text.as_bytes()).unwrap(), failsafe);
    }

    #[test]
    fn a_guard_releases_the_record_of_its_own_manager_only() {
        let found = Reading::Present {
            version: Version(9),
            record: record(),
        };
        let (version, released) = release_for(&found, "00ff", "g".into()).unwrap();
        assert_eq!(version, Version(9));
        assert!(released.released && released.epoch == 7 && released.beat == 42);
        assert_eq!(release_for(&found, "another", "g".into()), None);
        let gone = Reading::Present {
            version: Version(10),
            record: released,
        };
        assert_eq!(release_for(&gone, "00ff", "g".into()), None);
        assert_eq!(release_for(&Reading::Absent, "00ff", "g".into()), None);
    }

    #[test]
    fn what_a_guard_releases_can_be_read_whatever_the_beat() {
        let found = Reading::Present {
            version: Version(9),
            record: Record {
                beat: COUNT_END - 1,
                ..record()
            },
        };
        let (_, released) = release_for(&found, "00ff", "g".into()).unwrap();
        assert_eq!(Record::parse(&released.to_bytes()), Ok(released));
    }

    #[test]
    fn a_hostile_record_is_refused_with_the_field() {
        let refuse = |change: fn(&mut Record), field: &str| {
            let mut broken = record();
            change(&mut broken);
            let error = Record::parse(&broken.to_bytes()).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        };
        refuse(|r| r.epoch = u64::MAX, "epoch");
        refuse(|r| r.epoch = 0, "epoch");
        refuse(|r| r.lease_ms = 0, "lease_ms");
        refuse(|r| r.lease_ms = u64::MAX, "lease_ms");
        refuse(|r| r.instance = "x\n".into(), "instance");
        refuse(|r| r.beat = u64::MAX, "beat");
        assert!(Record::parse(&vec![b' '; RECORD_BYTES_MAX + 1]).is_err());
        let evil = br#"{"cluster":"c","epoch":1,"holder":"http://evil/","instance":"a","nonce":"b","beat":1,"lease_ms":2000,"released":false}"#;
        assert!(
            Record::parse(evil)
                .unwrap_err()
                .to_string()
                .contains("in address")
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::parse(&bytes);
        }
    }
}
