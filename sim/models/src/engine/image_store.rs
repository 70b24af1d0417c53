//! What can be done with images.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::container::{Container, Id};
use super::events::Kind;
use super::image::{Image, Reference, Version};
use super::refusal::{Answer, Refusal};
use super::state::State;

impl State {
    pub(super) fn image(&self, reference: &str) -> Answer<&Image> {
        self.images
            .values()
            .find(|image| image.answers_to(reference))
            .ok_or_else(|| {
                let name = Reference::parse(reference)
                    .map_or_else(|| reference.to_owned(), |name| name.to_string());
                Refusal::missing(format!("No such image: {name}"))
            })
    }

    /// Takes an image from the registry; whether it was new.
    pub(super) fn pull(&mut self, reference: &Reference) -> Answer<bool> {
        let name = reference.to_string();
        let missing = &self.faults.missing_images;
        if missing.contains(&name) || missing.contains(&reference.repository) {
            return Err(Refusal::missing(format!(
                "pull access denied for {}, repository does not exist or may require 'docker login': \
                 denied: requested access to the resource is denied",
                reference.repository
            )));
        }
        let new = self.image(&name).is_err();
        if new {
            let image = Image::fabricate(reference);
            let known = self
                .images
                .entry(Arc::clone(&image.id))
                .or_insert_with(|| image.clone());
            known.tags.extend(image.tags);
        }
        self.emit(
            Kind::Image,
            "pull",
            name.clone().into(),
            vec![("name".into(), reference.repository.clone())],
        );
        Ok(new)
    }

    pub(super) fn tag(&mut self, source: &str, repository: &str, tag: &str) -> Answer<()> {
        let id = Arc::clone(&self.image(source)?.id);
        let text = if tag.is_empty() {
            repository.to_owned()
        } else {
            format!("{repository}:{tag}")
        };
        let name = Reference::parse(&text)
            .ok_or_else(|| Refusal::bad("invalid reference format"))?
            .to_string();
        for image in self.images.values_mut() {
            image.tags.remove(&name);
        }
        if let Some(image) = self.images.get_mut(&id) {
            image.tags.insert(name.clone());
        }
        self.emit(Kind::Image, "tag", id, vec![("name".into(), name)]);
        Ok(())
    }

    /// Removes a name, and the image with its last one. The answer lists what was done.
    pub(super) fn remove_image(&mut self, reference: &str, force: bool) -> Answer<Value> {
        let image = self.image(reference)?;
        let id = Arc::clone(&image.id);
        let name = Reference::parse(reference).map(|name| name.to_string());
        let named = name.filter(|name| image.tags.contains(name) || image.digests.contains(name));
        let only_untag = named.is_some() && image.tags.len() > 1;
        if named.is_none() && image.tags.len() > 1 && !force {
            return Err(Refusal::conflict(format!(
                "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
                short(&id)
            )));
        }
        if !only_untag {
            self.check_unused(reference, &id, force)?;
        }
        let gone: Vec<String> = match named {
            Some(name) if only_untag => vec![name],
            _ => image_names(self.images.get(&id)),
        };
        let mut answer = Vec::new();
        for name in gone {
            if let Some(image) = self.images.get_mut(&id) {
                image.tags.remove(&name);
            }
            let attributes = vec![("name".into(), name.clone())];
            self.emit(Kind::Image, "untag", Arc::clone(&id), attributes);
            answer.push(json!({"Untagged": name}));
        }
        if !only_untag {
            self.images.remove(&id);
            answer.push(json!({"Deleted": id.as_ref()}));
            let attributes = vec![("name".into(), id.to_string())];
            self.emit(Kind::Image, "delete", id, attributes);
        }
        Ok(Value::Array(answer))
    }

    fn check_unused(&self, reference: &str, image: &str, force: bool) -> Answer<()> {
        let user = |container: &&Container| *container.image_id == *image;
        let running = self.containers.values().filter(user).find(|c| c.is_up());
        let any = self.containers.values().find(user);
        let (container, how) = match (running, any) {
            (Some(container), _) => (container, "cannot be forced"),
            (None, Some(container)) if !force => (container, "must be forced"),
            _ => return Ok(()),
        };
        let state = if container.is_up() {
            "running"
        } else {
            "stopped"
        };
        Err(Refusal::conflict(format!(
            "conflict: unable to remove repository reference \"{reference}\" ({how}) - container {} \
             is using its referenced image {} ({state})",
            short(&container.id),
            short(image)
        )))
    }

    /// Makes an image of a container.
    pub(super) fn commit(
        &mut self,
        container: &str,
        name: Option<&str>,
        comment: &str,
    ) -> Answer<Id> {
        let found = self.container(container)?;
        let container = Arc::clone(&found.id);
        let (parent, image, labels) = (
            found.image_id.to_string(),
            found.spec.image.clone(),
            found.spec.labels.as_ref().clone(),
        );
        let reference = match name.filter(|name| !name.is_empty()) {
            Some(name) => Some(
                Reference::parse(name).ok_or_else(|| Refusal::bad("invalid reference format"))?,
            ),
            None => None,
        };
        let id: Id = format!("sha256:{}", self.next_id("image")).into();
        let mut made = self.image(&image).cloned().unwrap_or_else(|_| {
            Image::fabricate(&Reference {
                repository: "scratch".to_owned(),
                version: Version::Tag("latest".to_owned()),
            })
        });
        made.id = Arc::clone(&id);
        made.tags = BTreeSet::new();
        made.digests = Vec::new();
        made.created = self.wall();
        made.labels = labels;
        comment.clone_into(&mut made.comment);
        made.parent = parent;
        self.images.insert(Arc::clone(&id), made);
        self.emit_container(&container, "commit", &[("comment", comment.to_owned())]);
        if let Some(reference) = reference {
            self.tag(&id, &reference.to_string(), "")?;
        }
        Ok(id)
    }
}

/// The first twelve characters of an ID.
pub(super) fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

fn image_names(image: Option<&Image>) -> Vec<String> {
    image.map_or_else(Vec::new, |image| image.tags.iter().cloned().collect())
}
