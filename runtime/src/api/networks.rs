//! Networks: made on one engine, joined by containers of that engine unless they reach farther, and removed
//! (spec/classic.md section 7.1).

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;
use serde_json::value::RawValue;
use swarm_core::api::{ApiVersion, Fixed, NetworkAction, NetworkRef, Query, Route};
use swarm_core::cluster::{Cluster, EPOCH_LABEL, Engine, ObjectError, SWARM_ID_LABEL};
use swarm_core::engine::Part;
use swarm_core::json::{self, JsonError, RawObject};

use super::answer::{Answer, ApiError, json_text, no_content};
use super::bodies::bad;
use super::containers::{INSPECT_BYTES_MAX, id_in};
use super::engine::{Target, healthy_targets, silent};
use super::every::{Errand, answering, failure, named_in_front};
use super::{Api, Call};
use crate::http::body;

impl Api {
    pub(super) async fn create_network(&self, mut call: Call) -> Answer {
        let text = self.take_body(&mut call).await?;
        let made = self.make_network(&text, call).await;
        made.map_err(|error| error.unsent(body::full(text)))
    }

    async fn make_network(&self, text: &[u8], call: Call) -> Answer {
        let mut config = RawObject::parse(text).map_err(bad)?;
        let name: String = config.read("Name").map_err(bad)?.unwrap_or_default();
        // One after the other: engines would each take the same name.
        let _turn = self.networks.lock().await;
        if call.repeat
            && let Some(id) = self.network_made_before(&call.request_id).await?
        {
            let made = serde_json::json!({"Id": id, "Warning": ""}).to_string();
            return Ok(json_text(StatusCode::CREATED, made));
        }
        let (target, own_name) = self.place_network(&name, call.request.version)?;
        let mut labels: serde_json::Map<String, Value> =
            config.read("Labels").map_err(bad)?.unwrap_or_default();
        labels.insert(SWARM_ID_LABEL.to_owned(), call.request_id.as_str().into());
        labels.remove(EPOCH_LABEL);
        if let Some(epoch) = call.epoch {
            labels.insert(EPOCH_LABEL.to_owned(), epoch.to_string().into());
        }
        config.set("Labels", json::raw(&labels).map_err(bad)?);
        config.set("Name", json::raw(&own_name).map_err(bad)?);
        config.set("CheckDuplicate", json::raw(&true).map_err(bad)?);
        let (request_id, epoch) = (call.request_id.clone(), call.epoch);
        let errand = Errand::with(call, config.to_json());
        let made = self.tell(&target, &errand).await?;
        if let Some(epoch) = epoch {
            self.made().remember(&request_id, epoch);
        }
        self.fleet.refresh(&target.address, Part::Networks).await;
        self.see_network(&target, &made).await?;
        self.show_everywhere(&own_name, &target).await;
        Ok(json_text(StatusCode::CREATED, made))
    }

