//! `swarm manage --print-config`: every option, where its value is from, and the value.

use std::fmt;

use clap::ArgMatches;
use clap::parser::ValueSource;
use swarm_core::address::ListenAddress;
use swarm_core::config::Manage;
use swarm_core::duration::GoDuration;
use swarm_core::tls::{TlsConfig, TlsFile};

use super::argv::{Argv, takes_value};
use super::env::Env;
use crate::log::LogOptions;

/// Stands for what is not to be read over a shoulder or in a ticket.
const MASK: &str = "********";
/// Stands for an option that is not set.
const UNSET: &str = "-";
/// What is no configuration: it only says what to print.
const NO_SETTINGS: [&str; 3] = ["help", "version", "print_config"];
/// Options of discovery that are shown as they are.
const PLAIN_OPTIONS: [&str; 4] = ["kv.path", "kv.cacertfile", "kv.certfile", "kv.keyfile"];
/// Options of discovery that name a user before the password.
const USER_OPTIONS: [&str; 2] = ["etcd.user", "zk.auth"];

/// Where a value is from.
#[derive(Clone, Copy)]
enum Origin {
    Argument,
    Flag,
    Variable(&'static str),
    /// Another option, which was given.
    As(&'static str),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Argument => "argument".to_owned(),
            Self::Flag => "flag".to_owned(),
            Self::Variable(name) => format!("${name}"),
            Self::As(flag) => format!("as {flag}"),
            Self::Default => "default".to_owned(),
        };
        f.pad(&text)
    }
}

/// What was asked for, and what it came to.
pub(super) struct Settings<'a> {
    pub(super) grammar: &'a clap::Command,
    pub(super) matches: &'a ArgMatches,
    pub(super) argv: &'a Argv,
    pub(super) env: &'a Env,
    pub(super) manage: &'a Manage,
    pub(super) log: LogOptions,
}

