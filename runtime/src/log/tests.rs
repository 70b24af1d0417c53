use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use swarm_core::time::{Mono, Wall};
use tracing::subscriber::with_default;
use tracing_subscriber::layer::SubscriberExt;

use super::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const TERMINAL: Format = Format::Terminal { color: false };

/// What is written while `work` runs, three seconds after the start.
fn captured(level: LogLevel, format: Format, work: impl FnOnce()) -> String {
    let out = Captured::default();
    let now = Arc::new(AtomicU64::new(5_000_000_000));
    let read = now.clone();
    let clock = LogClock::new(
        move || Mono(read.load(Ordering::Relaxed)),
        || Wall(1_709_251_170 * 1_000_000_000 + 7),
    );
    now.store(8_500_000_000, Ordering::Relaxed);
    let layer = layer(LogOptions { level, format }, clock, Box::new(out.clone()));
    with_default(tracing_subscriber::registry().with(layer), work);
    let bytes = out.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn listening() {
    tracing::info!(target: "swarm::http", proto = "tcp", addr = ":4000", "Listening for HTTP");
}

#[test]
fn a_terminal_shows_what_the_users_document_shows() {
    assert_eq!(
        captured(LogLevel::Info, TERMINAL, listening),
        "INFO[0003] Listening for HTTP                           addr=:4000 proto=tcp\n"
    );
    assert_eq!(
        captured(LogLevel::Info, Format::Terminal { color: true }, listening),
        "\x1b[34mINFO\x1b[0m[0003] Listening for HTTP                           \
         \x1b[34maddr\x1b[0m=:4000 \x1b[34mproto\x1b[0m=tcp\n"
    );
}

#[test]
fn other_outputs_get_logfmt() {
    assert_eq!(
        captured(LogLevel::Info, Format::Logfmt, listening),
        "time=\"2024-02-29T23:59:30Z\" level=info msg=\"Listening for HTTP\" addr=\":4000\" proto=tcp\n"
    );
    let line = captured(LogLevel::Debug, Format::Logfmt, || {
        tracing::warn!(target: "swarm", n = 3_u64, ok = true, time = -1_i64, error = ?"x y", "short");
    });
    assert_eq!(
        line,
        "time=\"2024-02-29T23:59:30Z\" level=warning msg=short error=\"\\\"x y\\\"\" fields.time=-1 n=3 ok=true\n"
    );
}

#[test]
fn json_keeps_types() {
    let line = captured(LogLevel::Info, Format::Json, || {
        tracing::error!(target: "swarm", n = 3_u64, ok = true, msg = "x", peer = %"a:1", "it failed");
    });
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "time": "2024-02-29T23:59:30.000000007Z",
            "level": "error",
            "msg": "it failed",
            "n": 3,
            "ok": true,
            "fields.msg": "x",
            "peer": "a:1",
        })
    );
}

#[test]
fn levels_cut_off_what_is_less_severe() {
    let all = || {
        tracing::trace!(target: "swarm", "t");
        tracing::debug!(target: "swarm", "d");
        tracing::info!(target: "swarm", "i");
        tracing::warn!(target: "swarm", "w");
        tracing::error!(target: "swarm", "e");
    };
    for (level, lines) in [
        (LogLevel::Trace, 5),
        (LogLevel::Debug, 4),
        (LogLevel::Info, 3),
        (LogLevel::Warn, 2),
        (LogLevel::Error, 1),
        (LogLevel::Fatal, 0),
        (LogLevel::Panic, 0),
    ] {
        assert_eq!(captured(level, TERMINAL, all).lines().count(), lines);
    }
}

#[test]
fn libraries_are_heard_only_at_trace_and_never_as_errors() {
    let all = || {
        tracing::error!(target: "rustify::client", "request failed");
        tracing::warn!(target: "hyper::proto", "odd");
        tracing::info!(target: "swarmish", "not ours");
        tracing::error!(target: "consulrs::kv", "failed");
        tracing::info!(target: "swarm_core::election", "ours");
    };
    let ours = captured(LogLevel::Debug, TERMINAL, all);
    assert_eq!(ours.lines().count(), 1);
    assert!(ours.contains("ours"));
    let everything = captured(LogLevel::Trace, TERMINAL, all);
    assert_eq!(everything.lines().count(), 5);
    assert!(!everything.contains("ERRO") && !everything.contains("WARN"));
}

#[test]
fn levels_are_read_in_any_case() {
    for (name, level) in [
        ("debug", LogLevel::Debug),
        ("INFO", LogLevel::Info),
        ("Warn", LogLevel::Warn),
        ("warning", LogLevel::Warn),
        ("error", LogLevel::Error),
        ("fatal", LogLevel::Fatal),
        ("panic", LogLevel::Panic),
    ] {
        assert_eq!(name.parse(), Ok(level));
    }
    assert_eq!(
        "loud".parse::<LogLevel>().unwrap_err().to_string(),
        "not a valid logrus Level: \"loud\""
    );
}

#[test]
fn formats_depend_on_the_terminal() {
    let choose = |name, terminal, color| Format::choose(name, terminal, color).unwrap();
    assert_eq!(choose("auto", true, true), Format::Terminal { color: true });
    assert_eq!(choose("auto", true, false), TERMINAL);
    assert_eq!(choose("auto", false, true), Format::Logfmt);
    assert_eq!(choose("text", false, true), TERMINAL);
    assert_eq!(choose("logfmt", true, true), Format::Logfmt);
    assert_eq!(choose("JSON", true, true), Format::Json);
    assert!(Format::choose("xml", true, true).is_err());
}

#[test]
fn the_fatal_line_looks_like_the_others() {
    assert_eq!(
        fatal_line(Format::Logfmt, Wall(0), "no \"x\""),
        "time=\"1970-01-01T00:00:00Z\" level=fatal msg=\"no \\\"x\\\"\"\n"
    );
    assert!(fatal_line(TERMINAL, Wall(0), "no").starts_with("FATA[0000] no"));
}

proptest! {
    #[test]
    fn hostile_text_stays_on_its_line(text in "(\\PC|\\p{C}|\n|\x1b){0,30}") {
        for format in [TERMINAL, Format::Logfmt, Format::Json] {
            let line = captured(LogLevel::Info, format, || {
                tracing::info!(target: "swarm", name = %text, other = text.as_str(), "{text}");
            });
            let inner = line.strip_suffix('\n').unwrap();
            prop_assert!(!inner.chars().any(char::is_control), "{inner:?}");
            if format == Format::Json {
                let value: serde_json::Value = serde_json::from_str(&line).unwrap();
                prop_assert_eq!(value["name"].as_str(), Some(text.as_str()));
            }
        }
    }
}
