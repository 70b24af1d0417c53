//! A manager's relation to one Docker Engine: what to ask it, when, and what the answers mean.
//!
//! [`EngineMachine`] decides and never acts. It validates an engine, opens its event stream before the first
//! listing so that nothing is missed, keeps the cluster view up to date from events and periodic refreshes, and
//! notices when the engine fails, returns, or is not the one it was. Data that the view stores passes through it
//! unlooked at. Start with [`EngineMachine`]; the reaction to events is in [`Reaction::to`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::address::HostPort;
use crate::api::ApiVersion;
use crate::cluster::{Admission, Container, EngineState, Image, Network, Specs, Volume};
use crate::time::Wall;

mod changes;
mod event;
mod health;
mod machine;
mod outbox;
mod rounds;
mod stream;
mod tell;
#[cfg(test)]
mod tests;
mod work;

pub use event::{Event, EventError, Node, Reaction, entry_mark};
pub use machine::{EngineMachine, MAX_IN_FLIGHT};

/// How often and how patiently an engine is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Least time between two refreshes of a healthy engine (`--engine-refresh-min-interval`).
    pub refresh_min: Duration,
    /// Most time between two refreshes of a healthy engine (`--engine-refresh-max-interval`).
    pub refresh_max: Duration,
    /// Consecutive failures that make an engine unhealthy (`--engine-failure-retry`); 0 counts as 1.
    pub failure_retry: u32,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            refresh_min: Duration::from_secs(30),
            refresh_max: Duration::from_secs(60),
            failure_retry: 3,
        }
    }
}

/// Names one call or event stream; never used twice by a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpId(pub u64);

/// What happens to an [`EngineMachine`].
#[derive(Clone, Debug)]
pub enum Input {
    /// A call ended.
    Answered {
        /// The call.
        op: OpId,
        /// What came of it.
        result: Result<Reply, CallError>,
    },
    /// The cluster view has judged the specs of [`Effect::Admit`]; the error is a text for the operator.
    Admitted {
        /// From the effect.
        op: OpId,
        /// The judgement.
        result: Result<Admission, String>,
    },
    /// An event stream stands.
    StreamOpened {
        /// The stream.
        op: OpId,
    },
    /// A stream brought an event.
    StreamEvent {
        /// The stream.
        op: OpId,
        /// The event, boxed because each engine's queue has room for many inputs.
        event: Box<Event>,
    },
    /// A stream could not be opened, or has ended.
    StreamEnded {
        /// The stream.
        op: OpId,
        /// Why.
        error: CallError,
    },
    /// A request that a client's call caused has reached the engine, or has not.
    Proxied(Result<(), CallError>),
    /// Somebody waits for a part of the view to be read anew, for instance after creating a container;
    /// [`Effect::Refreshed`] tells when it has been.
    Refresh {
        /// What.
        part: Part,
        /// For the effect.
        ticket: u64,
    },
    /// Somebody changed the container and waits for what the event of that makes the manager read. As
    /// [`Input::Refresh`], but a reading under way will do if it finds the container, and one begins only when no event
    /// has come in time.
    Join {
        /// Full ID.
        container: Arc<str>,
        /// For the effect.
        ticket: u64,
    },
    /// Somebody needs everything up to date.
    RefreshAll,
    /// Discovery no longer has the engine.
    Remove,
}

/// A part of the view that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The container with this full ID.
    Container(Arc<str>),
    /// All images.
    Images,
    /// All networks.
    Networks,
    /// All volumes.
    Volumes,
}

/// One question to the engine.
#[derive(Clone, Debug)]
pub enum Call {
    /// `GET /_ping`.
    Ping,
    /// `GET /version` and `GET /info`.
    Specs,
    /// `GET /containers/json?all=1`.
    Containers,
    /// One container: its list entry, unless given, and `GET /containers/{id}/json`.
    Container {
        /// Full ID.
        id: Arc<str>,
        /// Its entry in a list just read.
        entry: Option<Arc<RawValue>>,
    },
    /// `GET /images/json?all=1`.
    Images,
    /// `GET /networks`.
    Networks,
    /// `GET /networks/{id}`.
    Network(Arc<str>),
    /// `GET /volumes`.
    Volumes,
    /// `GET /volumes/{name}`.
    Volume(Arc<str>),
}

impl Call {
    /// How long it may take (E5). Lists may be long; a ping that takes seconds comes from a sick engine.
    #[must_use]
    pub fn limit(&self) -> Duration {
        Duration::from_secs(match self {
            Self::Ping => 5,
            Self::Specs | Self::Container { .. } | Self::Network(_) | Self::Volume(_) => 10,
            Self::Containers | Self::Images | Self::Networks | Self::Volumes => 30,
        })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping => f.write_str("ping"),
            Self::Specs => f.write_str("read version and info"),
            Self::Containers => f.write_str("list containers"),
            Self::Container { id, .. } => write!(f, "inspect container {id}"),
            Self::Images => f.write_str("list images"),
            Self::Networks => f.write_str("list networks"),
            Self::Network(id) => write!(f, "inspect network {id}"),
            Self::Volumes => f.write_str("list volumes"),
            Self::Volume(name) => write!(f, "inspect volume {name}"),
        }
    }
}

/// The answer to a [`Call`], read. `None` means that the engine answered 404.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Call::Ping`].
    Pong,
    /// To [`Call::Specs`].
    Specs(Box<SpecsReply>),
    /// To [`Call::Containers`].
    Containers(Vec<Listed>),
    /// To [`Call::Container`], with the mark of its list entry.
    Container(Option<(Box<Container>, u64)>),
    /// To [`Call::Images`].
    Images(Vec<Image>),
    /// To [`Call::Networks`].
    Networks(Vec<Network>),
    /// To [`Call::Network`].
    Network(Option<Box<Network>>),
    /// To [`Call::Volumes`].
    Volumes(Vec<Volume>),
    /// To [`Call::Volume`].
    Volume(Option<Box<Volume>>),
}

