//! Calls to an engine: requests, bounded answers, and what they say.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;
use swarm_core::address::HostPort;
use swarm_core::api::ApiVersion;
use swarm_core::cluster::{Container, EntryContext, Image, Network, Specs, Volume, human};
use swarm_core::engine::{Call, CallError, Failure, Listed, Reply, SpecsReply, entry_mark};

use super::{Shared, failed};
use crate::http::body::{self, CollectError};
use crate::http::client::{Client, SendError, SendOptions};
use crate::platform::{SharedPlatform, timeout};

/// Longest answer about one object.
const OBJECT_BYTES: usize = 4 << 20;
/// Most of an engine's own words that are shown.
const MESSAGE_CHARS: usize = 300;

/// Asks one engine.
#[derive(Clone)]
pub(super) struct Asker {
    platform: SharedPlatform,
    client: Client,
    address: HostPort,
    /// Bytes of a list.
    list_bytes: usize,
}

/// What the engine at `address` says of itself, asked once.
pub(crate) async fn describe(
    platform: &SharedPlatform,
    client: &Client,
    address: &HostPort,
) -> Result<SpecsReply, CallError> {
    let asker = Asker {
        platform: platform.clone(),
        client: client.clone(),
        address: address.clone(),
        list_bytes: OBJECT_BYTES,
    };
    asker.within_limit(&Call::Specs, asker.specs()).await
}

impl Asker {
    pub(super) fn new(shared: &Shared, address: HostPort) -> Self {
        Self {
            platform: Arc::clone(&shared.platform),
            client: shared.client.clone(),
            address,
            list_bytes: shared.answer_size,
        }
    }

    /// Carries out `call` within its limit.
    pub(super) async fn ask(
        &self,
        call: Call,
        version: Option<ApiVersion>,
        context: Option<EntryContext>,
    ) -> Result<Reply, CallError> {
        let work = self.carry_out(call.clone(), version, context);
        self.within_limit(&call, work).await
    }

    async fn within_limit<T>(
        &self,
        call: &Call,
        work: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let (address, limit) = (&self.address, call.limit());
        timeout(&*self.platform, limit, work)
            .await
            .unwrap_or_else(|_| {
                let reason = format!("engine {address}: {call}: no answer within {limit:?}");
                Err(failed(Failure::Timeout, reason))
            })
    }

    async fn carry_out(
        &self,
        call: Call,
        version: Option<ApiVersion>,
        context: Option<EntryContext>,
    ) -> Result<Reply, CallError> {
        let what = call.to_string();
        Ok(match call {
            Call::Ping => {
                self.list(None, "/_ping").await?;
                Reply::Pong
            }
            Call::Specs => Reply::Specs(Box::new(self.specs().await?)),
            Call::Containers => {
                let list = self.list(version, "/containers/json?all=1").await?;
                Reply::Containers(self.read(&what, entries(&list))?)
            }
            Call::Container { id, entry } => {
                let container = self.container(version, &id, entry, context).await?;
                Reply::Container(container)
            }
            Call::Images => {
                let list = self.list(version, "/images/json?all=1").await?;
                Reply::Images(self.read(&what, Image::parse_list(&list))?)
            }
            Call::Networks => {
                let list = self.list(version, "/networks").await?;
                Reply::Networks(self.read(&what, Network::parse_list(&list))?)
            }
            Call::Volumes => {
                let list = self.list(version, "/volumes").await?;
                Reply::Volumes(self.read(&what, Volume::parse_list(&list))?)
            }
            Call::Network(id) => {
                let path = format!("/networks/{}", segment(&id));
                let found = self.get(version, &path, OBJECT_BYTES).await?;
                let network = found.map(|text| Network::parse(&text)).transpose();
                Reply::Network(self.read(&what, network)?.map(Box::new))
            }
            Call::Volume(name) => {
                let path = format!("/volumes/{}", segment(&name));
                let found = self.get(version, &path, OBJECT_BYTES).await?;
                let volume = found.map(|text| Volume::parse(&text)).transpose();
                Reply::Volume(self.read(&what, volume)?.map(Box::new))
            }
        })
    }

    async fn specs(&self) -> Result<SpecsReply, CallError> {
        let version = self.list(None, "/version").await?;
        let info = self.list(None, "/info").await?;
        let now = self.platform.wall();
        let (specs, warnings) = Specs::parse(&self.address, &info, &version, now)
            .map_err(|error| failed(Failure::Refused, error.to_string()))?;
        let clock: Option<Clock> = serde_json::from_slice(&info).ok();
        Ok(SpecsReply {
            specs,
            warnings,
            system_time: clock
                .and_then(|clock| clock.system_time)
                .and_then(|text| human::parse_time(&text)),
        })
    }

    async fn container(
        &self,
        version: Option<ApiVersion>,
        id: &Arc<str>,
        entry: Option<Arc<RawValue>>,
        context: Option<EntryContext>,
    ) -> Result<Option<(Box<Container>, u64)>, CallError> {
        let what = format!("inspect container {id}");
        let Some(context) = context else {
            let reason = format!(
                "engine {}: {what}: the engine is not validated",
                self.address
            );
            return Err(failed(Failure::Refused, reason));
        };
        let entry = match entry {
            Some(entry) => entry,
            None => match self.entry(version, id).await? {
                Some(entry) => entry,
                None => return Ok(None),
            },
        };
        let path = format!("/containers/{}/json", segment(id));
        let Some(inspect) = self.get(version, &path, OBJECT_BYTES).await? else {
            return Ok(None);
        };
        let mark = self.read(&what, entry_mark(&entry))?;
        let container = Container::parse(entry.get().as_bytes(), &inspect, &context);
        let mut container = Box::new(self.read(&what, container)?);
        if container.id == *id {
            // One copy for the view and for what the engine's machine knows.
            container.id = Arc::clone(id);
        }
        Ok(Some((container, mark)))
    }

