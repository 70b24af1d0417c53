//! What users type, through a replica, against real engines, with every docker command installed here.

use std::fs;

use anyhow::{Context, Result, ensure};
use swarm_tests::docker;
use swarm_tests::process::{Process, Streams};
use swarm_tests::real;
use swarm_tests::scratch::Scratch;

use super::user::User;
use super::world::{LIMIT, World};

#[tokio::test(flavor = "multi_thread")]
async fn everyday_commands_work_through_a_replica() -> Result<()> {
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
        user.shows_the_cluster().await.context(version.clone())?;
        user.runs_in_the_foreground()
            .await
            .context(version.clone())?;
        user.runs_at_a_terminal().await.context(version.clone())?;
        user.follows_a_container().await.context(version.clone())?;
        user.copies_files().await.context(version.clone())?;
        user.builds_images().await.context(version.clone())?;
        user.hears_of_errors().await.context(version)?;
    }
    world.settled().await?;
    world.check_logs()
}

impl User<'_> {
    async fn shows_the_cluster(&self) -> Result<()> {
        let info = self.ok(&["info"]).await?;
        ensure!(
            info.contains("Nodes: 3") && info.contains("Role: replica"),
            "{info}"
        );
        let version = self
            .ok(&["version", "--format", "{{.Server.Version}}"])
            .await?;
        ensure!(version.starts_with("swarm/"), "{version}");
        self.ok(&["ps"]).await?;
        let images = self.ok(&["images"]).await?;
        ensure!(images.contains("busybox"), "{images}");
        self.ok(&["network", "ls"]).await?;
        self.ok(&["volume", "ls"]).await?;
        Ok(())
    }

    async fn runs_in_the_foreground(&self) -> Result<()> {
        let both = self.docker.run(
            self.host,
            &[
                "run",
                "--rm",
                "busybox",
                "sh",
                "-c",
                "echo out; echo err >&2; exit 3",
            ],
        );
        let both = both.await?;
        ensure!(both.status.code() == Some(3), "{both:?}");
        ensure!(both.stdout == "out\n" && both.stderr == "err\n", "{both:?}");
        let run = ["run", "--rm", "-i", "busybox", "wc", "-c"];
        let input = "x".repeat(300_000);
        let counted = self.docker.run_with(self.host, &run, &input, LIMIT).await?;
        ensure!(counted.clone().success()? == "300000", "{counted:?}");
        let left = self.ok(&["ps", "--all", "--quiet"]).await?;
        ensure!(left.is_empty(), "--rm left containers: {left}");
        Ok(())
    }

    async fn runs_at_a_terminal(&self) -> Result<()> {
        let run = ["run", "--rm", "-it", "busybox", "sh"];
        let shell = self.at_terminal("docker run -it", &run)?;
        shell.type_in("test -t 0 && echo sum-$((40 + 2))\n")?;
        shell.wait_line("sum-42", LIMIT).await?;
        shell.type_in("exit 5\n")?;
        let status = shell.wait_exit(LIMIT).await?;
        ensure!(status.code() == Some(5), "{status}: {}", shell.text());
        Ok(())
    }

    async fn follows_a_container(&self) -> Result<()> {
        let mut command = self.docker.command(self.host);
        command.args(["events", "--filter", "type=container"]);
        let events = Process::spawn("docker events", command, Streams::Pipes)?;
        let script = "n=0; while :; do n=$((n + 1)); echo tick $n; sleep 0.2; done";
        self.ok(&[
            "run", "--detach", "--name", "ticker", "busybox", "sh", "-c", script,
        ])
        .await?;
        // The command may have begun to listen only after the create.
        self.ok(&["pause", "ticker"]).await?;
        self.ok(&["unpause", "ticker"]).await?;
        events.wait_line("unpause", LIMIT).await?;

        let mut command = self.docker.command(self.host);
        command.args(["logs", "--follow", "ticker"]);
        let logs = Process::spawn("docker logs", command, Streams::Pipes)?;
        logs.wait_line("tick 3", LIMIT).await?;
        let mut command = self.docker.command(self.host);
        command.args(["attach", "--no-stdin", "--sig-proxy=false", "ticker"]);
        let attach = Process::spawn("docker attach", command, Streams::Pipes)?;
        attach.wait_line("tick", LIMIT).await?;
        let mut command = self.docker.command(self.host);
        command.args(["wait", "ticker"]);
        let waits = Process::spawn("docker wait", command, Streams::Pipes)?;

        let exec = ["exec", "ticker", "sh", "-c", "echo inside; exit 4"];
        let exec = self.docker.run(self.host, &exec).await?;
        ensure!(
            exec.status.code() == Some(4) && exec.stdout == "inside\n",
            "{exec:?}"
        );
        let exec = ["exec", "-i", "ticker", "cat"];
        let exec = self
            .docker
            .run_with(self.host, &exec, "piped", LIMIT)
            .await?;
        ensure!(exec.clone().success()? == "piped", "{exec:?}");
        let shell = self.at_terminal("docker exec -it", &["exec", "-it", "ticker", "sh"])?;
        shell.type_in("echo sum-$((20 + 3)); exit\n")?;
        shell.wait_line("sum-23", LIMIT).await?;
        ensure!(shell.wait_exit(LIMIT).await?.success(), "{}", shell.text());
        self.ok(&["top", "ticker"]).await?;
        let listed = self.ok(&["ps", "--format", "{{.Names}}"]).await?;
        ensure!(listed.contains("/ticker"), "{listed}");

        self.ok(&["stop", "--time", "1", "ticker"]).await?;
        ensure!(waits.wait_exit(LIMIT).await?.success(), "{}", waits.text());
        waits.wait_line("137", LIMIT).await?;
        ensure!(logs.wait_exit(LIMIT).await?.success(), "{}", logs.text());
        attach.wait_exit(LIMIT).await?;
        self.ok(&["rm", "ticker"]).await?;
        events.wait_line("destroy", LIMIT).await?;
        Ok(())
    }

    async fn copies_files(&self) -> Result<()> {
        let folder = Scratch::new("copies")?;
        let (source, copy) = (folder.path().join("source"), folder.path().join("copy"));
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        fs::write(&source, &bytes)?;
        self.ok(&["create", "--name", "box", "busybox", "true"])
            .await?;
        let source = source.to_str().context("path")?;
        self.ok(&["cp", source, "box:/tmp/file"]).await?;
        self.ok(&["cp", "box:/tmp/file", copy.to_str().context("path")?])
            .await?;
        ensure!(fs::read(&copy)? == bytes, "the copy differs");
        self.ok(&["rm", "box"]).await?;
        Ok(())
    }

    async fn builds_images(&self) -> Result<()> {
        let folder = Scratch::new("build")?;
        let steps =
            "FROM busybox\nCOPY typed /typed\nRUN echo built >>/typed\nCMD [\"cat\",\"/typed\"]\n";
        fs::write(folder.path().join("Dockerfile"), steps)?;
        fs::write(folder.path().join("typed"), "typed ")?;
        // Newer commands need a plugin for BuildKit that is not here.
        let has_buildkit = self.docker.version().starts_with("20.");
        for buildkit in ["0", "1"].into_iter().take(1 + usize::from(has_buildkit)) {
            let mut command = self.docker.command(self.host);
            command.env("DOCKER_BUILDKIT", buildkit);
            command.args([
                "build",
                "--no-cache",
                "--network",
                "none",
                "--tag",
                "built:1",
            ]);
            command.arg(folder.path());
            let build = Process::spawn("docker build", command, Streams::Pipes)?;
            ensure!(build.wait_exit(LIMIT).await?.success(), "{}", build.text());
            let said = self.ok(&["run", "--rm", "built:1"]).await?;
            ensure!(said == "typed built", "{said}");
            self.ok(&["rmi", "built:1"]).await?;
        }
        Ok(())
    }

    async fn hears_of_errors(&self) -> Result<()> {
        let missing = self.docker.run(self.host, &["inspect", "nobody"]).await?;
        ensure!(!missing.status.success(), "{missing:?}");
        ensure!(
            missing
                .stderr
                .to_lowercase()
                .contains("no such object: nobody"),
            "{missing:?}"
        );
        let rm = self.docker.run(self.host, &["rm", "nobody"]).await?;
        ensure!(
            !rm.status.success() && rm.stderr.contains("nobody"),
            "{rm:?}"
        );
        self.ok(&["create", "--name", "taken", "busybox", "true"])
            .await?;
        let twice = self
            .docker
            .run(self.host, &["create", "--name", "taken", "busybox", "true"]);
        let twice = twice.await?;
        ensure!(
            !twice.status.success() && twice.stderr.contains("taken"),
            "{twice:?}"
        );
        self.ok(&["rm", "taken"]).await?;
        Ok(())
    }

    fn at_terminal(&self, name: &str, arguments: &[&str]) -> Result<Process> {
        let mut command = self.docker.command(self.host);
        command.args(arguments);
        Process::spawn(name, command, Streams::Terminal)
    }
}
