//! Plugins of the engines: listed together, and managed on each engine that has them.

use http::{Response, StatusCode};
use serde_json::value::RawValue;
use swarm_core::api::{ApiVersion, PluginAction, PluginRef, Query, Route};
use swarm_core::json::RawObject;

use super::answer::{Answer, ApiError, json_text, no_engine};
use super::engine::{Target, healthy_targets};
use super::every::{Errand, failure};
use super::{Api, Call};
use crate::http::body;

impl Api {
    /// All plugins of all engines, the same one once.
    pub(super) async fn list_plugins(&self, call: Call) -> Answer {
        let targets = healthy_targets(&self.fleet.cluster().read(), call.request.version);
        let reports = self.tell_each(targets, &Errand::of(call)).await?;
        failure(&reports)?;
        let mut shown: Vec<Box<RawValue>> = Vec::new();
        for report in reports {
            let Ok(text) = report.answer else { continue };
            let plugins: Vec<Box<RawValue>> = serde_json::from_slice(&text).unwrap_or_default();
            for plugin in plugins {
                let same = identity(&plugin);
                if !shown.iter().any(|known| identity(known) == same) {
                    shown.push(plugin);
                }
            }
        }
        let shown: Vec<_> = shown.iter().map(|plugin| plugin.get()).collect();
        Ok(json_text(StatusCode::OK, format!("[{}]", shown.join(","))))
    }

    /// Asks one engine that has the plugin, or tells all that have it.
    pub(super) async fn plugin(
        &self,
        name: &PluginRef,
        action: PluginAction,
        mut call: Call,
    ) -> Answer {
        let holders = self.plugin_holders(name, call.request.version).await?;
        let targets = match action {
            PluginAction::Inspect | PluginAction::Push => holders.into_iter().take(1).collect(),
            PluginAction::Enable
            | PluginAction::Disable
            | PluginAction::Upgrade
            | PluginAction::Set
            | PluginAction::Remove => holders,
        };
        let text = self.take_body(&mut call).await?;
        let mut errand = Errand::of(call);
        errand.body = text;
        let reports = self.tell_each(targets, &errand).await?;
        failure(&reports)?;
        let first = reports.into_iter().find_map(|report| report.answer.ok());
        Ok(match first {
            Some(text) if !text.is_empty() => json_text(StatusCode::OK, text),
            Some(_) | None => Response::new(body::empty()),
        })
    }

    async fn plugin_holders(
        &self,
        name: &PluginRef,
        version: Option<ApiVersion>,
    ) -> Result<Vec<Target>, ApiError> {
        let targets = healthy_targets(&self.fleet.cluster().read(), version);
        if targets.is_empty() {
            return Err(no_engine());
        }
        let look = Errand::look(
            Route::Plugin(name.clone(), PluginAction::Inspect),
            Query::default(),
        );
        let reports = self.tell_each(targets, &look).await?;
        let missing = reports.iter().all(|report| report.answer.is_err());
        if missing {
            failure(&reports)?;
        }
        let holders = reports.into_iter().filter(|report| report.answer.is_ok());
        Ok(holders.map(|report| report.target).collect())
    }
}

/// What tells one plugin from another: engines give each its own ID.
fn identity(plugin: &RawValue) -> Option<(String, bool)> {
    let plugin = RawObject::parse(plugin.get().as_bytes()).ok()?;
    let name = plugin.read("Name").ok()??;
    let enabled = plugin.read("Enabled").ok().flatten();
    Some((name, enabled.unwrap_or(false)))
}