/// What an engine says of itself.
#[derive(Clone, Debug)]
pub struct SpecsReply {
    /// For the cluster view.
    pub specs: Specs,
    /// What an operator should see: ignored labels, a clock that is off.
    pub warnings: Vec<String>,
    /// The engine's clock when it answered, if it said so.
    pub system_time: Option<Wall>,
}

/// A container as the list shows it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Full ID.
    pub id: Arc<str>,
    /// A hash of the entry without what merely ages: the same mark means that no inspection is needed.
    pub mark: u64,
    /// The entry as sent.
    pub entry: Arc<RawValue>,
}

/// Why a call brought nothing usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct CallError {
    /// What kind of failure.
    pub kind: Failure,
    /// For the operator: what failed and why.
    pub reason: String,
}

/// Kinds of failed calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection: refused, unreachable, name not resolved, TLS, broken off.
    Connect,
    /// No answer in time.
    Timeout,
    /// An HTTP status other than success and 404.
    Status(u16),
    /// Something that no engine answers, or too much of it.
    Garbage,
    /// Answered, but not an engine that can be used.
    Refused,
}

/// What an [`EngineMachine`] wants done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Start a call, with [`Call::limit`]; its result comes back as [`Input::Answered`].
    Call {
        /// Names the call.
        op: OpId,
        /// What to ask.
        call: Call,
        /// The API version to ask in; `None` for a path without version.
        version: Option<ApiVersion>,
    },
    /// Ask the cluster view whether this daemon may be in it; the answer comes back as [`Input::Admitted`].
    Admit {
        /// Names the question.
        op: OpId,
        /// What the engine said.
        specs: Box<Specs>,
    },
    /// Open an event stream.
    OpenStream {
        /// Names the stream.
        op: OpId,
        /// Replay what happened at or after this time on the engine's clock.
        since: Option<Wall>,
        /// The API version to ask in.
        version: Option<ApiVersion>,
        /// Give up opening after this.
        limit: Duration,
    },
    /// Close an event stream; nothing more is taken from it.
    CloseStream {
        /// The stream.
        op: OpId,
    },
    /// What [`Input::Refresh`] asked for has been read after it asked, or cannot be read now; what [`Input::Join`] waits
    /// for has ended.
    Refreshed {
        /// From the input.
        ticket: u64,
    },
    /// Change the cluster view.
    View(ViewChange),
    /// Tell subscribers of `/events`.
    Publish(Notice),
    /// Write a log line.
    Log {
        /// How loud.
        level: Level,
        /// What happened.
        message: String,
        /// The engine's name and ID, or its address while they are unknown.
        fields: Vec<(&'static str, String)>,
    },
}

/// A change of what the cluster view holds of this engine.
#[derive(Clone, Debug)]
pub enum ViewChange {
    /// State, and why.
    Health {
        /// The state.
        state: EngineState,
        /// 100 without failures, 0 when nothing may be placed here (spec/classic.md section 6.6).
        indicator: u8,
        /// What the last call failed with.
        error: Option<String>,
    },
    /// A container is new or changed.
    Container(Box<Container>),
    /// These containers are gone.
    DropContainers(Vec<Arc<str>>),
    /// All images.
    Images(Vec<Image>),
    /// All networks.
    Networks(Vec<Network>),
    /// A network is new or changed.
    Network(Box<Network>),
    /// A network is gone.
    DropNetwork(Arc<str>),
    /// All volumes.
    Volumes(Vec<Volume>),
    /// A volume is new or changed.
    Volume(Box<Volume>),
    /// A volume is gone.
    DropVolume(Arc<str>),
    /// The engine leaves the view.
    Remove,
}

/// Something subscribers of `/events` see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An event of the engine.
    Engine(Event),
    /// An event of the manager about the engine: `engine_connect`, `engine_disconnect`, `engine_reconnect`.
    Swarm(&'static str),
}

/// How loud a log line is: see the contract in the style sheet. A machine never logs an error: those are our defects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For diagnosis.
    Debug,
    /// Life cycle.
    Info,
    /// An operator should act.
    Warn,
}

/// The newest API version swarm itself speaks to engines.
pub const NEWEST_API: ApiVersion = ApiVersion::new(1, 41);
/// The oldest API version an engine must speak.
pub const OLDEST_API: ApiVersion = ApiVersion::new(1, 24);

/// The version to talk in to the engine at `address` that says this of itself.
///
/// # Errors
/// A text for the operator when it is no engine that can be used.
pub fn accept(address: &HostPort, specs: &Specs) -> Result<ApiVersion, String> {
    if specs.version.starts_with("swarm/") || specs.cpus == 0 || specs.memory == 0 {
        return Err(format!(
            "cannot get resources for this engine, make sure {address} is a Docker Engine, not a Swarm manager"
        ));
    }
    negotiate(specs.api_version, specs.api_version_min)
}

/// The version to talk in to an engine that speaks `min` to `max`: the newest of both sides.
///
/// Engines that dropped [`NEWEST_API`] (Docker 29 starts at 1.44) are met at their own minimum: what swarm asks for
/// is unchanged there.
///
/// # Errors
/// A text for the operator when the engine is too old.
fn negotiate(max: ApiVersion, min: Option<ApiVersion>) -> Result<ApiVersion, String> {
    if max < OLDEST_API {
        return Err(format!(
            "the engine speaks API {max} at most, swarm needs {OLDEST_API} or newer: update the engine"
        ));
    }
    let chosen = max.min(NEWEST_API);
    Ok(min.map_or(chosen, |min| chosen.max(min.min(max))))
}