impl Settings<'_> {
    /// One line for each value: option, origin, value, separated by two spaces or more.
    pub(super) fn render(&self) -> String {
        let mut lines = vec![self.discovery()];
        for arg in self.grammar.get_arguments() {
            let id = arg.get_id().as_str();
            let Some(long) = arg.get_long().filter(|_| !NO_SETTINGS.contains(&id)) else {
                continue;
            };
            let name = format!("--{long}");
            let values = match takes_value(arg) {
                true => self.values(id),
                false => self.switch(id, long),
            };
            lines.extend(
                values
                    .into_iter()
                    .map(|(origin, value)| (name.clone(), origin, value)),
            );
        }
        let width = lines.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        let mut text =
            String::from("# What swarm manage would do: option, where its value is from, value\n");
        for (name, origin, value) in lines {
            let value = printable(&value);
            text.push_str(&format!("{name:width$}  {origin:18}  {value}\n"));
        }
        for warning in &self.manage.warnings {
            text.push_str(&format!("# warning: {warning}\n"));
        }
        text
    }

    fn discovery(&self) -> (String, Origin, String) {
        let given = self.matches.get_raw("discovery").is_some();
        let origin = match given {
            true => Origin::Argument,
            false => Origin::Variable("SWARM_DISCOVERY"),
        };
        let text = self.manage.discovery.text.clone();
        ("<discovery>".to_owned(), origin, text)
    }

    /// A flag that is on or off.
    fn switch(&self, id: &str, long: &str) -> Vec<(Origin, String)> {
        let (origin, on) = match id {
            _ if self.argv.mentions(long) => (Origin::Flag, self.matches.get_flag(id)),
            "debug" if self.env.debug => (Origin::Variable("DEBUG"), true),
            "tls" if self.is_on("tlsverify") => (Origin::As("--tlsverify"), true),
            _ => (Origin::Default, self.matches.get_flag(id)),
        };
        vec![(origin, on.to_string())]
    }

    /// An option with a value: as given, unless what it came to says more.
    fn values(&self, id: &str) -> Vec<(Origin, String)> {
        match id {
            "host" => self.hosts(),
            "filter" => self.filters(),
            "cluster_opt" => self.cluster_options(),
            "discovery_opt" => self.discovery_options(),
            "peer_allow" if self.is_given(id) => {
                let given = self.given(id).into_iter();
                given.map(|text| (Origin::Flag, text)).collect()
            }
            _ => vec![self.value(id)],
        }
    }

    fn value(&self, id: &str) -> (Origin, String) {
        let text = self.given(id).pop();
        if self.is_given(id) || text.is_some() {
            let origin = match self.is_given(id) {
                true => Origin::Flag,
                false => Origin::Default,
            };
            return (origin, text.unwrap_or_default());
        }
        let tls = &self.manage.tls;
        let (peers, engines) = (tls.peers.as_ref(), tls.engines.as_ref());
        let of = |flag, file: Option<&TlsFile>| {
            let path = file.map(|file| file.path.display().to_string());
            path.map(|path| (Origin::As(flag), path))
        };
        let found = match id {
            "advertise" => {
                let advertise = self.env.swarm_advertise.clone();
                advertise.map(|text| (Origin::Variable("SWARM_ADVERTISE"), text))
            }
            "log_level" => Some(self.log_level()),
            "peer_tlscacert" => of("--tlscacert", ca(peers)),
            "peer_tlscert" => of("--tlscert", cert(peers)),
            "peer_tlskey" => of("--tlskey", key(peers)),
            "engine_tls" => Some(self.engine_tls()),
            "engine_tlscacert" => of("--tlscacert", ca(engines)),
            "engine_tlscert" => of("--tlscert", cert(engines)),
            "engine_tlskey" => of("--tlskey", key(engines)),
            _ => None,
        };
        found.unwrap_or_else(|| (Origin::Default, UNSET.to_owned()))
    }

    fn log_level(&self) -> (Origin, String) {
        let origin = match self.manage.debug {
            true => Origin::As("--debug"),
            false => Origin::Default,
        };
        (origin, self.log.level.name().to_owned())
    }

    fn engine_tls(&self) -> (Origin, String) {
        let origin = match (self.is_on("tlsverify"), self.is_on("tls")) {
            (true, _) => Origin::As("--tlsverify"),
            (false, true) => Origin::As("--tls"),
            (false, false) => Origin::Default,
        };
        let mode = match &self.manage.tls.engines {
            None => "off",
            Some(tls) if tls.ca.is_none() => "on",
            Some(_) => "verify",
        };
        (origin, mode.to_owned())
    }

    fn hosts(&self) -> Vec<(Origin, String)> {
        let origin = match (self.is_given("host"), &self.env.swarm_host) {
            (true, _) => Origin::Flag,
            (false, Some(_)) => Origin::Variable("SWARM_HOST"),
            (false, None) => Origin::Default,
        };
        let shown = |address: &ListenAddress| match address {
            ListenAddress::Tcp { .. } => format!("tcp://{address}"),
            ListenAddress::Unix(_) => format!("unix://{address}"),
        };
        let addresses = self.manage.listen.iter();
        addresses.map(|one| (origin, shown(one))).collect()
    }

    fn filters(&self) -> Vec<(Origin, String)> {
        let origin = match self.is_given("filter") {
            true => Origin::Flag,
            false => Origin::Default,
        };
        let filters = self.manage.filters.iter();
        filters
            .map(|filter| (origin, filter.name().to_owned()))
            .collect()
    }

    fn cluster_options(&self) -> Vec<(Origin, String)> {
        let manage = self.manage;
        let grace = GoDuration::from(manage.reschedule_grace);
        let options = [
            ("swarm.overcommit", manage.overcommit.to_string()),
            ("swarm.createretry", manage.create_retry.to_string()),
            ("swarm.reschedule.grace", grace.to_string()),
        ];
        let line = |(key, value): (&'static str, String)| {
            let origin = self.origin_of("cluster_opt", key, None);
            (origin, format!("{key}={value}"))
        };
        options.into_iter().map(line).collect()
    }

    /// What is not known to be harmless is masked.
    fn discovery_options(&self) -> Vec<(Origin, String)> {
        let texts = self.manage.discovery.options.to_texts();
        let line = |text: &String| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            let (variable, is_set) = match key {
                "consul.token" => ("CONSUL_HTTP_TOKEN", self.env.consul_http_token.is_some()),
                "etcd.user" => ("ETCDCTL_USER", self.env.etcdctl_user.is_some()),
                _ => (
                    "SWARM_ZK_AUTH",
                    self.env.zk_auth.is_some() && key == "zk.auth",
                ),
            };
            let origin = self.origin_of("discovery_opt", key, is_set.then_some(variable));
            let shown = match value.split_once(':') {
                _ if PLAIN_OPTIONS.contains(&key) => value.to_owned(),
                Some((user, _)) if USER_OPTIONS.contains(&key) => format!("{user}:{MASK}"),
                _ => MASK.to_owned(),
            };
            (origin, format!("{key}={shown}"))
        };
        texts.iter().map(line).collect()
    }

    /// Of one key of an option that takes `key=value`.
    fn origin_of(&self, id: &str, key: &str, variable: Option<&'static str>) -> Origin {
        let given = self.given(id);
        let names = |text: &String| text.split_once('=').is_some_and(|(name, _)| name == key);
        match (given.iter().any(names), variable) {
            (true, _) => Origin::Flag,
            (false, Some(variable)) => Origin::Variable(variable),
            (false, None) => Origin::Default,
        }
    }

    fn given(&self, id: &str) -> Vec<String> {
        let values = self.matches.get_many::<String>(id);
        values.into_iter().flatten().cloned().collect()
    }

    fn is_given(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    fn is_on(&self, id: &str) -> bool {
        self.matches.get_flag(id)
    }
}

fn ca(tls: Option<&TlsConfig>) -> Option<&TlsFile> {
    tls?.ca.as_ref()
}

fn cert(tls: Option<&TlsConfig>) -> Option<&TlsFile> {
    tls?.identity.as_ref().map(|own| &own.cert)
}

fn key(tls: Option<&TlsConfig>) -> Option<&TlsFile> {
    tls?.identity.as_ref().map(|own| &own.key)
}

/// One line, whatever is in it.
fn printable(text: &str) -> String {
    match text.chars().any(char::is_control) || text.is_empty() {
        true => format!("{text:?}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
