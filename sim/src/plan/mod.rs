//! A run as data: what it is made of, what goes wrong, and when.
//!
//! One format serves both tiers. A plan is total: every operation means something at any time (on a host that is down
//! it does nothing), and each fault carries its own end, so that any subset of the faults is a plan too. That is what
//! makes shrinking possible.

use serde::{Deserialize, Serialize};
use serde_json::{Value, to_value};

mod draw;
mod host;
mod kinds;
mod op;
mod parts;

pub use draw::Profile;
pub use host::{Host, How, NoHost, RefuseWhich, Way};
pub use kinds::Family;
pub use op::Op;
pub use parts::{Knobs, Phases, StoreKind, Topology, Workload};

/// The version of the format. Older versions are migrated, newer ones refused.
pub const PLAN_VERSION: u32 = 1;

/// Two store outages closer than this may catch the holder between two tries; no promise is made for that.
const OUTAGES_APART_MS: u64 = 9_000;

/// Which simulation runs a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// The machines of `core` in a plain event loop.
    Lab,
    /// The shipping runtime on turmoil.
    #[default]
    World,
}

impl Tier {
    /// Its name on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lab => "lab",
            Self::World => "world",
        }
    }
}

/// Everything a run depends on, besides the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// Which simulation.
    pub tier: Tier,
    /// Of the run's own random streams: latencies, identities, what clients do.
    pub seed: u64,
    /// Who is there.
    #[serde(default)]
    pub topology: Topology,
    /// Settings.
    #[serde(default)]
    pub knobs: Knobs,
    /// What clients do.
    #[serde(default)]
    pub workload: Workload,
    /// How long the parts of a run take.
    #[serde(default)]
    pub phases: Phases,
    /// What goes wrong, in any order; they may overlap.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// A last fault after everything has recovered, whose failover is measured against its budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Op>,
}

impl Default for Plan {
    /// A calm world.
    fn default() -> Self {
        Self {
            version: PLAN_VERSION,
            tier: Tier::World,
            seed: 0,
            topology: Topology::default(),
            knobs: Knobs::default(),
            workload: Workload::default(),
            phases: Phases::default(),
            faults: Vec::new(),
            drill: None,
        }
    }
}

/// Something that goes wrong for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Names it within its plan.
    pub id: u32,
    /// When it begins, in milliseconds since the end of the warm-up.
    pub at_ms: u64,
    /// How long it lasts, in milliseconds; what happens in an instant has 0.
    #[serde(default)]
    pub lasts_ms: u64,
    /// What it is.
    #[serde(flatten)]
    pub op: Op,
}

impl Fault {
    /// Faults numbered in their order, from when each begins, how long it lasts (both in milliseconds) and what it is.
    #[must_use]
    pub fn numbered(faults: impl IntoIterator<Item = (u64, u64, Op)>) -> Vec<Self> {
        (1..)
            .zip(faults)
            .map(|(id, (at_ms, lasts_ms, op))| Self {
                id,
                at_ms,
                lasts_ms,
                op,
            })
            .collect()
    }

    /// When it is over, in milliseconds since the end of the warm-up.
    #[must_use]
    pub fn end_ms(&self) -> u64 {
        self.at_ms.saturating_add(self.lasts_ms)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |ms: u64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
        write!(f, "#{} at {} s", self.id, seconds(self.at_ms))?;
        if self.lasts_ms > 0 {
            write!(f, " for {} s", seconds(self.lasts_ms))?;
        }
        write!(f, ": {}", self.op)
    }
}