    /// Makes sure that what is acknowledged can be found: an engine that does not answer for a moment keeps its new
    /// network from being seen.
    async fn see_network(&self, target: &Target, made: &[u8]) -> Result<(), ApiError> {
        let Some(id) = id_in(made) else {
            return Ok(());
        };
        let seen = {
            let cluster = self.fleet.cluster().read();
            cluster.network_on(&target.address, &id).is_ok()
        };
        if seen {
            return Ok(());
        }
        let reference = NetworkRef::new(&id).map_err(bad)?;
        let path = Route::Network(reference, NetworkAction::Inspect).path(None);
        // Whoever removes a network at once may do so.
        if let Ok((StatusCode::NOT_FOUND, _)) = self.ask(target, &path, "", INSPECT_BYTES_MAX).await
        {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::BAD_GATEWAY,
            format!(
                "engine {} created network {id} and cannot be looked at; look for it before trying again",
                target.name
            ),
        ))
    }

    /// The engine named in front, else the one the strategy likes best if no engine has such a network; and the name
    /// without the engine.
    fn place_network(
        &self,
        name: &str,
        version: Option<ApiVersion>,
    ) -> Result<(Target, String), ApiError> {
        {
            let cluster = self.fleet.cluster().read();
            if let Some((engine, own_name)) = named_in_front(&cluster, name) {
                let target = Target::healthy(&cluster, engine, version, "the network")?;
                return Ok((target, own_name.to_owned()));
            }
            let mut known = cluster.validated().flat_map(Engine::networks);
            if known.any(|network| network.name == name) {
                return Err(ApiError::new(
                    StatusCode::CONFLICT,
                    format!("network with name {name} already exists"),
                ));
            }
        }
        Ok((self.favourite(version)?, name.to_owned()))
    }

    /// What an earlier attempt at the same create has made.
    async fn network_made_before(&self, request_id: &str) -> Result<Option<String>, ApiError> {
        let label = format!("{SWARM_ID_LABEL}={request_id}");
        let filter = serde_json::json!({"label": [label]}).to_string();
        let errand = Errand::look(
            Route::Fixed(Fixed::NetworkList),
            Query::default().with("filters", &filter),
        );
        let (targets, silent) = {
            let cluster = self.fleet.cluster().read();
            (healthy_targets(&cluster, None), silent(&cluster))
        };
        let reports = self.tell_each(targets, &errand).await?;
        for text in reports
            .iter()
            .filter_map(|report| report.answer.as_ref().ok())
        {
            let found: Vec<RawObject> = serde_json::from_slice(text).unwrap_or_default();
            let first = found.first().and_then(|network| network.read("Id").ok());
            if let Some(id) = first.flatten() {
                return Ok(Some(id));
            }
        }
        let unclear = match failure(&reports) {
            Ok(()) => silent,
            Err(error) => Some(error.to_string()),
        };
        match unclear {
            None => Ok(None),
            Some(reason) => Err(ApiError::new(
                StatusCode::BAD_GATEWAY,
                format!(
                    "whether an earlier attempt created the network is unknown: {reason}; look with `docker network ls` \
                     before trying again"
                ),
            )),
        }
    }

    /// Engines are not told of a new network that reaches farther than the one which made it.
    async fn show_everywhere(&self, name: &str, made_on: &Target) {
        let others = {
            let cluster = self.fleet.cluster().read();
            match cluster.network_on(&made_on.address, name) {
                Ok(network) if !network.is_local() => healthy_targets(&cluster, None),
                Ok(_) | Err(_) => return,
            }
        };
        self.refresh_each(others.iter(), Part::Networks).await;
    }

    pub(super) async fn inspect_network(&self, name: &NetworkRef, call: Call) -> Answer {
        let (targets, id) = self
            .network_targets(name, call.request.version, call.epoch)
            .await?;
        if let [target] = targets.as_slice() {
            let path = self.engine_path(&call, &id, target)?;
            return self.pass(target, call, &path, self.question()).await;
        }
        let errand = Errand::of(call).about_network(&id)?;
        let reports = self.tell_each(targets, &errand).await?;
        let texts: Vec<&Bytes> = reports
            .iter()
            .filter_map(|report| report.answer.as_ref().ok())
            .collect();
        if texts.is_empty() {
            failure(&reports)?;
        }
        let whole = united(&texts).map_err(|error| {
            ApiError::new(StatusCode::BAD_GATEWAY, format!("network {name}: {error}"))
        })?;
        Ok(json_text(StatusCode::OK, whole))
    }

    pub(super) async fn connect_network(&self, name: &NetworkRef, mut call: Call) -> Answer {
        let text = self.take_body(&mut call).await?;
        let config = RawObject::parse(&text).map_err(bad)?;
        let wanted: String = config.read("Container").map_err(bad)?.unwrap_or_default();
        let (target, container) = self
            .locate(&wanted, call.request.version, call.epoch)
            .await?;
        let joined = self
            .tell_network(name, &target, Some(&container), config, call)
            .await;
        joined.map_err(|error| error.unsent(body::full(text)))
    }

    /// With force, what is left of a container that is gone or on an engine that does not answer can be taken from a
    /// network by any other engine that has it.
    pub(super) async fn disconnect_network(&self, name: &NetworkRef, mut call: Call) -> Answer {
        let text = self.take_body(&mut call).await?;
        let version = call.request.version;
        let config = RawObject::parse(&text).map_err(bad)?;
        let wanted: String = config.read("Container").map_err(bad)?.unwrap_or_default();
        let force = config.read::<bool>("Force").map_err(bad)? == Some(true);
        let (target, container) = match self.locate(&wanted, version, call.epoch).await {
            Ok((target, container)) => (target, Some(container)),
            Err(ApiError::Refused(status, message)) => {
                let (holders, _) = self.network_targets(name, version, call.epoch).await?;
                match holders.into_iter().next() {
                    Some(holder) if force => (holder, None),
                    Some(_) | None => return Err(ApiError::new(status, message)),
                }
            }
            Err(closed @ ApiError::NotDispatched(_)) => return Err(closed),
        };
        let left = self
            .tell_network(name, &target, container.as_deref(), config, call)
            .await;
        left.map_err(|error| error.unsent(body::full(text)))
    }

    /// Connects or disconnects on one engine, which is told of the container and the network by their IDs.
    async fn tell_network(
        &self,
        name: &NetworkRef,
        target: &Target,
        container: Option<&str>,
        mut config: RawObject,
        call: Call,
    ) -> Answer {
        let look = |cluster: &Cluster| own_network(cluster, target, name);
        let id = self.found(Part::Networks, call.epoch, look).await?;
        if let Some(container) = container {
            config.set("Container", json::raw(&container).map_err(bad)?);
        }
        let errand = Errand::with(call, config.to_json()).about_network(&id)?;
        let answer = self.tell(target, &errand).await;
        if let Some(container) = container {
            self.fleet
                .refresh_container(&target.address, container)
                .await;
        }
        self.fleet.refresh(&target.address, Part::Networks).await;
        Ok(Response::new(body::full(answer?)))
    }

    pub(super) async fn remove_network(&self, name: &NetworkRef, call: Call) -> Answer {
        let (targets, id) = self
            .network_targets(name, call.request.version, call.epoch)
            .await?;
        let errand = Errand::of(call).about_network(&id)?;
        let mut last = None;
        for target in targets {
            match self.tell(&target, &errand).await {
                // Another engine that has the network may be reached.
                Err(ApiError::Refused(status @ StatusCode::SERVICE_UNAVAILABLE, message)) => {
                    last = Some(ApiError::new(status, message));
                }
                Err(error) => return Err(error),
                Ok(_) => {
                    self.forget_network(&id);
                    return Ok(no_content());
                }
            }
        }
        Err(last.unwrap_or_else(|| no_such_network(name)))
    }

    fn forget_network(&self, id: &str) {
        let mut cluster = self.fleet.cluster().write();
        let addresses: Vec<_> = cluster
            .engines()
            .map(|engine| engine.address.clone())
            .collect();
        for address in addresses {
            cluster.remove_network(&address, id);
        }
    }

    /// The engines that have the network and answer, at least one; and its ID.
    async fn network_targets(
        &self,
        name: &NetworkRef,
        version: Option<ApiVersion>,
        epoch: Option<u64>,
    ) -> Result<(Vec<Target>, String), ApiError> {
        let look = |cluster: &Cluster| {
            let holders = cluster.network_holders(name.as_str())?;
            let id = holders.first().map(|(_, network)| network.id.clone());
            let engines = holders.iter().map(|(engine, _)| *engine);
            let targets = answering(cluster, engines, version, &format!("network {name}"))?;
            Ok((targets, id.ok_or_else(|| no_such_network(name))?))
        };
        self.found(Part::Networks, epoch, look).await
    }
}

