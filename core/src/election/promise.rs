//! Promises: a member says that it will not take over for a while, so that the primary may outlive the store.
//!
//! A promise binds its giver alone: until it ends, counted from the asking, no claim is sent. What a restart forgets
//! the full wait after the restart covers, because a listed manager never takes a live record over without it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lease::takeover_wait;
use super::record::{LEASE_MS_MAX, Reading, Version};
use super::tenure::Tenure;
use super::{Effect, Election};
use crate::address::HostPort;
use crate::machine::Effects;
use crate::testbed::{Mark, Mutant, planted, reach};
use crate::time::Mono;

/// A request is a few hundred bytes; anything this large is not ours.
pub const PROMISE_BYTES_MAX: usize = 4 * 1024;

/// Numbers the questions that wait for an answer; chosen by whoever hands them in, who never uses one twice.
pub type Asker = u64;

/// A primary asks a member not to take over for one lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromiseRequest {
    /// Names the cluster.
    pub cluster: String,
    /// The member that is asked, as the record lists it: no other may answer in its place.
    pub member: HostPort,
    /// The asking primary's process.
    pub instance: String,
    /// Its epoch.
    pub epoch: u64,
    /// The newest version of its record that it knows.
    pub version: Version,
    /// Its lease, in milliseconds.
    pub lease_ms: u64,
}

impl PromiseRequest {
    /// Reads a request, strictly: anyone may have sent it.
    ///
    /// # Errors
    /// In words, when the bytes are not a request that a primary could have sent.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > PROMISE_BYTES_MAX {
            return Err(format!("a request has at most {PROMISE_BYTES_MAX} bytes"));
        }
        let request: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if !(1..=LEASE_MS_MAX).contains(&request.lease_ms) {
            return Err(format!("lease_ms has to be from 1 to {LEASE_MS_MAX}"));
        }
        Ok(request)
    }

    fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
}

/// A member's promise, in answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromiseGrant {
    /// The member that promises.
    pub promised_by: HostPort,
    /// To the primary of this epoch.
    pub epoch: u64,
}

impl PromiseGrant {
    /// The answer to `request`.
    #[must_use]
    pub fn to(request: &PromiseRequest) -> Self {
        Self {
            promised_by: request.member.clone(),
            epoch: request.epoch,
        }
    }

    /// Whether `bytes` are the promise that `request` asked for: nothing else may pass for one.
    ///
    /// # Errors
    /// In words, when they are not.
    pub fn parse(bytes: &[u8], request: &PromiseRequest) -> Result<(), String> {
        let grant: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if grant == Self::to(request) {
            Ok(())
        } else {
            Err("the answer is to another question".to_owned())
        }
    }
}

/// Why a member does not promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The question was meant for another member.
    #[error("another member was asked: two managers must not share one --advertise")]
    NotAsked,
    /// It belongs to another cluster.
    #[error("this manager belongs to another cluster")]
    OtherCluster,
    /// A newer epoch has begun.
    #[error("a newer epoch is known here")]
    NewerEpoch,
    /// The record is another process's, or was given up.
    #[error("the lease record known here is not the asking primary's")]
    NotTheHolder,
    /// Neither this manager nor the record has a lease as long as that.
    #[error("the lease is longer than this manager's --replication-ttl and the record's")]
    LeaseTooLong,
    /// The record is gone, went back or is no record.
    #[error("the store lost the lease record")]
    RecordLost,
    /// It acts itself, or may.
    #[error("this manager holds a lease of its own")]
    Holding,
    /// A claim of its own may yet be carried out.
    #[error("a claim of this manager's own may yet be carried out")]
    Claiming,
}

/// A promise that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// To the primary of this epoch, and maybe of earlier ones.
    epoch: u64,
    until: Mono,
}

impl Election {
    /// A primary asks for a promise.
    pub(super) fn asked(
        &mut self,
        asker: Asker,
        request: &PromiseRequest,
        out: &mut Effects<Effect>,
    ) {
        let verdict = self.judge_request(request);
        match verdict {
            Ok(()) => self.give(request),
            Err(_) => reach(Mark::PromiseRefused),
        }
        out.push(Effect::Promise { asker, verdict });
    }

    fn give(&mut self, request: &PromiseRequest) {
        let wait = takeover_wait(request.lease());
        let wait = if planted(Mutant::PromiseForgotten) {
            wait / 2
        } else {
            wait
        };
        // Several may have asked: all are promised the same, and the last end counts.
        let until = self.now + wait;
        self.given = Some(match self.given.take() {
            Some(given) if self.now < given.until => Given {
                epoch: given.epoch.max(request.epoch),
                until: given.until.max(until),
            },
            Some(_) | None => Given {
                epoch: request.epoch,
                until,
            },
        });
    }

