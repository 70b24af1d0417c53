//! The measurement, part by part.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use swarm_tests::manager::{self, Manager};
use swarm_tests::process::Streams;
use swarm_tests::scratch::Scratch;

use crate::client::{Client, occurrences};
use crate::engines::Engines;
use crate::figures::{Spread, each, mebibytes, millis, rate};
use crate::options::{Options, Part};
use crate::report::{self, Report};
use crate::{failover, load, machine};

const LIMIT: Duration = Duration::from_secs(1200);
/// Between two looks at a manager that gets ready.
const LOOK: Duration = Duration::from_millis(50);
/// A burst of events, less than a manager remembers for slow listeners.
const BURST: usize = 5_000;
const BURSTS: usize = 10;
/// What a log line says of an engine that was taken in.
const REGISTERED: &str = "Registered Engine";

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let mut report = Report::new(options.size);
    let binary = manager::optimised_binary().await?;
    eprintln!("{}, {} open files", binary.display(), machine::file_limit());
    if options.wants(Part::Ready) {
        start_alone(&mut report).await?;
    }
    let engines = Engines::start(options.size).await?;
    let others = [Part::Ready, Part::Reads, Part::Creates, Part::Events];
    if others.into_iter().any(|part| options.wants(part)) {
        let manager = start(options, &engines, &mut report).await?;
        let measured = measure(options, &engines, &manager, &mut report);
        if options.debug {
            eprintln!("{}", manager.process.text());
        }
        measured?;
    }
    if options.wants(Part::Failover) {
        failover::measure(options, &engines, &mut report).await?;
    }
    Ok(report)
}

/// Logs that no more than a default start writes, unless all was asked for.
pub(crate) fn arguments(options: &Options) -> Vec<&'static str> {
    match options.debug {
        true => vec!["--debug"],
        false => Vec::new(),
    }
}

async fn start_alone(report: &mut Report) -> Result<()> {
    let scratch = Scratch::new("bench")?;
    let path = scratch.path().join("engines");
    std::fs::write(&path, "")?;
    let manager =
        Manager::single(&format!("file://{}", path.display()), &[], Streams::Pipes).await?;
    manager.wait_listening(LIMIT).await?;
    let resident = manager.process.resident()?;
    report.add(report::MEMORY_AT_START, mebibytes(resident));
    Ok(())
}

