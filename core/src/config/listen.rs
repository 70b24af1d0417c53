//! `--host`.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::address::{AddressError, HostPort, ListenAddress};

/// Where a manager listens that was told nothing.
pub const LISTEN_DEFAULT: &str = "tcp://127.0.0.1:2375";

/// Why a text is not a listen address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Neither tcp nor unix.
    #[error("unsupported protocol: {0:?}")]
    Protocol(String),
    /// `unix://` without a path.
    #[error("--host {0:?} names no socket")]
    NoPath(String),
    /// The TCP address has the wrong form.
    #[error("invalid --host: {0}")]
    Address(AddressError),
}

/// Reads `[tcp://][host]:port` or `unix://path`. The host may be empty and the port 0.
///
/// # Errors
/// When the text is neither.
pub fn listen_address(text: &str) -> Result<ListenAddress, ListenError> {
    let (protocol, rest) = text.split_once("://").unwrap_or(("tcp", text));
    match protocol {
        "tcp" => tcp(rest).map_err(ListenError::Address),
        "unix" if rest.is_empty() || rest.contains('\0') => {
            Err(ListenError::NoPath(text.to_owned()))
        }
        "unix" => Ok(ListenAddress::Unix(PathBuf::from(rest))),
        _ => Err(ListenError::Protocol(protocol.to_owned())),
    }
}

/// The addresses to listen on: the flags replace the environment, which replaces the default. Classic Swarm mixed
/// them (defect C3).
pub(super) fn listen_addresses(
    flags: &[String],
    env: Option<&str>,
) -> Result<Vec<ListenAddress>, ListenError> {
    if !flags.is_empty() {
        return flags.iter().map(|text| listen_address(text)).collect();
    }
    let listed: Vec<&str> = env
        .unwrap_or("")
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .collect();
    if listed.is_empty() {
        return listen_address(LISTEN_DEFAULT).map(|address| vec![address]);
    }
    listed.into_iter().map(listen_address).collect()
}

/// Whether only this machine can connect.
pub(super) fn is_local(address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Unix(_) => true,
        ListenAddress::Tcp { host, .. } => {
            host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
    }
}

/// [`HostPort`] demands a host and a port that can be connected to; these two are filled in for it.
fn tcp(text: &str) -> Result<ListenAddress, AddressError> {
    let any_host = text.starts_with(':');
    let any_port = text.ends_with(":0");
    let host = if any_host { "0.0.0.0" } else { "" };
    let mut whole = format!("{host}{text}");
    if any_port {
        whole.truncate(whole.len() - 1);
        whole.push('1');
    }
    let address: HostPort = whole.parse().map_err(|error| rename(error, text))?;
    Ok(ListenAddress::Tcp {
        host: if any_host {
            String::new()
        } else {
            address.host().to_owned()
        },
        port: if any_port { 0 } else { address.port() },
    })
}

/// Puts the text the user wrote into the error.
fn rename(error: AddressError, text: &str) -> AddressError {
    let text = text.to_owned();
    match error {
        AddressError::MissingPort(_) => AddressError::MissingPort(text),
        AddressError::Port(_) => AddressError::Port(text),
        AddressError::Colons(_) => AddressError::Colons(text),
        AddressError::MissingHost(_) => AddressError::MissingHost(text),
        AddressError::Host(_) => AddressError::Host(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(host: &str, port: u16) -> ListenAddress {
        ListenAddress::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn tcp_is_the_protocol_of_addresses_without_one() {
        for (text, address) in [
            (":4000", tcp("", 4000)),
            ("tcp://:4000", tcp("", 4000)),
            ("0.0.0.0:2375", tcp("0.0.0.0", 2375)),
            ("tcp://127.0.0.1:0", tcp("127.0.0.1", 0)),
            (":0", tcp("", 0)),
            ("[::1]:2375", tcp("::1", 2375)),
            ("manager-1:3376", tcp("manager-1", 3376)),
        ] {
            assert_eq!(listen_address(text), Ok(address), "{text}");
        }
        assert_eq!(
            listen_address("unix:///var/run/swarm.sock"),
            Ok(ListenAddress::Unix(PathBuf::from("/var/run/swarm.sock")))
        );
    }

    #[test]
    fn refuses_with_the_reason() {
        for (text, error) in [
            ("udp://:1", "unsupported protocol: \"udp\""),
            ("://x:1", "unsupported protocol: \"\""),
            ("unix://", "names no socket"),
            ("4000", "invalid --host: missing port in address \"4000\""),
            ("", "missing port"),
            (":", "missing port in address \":\""),
            (":65536", "invalid port in address \":65536\""),
            ("::1:80", "too many colons"),
            (":00", "invalid port"),
            ("tcp://a/b:1", "invalid host"),
        ] {
            let found = listen_address(text).unwrap_err().to_string();
            assert!(found.contains(error), "{text}: {found}");
        }
    }

    #[test]
    fn flags_replace_the_environment_and_the_environment_the_default() {
        let listen = |flags: &[&str], env: Option<&str>| {
            let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
            listen_addresses(&flags, env).unwrap()
        };
        assert_eq!(
            listen(&[":1", ":2"], Some(":3,:4")),
            [tcp("", 1), tcp("", 2)]
        );
        assert_eq!(listen(&[], Some(" :3, :4 ,")), [tcp("", 3), tcp("", 4)]);
        assert_eq!(listen(&[], Some(" ,")), [tcp("127.0.0.1", 2375)]);
        assert_eq!(listen(&[], None), [tcp("127.0.0.1", 2375)]);
    }

    #[test]
    fn loopback_and_unix_sockets_are_local() {
        for (text, local) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("localhost:1", true),
            ("unix:///x", true),
            (":1", false),
            ("0.0.0.0:1", false),
            ("10.0.0.1:1", false),
            ("example:1", false),
        ] {
            assert_eq!(is_local(&listen_address(text).unwrap()), local, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_round_trips(text in "((tcp|unix|\\PC{0,3})://)?[\\[\\]0-9a-c:.]{0,12}\\PC{0,6}") {
            if let Ok(address @ ListenAddress::Tcp { .. }) = listen_address(&text) {
                prop_assert_eq!(listen_address(&address.to_string()), Ok(address));
            }
        }
    }
}