    fn judge_request(&self, request: &PromiseRequest) -> Result<(), Refusal> {
        if request.member != self.config.advertise {
            return Err(Refusal::NotAsked);
        }
        if self
            .cluster()
            .is_some_and(|cluster| cluster != request.cluster)
        {
            return Err(Refusal::OtherCluster);
        }
        if self.knowledge.highest_epoch() > request.epoch {
            return Err(Refusal::NewerEpoch);
        }
        // Who only says that it is a primary must not bind this manager for longer than a primary can.
        if request.lease() > self.config.lease.max(self.knowledge.last_lease()) {
            return Err(Refusal::LeaseTooLong);
        }
        // Who was taken over and has not heard of it stands in nobody's way: the store has refused its lease already.
        let (held, acts) = match &self.tenure {
            Tenure::Holding(holding) => (holding.epoch, self.now < holding.until),
            Tenure::Releasing(releasing) => (releasing.epoch, false),
            Tenure::Replica => (0, false),
        };
        if acts || held >= request.epoch {
            return Err(Refusal::Holding);
        }
        self.judge_record(request)?;
        if self.attempts.expecting(request.version) && !planted(Mutant::PromisesThoughClaiming) {
            return Err(Refusal::Claiming);
        }
        Ok(())
    }

    fn judge_record(&self, request: &PromiseRequest) -> Result<(), Refusal> {
        let Some(sighting) = self.knowledge.newest() else {
            return Ok(());
        };
        match &sighting.reading {
            Reading::Absent | Reading::Malformed { .. } => Err(Refusal::RecordLost),
            Reading::Present { .. } if sighting.suspect => Err(Refusal::RecordLost),
            Reading::Present { record, .. }
                if record.epoch == request.epoch
                    && (record.instance != request.instance || record.released) =>
            {
                Err(Refusal::NotTheHolder)
            }
            Reading::Present { .. } => Ok(()),
        }
    }

    /// Until when a promise of this manager's forbids it to claim what it knows.
    ///
    /// A release ends what was promised to who released, and an epoch that follows ends it too. A record that is gone
    /// ends nothing: whoever has the promise may not know yet that the store lost it.
    pub(super) fn bound_until(&self) -> Option<Mono> {
        let given = self.given.as_ref()?;
        let over = self
            .knowledge
            .newest()
            .filter(|sighting| !sighting.suspect)
            .and_then(|sighting| sighting.reading.record())
            .is_some_and(|record| {
                record.epoch > given.epoch || (record.epoch == given.epoch && record.released)
            });
        (!over).then_some(given.until)
    }

    /// Whether the record allows this manager to take over: a live failsafe record names who may.
    pub(super) fn may_succeed(&self) -> bool {
        let listed = |record: &super::Record| {
            !record.failsafe
                || record.released
                || self.is_mine(record)
                || record.members.contains(&self.config.advertise)
        };
        self.knowledge.record().is_none_or(listed) || planted(Mutant::UnlistedTakesOver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_survives_the_wire_and_a_hostile_one_is_refused() {
        let request = PromiseRequest {
            cluster: "c".into(),
            member: "b:4000".parse().unwrap(),
            instance: "a0".into(),
            epoch: 7,
            version: Version(12),
            lease_ms: 2_000,
        };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(
            text,
            r#"{"cluster":"c","member":"b:4000","instance":"a0","epoch":7,"version":12,"lease_ms":2000}"#
        );
        assert_eq!(PromiseRequest::parse(text.as_bytes()), Ok(request.clone()));
        let grant = serde_json::to_string(&PromiseGrant::to(&request)).unwrap();
        assert_eq!(grant, r#"{"promised_by":"b:4000","epoch":7}"#);
        assert_eq!(PromiseGrant::parse(grant.as_bytes(), &request), Ok(()));
        for other in [&*text, "{}", "true", &grant.replace('7', "8")] {
            assert!(
                PromiseGrant::parse(other.as_bytes(), &request).is_err(),
                "{other}"
            );
        }
        for (from, to) in [
            ("2000", "0"),
            ("2000", "600001"),
            ("b:4000", "http://evil/"),
            ("\"epoch\"", "\"more\":1,\"epoch\""),
        ] {
            let hostile = text.replace(from, to);
            assert!(
                PromiseRequest::parse(hostile.as_bytes()).is_err(),
                "{hostile}"
            );
        }
        assert!(PromiseRequest::parse(&vec![b' '; PROMISE_BYTES_MAX + 1]).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = PromiseRequest::parse(&bytes);
        }
    }
}
