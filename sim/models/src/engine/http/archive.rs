//! Files of a container: `docker cp`, `diff` and `export`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::super::clock::rfc3339;
use super::super::container::Container;
use super::super::files::Files;
use super::super::mutations::Change;
use super::super::refusal::{Answer, Refusal};
use super::super::tar::{self, Entry};
use super::{ARCHIVE_BYTES, Call, Reply, empty, full, ok, streamed, with_body};

const STAT: &str = "x-docker-container-path-stat";

/// The directory bit of Go's file mode.
const DIRECTORY: u32 = 1 << 31;

pub(super) fn head(call: &Call, name: &str) -> Reply {
    let state = call.engine.current();
    let (_, stat) = find(call, state.container(name)?)?;
    let mut response = with_body(StatusCode::OK, empty());
    response.headers_mut().insert(STAT, stat);
    Ok(response)
}

pub(super) fn get(call: &Call, name: &str) -> Reply {
    let (entries, stat, id) = {
        let state = call.engine.current();
        let container = state.container(name)?;
        let (entry, stat) = find(call, container)?;
        let entries = with_files(container, |files| files.tree(&entry.path));
        (entries.unwrap_or_default(), stat, container.id.clone())
    };
    let archive = tar::write(&entries);
    call.engine
        .edit(|state| state.emit_container(&id, "archive-path", &[]));
    let mut response = streamed("application/x-tar", full(archive))?;
    response.headers_mut().insert(STAT, stat);
    Ok(response)
}

pub(super) async fn put(mut call: Call, name: &str) -> Reply {
    let path = path(&call)?.to_owned();
    let archive = call.read(ARCHIVE_BYTES).await?;
    let archive = unpacked(archive)?;
    let entries = tar::read(&archive).ok_or_else(|| {
        Refusal::bad("Error processing tar file: archive/tar: invalid tar header")
    })?;
    let keep_kind = call.query.flag("noOverwriteDirNonDir");
    call.engine.edit(|state| {
        let container = state.container_mut(name)?;
        let id = container.id.clone();
        let files = container.files.get_or_insert_default();
        if keep_kind {
            check_kinds(files, &path, &entries)?;
        }
        let first = entries.first().map(|entry| entry.path.clone());
        files.unpack(&path, entries)?;
        state.note(Change::Put, &id, first.unwrap_or_default());
        state.emit_container(&id, "extract-to-dir", &[]);
        Ok(())
    })?;
    Ok(with_body(StatusCode::OK, empty()))
}

pub(super) fn changes(call: &Call, name: &str) -> Reply {
    let state = call.engine.current();
    let changes = with_files(state.container(name)?, Files::changes);
    let changes: Vec<_> = changes
        .into_iter()
        .map(|(path, kind)| json!({"Path": path, "Kind": kind}))
        .collect();
    ok(&changes)
}

pub(super) fn export(call: &Call, name: &str) -> Reply {
    let (entries, id) = {
        let state = call.engine.current();
        let container = state.container(name)?;
        let entries = with_files(container, |files| files.tree("/"));
        (entries.unwrap_or_default(), container.id.clone())
    };
    call.engine
        .edit(|state| state.emit_container(&id, "export", &[]));
    streamed("application/octet-stream", full(tar::write(&entries)))
}

fn path(call: &Call) -> Answer<&str> {
    let path = call.query.text("path").filter(|path| !path.is_empty());
    path.ok_or_else(|| Refusal::bad("missing parameter: path"))
}

fn with_files<R>(container: &Container, act: impl FnOnce(&Files) -> R) -> R {
    match &container.files {
        Some(files) => act(files),
        None => act(&Files::default()),
    }
}

/// A file of the container with its description for the header.
fn find(call: &Call, container: &Container) -> Answer<(Entry, HeaderValue)> {
    let path = path(call)?;
    let entry = with_files(container, |files| files.find(path)).ok_or_else(|| {
        let name = &container.id;
        Refusal::missing(format!(
            "Could not find the file {path} in container {name}"
        ))
    })?;
    let name = entry
        .path
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty());
    let stat = json!({
        "name": name.unwrap_or("/"),
        "size": entry.data.len(),
        "mode": entry.mode | if entry.directory { DIRECTORY } else { 0 },
        "mtime": rfc3339(entry.modified),
        "linkTarget": "",
    });
    let stat = STANDARD.encode(stat.to_string());
    let stat = HeaderValue::try_from(stat).map_err(|error| Refusal::failed(error.to_string()))?;
    Ok((entry, stat))
}

/// Archives come plain; compressed ones would need a decompressor that nothing else here needs.
fn unpacked(archive: Bytes) -> Answer<Bytes> {
    if archive.starts_with(&[0x1f, 0x8b]) {
        return Err(Refusal::bad("this engine takes uncompressed archives only"));
    }
    Ok(archive)
}

/// Refuses to put a directory over a file or the other way round.
fn check_kinds(files: &Files, target: &str, entries: &[Entry]) -> Answer<()> {
    let mut kinds: BTreeMap<&str, bool> = BTreeMap::new();
    for entry in entries {
        kinds.insert(&entry.path, entry.directory);
    }
    for (path, directory) in kinds {
        let found = files.find(&format!("{target}/{path}"));
        match found.filter(|found| found.directory != directory) {
            Some(_) if directory => {
                return Err(Refusal::bad(format!(
                    "cannot overwrite non-directory \"{path}\" with directory"
                )));
            }
            Some(_) => {
                return Err(Refusal::bad(format!(
                    "cannot overwrite directory \"{path}\" with non-directory"
                )));
            }
            None => {}
        }
    }
    Ok(())
}
