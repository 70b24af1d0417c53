//! The promises, and how a broken one is told (HA.md section 10).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A promise that every run is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Property {
    /// At most one manager acts at any true instant.
    SinglePrimary,
    /// Epochs grow with each change of primary and are never used twice.
    EpochOrder,
    /// A change leaves for an engine inside the lease of its epoch, and none after a newer epoch was confirmed.
    DispatchInLease,
    /// After its release an epoch dispatches nothing.
    ReleaseFinal,
    /// A failover is over within its budget.
    Failover,
    /// After the last fault somebody acts, and every manager leads there.
    Liveness,
    /// Without a cause the primary does not change; a store outage changes no epoch.
    Stability,
    /// Every request ends in one answer in time.
    OneAnswer,
    /// What an answer says is true: not carried out means not carried out, done means done.
    OutcomeTruth,
    /// What is sent once is carried out at most once, and what was acknowledged exists.
    ExactlyOnce,
    /// An event stream has no gap and no duplicate, across failovers.
    EventStream,
    /// A tunnel ends when its primary does, and carries what was put in.
    Tunnel,
    /// No request visits a manager twice.
    NoLoop,
    /// The store gets no more requests than the rules of the election make.
    StoreLoad,
    /// At the end nothing is left: no held request, no task, no connection beyond the limits.
    Leaks,
    /// No ERROR is logged, because ERROR means a defect.
    ErrorLog,
    /// No task panics and no host ends by itself.
    NoPanic,
    /// The same plan is the same run.
    Determinism,
    /// What a declared scenario expects.
    Expectation,
}

/// Which kind of promise; the exit code of `swarm-sim` follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Something must never happen.
    Safety,
    /// Something must happen in the end, or in time.
    Liveness,
    /// Nothing crashes.
    Crash,
    /// Runs repeat.
    Determinism,
}

impl Promise {
    /// The exit code of a program that found it broken (SIMULATION.md section 2).
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Crash => 127,
            Self::Liveness => 128,
            Self::Safety => 129,
            Self::Determinism => 130,
        }
    }
}

impl Property {
    /// Every promise.
    pub const ALL: [Self; 19] = [
        Self::SinglePrimary,
        Self::EpochOrder,
        Self::DispatchInLease,
        Self::ReleaseFinal,
        Self::Failover,
        Self::Liveness,
        Self::Stability,
        Self::OneAnswer,
        Self::OutcomeTruth,
        Self::ExactlyOnce,
        Self::EventStream,
        Self::Tunnel,
        Self::NoLoop,
        Self::StoreLoad,
        Self::Leaks,
        Self::ErrorLog,
        Self::NoPanic,
        Self::Determinism,
        Self::Expectation,
    ];

