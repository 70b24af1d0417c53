//! Which request goes where.

use http::Method;

use super::super::network_store::not_a_swarm_manager;
use super::super::refusal::Refusal;
use super::{
    Call, Reply, archive, containers, images, logs, networks, processes, streams, system, transfer,
};

/// Parts of paths that are words of the API, not names.
const WORDS: [&str; 12] = [
    "json",
    "create",
    "prune",
    "search",
    "load",
    "get",
    "containers",
    "images",
    "networks",
    "volumes",
    "exec",
    "df",
];

/// Answers a request.
pub(super) async fn route(call: Call) -> Reply {
    let path = call.path.clone();
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let label = format!("{} {}", call.method, template(&parts));
    call.engine.edit(|state| {
        // Clients choose paths: without a limit they could fill the memory.
        if state.requests.len() < 256 || state.requests.contains_key(&label) {
            *state.requests.entry(label).or_default() += 1;
        }
    });
    match parts.as_slice() {
        ["containers", rest @ ..] => container_routes(call, rest).await,
        ["exec", id, rest @ ..] => exec_routes(call, id, rest).await,
        ["images", rest @ ..] => image_routes(call, rest).await,
        ["networks", rest @ ..] => network_routes(call, rest).await,
        ["volumes", rest @ ..] => volume_routes(call, rest).await,
        rest => system_routes(call, rest).await,
    }
}

/// The path with names replaced, for counting.
fn template(parts: &[&str]) -> String {
    let mut text = String::new();
    for (at, part) in parts.iter().enumerate() {
        let name = at == 1 && !WORDS.contains(part) || at > 1 && at + 1 < parts.len();
        text.push('/');
        text.push_str(if name { "{}" } else { part });
    }
    text
}

async fn container_routes(call: Call, path: &[&str]) -> Reply {
    match (call.method.as_str(), path) {
        ("GET", ["json" | "ps"]) => containers::list(&call),
        ("POST", ["create"]) => containers::create(call).await,
        ("POST", ["prune"]) => containers::prune(&call),
        ("GET", [name, "json"]) => containers::inspect(&call, name),
        ("DELETE", [name]) => containers::remove(&call, name),
        ("POST", [name, "start"]) => containers::start(call, name).await,
        ("POST", [name, "stop"]) => containers::stop(&call, name).await,
        ("POST", [name, "restart"]) => containers::restart(&call, name).await,
        ("POST", [name, "kill"]) => containers::kill(&call, name),
        ("POST", [name, "pause"]) => containers::pause(&call, name),
        ("POST", [name, "unpause"]) => containers::unpause(&call, name),
        ("POST", [name, "rename"]) => containers::rename(&call, name),
        ("POST", [name, "update"]) => containers::update(call, name).await,
        ("POST", [name, "wait"]) => processes::wait(&call, name),
        ("POST", [name, "resize"]) => processes::resize(&call, name),
        ("GET", [name, "top"]) => processes::top(&call, name),
        ("GET", [name, "stats"]) => processes::stats(&call, name),
        ("GET", [name, "logs"]) => logs::logs(&call, name),
        ("POST", [name, "attach"]) => streams::attach(call, name),
        ("POST", [name, "exec"]) => streams::create_exec(call, name).await,
        ("GET", [name, "archive"]) => archive::get(&call, name),
        ("HEAD", [name, "archive"]) => archive::head(&call, name),
        ("PUT", [name, "archive"]) => archive::put(call, name).await,
        ("GET", [name, "changes"]) => archive::changes(&call, name),
        ("GET", [name, "export"]) => archive::export(&call, name),
        _ => not_found(),
    }
}

async fn exec_routes(call: Call, id: &str, path: &[&str]) -> Reply {
    match (call.method.as_str(), path) {
        ("POST", ["start"]) => streams::start_exec(call, id).await,
        ("POST", ["resize"]) => streams::resize_exec(&call, id),
        ("GET", ["json"]) => streams::inspect_exec(&call, id),
        _ => not_found(),
    }
}

