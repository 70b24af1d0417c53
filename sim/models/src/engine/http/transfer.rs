//! Images that come and go as archives, and images that are built.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::image::{Image, Reference, Version};
use super::super::image_store::short;
use super::super::refusal::{Answer, Refusal};
use super::super::state::State;
use super::super::tar::{self, Entry};
use super::{Call, Reply, full, streamed};

/// The most an archive of images or a build context may have.
const ARCHIVE_BYTES: usize = 64 << 20;

/// As `docker save` writes it: a manifest, and for each image a description.
pub(super) fn save(call: &Call, names: &[&str]) -> Reply {
    let state = call.engine.current();
    let mut manifest = Vec::new();
    let mut entries = Vec::new();
    let file = |path: String, value: &Value| Entry {
        path,
        directory: false,
        mode: 0o644,
        modified: state.wall(),
        data: value.to_string().into(),
    };
    for name in names {
        let image = state.image(name)?;
        let hex = image.id.strip_prefix("sha256:").unwrap_or(&image.id);
        let path = format!("{hex}.json");
        manifest.push(json!({"Config": &path, "RepoTags": image.tags, "Layers": []}));
        entries.push(file(path, &image.inspect()));
    }
    entries.push(file("manifest.json".to_owned(), &Value::Array(manifest)));
    streamed("application/x-tar", full(tar::write(&entries)))
}

pub(super) async fn load(mut call: Call) -> Reply {
    let archive = call.read(ARCHIVE_BYTES).await?;
    let files = files(&archive)?;
    let read = |path: &str| -> Option<Value> { serde_json::from_slice(files.get(path)?).ok() };
    let manifest = read("manifest.json");
    let Some(manifest) = manifest.as_ref().and_then(Value::as_array) else {
        return Err(Refusal::bad("invalid archive: it has no manifest.json"));
    };
    let mut lines = Vec::new();
    for entry in manifest {
        let described = entry["Config"].as_str().and_then(read);
        let described = described
            .ok_or_else(|| Refusal::bad("invalid archive: an image has no description"))?;
        let tags: Vec<String> =
            serde_json::from_value(entry["RepoTags"].clone()).unwrap_or_default();
        call.engine.edit(|state| state.take_in(&described, &tags))?;
        for tag in tags {
            lines.push(json!({"stream": format!("Loaded image: {tag}\n")}));
        }
    }
    written(&lines)
}

pub(super) async fn import(mut call: Call) -> Reply {
    let content = call.read(ARCHIVE_BYTES).await?;
    if tar::read(&content).is_none() {
        return Err(Refusal::failed("archive/tar: invalid tar header"));
    }
    let names = named(&call, "repo").into_iter().collect::<Vec<_>>();
    let id = call
        .engine
        .edit(|state| state.new_image(&content, None, BTreeMap::new(), &names))?;
    written(&[json!({"status": id})])
}

/// The classic builder, of `FROM` and `LABEL`: the rest is shown as a step and changes nothing.
pub(super) async fn build(mut call: Call) -> Reply {
    let context = call.read(ARCHIVE_BYTES).await?;
    let files = files(&context)?;
    let name = call.query.text("dockerfile").unwrap_or("Dockerfile");
    let steps = files.get(name).ok_or_else(|| {
        Refusal::failed(format!(
            "Cannot locate specified Dockerfile: {name}: file does not exist"
        ))
    })?;
    let steps = String::from_utf8_lossy(steps).into_owned();
    let steps: Vec<&str> = steps
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let base = steps
        .first()
        .and_then(|step| step.strip_prefix("FROM "))
        .ok_or_else(|| Refusal::bad("no build stage in current context"))?;
    let labels = steps
        .iter()
        .filter_map(|step| step.strip_prefix("LABEL ")?.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
        .collect();
    let names: Vec<String> = named(&call, "t").into_iter().collect();
    let mut lines: Vec<Value> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let text = format!("Step {}/{} : {step}\n", at + 1, steps.len());
        lines.push(json!({"stream": text}));
    }
    let made = call.engine.edit(|state| {
        if let Some(reference) = Reference::parse(base)
            && state.image(base).is_err()
        {
            state.pull(&reference)?;
        }
        state.new_image(&context, Some(base), labels, &names)
    });
    match made {
        Err(refusal) => lines.push(json!({
            "errorDetail": {"message": &refusal.message}, "error": &refusal.message,
        })),
        Ok(id) => {
            lines.push(json!({"aux": {"ID": &id}}));
            let built = format!("Successfully built {}\n", short(&id));
            lines.push(json!({"stream": built}));
            for name in &names {
                lines.push(json!({"stream": format!("Successfully tagged {name}\n")}));
            }
        }
    }
    written(&lines)
}

impl State {
    /// An image as another engine has described it.
    fn take_in(&mut self, described: &Value, tags: &[String]) -> Answer<()> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let id: Arc<str> = text(&described["Id"]).into();
        if !self.images.contains_key(&id) {
            let config = &described["Config"];
            let image = Image {
                id: Arc::clone(&id),
                tags: BTreeSet::new(),
                digests: Vec::new(),
                created: self.wall(),
                size: described["Size"].as_u64().unwrap_or(0),
                command: serde_json::from_value(config["Cmd"].clone()).unwrap_or_default(),
                entrypoint: serde_json::from_value(config["Entrypoint"].clone())
                    .unwrap_or_default(),
                labels: serde_json::from_value(config["Labels"].clone()).unwrap_or_default(),
                comment: text(&described["Comment"]),
                parent: text(&described["Parent"]),
            };
            self.images.insert(Arc::clone(&id), image);
        }
        tags.iter().try_for_each(|tag| self.tag(&id, tag, ""))
    }

    /// An image that has never been anywhere else.
    fn new_image(
        &mut self,
        content: &Bytes,
        base: Option<&str>,
        labels: BTreeMap<String, String>,
        names: &[String],
    ) -> Answer<String> {
        let mut image = match base {
            Some(base) => self.image(base)?.clone(),
            None => Image::fabricate(&Reference {
                repository: "scratch".to_owned(),
                version: Version::Tag("latest".to_owned()),
            }),
        };
        let id: Arc<str> = format!("sha256:{}", self.next_id("image")).into();
        image.parent = match base {
            Some(_) => image.id.to_string(),
            None => String::new(),
        };
        image.id = Arc::clone(&id);
        image.tags = BTreeSet::new();
        image.digests = Vec::new();
        image.created = self.wall();
        image.size += u64::try_from(content.len()).unwrap_or(0);
        image.labels.extend(labels);
        self.images.insert(Arc::clone(&id), image);
        names.iter().try_for_each(|name| self.tag(&id, name, ""))?;
        Ok(id.to_string())
    }
}

fn files(archive: &Bytes) -> Answer<BTreeMap<String, Bytes>> {
    let entries = tar::read(archive);
    let entries =
        entries.ok_or_else(|| Refusal::failed("Error processing tar file: unexpected EOF"))?;
    Ok(entries
        .into_iter()
        .map(|entry| (entry.path, entry.data))
        .collect())
}

/// The name in the query under `key`, with its tag.
fn named(call: &Call, key: &str) -> Option<String> {
    let name = call.query.text(key).filter(|name| !name.is_empty())?;
    let tag = call.query.text("tag").filter(|tag| !tag.is_empty());
    let whole = tag.map_or_else(|| name.to_owned(), |tag| format!("{name}:{tag}"));
    Some(Reference::parse(&whole)?.to_string())
}

fn written(lines: &[Value]) -> Reply {
    let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    streamed("application/json", full(text))
}
