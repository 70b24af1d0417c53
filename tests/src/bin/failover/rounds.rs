//! The cluster under test, and one round of one fault.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::json;
use swarm_tests::certs::Certificates;
use swarm_tests::cluster::{self, status};
use swarm_tests::fault::Fault;
use swarm_tests::http::Server;
use swarm_tests::manager::{self, Manager};
use swarm_tests::modelled::ModelledEngine;
use swarm_tests::process::{Process, Streams};
use swarm_tests::servers::Servers;
use swarm_tests::{agent, http as client, wait};

use crate::clients::{Client, LABEL, Sample, longest_gap};
use crate::options::Options;
use crate::report::Creates;

const MANAGERS: usize = 3;
const ENGINES: usize = 3;
const LIMIT: Duration = Duration::from_secs(60);
/// How long clients work before the fault, and after the new primary serves.
const LEAD: Duration = Duration::from_millis(120);
/// How long a stopped primary goes on before it is killed: it must not do harm.
const RELAPSE: Duration = Duration::from_millis(200);

pub(crate) struct Bench {
    managers: Vec<Manager>,
    engines: Vec<ModelledEngine>,
    _agents: Vec<Process>,
    // Managers and agents go first: without their store they would only complain.
    store: Servers,
    turn: usize,
    acknowledged: BTreeSet<u64>,
    refused: BTreeSet<u64>,
}

/// What the clients saw of one fault.
pub(crate) struct Outcome {
    fault: Fault,
    pub(crate) read_gap: Duration,
    pub(crate) write_gap: Duration,
    pub(crate) reads: usize,
    pub(crate) failed_reads: Vec<String>,
    pub(crate) failed_creates: Vec<String>,
    /// The logs around the fault, in one order.
    pub(crate) story: String,
}

impl Bench {
    pub(crate) async fn start(options: &Options) -> Result<Self> {
        let binary = manager::optimised_binary().await?;
        let certs = match options.tls {
            true => Some(Certificates::new().await?),
            false => None,
        };
        let store = Servers::start(options.store, options.members, certs.clone()).await?;
        let certs = certs.as_deref();
        let mut of_store = Vec::new();
        for option in certs.map(Certificates::store_options).unwrap_or_default() {
            of_store.extend(["--discovery-opt".to_owned(), option]);
        }
        let of_store: Vec<&str> = of_store.iter().map(String::as_str).collect();
        let (mut engines, mut agents) = (Vec::new(), Vec::new());
        for number in 1..=ENGINES {
            let engine = ModelledEngine::start_with(&format!("node-{number}"), certs).await?;
            agents.push(agent::join(engine.address(), &store.discovery(), &of_store).await?);
            engines.push(engine);
        }
        eprintln!("{}, {}", binary.display(), store.discovery());
        let of_managers = certs.map(Certificates::manager_flags).unwrap_or_default();
        let mut flags = vec!["--replication-ttl", &options.lease_text];
        flags.extend(of_store);
        flags.extend(of_managers.iter().map(String::as_str));
        flags.extend(options.logs.then_some("--debug"));
        let managers = start_managers(&store, &flags, certs).await?;
        let (primary, _) = cluster::settled(&managers, ENGINES, LIMIT).await?;
        run_one_for_each_engine(managers.get(primary).context("primary")?).await?;
        Ok(Self {
            managers,
            engines,
            _agents: agents,
            store,
            turn: 0,
            acknowledged: BTreeSet::new(),
            refused: BTreeSet::new(),
        })
    }

