//! Somebody at a docker command.

use anyhow::{Context, Result};
use swarm_tests::docker::{Docker, Finished};

/// A docker command and the endpoint it talks to.
#[derive(Debug)]
pub(crate) struct User<'a> {
    pub(crate) docker: Docker,
    /// For instance `127.0.0.1:4000`.
    pub(crate) host: &'a str,
}

impl User<'_> {
    /// What a command that has to succeed prints.
    pub(crate) async fn ok(&self, arguments: &[&str]) -> Result<String> {
        let finished = self.run(arguments).await?;
        finished.success().with_context(|| arguments.join(" "))
    }

    /// What a command leaves behind, however it ends.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Finished> {
        self.docker.run(self.host, arguments).await
    }
}
