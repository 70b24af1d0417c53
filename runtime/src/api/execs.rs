//! Requests about one exec instance.

use http::StatusCode;
use swarm_core::api::{ApiVersion, ExecAction, ExecRef, Route};

use super::answer::{Answer, ApiError};
use super::engine::{Target, healthy_targets};
use super::join::join_all;
use super::{Api, Call};
use crate::http::client::SendOptions;
use crate::platform::BoxFuture;

/// What an engine's description of an exec instance may take.
const EXEC_BYTES_MAX: usize = 1 << 20;

impl Api {
    pub(super) async fn pass_exec(&self, exec: &ExecRef, action: ExecAction, call: Call) -> Answer {
        let id = exec.as_str();
        let version = call.request.version;
        let target = match self.exec_target(id, version)? {
            Some(target) => target,
            None => self.search_exec(exec, version).await?,
        };
        let options = match action {
            ExecAction::Start => SendOptions::endless(),
            ExecAction::Resize => self.work(),
            ExecAction::Inspect => self.question(),
        };
        let path = self.engine_path(&call, id, &target)?;
        self.pass(&target, call, &path, options).await
    }

    fn exec_target(
        &self,
        id: &str,
        version: Option<ApiVersion>,
    ) -> Result<Option<Target>, ApiError> {
        let cluster = self.fleet.cluster().read();
        let Some((engine, _)) = cluster.container_of_exec(id) else {
            return Ok(None);
        };
        let what = format!("exec instance {id}");
        Target::healthy(&cluster, engine, version, &what).map(Some)
    }

    /// Asks every engine: after a failover this manager has not seen the exec instances the last primary made.
    async fn search_exec(
        &self,
        exec: &ExecRef,
        version: Option<ApiVersion>,
    ) -> Result<Target, ApiError> {
        let targets = {
            let cluster = self.fleet.cluster().read();
            healthy_targets(&cluster, version)
        };
        let path = Route::Exec(exec.clone(), ExecAction::Inspect).path(None);
        let asked: Vec<BoxFuture<'_, Option<Target>>> = targets
            .into_iter()
            .map(|target| {
                let path = &path;
                Box::pin(async move {
                    let (status, _) = self.ask(&target, path, "", EXEC_BYTES_MAX).await.ok()?;
                    (status == StatusCode::OK).then_some(target)
                }) as BoxFuture<'_, Option<Target>>
            })
            .collect();
        join_all(asked)
            .await
            .into_iter()
            .flatten()
            .next()
            .ok_or_else(|| {
                ApiError::new(
                    StatusCode::NOT_FOUND,
                    format!("No such exec instance: {}", exec.as_str()),
                )
            })
    }
}
