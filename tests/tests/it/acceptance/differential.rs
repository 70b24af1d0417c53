//! The same commands against one engine alone, and against another of its kind behind swarm: the same answers, but for
//! what spec/classic.md section 4.13 and the README list.

use anyhow::{Context, Result, ensure};
use swarm_tests::docker::{self, Docker};
use swarm_tests::manager::Manager;
use swarm_tests::process::Streams;
use swarm_tests::{engines, real};

use super::world::{LIMIT, check_log};

/// The engine behind swarm; its name stands before the names of what it has.
const NAME: &str = "engine-2";

const DOCKERFILE: &str =
    "FROM busybox\nLABEL a=b\nENV X=1\nRUN echo built >/made\nCMD [\"cat\",\"/made\"]\n";

/// Commands, one after the other; `'…'` is one word. What follows ` < ` is typed in.
const COMMANDS: &[&str] = &[
    "run --name hi busybox echo hello",
    "run --detach --name web --label l=1 --env E=1 --hostname h --memory 64m --cpus 0.5 busybox sleep 600",
    "run --name hi busybox true",
    "run --rm busybox sh -c 'echo out; echo err >&2; exit 3'",
    "create --name later --publish 127.0.0.1:18077:80 --restart on-failure:3 --user 1 --workdir /tmp busybox sh",
    "port later",
    "start later",
    "start nothing",
    "exec web sh -c 'echo $E; exit 4'",
    "exec nothing true",
    "exec -i web cat < typed",
    "logs hi",
    "logs --tail 1 --timestamps=false hi",
    "logs nothing",
    "inspect --format '{{.Name}} {{.Config.Hostname}} {{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.State.Status}}' web",
    "inspect --format '{{json .HostConfig.PortBindings}} {{json .HostConfig.RestartPolicy}}' later",
    "inspect --size --format '{{.SizeRootFs}}' hi",
    "inspect nothing",
    "ps --format '{{.Image}} {{.Command}} {{.Names}} {{.Labels}}' --filter label=l --no-trunc",
    "ps --all --format '{{.Names}}' --filter name=hi --filter status=exited",
    "ps --filter nonsense=1",
    "diff hi",
    // An archive tells when its files were made.
    "exec web busybox touch -d @0 /etc/hostname",
    "cp web:/etc/hostname -",
    "cp web:/nothing -",
    "rename web web2",
    "rename web2 hi",
    "rename web2 web",
    "update --memory 32m --memory-swap 64m web",
    "pause web",
    "exec web true",
    "unpause web",
    "stop --time 1 web",
    "wait web",
    "start web",
    "kill --signal USR1 hi",
    "restart --time 1 web",
    "kill web",
    "kill web",
    "stats --no-stream --format '{{.MemUsage}}' hi",
    "commit --message kept --author me hi own:1",
    "commit nothing own:2",
    "image inspect --format '{{.Comment}} {{.Author}} {{json .RepoTags}}' own:1",
    "history --format '{{.CreatedBy}} {{.Comment}}' own:1",
    "history nothing",
    "tag own:1 own:2",
    "tag nothing own:2",
    "images --format '{{.Repository}}:{{.Tag}}' --filter reference=own",
    "rmi own:2",
    "rmi nothing",
    "rmi busybox",
    "build --tag built:1 - < DOCKERFILE",
    "run --rm built:1",
    "build - < FROM nothing/at-all\nBAD\n",
    "rmi built:1",
    "network create back --label n=1 --subnet 10.213.7.0/24",
    "network create back",
    "network inspect --format '{{.Name}} {{.Driver}} {{.Scope}} {{(index .IPAM.Config 0).Subnet}}' back",
    "network inspect nothing",
    "run --detach --name joined --network back --network-alias other busybox sleep 600",
    "network inspect --format '{{len .Containers}}' back",
    "network rm back",
    "network disconnect back joined",
    "network disconnect back joined",
    "network connect --ip 10.213.7.77 back joined",
    "network connect nothing joined",
    "network connect back nothing",
    "inspect --format '{{.NetworkSettings.Networks.back.IPAddress}}' joined",
    "rm joined",
    "rm --force joined",
    "network ls --format '{{.Name}} {{.Driver}} {{.Scope}}' --filter label=n",
    "network rm back",
    "network rm back",
    "volume create --label v=1 data",
    "volume create --driver nothing other",
    "volume ls --filter label=v --format '{{.Name}} {{.Driver}}'",
    "volume inspect --format '{{.Name}} {{.Driver}} {{json .Labels}}' data",
    "volume inspect nothing",
    "create --name uses --volume data:/data busybox",
    "volume rm data",
    "rm uses",
    "volume rm data",
    "system df --format '{{.Type}}'",
    "container prune --force",
    "image prune --force",
    "network prune --force",
    "volume prune --force",
    "container prune --force --filter nonsense=1",
    "plugin ls --format '{{.Name}}'",
    "plugin inspect nothing",
    "node ls",
    "service ls",
    "swarm leave",
    "swarm ca",
    "rm later",
    "rm --force web hi later",
    "rm nothing",
    "ps --all --quiet",
];

