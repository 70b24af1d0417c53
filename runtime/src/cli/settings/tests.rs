use clap::CommandFactory;

use super::super::{Request, Terminals, args, parse};
use super::*;

fn printed(env: &[(&str, &str)], line: &str) -> String {
    let env = Env::read(|name| {
        let found = env.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    let line = format!("swarm manage --print-config {line}");
    match parse(
        line.split_whitespace().map(Into::into),
        &env,
        Terminals::default(),
    ) {
        Ok(Request::Print(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// The lines of one option without the padding.
fn option(text: &str, name: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned))
        .collect()
}

#[test]
fn every_option_of_manage_has_a_line_with_origin_and_value() {
    let text = printed(&[], "nodes://a:1");
    let mut grammar = args::Cli::command();
    grammar.build();
    let manage = grammar.find_subcommand("manage").unwrap();
    let longs = manage.get_arguments().filter_map(clap::Arg::get_long);
    let mut seen = 0;
    for long in longs.filter(|long| !["help", "version", "print-config"].contains(long)) {
        let lines = option(&text, &format!("--{long}"));
        assert!(!lines.is_empty(), "--{long} is missing:\n{text}");
        for line in lines {
            assert!(line.split(' ').count() >= 2, "--{long}: {line}");
        }
        seen += 1;
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn values_say_where_they_are_from() {
    let env = [
        ("SWARM_HOST", "10.0.0.1:1,unix:///s"),
        ("SWARM_ADVERTISE", "h:1"),
        ("DEBUG", "1"),
        ("SWARM_DISCOVERY", "consul://c:8500/nodes"),
    ];
    let text = printed(
        &env,
        "--max-body-size 8m --cors --peer-allow h --peer-allow 10.0.0.0/8,fd00::1 --cluster-opt swarm.createretry=0x2",
    );
    for (name, lines) in [
        (
            "<discovery>",
            &["$SWARM_DISCOVERY consul://c:8500/nodes"][..],
        ),
        (
            "--host",
            &["$SWARM_HOST tcp://10.0.0.1:1", "$SWARM_HOST unix:///s"],
        ),
        ("--advertise", &["$SWARM_ADVERTISE h:1"]),
        ("--debug", &["$DEBUG true"]),
        ("--log-level", &["as --debug debug"]),
        ("--api-enable-cors", &["flag true"]),
        ("--peer-allow", &["flag h", "flag 10.0.0.0/8,fd00::1"]),
        ("--max-body-size", &["flag 8m"]),
        ("--max-head-size", &["default 64KiB"]),
        ("--engine-tls", &["default off"]),
        ("--tlscacert", &["default -"]),
        (
            "--cluster-opt",
            &[
                "default swarm.overcommit=0.05",
                "flag swarm.createretry=2",
                "default swarm.reschedule.grace=30s",
            ],
        ),
        ("--discovery-opt", &["default kv.path=docker/swarm/nodes"]),
    ] {
        assert_eq!(option(&text, name), lines, "{name}\n{text}");
    }
    assert!(
        text.contains("# warning: Listening on 10.0.0.1:1 without TLS"),
        "{text}"
    );
    let text = printed(&env, "--debug=false x:1");
    assert_eq!(option(&text, "--debug"), ["flag false"]);
    assert_eq!(option(&text, "<discovery>"), ["argument x:1"]);
}

#[test]
fn options_that_follow_others_say_which() {
    let text = printed(&[], "--tlsverify --tlscacert ca --tlscert c --tlskey k x:1");
    for (name, line) in [
        ("--tls", "as --tlsverify true"),
        ("--tlsverify", "flag true"),
        ("--tlscacert", "flag ca"),
        ("--peer-tlscacert", "as --tlscacert ca"),
        ("--peer-tlskey", "as --tlskey k"),
        ("--engine-tls", "as --tlsverify verify"),
        ("--engine-tlscert", "as --tlscert c"),
    ] {
        assert_eq!(option(&text, name), [line], "{text}");
    }
}

#[test]
fn secrets_are_masked() {
    let flags = "--discovery-opt consul.token=hunter2 --discovery-opt etcd.user=a:hunter2 \
                 --discovery-opt zk.auth=b:hunter2 consul://c:8500";
    let text = printed(&[], flags);
    assert!(!text.contains("hunter2"), "{text}");
    let options = option(&text, "--discovery-opt");
    for line in [
        "flag consul.token=********",
        "flag etcd.user=a:********",
        "flag zk.auth=b:********",
    ] {
        assert!(options.iter().any(|option| option == line), "{text}");
    }
    for (variable, value, url, line) in [
        (
            "CONSUL_HTTP_TOKEN",
            "hunter2",
            "consul://c:1",
            "consul.token=********",
        ),
        (
            "ETCDCTL_USER",
            "a:hunter2",
            "etcd://c:1",
            "etcd.user=a:********",
        ),
        (
            "SWARM_ZK_AUTH",
            "a:hunter2",
            "zk://c:1",
            "zk.auth=a:********",
        ),
    ] {
        let text = printed(&[(variable, value)], url);
        assert!(!text.contains("hunter2"), "{text}");
        let options = option(&text, "--discovery-opt");
        assert_eq!(options.last(), Some(&format!("${variable} {line}")));
    }
}

#[test]
fn a_value_stays_on_its_line() {
    assert_eq!(
        printable("a\n--tls  flag  true"),
        "\"a\\n--tls  flag  true\""
    );
    assert_eq!(printable(""), "\"\"");
    assert_eq!(printable("a b"), "a b");
}