/// Why a text is not a plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Not the JSON of a plan.
    #[error("not a plan: {0}")]
    Json(#[from] serde_json::Error),
    /// A member of a fault that means nothing: what it should have said would be missed in silence.
    #[error("fault {fault} has a member {member:?}, which {kind} does not have")]
    Member {
        /// The fault, counted from 1; 0 is the drill.
        fault: usize,
        /// Its kind.
        kind: &'static str,
        /// The member.
        member: String,
    },
    /// Written by a newer version.
    #[error("the plan has version {0}, this program knows versions up to {PLAN_VERSION}")]
    Version(u32),
    /// A number outside its range, or an unknown host.
    #[error("the plan's {field} is {value}: {expected}")]
    Range {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        expected: &'static str,
    },
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// When `text` is not a plan, is of a newer version, or cannot be run.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let plan: Self = serde_json::from_str(text)?;
        if plan.version > PLAN_VERSION {
            return Err(PlanError::Version(plan.version));
        }
        plan.check_members(text)?;
        plan.check()?;
        Ok(plan)
    }

    /// Faults are flattened, and serde does not refuse unknown members of what is.
    fn check_members(&self, text: &str) -> Result<(), PlanError> {
        let (given, known): (Value, Value) = (serde_json::from_str(text)?, to_value(self)?);
        let drill = self.drill.iter().map(|op| (0, op, "/drill".to_owned()));
        let faults = self.faults.iter().zip(1..);
        let faults = faults.map(|(fault, n)| (n, &fault.op, format!("/faults/{}", n - 1)));
        for (fault, op, place) in drill.chain(faults) {
            let members = |of: &Value| of.pointer(&place).and_then(Value::as_object).cloned();
            let known = members(&known).unwrap_or_default();
            let given = members(&given).unwrap_or_default();
            if let Some((member, _)) = given
                .into_iter()
                .find(|(name, _)| !known.contains_key(name))
            {
                let kind = op.kind();
                return Err(PlanError::Member {
                    fault,
                    kind,
                    member,
                });
            }
        }
        Ok(())
    }

    /// The text [`Plan::parse`] reads.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain numbers and strings: serialising cannot fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Whether the plan can be run.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn check(&self) -> Result<(), PlanError> {
        let (knobs, topology) = (&self.knobs, &self.topology);
        let fits = |field, value: u64, range: std::ops::RangeInclusive<u64>, expected| {
            let value_fits = range.contains(&value);
            value_fits.then_some(()).ok_or_else(|| PlanError::Range {
                field,
                value: value.to_string(),
                expected,
            })
        };
        fits("managers", topology.managers.into(), 1..=7, "1 to 7")?;
        fits("stores", topology.stores.into(), 1..=3, "1 to 3")?;
        fits("engines", topology.engines.into(), 0..=8, "0 to 8")?;
        fits("lease_ms", knobs.lease_ms, 500..=600_000, "500 to 600000")?;
        fits(
            "primary_wait_ms",
            knobs.primary_wait_ms,
            0..=600_000,
            "at most 600000",
        )?;
        fits("tick_ms", knobs.tick_ms, 1..=10, "1 to 10")?;
        fits(
            "clock_error_ppm",
            knobs.clock_error_ppm.into(),
            0..=200_000,
            "at most 200000",
        )?;
        fits(
            "refresh_ms",
            knobs.refresh_ms,
            100..=600_000,
            "100 to 600000",
        )?;
        fits(
            "reschedule_grace_ms",
            knobs.reschedule_grace_ms,
            0..=600_000,
            "at most 600000",
        )?;
        fits(
            "loss_per_mille",
            knobs.loss_per_mille.into(),
            0..=500,
            "at most 500",
        )?;
        fits(
            "latency_max_us",
            knobs.latency_max_us,
            knobs.latency_min_us..=10_000_000,
            "at least latency_min_us, at most 10000000",
        )?;
        self.check_store()?;
        let phases = self.phases;
        let longest = phases.faults_ms.max(self.faults_end_ms());
        let whole = [
            phases.warm_up_ms,
            longest,
            phases.recovery_ms,
            phases.proof_ms,
        ];
        let whole = whole.into_iter().fold(0, u64::saturating_add);
        fits(
            "length",
            whole,
            0..=86_000_000,
            "at most 86000000 ms together",
        )?;
        for fault in &self.faults {
            fault.op.check(self)?;
        }
        self.drill.as_ref().map_or(Ok(()), |op| op.check(self))
    }

    fn check_store(&self) -> Result<(), PlanError> {
        let name = match self.topology.store {
            StoreKind::Consul => return Ok(()),
            StoreKind::Etcd => "etcd",
            StoreKind::ZooKeeper => "zookeeper",
        };
        if self.tier == Tier::World {
            return Ok(());
        }
        Err(PlanError::Range {
            field: "store",
            value: name.to_owned(),
            expected: "the lab has a store of its own, only the world has another",
        })
    }

    /// When the last fault is over, in milliseconds since the end of the warm-up; 0 without faults.
    #[must_use]
    pub fn faults_end_ms(&self) -> u64 {
        self.faults.iter().map(Fault::end_ms).max().unwrap_or(0)
    }

    /// Whether the promise of a single primary covers everything that goes wrong here: clock rates within their bound,
    /// no clock frozen together with its host, no store that forgets what it confirmed (DESIGN section 3).
    #[must_use]
    pub fn within_model(&self) -> bool {
        self.knobs.clock_error_ppm <= 20_000
            && self.faults.iter().all(|fault| fault.op.within_model())
            && self.drill.as_ref().is_none_or(Op::within_model)
    }

    /// Whether nothing but the whole store is away, now and then, so that the epoch must stay.
    #[must_use]
    pub fn only_outages(&self) -> bool {
        let store_only = self.faults.iter().all(|fault| {
            if let Op::Kill { host, .. } | Op::Pause { host } = &fault.op {
                self.topology.stores == 1 && matches!(host, Host::Store(_) | Host::StoreLeader)
            } else {
                matches!(fault.op, Op::NoStoreLeader | Op::NewStoreLeader)
            }
        });
        let mut spans: Vec<(u64, u64)> = self
            .faults
            .iter()
            .map(|fault| (fault.at_ms, fault.end_ms()))
            .collect();
        spans.sort_unstable();
        let apart = spans
            .iter()
            .zip(spans.iter().skip(1))
            .all(|((_, end), (start, _))| start.saturating_sub(*end) >= OUTAGES_APART_MS);
        store_only && apart && self.knobs.loss_per_mille == 0
    }

    /// Whether somebody must act all the time, because the primary goes on without the store.
    #[must_use]
    pub fn outlives_store(&self) -> bool {
        self.knobs.failsafe && self.topology.managers >= 2 && self.only_outages()
    }

    /// Beginnings and ends of the faults in the order of time; at the same instant ends come first.
    #[must_use]
    pub fn steps(&self) -> Vec<Step<'_>> {
        let mut steps: Vec<Step<'_>> = self
            .faults
            .iter()
            .flat_map(|fault| {
                let step = |at_ms, begins| Step {
                    at_ms,
                    begins,
                    fault,
                };
                let end = fault.op.has_end().then(|| step(fault.end_ms(), false));
                [Some(step(fault.at_ms, true)), end].into_iter().flatten()
            })
            .collect();
        // A fault without length begins before it ends.
        steps.sort_by_key(|step| {
            let instant = step.fault.end_ms() == step.fault.at_ms;
            (
                step.at_ms,
                step.begins || instant,
                step.fault.id,
                !step.begins,
            )
        });
        steps
    }
}

/// The beginning or the end of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// In milliseconds since the end of the warm-up.
    pub at_ms: u64,
    /// Whether the fault begins.
    pub begins: bool,
    /// The fault.
    pub fault: &'a Fault,
}