impl Errand {
    /// The same for the network with this ID.
    fn about_network(mut self, id: &str) -> Result<Self, ApiError> {
        if let Route::Network(network, _) = &mut self.route {
            *network = NetworkRef::new(id).map_err(bad)?;
        }
        Ok(self)
    }
}

fn no_such_network(name: &NetworkRef) -> ApiError {
    ObjectError::not_found("network", name.as_str()).into()
}

/// The ID of the network on the engine of a container.
fn own_network(cluster: &Cluster, target: &Target, name: &NetworkRef) -> Result<String, ApiError> {
    match cluster.network_on(&target.address, name.as_str()) {
        Ok(network) => Ok(network.id.clone()),
        Err(missing @ ObjectError::NotFound { .. }) => {
            let elsewhere = cluster.network(name.as_str());
            let (engine, _) = elsewhere.map_err(|_| missing)?;
            Err(bad(format!(
                "network {name} is on engine {}, the container on engine {}: a local network joins containers of its own \
                 engine only",
                engine.name(),
                target.name
            )))
        }
        Err(ambiguous @ ObjectError::Ambiguous { .. }) => Err(ambiguous.into()),
    }
}

/// One network as several engines see it: the first description with the endpoints of all. An endpoint that one engine
/// shows by its container and another as `ep-…` is shown by its container.
fn united(texts: &[&Bytes]) -> Result<String, JsonError> {
    let mut whole: Option<RawObject> = None;
    let mut endpoints: BTreeMap<String, (String, Box<RawValue>)> = BTreeMap::new();
    for text in texts {
        let network = RawObject::parse(text)?;
        let own: BTreeMap<String, Box<RawValue>> = network.read("Containers")?.unwrap_or_default();
        for (container, endpoint) in own {
            let id = RawObject::parse(endpoint.get().as_bytes())?;
            let id = id.read("EndpointID")?.unwrap_or_else(|| container.clone());
            let known = endpoints.get(&id);
            if known.is_none_or(|(known, _)| known.contains(&id) && !container.contains(&id)) {
                endpoints.insert(id, (container, endpoint));
            }
        }
        whole.get_or_insert(network);
    }
    let mut whole = whole.unwrap_or_default();
    let endpoints: BTreeMap<String, Box<RawValue>> = endpoints.into_values().collect();
    whole.set("Containers", json::raw(&endpoints)?);
    Ok(whole.to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_all_engines_are_shown_once() {
        let one = Bytes::from(
            r#"{"Name":"over","Future":1,"Containers":{"c1":{"EndpointID":"e1"},"ep-e2":{"EndpointID":"e2"}}}"#,
        );
        let other = Bytes::from(
            r#"{"Name":"over","Containers":{"ep-e1":{"EndpointID":"e1"},"c2":{"EndpointID":"e2"}}}"#,
        );
        for texts in [[&one, &other], [&other, &one]] {
            let whole: Value = serde_json::from_str(&united(&texts).unwrap()).unwrap();
            let shown: Vec<_> = whole["Containers"].as_object().unwrap().keys().collect();
            assert_eq!(shown, ["c1", "c2"]);
        }
        assert!(united(&[&one, &other]).unwrap().contains(r#""Future":1"#));
    }
}