/// What answers in other words by design: the beginning of the commands, and why.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "run --name hi busybox true",
        "the conflict in classic Swarm's words",
    ),
    ("rename web2 hi", "the conflict in classic Swarm's words"),
    ("ps --format", "swarm's labels are shown"),
    (
        "ps --filter nonsense",
        "the words differ from one version of the engine to the next",
    ),
    ("exec web true", BY_ID),
    ("cp web:/nothing", BY_ID),
    ("kill", BY_ID),
];

const BY_ID: &str = "engines are told of containers by ID, and repeat it";

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_behind_swarm_answers_as_it_does_alone() -> Result<()> {
    if !real::engines()? {
        return Ok(());
    }
    let engines = engines::start(2).await?;
    let [alone, behind] = engines.as_slice() else {
        anyhow::bail!("two engines");
    };
    let discovery = format!("nodes://{}", behind.address());
    let manager = Manager::single(&discovery, &[], Streams::Pipes).await?;
    manager.wait_listening(LIMIT).await?;
    let mut failures = Vec::new();
    for docker in docker::all()? {
        let version = docker.version().to_owned();
        let alone = Side::new(&docker, alone.address().to_string());
        let swarm = Side::new(&docker, manager.address().to_string());
        for command in COMMANDS {
            let (one, other) = tokio::try_join!(alone.answer(command), swarm.answer(command))
                .with_context(|| format!("{version}: {command}"))?;
            let by_design = DIFFERENT
                .iter()
                .find(|(known, _)| command.starts_with(known));
            let differs = match by_design {
                None => one != other,
                Some(_) => one.lines().next() != other.lines().next(),
            };
            if differs {
                let reason = by_design.map_or("", |(_, reason)| reason);
                failures.push(format!(
                    "{version}: docker {command} {reason}\nalone:\n{one}\nbehind swarm:\n{other}"
                ));
            }
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    check_log(&manager.process.text())
}

struct Side<'a> {
    docker: &'a Docker,
    host: String,
}

impl<'a> Side<'a> {
    fn new(docker: &'a Docker, host: String) -> Self {
        Self { docker, host }
    }

    /// How the command ended and what it printed, without what is new each time.
    async fn answer(&self, command: &str) -> Result<String> {
        let (command, input) = command.split_once(" < ").unwrap_or((command, ""));
        let input = if input == "DOCKERFILE" {
            DOCKERFILE
        } else {
            input
        };
        let words = words(command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let run = self.docker.run_with(&self.host, &words, input, LIMIT);
        let finished = run.await?;
        let status = finished.status.code().unwrap_or(-1);
        Ok(format!(
            "{status}\n{}---\n{}",
            plain(&finished.stdout),
            plain(&finished.stderr)
        ))
    }
}

/// A command line's words.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in command.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Without IDs, which are new each time, and without the engine's name in front of others.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, found) = rest.split_at(at);
        plain.push_str(before);
        let end = found
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(found.len());
        let (run, after) = found.split_at(end);
        plain.push_str(if run.len() >= 12 { "<id>" } else { run });
        rest = after;
    }
    plain.push_str(rest);
    plain.replace(&format!("{NAME}/"), "")
}