async fn image_routes(call: Call, path: &[&str]) -> Reply {
    match (call.method.as_str(), path) {
        ("GET", ["json"]) => images::list(&call),
        ("POST", ["create"])
            if call
                .query
                .text("fromSrc")
                .is_some_and(|src| !src.is_empty()) =>
        {
            transfer::import(call).await
        }
        ("POST", ["create"]) => images::pull(&call),
        ("POST", ["prune"]) => images::prune(&call),
        ("POST", ["load"]) => transfer::load(call).await,
        ("GET", ["get"]) => transfer::save(&call, &call.query.texts("names")),
        ("GET", [name @ .., "get"]) => transfer::save(&call, &[&name.join("/")]),
        ("GET", [name @ .., "json"]) => images::inspect(&call, &name.join("/")),
        ("GET", [name @ .., "history"]) => images::history(&call, &name.join("/")),
        ("POST", [name @ .., "tag"]) => images::tag(&call, &name.join("/")),
        ("DELETE", name) => images::remove(&call, &name.join("/")),
        _ => not_found(),
    }
}

async fn network_routes(call: Call, path: &[&str]) -> Reply {
    match (call.method.as_str(), path) {
        ("GET", [] | [""]) => networks::list(&call),
        ("POST", ["create"]) => networks::create(call).await,
        ("POST", ["prune"]) => networks::prune(&call),
        ("GET", [name]) => networks::inspect(&call, name),
        ("DELETE", [name]) => networks::remove(&call, name),
        ("POST", [name, "connect"]) => networks::connect(call, name).await,
        ("POST", [name, "disconnect"]) => networks::disconnect(call, name).await,
        _ => not_found(),
    }
}

async fn volume_routes(call: Call, path: &[&str]) -> Reply {
    match (call.method.as_str(), path) {
        ("GET", [] | [""]) => networks::volumes(&call),
        ("POST", ["create"]) => networks::create_volume(call).await,
        ("POST", ["prune"]) => networks::prune_volumes(&call),
        ("GET", [name]) => networks::inspect_volume(&call, name),
        ("DELETE", [name]) => networks::remove_volume(&call, name),
        _ => not_found(),
    }
}

async fn system_routes(call: Call, path: &[&str]) -> Reply {
    match (call.method.as_str(), path) {
        ("GET" | "HEAD", ["_ping"]) => system::ping(call.method == Method::HEAD),
        ("GET", ["version"]) => system::version(&call),
        ("GET", ["info"]) => system::info(&call),
        ("GET", ["events"]) => system::events(&call),
        ("GET", ["system", "df"]) => system::disk_usage(&call),
        ("POST", ["auth"]) => system::login(),
        ("POST", ["commit"]) => images::commit(call).await,
        ("POST", ["build"]) => transfer::build(call).await,
        ("POST", ["build", "prune"]) => {
            super::ok(&serde_json::json!({"CachesDeleted": null, "SpaceReclaimed": 0}))
        }
        (
            "GET" | "POST" | "DELETE",
            [
                "swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs",
                ..,
            ],
        ) => Err(not_a_swarm_manager()),
        ("GET", ["plugins"]) => super::ok(&serde_json::json!([])),
        _ => not_found(),
    }
}

fn not_found() -> Reply {
    Err(Refusal::missing("page not found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_not_by_name() {
        assert_eq!(template(&["containers", "json"]), "/containers/json");
        assert_eq!(
            template(&["containers", "web", "start"]),
            "/containers/{}/start"
        );
        assert_eq!(template(&["containers", "web"]), "/containers/{}");
        assert_eq!(
            template(&["images", "a", "b", "json"]),
            "/images/{}/{}/json"
        );
        assert_eq!(template(&["system", "df"]), "/system/df");
    }
}