    /// Strikes under load, waits until there is a primary that serves, and makes the cluster whole.
    pub(crate) async fn round(&mut self, fault: Fault) -> Result<Outcome> {
        let (victim, epoch) = cluster::settled(&self.managers, ENGINES, LIMIT).await?;
        self.turn += 1;
        // One time the replica that clients use is the next primary, another time it is not.
        let observer = (victim + 1 + self.turn % 2) % self.managers.len();
        let server = self.manager(observer)?.server();
        self.wait_containers(&server).await?;
        let readers = [
            Client::reads_kept(server.clone(), ENGINES),
            Client::reads_fresh(server.clone(), ENGINES),
        ];
        let creator = Client::creates(server.clone());
        tokio::time::sleep(LEAD).await;
        let before = Instant::now();
        for client in readers.iter().chain([&creator]) {
            wait::until("the clients work", LIMIT, async || {
                client.succeeded_after(before).then_some(())
            })
            .await?;
        }

        let victim_process = self.managers.get(victim).context("no such manager")?;
        let at = fault.strike(victim_process, &mut self.store).await?;
        wait::until("a primary", LIMIT, async || {
            let now = status(server.clone()).await.ok()?;
            let follows = fault.is_of_store() || now.epoch > epoch;
            (follows && now.primary.is_some()).then_some(())
        })
        .await
        .with_context(|| cluster::logs(&self.managers))?;
        let elected = Instant::now();
        wait::until("creates succeed", LIMIT, async || {
            creator.succeeded_after(elected).then_some(())
        })
        .await
        .with_context(|| cluster::logs(&self.managers))?;
        tokio::time::sleep(LEAD).await;
        let ended = Instant::now();
        self.relapse(victim, fault).await?;

        let writes = creator.finish().await?;
        let mut outcome = Outcome::of_creates(fault, at, ended, &writes);
        self.note_creates(&writes);
        for reader in readers {
            outcome.add_reads(at, ended, &reader.finish().await?);
        }
        outcome.story = self.story(at, victim, observer);
        self.heal(victim, fault).await?;
        Ok(outcome)
    }

    /// Each acknowledged create was done exactly once, each other at most once.
    pub(crate) fn check_creates(&self) -> Creates {
        let done = |label: &u64| {
            let engines = self.engines.iter();
            engines
                .map(|one| one.engine.creates_labelled(LABEL, &label.to_string()).len())
                .sum::<usize>()
        };
        let all = || self.acknowledged.iter().chain(&self.refused);
        Creates {
            acknowledged: self.acknowledged.len(),
            refused: self.refused.len(),
            lost: self
                .acknowledged
                .iter()
                .filter(|label| done(label) == 0)
                .count(),
            doubled: all().filter(|label| done(label) > 1).count(),
        }
    }

    fn manager(&self, index: usize) -> Result<&Manager> {
        self.managers.get(index).context("no such manager")
    }

    /// A manager that came back lists the containers only once its view is warm.
    async fn wait_containers(&self, server: &Server) -> Result<()> {
        wait::until("all containers are listed", LIMIT, async || {
            let answer = client::get(server.clone(), "/containers/json").await.ok()?;
            (answer.json().ok()?.as_array()?.len() == ENGINES).then_some(())
        })
        .await
    }

    async fn relapse(&self, victim: usize, fault: Fault) -> Result<()> {
        if fault == Fault::StopGroup {
            let victim = self.manager(victim)?;
            victim.process.signal_group(Signal::CONT)?;
            tokio::time::sleep(RELAPSE).await;
            victim.process.signal_group(Signal::KILL)?;
        }
        Ok(())
    }

    async fn heal(&mut self, victim: usize, fault: Fault) -> Result<()> {
        if fault == Fault::StepDown || fault.is_of_store() {
            return Ok(());
        }
        if fault == Fault::Term {
            let status = self.manager(victim)?.process.wait_exit(LIMIT).await?;
            if !status.success() {
                bail!("after SIGTERM a manager ended with {status}");
            }
        }
        let manager = self.managers.remove(victim).restart().await?;
        manager.wait_listening(LIMIT).await?;
        self.managers.insert(victim, manager);
        Ok(())
    }