    /// Its name in reports and signatures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SinglePrimary => "single-primary",
            Self::EpochOrder => "epoch-order",
            Self::DispatchInLease => "dispatch-in-lease",
            Self::ReleaseFinal => "release-final",
            Self::Failover => "failover",
            Self::Liveness => "liveness",
            Self::Stability => "stability",
            Self::OneAnswer => "one-answer",
            Self::OutcomeTruth => "outcome-truth",
            Self::ExactlyOnce => "exactly-once",
            Self::EventStream => "event-stream",
            Self::Tunnel => "tunnel",
            Self::NoLoop => "no-loop",
            Self::StoreLoad => "store-load",
            Self::Leaks => "leaks",
            Self::ErrorLog => "error-log",
            Self::NoPanic => "no-panic",
            Self::Determinism => "determinism",
            Self::Expectation => "expectation",
        }
    }

    /// The promise in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::SinglePrimary => "at most one manager acts as primary at any instant",
            Self::EpochOrder => "epochs grow with each change of primary and are never used twice",
            Self::DispatchInLease => "a change leaves for an engine only inside a valid lease",
            Self::ReleaseFinal => "after its release an epoch dispatches nothing",
            Self::Failover => "failover stays inside its computed budget",
            Self::Liveness => {
                "after the last fault there is a primary and every manager leads there"
            }
            Self::Stability => "without a cause the primary does not change",
            Self::OneAnswer => "every request ends in one answer in time",
            Self::OutcomeTruth => "what an answer says about a request is true",
            Self::ExactlyOnce => {
                "what was acknowledged exists once, what was sent once was done at most once"
            }
            Self::EventStream => "event streams have no gap and no duplicate",
            Self::Tunnel => "a tunnel ends with its primary and carries what was put in",
            Self::NoLoop => "no request visits a manager twice",
            Self::StoreLoad => "the store gets no more requests than the rules make",
            Self::Leaks => "at the end nothing is left over",
            Self::ErrorLog => "no ERROR is logged",
            Self::NoPanic => "nothing panics",
            Self::Determinism => "the same plan is the same run",
            Self::Expectation => "a declared scenario goes as it is told",
        }
    }

    /// Where it is kept: the first places to look at when it is broken.
    #[must_use]
    pub const fn kept_by(self) -> &'static [&'static str] {
        match self {
            Self::SinglePrimary | Self::EpochOrder | Self::ReleaseFinal => {
                &["core/src/election", "runtime/src/guard.rs"]
            }
            Self::DispatchInLease => &["runtime/src/election/gate.rs", "core/src/election/gate.rs"],
            Self::Failover | Self::Liveness | Self::Stability | Self::StoreLoad => {
                &["core/src/election", "runtime/src/election"]
            }
            Self::OneAnswer | Self::OutcomeTruth | Self::NoLoop => {
                &["core/src/proxy", "core/src/api/class.rs"]
            }
            Self::ExactlyOnce => &["runtime/src/api", "core/src/proxy", "core/src/api/class.rs"],
            Self::EventStream => &["core/src/proxy/events.rs", "runtime/src/api/events.rs"],
            Self::Tunnel => &["runtime/src/http", "runtime/src/proxy"],
            Self::Leaks => &["core/src/proxy", "runtime/src/http"],
            Self::ErrorLog | Self::NoPanic => &["runtime/src"],
            Self::Determinism => &["sim/src/world/platform.rs", "clippy.toml"],
            Self::Expectation => &["scenarios/src/all"],
        }
    }

    /// Which kind of promise.
    #[must_use]
    pub const fn promise(self) -> Promise {
        match self {
            Self::SinglePrimary
            | Self::EpochOrder
            | Self::DispatchInLease
            | Self::ReleaseFinal
            | Self::Stability
            | Self::OutcomeTruth
            | Self::ExactlyOnce
            | Self::EventStream
            | Self::Tunnel
            | Self::NoLoop
            | Self::StoreLoad
            | Self::Leaks
            | Self::ErrorLog
            | Self::Expectation => Promise::Safety,
            Self::Failover | Self::Liveness | Self::OneAnswer => Promise::Liveness,
            Self::NoPanic => Promise::Crash,
            Self::Determinism => Promise::Determinism,
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A promise that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub property: Property,
    /// What tells this way of breaking it from others, without hosts and times; may be empty.
    pub aspect: String,
    /// In true time since the start, nanoseconds.
    pub at: u64,
    /// What happened, with the state that shows it.
    pub what: String,
    /// The event of the trace that shows it; 0 for none.
    pub event: u64,
}

impl Violation {
    /// A violation at true time `at` (ns), in words.
    #[must_use]
    pub fn new(property: Property, aspect: &str, at: u64, what: impl Into<String>) -> Self {
        Self {
            property,
            aspect: aspect.to_owned(),
            at,
            what: what.into(),
            event: 0,
        }
    }

    /// Two violations with the same signature are the same failure: no hosts, no times.
    #[must_use]
    pub fn signature(&self) -> String {
        if self.aspect.is_empty() {
            self.property.name().to_owned()
        } else {
            format!("{}.{}", self.property.name(), self.aspect)
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Duration::from_nanos(self.at).as_secs_f64();
        write!(f, "{at:.3} s: {}: {}", self.property, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_that_keep_a_promise_are_there() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for property in Property::ALL {
            for place in property.kept_by() {
                assert!(root.join(place).exists(), "{property}: {place}");
            }
        }
    }
}
