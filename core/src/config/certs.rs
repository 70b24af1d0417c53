//! `swarm certs init`.

use std::path::PathBuf;

use super::defaults;
use super::error::ConfigError;
use crate::address::HostPort;

/// `swarm certs` as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawCerts {
    /// What to do: `init`.
    pub arguments: Vec<String>,
    /// `--dir`.
    pub dir: String,
    /// `--manager`, each a list.
    pub managers: Vec<String>,
    /// `--engine`, each a list.
    pub engines: Vec<String>,
    /// `--client`.
    pub client: String,
}

/// What `swarm certs init` makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certs {
    /// Where.
    pub dir: PathBuf,
    /// How managers are reached; this machine among it.
    pub managers: Vec<String>,
    /// How engines are reached; this machine among it.
    pub engines: Vec<String>,
    /// The name in the client's certificate.
    pub client: String,
}

/// The ways to reach this machine from itself.
const HERE: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// The longest common name of a certificate (RFC 5280, ub-common-name).
const NAME_LEN_MAX: usize = 64;

impl Default for RawCerts {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            dir: defaults::CERTS_DIR.to_owned(),
            managers: Vec::new(),
            engines: Vec::new(),
            client: defaults::CERTS_CLIENT.to_owned(),
        }
    }
}

impl TryFrom<RawCerts> for Certs {
    type Error = ConfigError;

    fn try_from(raw: RawCerts) -> Result<Self, ConfigError> {
        match raw.arguments.as_slice() {
            [word] if word == "init" => {}
            _ => return Err(ConfigError::CertsArguments),
        }
        let control = raw.client.chars().any(char::is_control);
        if raw.client.is_empty() || raw.client.len() > NAME_LEN_MAX || control {
            return Err(ConfigError::CertsClient);
        }
        if raw.dir.is_empty() {
            return Err(ConfigError::CertsDir);
        }
        Ok(Self {
            dir: PathBuf::from(raw.dir),
            managers: hosts("--manager", &raw.managers)?,
            engines: hosts("--engine", &raw.engines)?,
            client: raw.client,
        })
    }
}

/// Hosts, or addresses as `--advertise` takes them: the port is nobody's name.
fn hosts(flag: &'static str, lists: &[String]) -> Result<Vec<String>, ConfigError> {
    let mut hosts: Vec<String> = HERE.iter().map(|&host| host.to_owned()).collect();
    let given = lists.iter().flat_map(|list| list.split(','));
    for text in given.map(str::trim).filter(|text| !text.is_empty()) {
        let address = HostPort::new(text, 1).or_else(|_| text.parse::<HostPort>());
        let host = address
            .map_err(|_| ConfigError::CertsHost {
                flag,
                host: text.to_owned(),
            })?
            .host()
            .to_owned();
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certs(change: impl FnOnce(&mut RawCerts)) -> Result<Certs, String> {
        let mut raw = RawCerts {
            arguments: vec!["init".to_owned()],
            ..RawCerts::default()
        };
        change(&mut raw);
        Certs::try_from(raw).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_hosts_with_or_without_a_port_and_this_machine() {
        let found = certs(|raw| {
            raw.managers = vec!["10.0.0.1:4000,m2".to_owned(), "fe80::1,m2,".to_owned()];
        })
        .unwrap();
        assert_eq!(found.managers[3..], ["10.0.0.1", "m2", "fe80::1"]);
        assert_eq!(found.engines, HERE);
        assert_eq!(found.dir, PathBuf::from("certs"));
    }

    #[test]
    fn what_makes_no_certificate_is_refused_by_name() {
        let wrong = certs(|raw| raw.engines = vec!["a b".to_owned()]).unwrap_err();
        assert!(
            wrong.contains("--engine") && wrong.contains("a b"),
            "{wrong}"
        );
        let wrong = certs(|raw| raw.arguments = vec!["make".to_owned()]).unwrap_err();
        assert!(wrong.contains("swarm certs init"), "{wrong}");
        assert!(certs(|raw| raw.client = "x\n".to_owned()).is_err());
        assert!(certs(|raw| raw.dir = String::new()).is_err());
    }
}