async fn start(options: &Options, engines: &Engines, report: &mut Report) -> Result<Manager> {
    let arguments = arguments(options);
    let manager = Manager::single(&engines.discovery()?, &arguments, Streams::Pipes).await?;
    let id = manager.process.id();
    let wanted = usize::try_from(options.size.engines)?;
    let ready = loop {
        let registered = |line: &swarm_tests::process::Line| line.text.contains(REGISTERED);
        let lines = manager.process.lines();
        let mut registered = lines.iter().filter(|line| registered(line));
        if let Some(last) = registered.nth(wanted - 1) {
            break last.at - manager.process.started();
        }
        ensure!(
            manager.process.started().elapsed() < LIMIT && manager.process.is_running()?,
            "not all engines were taken in; the log ends:\n{}",
            tail(&manager.process.text())
        );
        tokio::time::sleep(LOOK).await;
    };
    let files = machine::open_files(id)?;
    report.add(
        report::READY,
        format!(
            "{:.2} s; {} ms CPU of the manager, {} ms of the engines, {files} files open",
            ready.as_secs_f64(),
            millis(machine::cpu(id)?),
            millis(machine::cpu(engines.process.id())?),
        ),
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    let resident = manager.process.resident()?;
    let containers = u64::try_from(options.size.all_containers())?;
    report.add(
        report::MEMORY,
        format!(
            "{} when ready, {} bytes for each container",
            mebibytes(resident),
            resident / containers
        ),
    );
    Ok(manager)
}

fn measure(
    options: &Options,
    engines: &Engines,
    manager: &Manager,
    report: &mut Report,
) -> Result<()> {
    let server = manager.address();
    let listed = count_containers(server)?;
    ensure!(
        listed == options.size.all_containers(),
        "{listed} containers listed instead of {}",
        options.size.all_containers()
    );
    if options.wants(Part::Reads) {
        reads(options, manager, report)?;
    }
    if options.wants(Part::Creates) {
        creates(options, engines, manager, report)?;
    }
    if options.wants(Part::Events) {
        events(engines, manager, report)?;
    }
    let resident = manager.process.resident()?;
    report.add("RSS at the end", mebibytes(resident));
    Ok(())
}

/// How many containers `ps -a` shows.
pub(crate) fn count_containers(server: SocketAddr) -> Result<usize> {
    let mut client = Client::open(server)?;
    let list = client.expect("GET", "/v1.41/containers/json?all=1", "")?;
    Ok(occurrences(list, r#""ImageID":"#))
}

fn reads(options: &Options, manager: &Manager, report: &mut Report) -> Result<()> {
    let id = manager.process.id();
    let server = manager.address();
    let mut measure = |what: &'static str, cpu: &'static str, path: &str| -> Result<()> {
        let before = machine::cpu(id)?;
        let (all, length) = load::repeat(server, path, options.rate_for)?;
        let spread = Spread::of(all);
        let used = each(machine::cpu(id)? - before, spread.count);
        report.add(what, spread);
        if what == report::LIST {
            let bare = load::repeat_bare(length, options.rate_for)?;
            report.add("as many bytes through a bare socket", Spread::of(bare));
        }
        report.add(cpu, format!("{:.1} us", used.as_secs_f64() * 1e6));
        Ok(())
    };
    measure("ping", "ping, CPU of the manager", "/_ping")?;
    measure(report::INFO, "info, CPU of the manager", "/v1.41/info")?;
    let list = "/v1.41/containers/json?all=1";
    measure(report::LIST, "ps -a, CPU of the manager", list)?;
    let few = "/v1.41/containers/json?filters=%7B%22name%22%3A%5B%22web-7-7%22%5D%7D";
    measure("ps of one name", "ps of one name, CPU of the manager", few)?;
    let inspect = "/v1.41/containers/web-7-7/json";
    measure("inspect", report::INSPECT_CPU, inspect)
}

fn creates(
    options: &Options,
    engines: &Engines,
    manager: &Manager,
    report: &mut Report,
) -> Result<()> {
    let direct = SocketAddr::V4(engines.address(0));
    let (direct, _) = load::at_once(direct, 1, Duration::from_secs(1), load::create_directly)?;
    let direct = Spread::of(direct);
    report.add("the same asked of an engine", direct);
    let kinds = [
        (1, "create+start, 1 client", "create+start, 1 client, rate"),
        (32, "create+start, 32 clients", report::CREATE_RATE),
    ];
    for (clients, latency, rates) in kinds {
        let ids = [manager.process.id(), engines.process.id()];
        let [before, engines_before] = ids.map(machine::cpu);
        let (all, took) = load::at_once(
            manager.address(),
            clients,
            options.rate_for,
            load::create_and_start,
        )?;
        let [after, engines_after] = ids.map(machine::cpu);
        let spread = Spread::of(all);
        report.add(latency, spread);
        if clients == 1 {
            let share = |whole: Duration| millis(whole.saturating_sub(direct.median));
            let (median, p99) = (share(spread.median), share(spread.p99));
            report.add(report::CREATE_SHARE, format!("p50 {median}, p99 {p99} ms"));
        }
        report.add(
            rates,
            format!(
                "{:.0} /s; CPU for each: {} ms of the manager, {} ms of the engines",
                rate(spread.count, took),
                millis(each(after? - before?, spread.count)),
                millis(each(engines_after? - engines_before?, spread.count)),
            ),
        );
    }
    Ok(())
}

fn events(engines: &Engines, manager: &Manager, report: &mut Report) -> Result<()> {
    let id = manager.process.id();
    let mut listener = Client::listen(manager.address())?;
    let mut engine = Client::open(SocketAddr::V4(engines.address(0)))?;
    let before = machine::cpu(id)?;
    let start = Instant::now();
    for _ in 0..BURSTS {
        engine.expect("POST", &format!("/_bench/events/{BURST}"), "")?;
        listener
            .lines(r#""status":"exec_start: true""#, BURST)
            .context("events were lost")?;
    }
    let (took, count) = (start.elapsed(), BURST * BURSTS);
    let used = each(machine::cpu(id)? - before, count);
    report.add(
        "events through /events",
        format!(
            "{:.0} /s; CPU of the manager for each: {:.0} us",
            rate(count, took),
            used.as_secs_f64() * 1e6
        ),
    );
    Ok(())
}

/// The end of a log that may be long.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
