//! Creating and naming containers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use swarm_core::time::{Mono, Wall};

use super::console::Console;
use super::container::{Container, Id, Phase};
use super::mutations::Change;
use super::network::Endpoint;
use super::refusal::{Answer, Refusal};
use super::spec::Spec;
use super::state::{Created, State};

impl State {
    /// Creates a container from a request body.
    pub(super) fn create(&mut self, name: Option<&str>, body: &[u8]) -> Answer<Id> {
        self.create_requests += 1;
        if let Some((status, message)) = self.faults.fail_creates.get(&self.create_requests) {
            return Err(Refusal::new(*status, message.clone()));
        }
        let name = name.filter(|name| !name.is_empty());
        if let Some(name) = name {
            self.check_name(name)?;
        }
        let spec = Spec::parse(body, |image| {
            let image = self.image(image)?;
            Ok((image.entrypoint.clone(), image.command.clone()))
        })?;
        let image_id = Arc::clone(&self.image(&spec.image)?.id);
        let id = self.next_id("container");
        let number = self.next_number("order");
        let name = match name {
            Some(name) => name.trim_start_matches('/').to_owned(),
            None => self.random_name(number),
        };
        let mut container = Container {
            id: Arc::clone(&id),
            number,
            name: name.clone(),
            image_id,
            phase: Phase::Created,
            created: self.wall(),
            started: Wall(0),
            finished: Wall(0),
            pid: 0,
            exit_code: 0,
            error: String::new(),
            restarts: 0,
            health: None,
            console: Arc::new(Console::default()),
            process: None,
            paused_at: Mono::ZERO,
            endpoints: BTreeMap::new(),
            published: Vec::new(),
            execs: Vec::new(),
            files: None,
            spec,
        };
        self.make_volumes(&mut container.spec.mounts);
        container.endpoints = self.wanted_endpoints(&container.spec);
        self.remember_create(Created {
            id: id.to_string(),
            name: name.clone(),
            labels: Arc::clone(&container.spec.labels),
        });
        self.names.insert(name, Arc::clone(&id));
        self.order.insert(number, Arc::clone(&id));
        self.containers.insert(Arc::clone(&id), container);
        self.note(Change::Create, &id, "");
        self.emit_container(&id, "create", &[]);
        Ok(id)
    }

    fn check_name(&self, name: &str) -> Answer<()> {
        let bare = name.strip_prefix('/').unwrap_or(name);
        let starts = bare.starts_with(|c: char| c.is_ascii_alphanumeric());
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !starts || bare.len() < 2 || !bare.chars().all(fits) {
            return Err(Refusal::bad(format!(
                "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            )));
        }
        match self.names.get(bare) {
            Some(id) => Err(Refusal::conflict(format!(
                "Conflict. The container name \"/{bare}\" is already in use by container \"{id}\". \
                 You have to remove (or rename) that container to be able to reuse that name."
            ))),
            None => Ok(()),
        }
    }

    fn random_name(&self, number: u64) -> String {
        const FIRST: [&str; 12] = [
            "brave", "calm", "eager", "gentle", "happy", "keen", "lucid", "nifty", "quiet",
            "sharp", "vivid", "witty",
        ];
        const SECOND: [&str; 11] = [
            "curie", "darwin", "euler", "gauss", "hopper", "lamport", "liskov", "noether",
            "ritchie", "turing", "wirth",
        ];
        let pick = |words: &[&'static str]| {
            let length = u64::try_from(words.len()).unwrap_or(1);
            let at = usize::try_from(number % length).unwrap_or(0);
            words.get(at).copied().unwrap_or_default()
        };
        let name = format!("{}_{}", pick(&FIRST), pick(&SECOND));
        if self.names.contains_key(&name) {
            format!("{name}{number}")
        } else {
            name
        }
    }

    /// The endpoints a new container asks for, by network name.
    fn wanted_endpoints<'a>(&self, spec: &'a Spec) -> BTreeMap<String, Box<Endpoint>> {
        let mut endpoints = BTreeMap::new();
        // The CLI calls the default network by that name in both places.
        let plain = |name: &'a str| if name == "default" { "bridge" } else { name };
        let mode = plain(&spec.network_mode);
        if mode.starts_with("container:") {
            return endpoints;
        }
        let mut wanted: BTreeMap<&str, Option<&Value>> = BTreeMap::from([(mode, None)]);
        let asked = spec.networks.iter();
        wanted.extend(asked.map(|(name, asked)| (plain(name), Some(asked))));
        for (reference, asked) in wanted {
            let (name, id) = match self.network(reference) {
                Ok(network) => (network.name.clone(), Arc::clone(&network.id)),
                // The engine notices at start.
                Err(_) => (reference.to_owned(), Arc::from("")),
            };
            endpoints.insert(name, Box::new(Endpoint::new(id, asked.cloned())));
        }
        endpoints
    }

    pub(super) fn rename(&mut self, reference: &str, name: &str) -> Answer<()> {
        let old = self.container(reference)?.name.clone();
        if name.is_empty() {
            return Err(Refusal::bad("Neither old nor new names may be empty"));
        }
        let name = name.trim_start_matches('/');
        if name == old {
            return Err(Refusal::bad(
                "Renaming a container with the same name as its current name",
            ));
        }
        self.check_name(name)?;
        let container = self.container_mut(reference)?;
        let id = Arc::clone(&container.id);
        name.clone_into(&mut container.name);
        self.names.remove(&old);
        self.names.insert(name.to_owned(), Arc::clone(&id));
        self.note(Change::Rename, &id, name);
        self.emit_container(&id, "rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }
}