    /// One container's list entry.
    async fn entry(
        &self,
        version: Option<ApiVersion>,
        id: &str,
    ) -> Result<Option<Arc<RawValue>>, CallError> {
        let filter = serde_json::json!({ "id": [id] }).to_string();
        let path = format!("/containers/json?all=1&filters={}", segment(&filter));
        let list = self.list(version, &path).await?;
        let entries = self.read("list one container", entries(&list))?;
        let found = entries.into_iter().find(|listed| &*listed.id == id);
        Ok(found.map(|listed| listed.entry))
    }

    /// As [`Asker::get`], for what every engine has.
    async fn list(&self, version: Option<ApiVersion>, path: &str) -> Result<Bytes, CallError> {
        self.get(version, path, self.list_bytes)
            .await?
            .ok_or_else(|| {
                let reason = format!("engine {}: GET {path} answered 404", self.address);
                failed(Failure::Status(404), reason)
            })
    }

    /// The body of the answer to `GET path`; `None` when there is no such thing.
    async fn get(
        &self,
        version: Option<ApiVersion>,
        path: &str,
        max: usize,
    ) -> Result<Option<Bytes>, CallError> {
        let target = match version {
            Some(version) => format!("/v{version}{path}"),
            None => path.to_owned(),
        };
        let request = Request::get(&target).body(body::empty()).map_err(|error| {
            let reason = format!("engine {}: GET {target}: {error}", self.address);
            failed(Failure::Garbage, reason)
        })?;
        // The whole call has a limit of its own.
        let response = self
            .client
            .send_with(&self.address, request, SendOptions::endless(), || Ok(()))
            .await
            .map_err(|failure| unsent(&self.address, &failure.error))?;
        let status = response.status();
        let text = body::collect_limited(response.into_body(), max)
            .await
            .map_err(|error| self.broken(&target, &error))?;
        match status.as_u16() {
            200..=299 => Ok(Some(text)),
            404 => Ok(None),
            // A redirect is never followed: it would lead the manager wherever the engine likes.
            code => {
                let reason = format!(
                    "engine {}: GET {path} answered {code}: {}",
                    self.address,
                    message(&text)
                );
                Err(failed(Failure::Status(code), reason))
            }
        }
    }

    fn broken(&self, target: &str, error: &CollectError) -> CallError {
        let kind = match error {
            CollectError::TooLarge { .. } => Failure::Garbage,
            CollectError::Body(_) => Failure::Connect,
        };
        failed(
            kind,
            format!("engine {}: GET {target}: {error}", self.address),
        )
    }

    fn read<T>(
        &self,
        what: &str,
        parsed: Result<T, impl std::fmt::Display>,
    ) -> Result<T, CallError> {
        parsed.map_err(|error| {
            let reason = format!("engine {}: {what}: {error}", self.address);
            failed(Failure::Garbage, reason)
        })
    }
}

/// What a request without response says of the engine; `None` when it says nothing.
pub(super) fn failure<V>(address: &HostPort, error: &SendError<V>) -> Option<CallError> {
    let (kind, text) = match error {
        SendError::Connect { source, .. } => {
            (Failure::Connect, format!("cannot connect: {source}"))
        }
        SendError::NotSent { source, .. } => {
            (Failure::Connect, format!("the connection closed: {source}"))
        }
        SendError::Broken { source, .. } => {
            (Failure::Connect, format!("the connection broke: {source}"))
        }
        SendError::Timeout { after, .. } => {
            (Failure::Timeout, format!("no answer within {after:?}"))
        }
        // Our own doing.
        SendError::TooBusy { .. } | SendError::Vetoed(_) => return None,
    };
    Some(failed(kind, format!("engine {address}: {text}")))
}

/// As [`failure`], for a call of our own: without an answer it has failed in any case.
pub(super) fn unsent(address: &HostPort, error: &SendError) -> CallError {
    failure(address, error)
        .unwrap_or_else(|| failed(Failure::Refused, format!("engine {address}: {error}")))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Clock {
    system_time: Option<String>,
}

#[derive(Deserialize)]
struct Identified {
    #[serde(rename = "Id")]
    id: String,
}

fn entries(list: &[u8]) -> Result<Vec<Listed>, String> {
    let entries: Option<Vec<Box<RawValue>>> =
        serde_json::from_slice(list).map_err(|error| error.to_string())?;
    entries
        .unwrap_or_default()
        .into_iter()
        .map(|entry| {
            let Identified { id } =
                serde_json::from_str(entry.get()).map_err(|error| error.to_string())?;
            Ok(Listed {
                id: id.into(),
                mark: entry_mark(&entry).map_err(|error| error.to_string())?,
                entry: entry.into(),
            })
        })
        .collect()
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// What an engine says in an error answer, fit to be shown.
fn message(text: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Answer {
        message: String,
    }
    let text = match serde_json::from_slice(text) {
        Ok(Answer { message }) => message,
        Err(_) => String::from_utf8_lossy(text).into_owned(),
    };
    text.trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE_CHARS)
        .collect()
}
