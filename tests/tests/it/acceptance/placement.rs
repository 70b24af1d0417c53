//! Where containers go on real engines, and whether these understand what they are told.

use anyhow::{Context, Result, ensure};
use swarm_tests::docker;
use swarm_tests::real;

use super::user::User;
use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn expressions_ties_ports_and_volumes_place_containers() -> Result<()> {
    if !real::engines()? {
        return Ok(());
    }
    let world = World::with_real_engines(3).await?;
    let replica = world.replica().await?.to_string();
    for docker in docker::all()? {
        let user = User {
            docker,
            host: &replica,
        };
        let version = user.docker.version().to_owned();
        user.places().await.context(version)?;
    }
    world.settled().await?;
    world.check_logs()
}

impl User<'_> {
    async fn places(&self) -> Result<()> {
        let engine = self.place("first", &["--volume", "data:/data"]).await?;
        let unlike = format!("constraint:node!={engine}");
        let apart = ["--env", &unlike, "--env", "affinity:container!=first"];
        ensure!(self.place("apart", &apart).await? != engine);
        let labels = "{{json .Config.Labels}} {{json .Config.Env}}";
        let shown = self.ok(&["inspect", "--format", labels, "apart"]).await?;
        ensure!(shown.contains("node!="), "{shown}");
        ensure!(!shown.contains("constraint:"), "{shown}");

        // Engines know neither their own name in front of a container's nor swarm IDs.
        let name = format!("{engine}/first");
        let network = format!("container:{name}");
        let back = format!("{engine}/bridge");
        for (number, arguments) in [
            ["--volumes-from", name.as_str()],
            ["--link", name.as_str()],
            ["--network", network.as_str()],
            ["--pid", network.as_str()],
            ["--network", back.as_str()],
            ["--volume", "data:/elsewhere:ro"],
            ["--env", "affinity:container==first"],
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("beside{number}");
            let found = self.place(&name, &arguments).await?;
            ensure!(
                found == engine,
                "{arguments:?}: {found} instead of {engine}"
            );
        }

        let mut engines = Vec::new();
        for name in ["port0", "port1", "port2"] {
            engines.push(
                self.place(name, &["--publish", "127.0.0.1:18099:80"])
                    .await?,
            );
        }
        engines.sort();
        engines.dedup();
        ensure!(engines.len() == 3, "{engines:?}");
        self.refused(
            &["--publish", "127.0.0.1:18099:80"],
            "[port 18099 (Bridge mode)]",
        )
        .await?;
        self.refused(&["--env", "constraint:node==/"], "Value '/' is invalid")
            .await?;
        self.clear().await
    }

    /// Runs a container; the name of its engine.
    async fn place(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let mut command = vec!["run", "--detach", "--name", name];
        command.extend(arguments);
        command.extend(["busybox", "sleep", "600"]);
        self.ok(&command).await?;
        self.ok(&["inspect", "--format", "{{.Node.Name}}", name])
            .await
    }

    async fn refused(&self, arguments: &[&str], text: &str) -> Result<()> {
        let mut command = vec!["create"];
        command.extend(arguments);
        command.extend(["busybox", "true"]);
        let finished = self.run(&command).await?;
        ensure!(!finished.status.success(), "{finished:?}");
        ensure!(finished.stderr.contains(text), "{finished:?}");
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        let all = self.ok(&["ps", "--all", "--quiet", "--no-trunc"]).await?;
        let mut remove = vec!["rm", "--force", "--volumes"];
        remove.extend(all.lines());
        self.ok(&remove).await?;
        Ok(())
    }
}
