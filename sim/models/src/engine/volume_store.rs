//! What can be done with volumes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::container::Id;
use super::events::Kind;
use super::mutations::Change;
use super::refusal::{Answer, Refusal};
use super::spec::{Spec, parse_json};
use super::state::State;
use super::volume::{Mount, MountKind, Volume};

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct VolumeRequest {
    name: Option<String>,
    driver: Option<String>,
    driver_opts: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
}

impl State {
    pub(super) fn create_volume(&mut self, body: &[u8]) -> Answer<Value> {
        let request: VolumeRequest = if body.is_empty() {
            VolumeRequest::default()
        } else {
            parse_json(body)?
        };
        let driver = request.driver.filter(|driver| !driver.is_empty());
        let driver = driver.unwrap_or_else(|| "local".to_owned());
        if driver != "local" {
            return Err(Refusal::failed(format!(
                "create {}: error looking up volume plugin {driver}: plugin \"{driver}\" not found",
                request.name.unwrap_or_default()
            )));
        }
        let name = match request.name.filter(|name| !name.is_empty()) {
            Some(name) => name,
            None => self.next_id("volume").to_string(),
        };
        if !self.volumes.contains_key(&name) {
            let labels = request.labels.clone().unwrap_or_default();
            self.note_object(Change::VolumeCreate, &name, labels);
        }
        let volume = self.ensure_volume(&name, false);
        if volume.labels.is_none() {
            volume.labels = request.labels.filter(|labels| !labels.is_empty());
            volume.options = request.driver_opts.filter(|options| !options.is_empty());
        }
        Ok(volume.inspect())
    }

    fn ensure_volume(&mut self, name: &str, anonymous: bool) -> &mut Volume {
        if !self.volumes.contains_key(name) {
            let attributes = vec![("driver".into(), "local".to_owned())];
            self.emit(Kind::Volume, "create", name.into(), attributes);
        }
        let created = self.wall();
        self.volumes
            .entry(name.to_owned())
            .or_insert_with(|| Volume {
                name: name.to_owned(),
                driver: "local".to_owned(),
                created,
                labels: None,
                options: None,
                anonymous,
            })
    }

    /// Creates the volumes a new container mounts, naming the anonymous ones.
    pub(super) fn make_volumes(&mut self, mounts: &mut [Mount]) {
        for mount in mounts {
            if let MountKind::Volume(name) = &mut mount.kind {
                let anonymous = name.is_none();
                let name = match name {
                    Some(name) => name.clone(),
                    None => name.insert(self.next_id("volume").to_string()).clone(),
                };
                self.ensure_volume(&name, anonymous);
            }
        }
    }

    pub(super) fn volume(&self, name: &str) -> Answer<&Volume> {
        self.volumes
            .get(name)
            .ok_or_else(|| Refusal::missing(format!("get {name}: no such volume")))
    }

    pub(super) fn volume_users(&self, name: &str) -> Vec<Id> {
        let mounts = |spec: &Spec| spec.mounts.iter().any(|mount| mount.volume() == Some(name));
        let users = self.containers.values().filter(|c| mounts(&c.spec));
        users.map(|container| Arc::clone(&container.id)).collect()
    }

    pub(super) fn remove_volume(&mut self, name: &str, force: bool) -> Answer<()> {
        if !self.volumes.contains_key(name) {
            return match force {
                true => Ok(()),
                false => self.volume(name).map(|_| ()),
            };
        }
        let users = self.volume_users(name);
        if !users.is_empty() {
            return Err(Refusal::conflict(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            )));
        }
        if let Some(volume) = self.volumes.remove(name) {
            let labels = volume.labels.unwrap_or_default();
            self.note_object(Change::VolumeRemove, name, labels);
        }
        let attributes = vec![("driver".into(), "local".to_owned())];
        self.emit(Kind::Volume, "destroy", name.into(), attributes);
        Ok(())
    }

    pub(super) fn drop_anonymous_volume(&mut self, name: &str) {
        let anonymous = self
            .volumes
            .get(name)
            .is_some_and(|volume| volume.anonymous);
        if anonymous && self.volume_users(name).is_empty() {
            // It exists and nobody uses it, so this cannot be refused.
            let _ = self.remove_volume(name, true);
        }
    }
}
