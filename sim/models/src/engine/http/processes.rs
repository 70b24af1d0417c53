//! What runs in a container: wait, top, stats, resize.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use swarm_core::time::Wall;

use super::super::clock::rfc3339;
use super::super::container::{Container, Id, Phase};
use super::super::refusal::{Answer, Refusal};
use super::super::state::State;
use super::{Call, Reply, ok, streamed};
use crate::unfold::unfold;

/// How often statistics are sent.
const STATS_EVERY: Duration = Duration::from_secs(1);

/// Answers once the container has ended. The head goes out at once: the CLI waits for it before it starts the
/// container.
pub(super) fn wait(call: &Call, name: &str) -> Reply {
    let condition = call.query.text("condition").unwrap_or_default();
    let condition = match condition {
        "" | "not-running" => Condition::NotRunning,
        "next-exit" => Condition::NextExit,
        "removed" => Condition::Removed,
        other => return Err(Refusal::bad(format!("invalid condition: \"{other}\""))),
    };
    let console = Arc::clone(&call.engine.current().container(name)?.console);
    let exits = console.lock().exits;
    let engine = Arc::clone(&call.engine);
    let body = unfold(false, move |done| {
        let (engine, console) = (Arc::clone(&engine), Arc::clone(&console));
        Box::pin(async move {
            if done {
                return None;
            }
            let code = engine
                .until(|_| {
                    let console = console.lock();
                    let over = match condition {
                        Condition::NotRunning => !console.running,
                        Condition::NextExit => console.exits > exits || console.removed,
                        Condition::Removed => console.removed,
                    };
                    over.then_some(console.code)
                })
                .await;
            let answer = json!({"Error": null, "StatusCode": code});
            Some((Bytes::from(format!("{answer}\n")), true))
        })
    });
    streamed("application/json", body)
}

#[derive(Clone, Copy)]
enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

pub(super) fn resize(call: &Call, name: &str) -> Reply {
    let size = [call.query.number("h"), call.query.number("w")];
    if size.contains(&None) {
        return Err(Refusal::bad("height and width must be numbers"));
    }
    call.engine.edit(|state| {
        let id = running(state, name)?;
        state.emit_container(&id, "resize", &[]);
        Ok(())
    })?;
    Ok(super::with_body(http::StatusCode::OK, super::empty()))
}

fn running(state: &State, name: &str) -> Answer<Id> {
    let container = state.container(name)?;
    match container.phase {
        Phase::Running | Phase::Paused => Ok(Arc::clone(&container.id)),
        Phase::Created | Phase::Exited | Phase::Dead => Err(Refusal::conflict(format!(
            "Container {} is not running",
            container.id
        ))),
    }
}

pub(super) fn top(call: &Call, name: &str) -> Reply {
    call.engine.edit(|state| {
        let id = running(state, name)?;
        state.emit_container(&id, "top", &[]);
        Ok(())
    })?;
    let state = call.engine.current();
    let container = state.container(name)?;
    let start = container.started.rfc3339();
    let start = start.get(11..16).unwrap_or_default();
    let row = |pid: u64, parent: u64, command: &[String]| {
        let (pid, parent) = (pid.to_string(), parent.to_string());
        json!([
            "root",
            pid,
            parent,
            "0",
            start,
            "?",
            "00:00:00",
            command.join(" ")
        ])
    };
    let mut rows = vec![row(container.pid, 1, &container.spec.command)];
    let execs = container.execs.iter().filter_map(|id| state.execs.get(id));
    let alive = execs.filter(|exec| exec.started && exec.exit_code.is_none());
    rows.extend(alive.map(|exec| row(exec.pid, container.pid, &exec.command)));
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
    ok(&json!({"Titles": titles, "Processes": rows}))
}

pub(super) fn stats(call: &Call, name: &str) -> Reply {
    let stream = call.query.flag_or("stream", true);
    let id = Arc::clone(&call.engine.current().container(name)?.id);
    let engine = Arc::clone(&call.engine);
    let body = unfold(0_u64, move |sent| {
        let (engine, id) = (Arc::clone(&engine), Arc::clone(&id));
        Box::pin(async move {
            if sent > 0 {
                if !stream {
                    return None;
                }
                engine.host.sleep(STATS_EVERY).await;
            }
            let sample = engine.until(|state| Some(sample(state, &id))).await?;
            Some((Bytes::from(format!("{sample}\n")), sent + 1))
        })
    });
    streamed("application/json", body)
}

/// Numbers that follow from the time the container ran; `None` once it is gone.
fn sample(state: &State, id: &Id) -> Option<Value> {
    let container = state.containers.get(id)?;
    let now = state.wall();
    let before = now.0.saturating_sub(1_000_000_000);
    let cpus = u64::from(state.options.cpus);
    let ran = |at: u64| {
        if container.is_up() {
            at.saturating_sub(container.started.0)
        } else {
            0
        }
    };
    // One per mille of a CPU.
    let cpu = |at: u64| {
        json!({
            "cpu_usage": {
                "total_usage": ran(at) / 1_000,
                "percpu_usage": [],
                "usage_in_kernelmode": 0,
                "usage_in_usermode": ran(at) / 1_000,
            },
            "system_cpu_usage": at.saturating_mul(cpus) % (1 << 62),
            "online_cpus": cpus,
            "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
        })
    };
    Some(json!({
        "read": rfc3339(now),
        "preread": rfc3339(Wall(before)),
        "pids_stats": {"current": u8::from(container.is_up())},
        "blkio_stats": {"io_service_bytes_recursive": []},
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu(now.0),
        "precpu_stats": cpu(before),
        "memory_stats": memory(state, container),
        "name": format!("/{}", container.name),
        "id": id.as_ref(),
        "networks": {"eth0": {
            "rx_bytes": 0, "rx_packets": 0, "rx_errors": 0, "rx_dropped": 0,
            "tx_bytes": 0, "tx_packets": 0, "tx_errors": 0, "tx_dropped": 0,
        }},
    }))
}

fn memory(state: &State, container: &Container) -> Value {
    if !container.is_up() {
        return json!({});
    }
    json!({
        "usage": 1 << 20,
        "stats": {"cache": 0, "inactive_file": 0},
        "limit": state.options.memory_bytes,
    })
}
