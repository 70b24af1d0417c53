//! Images.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::filters::Filters;
use super::super::image::{Image, Reference};
use super::super::image_store::short;
use super::super::refusal::Refusal;
use super::{Call, Reply, created, ok, streamed, with_body};
use crate::unfold::unfold;

/// The filters `docker images` knows.
const KEYS: [&str; 6] = ["before", "dangling", "label", "reference", "since", "until"];

pub(super) fn list(call: &Call) -> Reply {
    let filters = Filters::parse(call.query.text("filters"), &KEYS)?;
    let dangling = filters.flag("dangling")?;
    let state = call.engine.current();
    let created = |key: &str| match filters.values(key).first() {
        Some(name) => state.image(name).map(|image| Some(image.created)),
        None => Ok(None),
    };
    let (before, since) = (created("before")?, created("since")?);
    let mut shown: Vec<&Image> = state
        .images
        .values()
        .filter(|image| {
            dangling.is_none_or(|wanted| wanted == image.tags.is_empty())
                && filters.labels(|key| image.labels.get(key).map(String::as_str))
                && before.is_none_or(|at| image.created < at)
                && since.is_none_or(|at| image.created > at)
                && filters.any("reference", |pattern| {
                    image.tags.iter().any(|tag| matches_reference(tag, pattern))
                })
        })
        .collect();
    shown.sort_by_key(|image| std::cmp::Reverse(image.created));
    let shown: Vec<Value> = shown.into_iter().map(|image| image.summary(-1)).collect();
    ok(&shown)
}

/// Shell patterns with `*` over the name, with or without its tag.
fn matches_reference(name: &str, pattern: &str) -> bool {
    let bare = name.rsplit_once(':').map_or(name, |(bare, _)| bare);
    [name, bare].iter().any(|text| glob(text, pattern))
}

fn glob(text: &str, pattern: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return text == pattern;
    };
    let Some(text) = text.strip_prefix(head) else {
        return false;
    };
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    // A star does not cross a slash.
    ends.take_while(|at| !text.get(..*at).unwrap_or_default().contains('/'))
        .any(|at| glob(text.get(at..).unwrap_or_default(), rest))
}

pub(super) fn inspect(call: &Call, name: &str) -> Reply {
    ok(&call.engine.current().image(name)?.inspect())
}

pub(super) fn history(call: &Call, name: &str) -> Reply {
    let state = call.engine.current();
    let image = state.image(name)?;
    ok(&json!([{
        "Id": image.id.as_ref(),
        "Created": image.created.seconds(),
        "CreatedBy": format!("/bin/sh -c #(nop)  CMD {:?}", image.command),
        "Tags": image.tags,
        "Size": image.size,
        "Comment": image.comment,
    }]))
}

pub(super) fn pull(call: &Call) -> Reply {
    let image = call.query.text("fromImage").unwrap_or_default();
    if image.is_empty() {
        return Err(Refusal::bad(
            "this engine pulls images and does not import any",
        ));
    }
    let tag = call.query.text("tag").unwrap_or_default();
    let text = match tag {
        "" => image.to_owned(),
        digest if digest.contains(':') => format!("{image}@{digest}"),
        tag => format!("{image}:{tag}"),
    };
    let reference =
        Reference::parse(&text).ok_or_else(|| Refusal::bad("invalid reference format"))?;
    let new = call.engine.edit(|state| state.pull(&reference))?;
    let (id, digest) = {
        let state = call.engine.current();
        let image = state.image(&reference.to_string())?;
        let digest = image
            .digests
            .first()
            .and_then(|digest| digest.split_once('@'));
        (
            image.id.to_string(),
            digest
                .map(|(_, digest)| digest.to_owned())
                .unwrap_or_default(),
        )
    };
    let mut lines = progress(&reference, &id, &digest, new);
    lines.reverse();
    let takes = call.engine.lock().options.pull_takes;
    let (host, whole) = (Arc::clone(&call.engine.host), lines.len());
    let body = unfold(lines, move |mut lines: Vec<Value>| {
        let host = Arc::clone(&host);
        Box::pin(async move {
            let begun = lines.len() < whole;
            let line = lines.pop()?;
            if begun && lines.is_empty() && !takes.is_zero() {
                host.sleep(takes).await;
            }
            Some((Bytes::from(format!("{line}\r\n")), lines))
        })
    });
    streamed("application/json", body)
}

/// What the CLI draws its progress bars from.
fn progress(reference: &Reference, id: &str, digest: &str, new: bool) -> Vec<Value> {
    let layer = short(id);
    let repository = if reference.repository.contains('/') {
        reference.repository.clone()
    } else {
        format!("library/{}", reference.repository)
    };
    let (super::super::image::Version::Tag(version)
    | super::super::image::Version::Digest(version)) = &reference.version;
    let mut lines = vec![json!({"status": format!("Pulling from {repository}"), "id": version})];
    if new {
        let bar = |status: &str, current: u64| json!({"status": status, "progressDetail": {"current": current, "total": 1_000}, "id": layer});
        let plain = |status: &str| json!({"status": status, "progressDetail": {}, "id": layer});
        lines.extend([
            plain("Pulling fs layer"),
            bar("Downloading", 500),
            bar("Downloading", 1_000),
            plain("Download complete"),
            bar("Extracting", 1_000),
            plain("Pull complete"),
        ]);
    }
    lines.push(json!({"status": format!("Digest: {digest}")}));
    let done = if new {
        "Downloaded newer image for"
    } else {
        "Image is up to date for"
    };
    lines.push(json!({"status": format!("Status: {done} {reference}")}));
    lines
}

pub(super) fn tag(call: &Call, name: &str) -> Reply {
    let repository = call.query.text("repo").unwrap_or_default();
    let tag = call.query.text("tag").unwrap_or_default();
    call.engine.edit(|state| state.tag(name, repository, tag))?;
    Ok(with_body(http::StatusCode::CREATED, super::empty()))
}

pub(super) fn remove(call: &Call, name: &str) -> Reply {
    let force = call.query.flag("force");
    ok(&call.engine.edit(|state| state.remove_image(name, force))?)
}

pub(super) fn prune(call: &Call) -> Reply {
    let removed = call.engine.edit(|state| {
        let images = state.images.values().filter(|image| image.tags.is_empty());
        let ids: Vec<_> = images.map(|image| image.id.clone()).collect();
        ids.iter()
            .filter_map(|id| state.remove_image(id, false).ok())
            .collect::<Vec<_>>()
    });
    let removed: Vec<&Value> = removed
        .iter()
        .filter_map(Value::as_array)
        .flatten()
        .collect();
    ok(&json!({"ImagesDeleted": removed, "SpaceReclaimed": 0}))
}

pub(super) async fn commit(mut call: Call) -> Reply {
    call.body().await?;
    let query = &call.query;
    let container = query.text("container").unwrap_or_default();
    let comment = query.text("comment").unwrap_or_default();
    let name = query
        .text("repo")
        .map(|repository| match query.text("tag") {
            None | Some("") => repository.to_owned(),
            Some(tag) => format!("{repository}:{tag}"),
        });
    let id = call
        .engine
        .edit(|state| state.commit(container, name.as_deref(), comment))?;
    created(&json!({"Id": id.as_ref()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_match_as_shell_patterns() {
        assert!(matches_reference("busybox:latest", "busy*"));
        assert!(matches_reference("busybox:latest", "busybox"));
        assert!(matches_reference("a/b:1", "*/b:*"));
        assert!(!matches_reference("a/b:1", "*"));
        assert!(!matches_reference("busybox:latest", "busybox:1"));
    }
}
