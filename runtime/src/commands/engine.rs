//! `swarm engine`

use anyhow::{Context, bail};
use http::Method;
use swarm_core::api::Query;
use swarm_core::config::EngineOrder;

use super::ask::{Asker, Shown, printable};
use crate::cli::write_or_ignore;
use crate::manager::status::{ACTIVATE_PATH, DRAIN_PATH};
use crate::platform::SharedPlatform;

/// Tells the cluster to give an engine no new containers, or to give it some again.
///
/// # Errors
/// When the manager cannot be asked or refuses, for instance because it knows no engine of that name.
pub async fn engine(platform: SharedPlatform, order: EngineOrder) -> anyhow::Result<()> {
    let asker = Asker::of(&platform, &order.client)?;
    let (path, done) = match order.drain {
        true => (DRAIN_PATH, "gets no new containers; those it has stay"),
        false => (ACTIVATE_PATH, "gets containers again"),
    };
    let query = Query::default().with("engine", &order.engine);
    let target = format!("{path}?{}", query.as_str());
    let endpoint = &order.client.endpoint;
    let answer = asker
        .ask(endpoint, Method::POST, &target)
        .await
        .with_context(|| format!("cannot ask the manager at {}", Shown(endpoint)))?;
    if !answer.status.is_success() {
        bail!(
            "{} refuses: {}",
            Shown(endpoint),
            printable(&answer.message())
        );
    }
    let text = if order.client.json {
        let document = serde_json::json!({"engine": order.engine, "drained": order.drain});
        format!("{document}\n")
    } else {
        format!("{} {done}\n", printable(&order.engine))
    };
    write_or_ignore(&mut std::io::stdout(), &text);
    Ok(())
}