    fn note_creates(&mut self, samples: &[Sample]) {
        for sample in samples {
            let Some(label) = sample.label else { continue };
            match sample.failure {
                None => self.acknowledged.insert(label),
                Some(_) => self.refused.insert(label),
            };
        }
    }

    fn story(&self, at: Instant, victim: usize, observer: usize) -> String {
        let mut lines = Vec::new();
        for (index, manager) in self.managers.iter().enumerate() {
            let role = match index {
                _ if index == victim => "victim",
                _ if index == observer => "observer",
                _ => "other",
            };
            for line in manager.process.lines() {
                if line.at + Duration::from_millis(50) >= at {
                    lines.push((line.at, role, line.text));
                }
            }
        }
        lines.sort_by_key(|(at, ..)| *at);
        let told = lines.into_iter().map(|(when, role, text)| {
            let millis = match when.checked_duration_since(at) {
                Some(after) => after.as_secs_f64() * 1e3,
                None => -(at - when).as_secs_f64() * 1e3,
            };
            format!("{millis:9.2} ms {role:8} {text}\n")
        });
        told.collect()
    }
}

impl Outcome {
    fn of_creates(fault: Fault, at: Instant, ended: Instant, samples: &[Sample]) -> Self {
        let (write_gap, _) = longest_gap(&until(samples, ended), at);
        Self {
            fault,
            read_gap: Duration::ZERO,
            write_gap,
            reads: 0,
            failed_reads: Vec::new(),
            failed_creates: samples
                .iter()
                .filter_map(|one| one.failure.clone())
                .collect(),
            story: String::new(),
        }
    }

    fn add_reads(&mut self, at: Instant, ended: Instant, samples: &[Sample]) {
        let (gap, _) = longest_gap(&until(samples, ended), at);
        self.read_gap = self.read_gap.max(gap);
        self.reads += samples.len();
        self.failed_reads
            .extend(samples.iter().filter_map(|one| one.failure.clone()));
    }

    pub(crate) fn is_over(&self, budget: Duration) -> bool {
        self.read_gap > budget || !self.failed_reads.is_empty() || !self.failed_creates.is_empty()
    }
}

async fn start_managers(
    store: &Servers,
    flags: &[&str],
    certs: Option<&Certificates>,
) -> Result<Vec<Manager>> {
    let mut managers = Vec::new();
    for _ in 0..MANAGERS {
        let mut manager = Manager::replicated(&store.discovery(), flags, Streams::Pipes).await?;
        if let Some(certs) = certs {
            manager = manager.spoken_to_with(certs.client()?);
        }
        manager.wait_listening(LIMIT).await?;
        managers.push(manager);
    }
    Ok(managers)
}

async fn run_one_for_each_engine(primary: &Manager) -> Result<()> {
    for _ in 0..ENGINES {
        let body = json!({"Image": "busybox", "Cmd": ["sleep", "1000000"]});
        let created = client::post_json(primary.server(), "/containers/create", &body).await?;
        let created = created.success()?.json()?;
        let id = created
            .get("Id")
            .and_then(|id| id.as_str())
            .context("no id")?;
        client::post(primary.server(), &format!("/containers/{id}/start"))
            .await?
            .success()?;
    }
    Ok(())
}

/// What happens after the measurement counts as failed or not, but not as a gap.
fn until(samples: &[Sample], ended: Instant) -> Vec<Sample> {
    let within = samples.iter().filter(|sample| sample.done <= ended);
    within.cloned().collect()
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:13} read gap {:7.1} ms, create gap {:7.1} ms, {} of {} reads failed, {} creates refused",
            self.fault,
            self.read_gap.as_secs_f64() * 1e3,
            self.write_gap.as_secs_f64() * 1e3,
            self.failed_reads.len(),
            self.reads,
            self.failed_creates.len()
        )?;
        for failure in self.failed_reads.iter().chain(&self.failed_creates).take(4) {
            write!(f, "\n    {failure}")?;
        }
        Ok(())
    }
}
