//! A plan as a scenario to paste into `all/`: what the shrinker hands to whoever mends a failure.

use swarm_sim::plan::{Host, How, Knobs, Op, Phases, Plan, RefuseWhich, Topology, Way, Workload};

/// The scenario that runs `plan`, as Rust. `name` may be anything; it becomes a name.
#[must_use]
pub fn as_code(name: &str, plan: &Plan, story: &str) -> String {
    let mut calls = vec![
        format!(".family({:?})", "found by the testbed"),
        format!(".story({story:?})"),
        format!(".seed({})", plan.seed),
    ];
    calls.extend(topology(&plan.topology));
    calls.extend(knobs(&plan.knobs));
    calls.extend(workload(&plan.workload));
    calls.extend(phases(&plan.phases));
    for fault in &plan.faults {
        let lasting = if fault.op.has_end() {
            format!(".lasting({})", time(fault.lasts_ms))
        } else {
            String::new()
        };
        let at = time(fault.at_ms);
        calls.push(format!(".at({at}){}{lasting}", operation(&fault.op)));
    }
    if let Some(op) = &plan.drill {
        calls.push(format!(".drill({})", literal(op)));
    }
    let lines: Vec<String> = calls.iter().map(|call| format!("    {call}\n")).collect();
    format!(
        "Scenario::named({:?})\n{}",
        identifier(name),
        lines.concat()
    )
}

fn identifier(name: &str) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    name.chars().map(letter).collect()
}

fn time(ms: u64) -> String {
    if ms >= 1_000 && ms.is_multiple_of(1_000) {
        format!("{}.secs()", ms / 1_000)
    } else {
        format!("{ms}.ms()")
    }
}

/// `call` if `differs`.
fn if_differs(differs: bool, call: String) -> Option<String> {
    differs.then_some(call)
}

fn topology(now: &Topology) -> Vec<String> {
    let usual = Topology::default();
    let calls = [
        if_differs(
            now.managers != usual.managers,
            format!(".managers({})", now.managers),
        ),
        if_differs(
            now.stores != usual.stores,
            format!(".stores({})", now.stores),
        ),
        if_differs(
            now.engines != usual.engines,
            format!(".engines({})", now.engines),
        ),
        if_differs(now.agents, ".agents()".to_owned()),
    ];
    calls.into_iter().flatten().collect()
}

fn knobs(now: &Knobs) -> Vec<String> {
    let usual = Knobs::default();
    let latency = (now.latency_min_us, now.latency_max_us);
    let calls = [
        if_differs(
            now.lease_ms != usual.lease_ms,
            format!(".lease({})", time(now.lease_ms)),
        ),
        if_differs(
            now.primary_wait_ms != usual.primary_wait_ms,
            format!(".primary_wait({})", time(now.primary_wait_ms)),
        ),
        if_differs(!now.verify, ".fence_by_lease()".to_owned()),
        if_differs(
            now.clock_error_ppm != usual.clock_error_ppm,
            format!(".clock_error_ppm({})", now.clock_error_ppm),
        ),
        if_differs(
            latency != (usual.latency_min_us, usual.latency_max_us),
            format!(
                ".latency(Duration::from_micros({}), Duration::from_micros({}))",
                latency.0, latency.1
            ),
        ),
        if_differs(
            now.loss_per_mille != usual.loss_per_mille,
            format!(".loss_per_mille({})", now.loss_per_mille),
        ),
        if_differs(
            now.refresh_ms != usual.refresh_ms,
            format!(".refresh({})", time(now.refresh_ms)),
        ),
        if_differs(
            now.tick_ms != usual.tick_ms,
            format!(".tick({})", time(now.tick_ms)),
        ),
    ];
    calls.into_iter().flatten().collect()
}

fn workload(now: &Workload) -> Vec<String> {
    let usual = Workload::default();
    let calls = [
        if_differs(
            (now.readers, now.writers) != (usual.readers, usual.writers),
            format!(".clients({}, {})", now.readers, now.writers),
        ),
        if_differs(
            now.streams != usual.streams,
            format!(".streams({})", now.streams),
        ),
        if_differs(
            now.attachers != usual.attachers,
            format!(".attachers({})", now.attachers),
        ),
        if_differs(
            now.uploaders != usual.uploaders,
            format!(".uploaders({})", now.uploaders),
        ),
        if_differs(
            now.pace_ms != usual.pace_ms,
            format!(".pace({})", time(now.pace_ms)),
        ),
    ];
    calls.into_iter().flatten().collect()
}

fn phases(now: &Phases) -> Vec<String> {
    let usual = Phases::default();
    let calls = [
        if_differs(
            now.warm_up_ms != usual.warm_up_ms,
            format!(".warm_up({})", time(now.warm_up_ms)),
        ),
        if_differs(
            now.faults_ms != usual.faults_ms,
            format!(".faults_for({})", time(now.faults_ms)),
        ),
        if_differs(
            now.recovery_ms != usual.recovery_ms,
            format!(".recovery({})", time(now.recovery_ms)),
        ),
        if_differs(
            now.proof_ms != usual.proof_ms,
            format!(".proof({})", time(now.proof_ms)),
        ),
    ];
    calls.into_iter().flatten().collect()
}

fn host(host: &Host) -> String {
    match host {
        Host::Manager(n) => format!("manager({n})"),
        Host::Store(n) => format!("store({n})"),
        Host::Engine(n) => format!("engine({n})"),
        Host::Client(n) => format!("client({n})"),
        Host::Primary => "primary()".to_owned(),
        Host::Replica => "replica()".to_owned(),
        Host::SecondReplica => "second_replica()".to_owned(),
        Host::StoreLeader => "store_leader()".to_owned(),
    }
}

