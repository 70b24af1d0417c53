use std::time::Duration;

use proptest::prelude::*;
use swarm_core::address::ListenAddress;
use swarm_core::config::{Endpoint, Limits};
use swarm_core::election::Fence;

use super::*;
use crate::log::LogLevel;

const CONSUL: &str = "consul://192.168.42.10:8500/nodes";

fn parse_with(env: &Env, line: &str) -> Result<Request, String> {
    let arguments = std::iter::once("swarm")
        .chain(line.split(' ').filter(|word| !word.is_empty()))
        .map(|word| OsString::from(if word == "''" { "" } else { word }));
    parse(arguments, env, Terminals::default()).map_err(|error| error.to_string())
}

fn env(variables: &[(&str, &str)]) -> Env {
    Env::read(|name| {
        variables
            .iter()
            .find(|(variable, _)| *variable == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

fn run_of(line: &str) -> Invocation {
    match parse_with(&env(&[]), line) {
        Ok(Request::Run(invocation)) => *invocation,
        other => panic!("{line}: {other:?}"),
    }
}

fn manage_of(line: &str) -> Manage {
    let Command::Manage(manage) = run_of(line).command else {
        panic!("{line}");
    };
    *manage
}

fn printed(line: &str) -> String {
    match parse_with(&env(&[]), line) {
        Ok(Request::Print(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

fn error_of(line: &str) -> String {
    parse_with(&env(&[]), line).unwrap_err()
}

#[test]
fn the_users_document_can_be_followed() {
    let manage = manage_of(
        "manage -H :4000 --replication --advertise 192.168.42.200:4000 consul://192.168.42.10:8500/nodes",
    );
    let replication = manage.replication.unwrap();
    assert_eq!(replication.advertise.to_string(), "192.168.42.200:4000");
    assert_eq!(replication.fence, Fence::Verify);
    assert_eq!(manage.listen[0].to_string(), ":4000");
    assert_eq!(manage.discovery.text, CONSUL);
}

#[test]
fn failsafe_is_off_unless_it_is_asked_for() {
    for (flag, failsafe) in [("", false), ("--failsafe", true)] {
        let line = format!("manage {flag} --replication --advertise a:1 {CONSUL}");
        assert_eq!(manage_of(&line).replication.unwrap().failsafe, failsafe);
    }
}

#[test]
fn discovery_stands_before_or_after_the_options() {
    for line in [
        format!("manage {CONSUL} -H :4000 --replication --advertise a:1"),
        format!("manage -H :4000 {CONSUL} --replication --advertise a:1"),
        format!("m --replication --advertise a:1 -H :4000 -- {CONSUL}"),
    ] {
        let manage = manage_of(&line);
        assert_eq!(manage.listen[0].to_string(), ":4000", "{line}");
        assert!(manage.replication.is_some(), "{line}");
    }
    assert_eq!(
        error_of(&format!("manage {CONSUL} file:///x")),
        format!(
            "'swarm manage' takes one <discovery> argument, but 2 were given: \"{CONSUL}\" \"file:///x\""
        )
    );
}

#[test]
fn options_have_gos_forms() {
    for line in [
        "-debug manage --strategy=binpack -cluster-opt swarm.createretry=2 --cors",
        "manage --strategy binpack --debug=true --cluster-opt=swarm.createretry=2 -api-enable-cors=1",
        "manage -strategy random -strategy=binpack --debug=false --debug -cluster-opt=swarm.createretry=2 -cors",
    ] {
        let manage = manage_of(&format!("{line} {CONSUL}"));
        assert!(manage.debug, "{line}");
        assert_eq!(manage.strategy.name(), "binpack", "{line}");
        assert_eq!(manage.create_retry, 2, "{line}");
        assert!(manage.cors, "{line}");
    }
}

#[test]
fn flags_can_be_turned_off() {
    let debug = |line: &str| match parse_with(&env(&[("DEBUG", "1")]), line) {
        Ok(Request::Run(invocation)) => {
            let Command::Manage(manage) = invocation.command else {
                panic!("{line}");
            };
            (manage.debug, invocation.log.level)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(debug("m x:1"), (true, LogLevel::Debug));
    assert_eq!(debug("--debug=false m x:1"), (false, LogLevel::Info));
    assert_eq!(debug("m x:1 --debug=false"), (false, LogLevel::Info));
    assert_eq!(debug("-l warn m x:1"), (true, LogLevel::Warn));
    assert_eq!(
        manage_of(&format!("manage --replication=false {CONSUL}")).replication,
        None
    );
}

#[test]
fn commands_that_ask_a_manager_read_what_the_docker_command_reads() {
    let docker = env(&[
        ("DOCKER_HOST", "tcp://m:4000"),
        ("DOCKER_TLS_VERIFY", "1"),
        ("DOCKER_CERT_PATH", "/certs"),
    ]);
    let tls = |line: &str| {
        let Ok(Request::Run(invocation)) = parse_with(&docker, line) else {
            panic!("{line}");
        };
        match invocation.command {
            Command::Status(client) | Command::StepDown(client) => client.tls,
            Command::Engine(order) => order.client.tls,
            Command::Manage(_)
            | Command::Doctor { .. }
            | Command::Join(_)
            | Command::List(_)
            | Command::Certs(_)
            | Command::Dev(_) => panic!("{line}"),
        }
    };
    for line in ["status", "step-down", "engine drain e"] {
        let tls = tls(line).unwrap();
        assert_eq!(tls.ca.unwrap().path.to_str(), Some("/certs/ca.pem"));
        assert_eq!(
            tls.identity.unwrap().key.path.to_str(),
            Some("/certs/key.pem")
        );
    }
    let own = tls("status --tlscacert /own").unwrap();
    assert_eq!(own.ca.unwrap().path.to_str(), Some("/own"));
    assert_eq!(tls("status -H unix:///s"), None);
}

#[test]
fn values_may_begin_with_a_dash() {
    assert_eq!(
        error_of("join --advertise h:1 --delay -1s consul://c:1"),
        "--delay should not be a negative number"
    );
    assert_eq!(
        error_of("manage --tlscert --replication x:1"),
        "--tlscert, --tlskey and --tlscacert require the use of either --tls or --tlsverify"
    );
}

#[test]
fn global_options_stand_before_or_after_the_command() {
    for line in [
        "--log-level debug --experimental --log-format json list x:1",
        "list --log-level=DEBUG -experimental -log-format=json x:1",
        "-l debug list x:1 --experimental --log-format json",
    ] {
        let invocation = run_of(line);
        assert_eq!(invocation.log.level, LogLevel::Debug, "{line}");
        assert_eq!(invocation.log.format, Format::Json, "{line}");
    }
    assert!(manage_of("m x:1 -experimental").experimental);
    assert_eq!(
        error_of("--log-level loud list x:1"),
        "not a valid logrus Level: \"loud\""
    );
    assert!(error_of("--log-format xml list x:1").starts_with("unknown --log-format \"xml\""));
}

#[test]
fn the_environment_fills_in_what_flags_leave_open() {
    let env = env(&[
        ("SWARM_HOST", "10.0.0.1:1, :2"),
        ("SWARM_DISCOVERY", CONSUL),
        ("SWARM_ADVERTISE", "h:1"),
        ("DOCKER_HOST", "192.168.42.200:4000"),
        ("CONSUL_HTTP_TOKEN", "secret"),
    ]);
    let run = |line: &str| match parse_with(&env, line) {
        Ok(Request::Run(invocation)) => invocation.command,
        other => panic!("{other:?}"),
    };
    let Command::Manage(manage) = run("manage --replication") else {
        panic!();
    };
    assert_eq!(manage.listen.len(), 2);
    assert_eq!(manage.replication.unwrap().advertise.to_string(), "h:1");
    assert_eq!(
        manage.discovery.options.consul_token.unwrap().reveal(),
        "secret"
    );
    let Command::Manage(manage) = run("manage -H :3 nodes://a:1 --replication=false") else {
        panic!();
    };
    assert_eq!(
        manage.listen,
        [ListenAddress::Tcp {
            host: String::new(),
            port: 3
        }]
    );
    assert_eq!(manage.discovery.text, "nodes://a:1");
    let Command::Join(join) = run("join --addr e:2375") else {
        panic!();
    };
    assert_eq!(join.advertise.to_string(), "e:2375");
    let Command::Status(status) = run("status --timeout 1s") else {
        panic!();
    };
    assert_eq!(
        status.endpoint,
        Endpoint::Tcp("192.168.42.200:4000".parse().unwrap())
    );
    assert_eq!(status.timeout, Duration::from_secs(1));
}

#[test]
fn an_empty_flag_is_not_filled_in_from_the_environment() {
    assert_eq!(
        parse_with(
            &env(&[("SWARM_ADVERTISE", "h:1")]),
            "join --advertise '' consul://c:1"
        )
        .unwrap_err(),
        "missing mandatory --advertise flag"
    );
}

#[test]
fn errors_name_what_is_wrong() {
    for (line, error) in [
        (
            "-foo list x:1",
            "flag provided but not defined: -foo. See 'swarm --help'.",
        ),
        (
            "manage --foo=1 x:1",
            "flag provided but not defined: -foo. See 'swarm manage --help'.",
        ),
        (
            "m -x x:1",
            "flag provided but not defined: -x. See 'swarm manage --help'.",
        ),
        ("foo", "unknown command \"foo\". See 'swarm --help'."),
        ("help foo", "unknown command \"foo\". See 'swarm --help'."),
        ("list --timeout", "flag needs an argument: -timeout"),
        (
            "list --debug=maybe",
            "invalid boolean value \"maybe\" for -debug",
        ),
        (
            "manage --host a:1 -H b:1 x:1",
            "Cannot use two forms of the same flag: host H",
        ),
        (
            "list",
            "discovery required to list a cluster. See 'swarm list --help'.",
        ),
        (
            "create x",
            "the `create` command takes no arguments. See 'swarm create --help'.",
        ),
    ] {
        assert_eq!(error_of(line), error, "{line}");
    }
    assert!(error_of("create").contains("switched off in 2019"));
    assert!(error_of("c").contains("consul://"));
    assert!(error_of("list token://abc").contains("switched off in 2019"));
    assert!(error_of("status extra").contains("unexpected argument 'extra'"));
}

#[test]
fn arguments_that_are_not_utf8_are_an_error() {
    use std::os::unix::ffi::OsStringExt;
    let arguments = [
        OsString::from("swarm"),
        OsString::from("list"),
        OsString::from_vec(vec![0xff]),
    ];
    let error = parse(arguments, &Env::default(), Terminals::default()).unwrap_err();
    assert!(error.to_string().contains("not valid UTF-8"));
}

#[test]
fn the_version_has_three_numbers() {
    for line in ["--version", "-v", "-version", "list -v"] {
        let text = printed(line);
        let rest = text.strip_prefix("swarm version ").unwrap();
        assert!(rest.starts_with(concat!(env!("CARGO_PKG_VERSION"), " (")));
    }
}

#[test]
fn help_is_printed_for_nobody_and_everybody() {
    let application = printed("");
    assert!(application.starts_with("Usage: swarm [OPTIONS] COMMAND [arg...]\n"));
    for line in ["--help", "-h", "-help", "help", "h"] {
        assert_eq!(printed(line), application, "{line}");
    }
    for (command, line) in [
        ("manage", "Usage: swarm manage [OPTIONS] <discovery>\n"),
        ("doctor", "Usage: swarm doctor [OPTIONS] <discovery>\n"),
        ("join", "Usage: swarm join [OPTIONS] <discovery>\n"),
        ("list", "Usage: swarm list [OPTIONS] <discovery>\n"),
        ("create", "Usage: swarm create\n"),
        ("status", "Usage: swarm status [OPTIONS]\n"),
        ("step-down", "Usage: swarm step-down [OPTIONS]\n"),
        (
            "engine",
            "Usage: swarm engine [OPTIONS] drain|activate NAME\n",
        ),
        ("dev", "Usage: swarm dev [OPTIONS]\n"),
    ] {
        let text = printed(&format!("help {command}"));
        assert!(text.starts_with(line), "{text}");
        assert_eq!(printed(&format!("{command} --help")), text);
        assert!(application.contains(&format!("\n  {command} ")));
    }
}

#[test]
fn help_of_manage_names_every_flag_of_classic_swarm() {
    let text = printed("manage --help");
    for flag in [
        "--strategy",
        "-f, --filter",
        "-H, --host",
        "--replication",
        "--replication-ttl",
        "--advertise",
        "--addr",
        "--tls",
        "--tlscacert",
        "--tlscert",
        "--tlskey",
        "--tlsverify",
        "--peer-tlscacert",
        "--engine-tls ",
        "--engine-tlscacert",
        "--engine-refresh-min-interval",
        "--engine-refresh-max-interval",
        "--engine-failure-retry",
        "--engine-refresh-retry",
        "--heartbeat",
        "--api-enable-cors",
        "--cors",
        "-c, --cluster-driver",
        "--cluster-opt",
        "--discovery-opt",
        "swarm.overcommit=0.05",
        "swarm.createretry=0",
        "swarm.reschedule.grace=30s",
        "$SWARM_HOST",
        "$SWARM_DISCOVERY",
        "$SWARM_ADVERTISE",
    ] {
        assert!(text.contains(flag), "{flag}");
    }
}

#[test]
fn limits_are_flags_of_manage_under_a_heading_of_their_own() {
    let line = "manage --max-connections 1 --max-client-connections 15 --max-handshakes 2 --max-head-size 9KiB --max-body-size 65k \
                --head-timeout 3s --handshake-timeout 4s --body-timeout 8s --idle-timeout 5s --max-held-requests 6 --max-kept-size 7m \
                --max-outgoing-connections 18 --connect-timeout 9s --answer-timeout 10s --work-timeout 11s \
                --max-answer-size 12m --max-engine-starts 13 --stop-timeout 14s nodes://a:1";
    let limits = manage_of(line).limits;
    assert_eq!(
        limits,
        Limits {
            connections: 1,
            client_connections: 15,
            handshakes: 2,
            head_size: 9 << 10,
            body_size: 65 << 10,
            head_timeout: Duration::from_secs(3),
            handshake_timeout: Duration::from_secs(4),
            body_timeout: Duration::from_secs(8),
            idle_timeout: Duration::from_secs(5),
            held_requests: 6,
            kept_size: 7 << 20,
            outgoing_connections: 18,
            connect_timeout: Duration::from_secs(9),
            answer_timeout: Duration::from_secs(10),
            work_timeout: Duration::from_secs(11),
            answer_size: 12 << 20,
            engine_starts: 13,
            stop_timeout: Duration::from_secs(14),
        }
    );
    assert_eq!(manage_of("manage nodes://a:1").limits, Limits::default());
    let help = printed("manage --help");
    let (_, below) = help.split_once("\nLimits:\n").unwrap();
    for flag in line.split(' ').filter(|word| word.starts_with("--")) {
        assert!(below.contains(&format!("{flag} <")), "{flag}");
    }
    for (command, flag) in [("manage", "--print-config"), ("doctor", "--json")] {
        let help = printed(&format!("{command} --help"));
        let (above, below) = help.split_once("\nLimits:\n").unwrap();
        assert!(
            above.contains(flag) && !below.contains(flag),
            "{flag} is no limit"
        );
    }
}

#[test]
fn debug_in_the_environment_is_a_go_bool() {
    for (value, debug) in [
        ("1", true),
        ("t", true),
        ("TRUE", true),
        ("0", false),
        ("f", false),
        ("yes", false),
        ("", false),
    ] {
        assert_eq!(env(&[("DEBUG", value)]).debug, debug, "{value}");
    }
}

#[test]
fn the_grammar_is_sound() {
    args::Cli::command().debug_assert();
}

proptest! {
    #[test]
    fn parsing_never_panics(
        words in proptest::collection::vec(
            "(manage|list|join|help|--?(host|H|debug|tls|filter|addr|advertise|timeout|l)(=\\PC{0,5})?|-{0,3}\\PC{0,6}|consul://c:1)",
            0..7
        )
    ) {
        let arguments = std::iter::once("swarm".to_owned()).chain(words).map(OsString::from);
        let _ = parse(arguments, &Env::default(), Terminals::default());
    }
}