const fn way(way: Way) -> &'static str {
    match way {
        Way::Both => "Way::Both",
        Way::Forth => "Way::Forth",
        Way::Back => "Way::Back",
    }
}

const fn how(how: How) -> &'static str {
    match how {
        How::Hold => "How::Hold",
        How::Refuse => "How::Refuse",
    }
}

/// The call that the language of scenarios has for it, or the operation itself.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever has no word of its own is written as it is"
)]
fn operation(op: &Op) -> String {
    match op {
        Op::Kill {
            host: h,
            guard: true,
        } => format!(".kill({})", host(h)),
        Op::Kill {
            host: h,
            guard: false,
        } => format!(".kill_with_guard({})", host(h)),
        Op::PowerLoss { host: h } => format!(".power_loss({})", host(h)),
        Op::Terminate { host: h } => format!(".terminate({})", host(h)),
        Op::StepDown { host: h } => format!(".step_down({})", host(h)),
        Op::Pause { host: h } => format!(".pause({})", host(h)),
        Op::Freeze { host: h } => format!(".freeze({})", host(h)),
        Op::Isolate {
            host: h,
            way: Way::Both,
        } => format!(".isolate({})", host(h)),
        Op::Cut {
            from,
            to,
            way: Way::Both,
            how: How::Hold,
        } => format!(".cut({}, {})", host(from), host(to)),
        other => format!(".op({})", literal(other)),
    }
}

/// The operation as a Rust expression.
fn literal(op: &Op) -> String {
    let ms = |name: &str, ms: u64| format!("Op::{name} {{ ms: {ms} }}");
    let at = |name: &str, h: &Host| format!("Op::{name} {{ host: {} }}", host(h));
    let and =
        |name: &str, h: &Host, rest: String| format!("Op::{name} {{ host: {}, {rest} }}", host(h));
    let link = |name: &str, from: &Host, to: &Host, rest: String| {
        format!(
            "Op::{name} {{ from: {}, to: {}, {rest} }}",
            host(from),
            host(to)
        )
    };
    match op {
        Op::Kill { host, guard } => and("Kill", host, format!("guard: {guard}")),
        Op::PowerLoss { host } => at("PowerLoss", host),
        Op::Terminate { host } => at("Terminate", host),
        Op::StepDown { host } => at("StepDown", host),
        Op::Pause { host } => at("Pause", host),
        Op::Freeze { host } => at("Freeze", host),
        Op::Slow { host, every_ms } => and("Slow", host, format!("every_ms: {every_ms}")),
        Op::Cut {
            from,
            to,
            way: direction,
            how: kind,
        } => link(
            "Cut",
            from,
            to,
            format!("way: {}, how: {}", way(*direction), how(*kind)),
        ),
        Op::Isolate {
            host,
            way: direction,
        } => and("Isolate", host, format!("way: {}", way(*direction))),
        Op::Split { sides } => {
            let sides: Vec<String> = sides.iter().map(|side| list(side)).collect();
            format!("Op::Split {{ sides: vec![{}] }}", sides.join(", "))
        }
        Op::Delay { from, to, ms } => link("Delay", from, to, format!("ms: {ms}")),
        Op::Flap { from, to, every_ms } => link("Flap", from, to, format!("every_ms: {every_ms}")),
        Op::Chop { host, bytes } => and("Chop", host, format!("bytes: {bytes}")),
        Op::Rate { host, ppm } => and("Rate", host, format!("ppm: {ppm}")),
        Op::WallStep { host, seconds } => and("WallStep", host, format!("seconds: {seconds}")),
        Op::ClockJump { host, ms } => and("ClockJump", host, format!("ms: {ms}")),
        Op::NoStoreLeader => "Op::NoStoreLeader".to_owned(),
        Op::NewStoreLeader => "Op::NewStoreLeader".to_owned(),
        Op::StoreRefuses { which } => {
            let which = match which {
                RefuseWhich::All => "All",
                RefuseWhich::Writes => "Writes",
                RefuseWhich::Reads => "Reads",
            };
            format!("Op::StoreRefuses {{ which: RefuseWhich::{which} }}")
        }
        Op::SlowWrites { ms: late } => ms("SlowWrites", *late),
        Op::SlowReplies { ms: late } => ms("SlowReplies", *late),
        Op::SlowReads { ms: late } => ms("SlowReads", *late),
        Op::StaleReads { ms: late } => ms("StaleReads", *late),
        Op::RegressingReads { ms: late } => ms("RegressingReads", *late),
        Op::DeafWatches => "Op::DeafWatches".to_owned(),
        Op::LateWatches { ms: late } => ms("LateWatches", *late),
        Op::StuckWatches => "Op::StuckWatches".to_owned(),
        Op::LostReplies { count, applied } => {
            format!("Op::LostReplies {{ count: {count}, applied: {applied} }}")
        }
        Op::Wipe => "Op::Wipe".to_owned(),
        Op::Rollback { ms: ago } => ms("Rollback", *ago),
        Op::Renumber => "Op::Renumber".to_owned(),
        Op::DeleteRecord => "Op::DeleteRecord".to_owned(),
        Op::Usurp => "Op::Usurp".to_owned(),
        Op::Scribble => "Op::Scribble".to_owned(),
        Op::CutEvents { host } => at("CutEvents", host),
    }
}

fn list(hosts: &[Host]) -> String {
    let hosts: Vec<String> = hosts.iter().map(host).collect();
    format!("vec![{}]", hosts.join(", "))
}
