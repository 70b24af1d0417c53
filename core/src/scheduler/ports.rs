//! The `port` filter: which ports of an engine are taken (spec/classic.md section 5.2; its defect S7 mended).
//!
//! A container on the host's network takes the ports it exposes, any other those it publishes. A range for one port is
//! one of its ports; which one is known when the container runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Node, Request};
use crate::cluster::{Binding, Container, Exposed, PortRange, specific};

/// What a container asks of an engine's ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortsWanted {
    /// Whether it is on the host's network: `bindings` mean nothing then, and `exposed` nothing otherwise.
    pub host_network: bool,
    /// The ports it exposes.
    pub exposed: Vec<Exposed>,
    /// The ports it publishes at ports it names.
    pub bindings: Vec<Binding>,
}

/// Ports of an engine that a container has or wants.
#[derive(Clone, Copy, Debug)]
struct Claim<'a> {
    /// `None` for all of the engine's addresses.
    address: Option<IpAddr>,
    protocol: &'a str,
    ports: PortRange,
    /// All of `ports`, not any one of them.
    all: bool,
    /// Whose it is, for people.
    owner: &'a str,
}

/// The claims of all containers of an engine, ready to be searched by port.
#[derive(Debug, Default)]
struct Claims<'a> {
    single: BTreeMap<u16, Vec<Claim<'a>>>,
    ranges: Vec<Claim<'a>>,
}

/// Whether any ports are wanted.
pub(super) fn concerns(request: &Request) -> bool {
    !claims_of_request(request).is_empty()
}

/// Why the engine cannot give the ports that are wanted.
pub(super) fn conflict(node: &Node<'_>, request: &Request) -> Option<String> {
    let wanted = claims_of_request(request);
    if wanted.is_empty() {
        return None;
    }
    let mut claims = Claims::default();
    for container in node.engine.containers() {
        claims_of_container(container, &mut claims);
    }
    for pending in &node.pending {
        for claim in claims_of_request(pending) {
            claims.add(claim);
        }
    }
    wanted.iter().find_map(|wanted| claims.refuse(wanted))
}

/// What the request looks for, for people (spec/classic.md section 5.1).
pub(super) fn conditions(wanted: &PortsWanted) -> Vec<String> {
    if wanted.host_network {
        let exposed = wanted.exposed.iter();
        return exposed
            .map(|port| format!("port {port} (Host mode)"))
            .collect();
    }
    let bindings = wanted.bindings.iter();
    bindings
        .map(|binding| format!("port {} (Bridge mode)", binding.host))
        .collect()
}

fn claims_of_request(request: &Request) -> Vec<Claim<'_>> {
    let ports = &request.ports;
    let owner = request.name.as_str();
    if ports.host_network {
        let exposed = ports.exposed.iter();
        return exposed.map(|port| Claim::exposed(port, owner)).collect();
    }
    let bindings = ports.bindings.iter();
    bindings
        .map(|binding| Claim::binding(binding, owner))
        .collect()
}

/// A container has what it asks for also while it is stopped: it could not be started again otherwise.
fn claims_of_container<'a>(container: &'a Container, claims: &mut Claims<'a>) {
    let owner = container.name();
    if &*container.host.network_mode == "host" {
        for port in &container.host.exposed {
            claims.add(Claim::exposed(port, owner));
        }
        return;
    }
    let mut published = BTreeSet::new();
    for port in container.ports.iter().filter(|port| port.public > 0) {
        published.insert((port.private, &*port.kind));
        claims.add(Claim {
            address: specific(&port.address),
            protocol: &port.kind,
            ports: PortRange {
                first: port.public,
                last: port.public,
            },
            all: true,
            owner,
        });
    }
    for binding in &container.host.bindings {
        let Exposed { ports, protocol } = &binding.exposed;
        // Of a range it has taken its one port already.
        if binding.host.count() == 1 || !published.contains(&(ports.first, protocol.as_str())) {
            claims.add(Claim::binding(binding, owner));
        }
    }
}

impl<'a> Claim<'a> {
    fn exposed(exposed: &'a Exposed, owner: &'a str) -> Self {
        Self {
            address: None,
            protocol: &exposed.protocol,
            ports: exposed.ports,
            all: true,
            owner,
        }
    }

    fn binding(binding: &'a Binding, owner: &'a str) -> Self {
        Self {
            address: binding.address,
            protocol: &binding.exposed.protocol,
            ports: binding.host,
            all: binding.host.count() == 1,
            owner,
        }
    }

    /// Whether both would use the same port if its number were the same.
    fn meets(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && (self.address.is_none() || other.address.is_none() || self.address == other.address)
    }
}

impl<'a> Claims<'a> {
    fn add(&mut self, claim: Claim<'a>) {
        if claim.ports.count() == 1 {
            let claims = self.single.entry(claim.ports.first).or_default();
            claims.push(claim);
        } else {
            self.ranges.push(claim);
        }
    }

    fn refuse(&self, wanted: &Claim<'_>) -> Option<String> {
        let PortRange { first, last } = wanted.ports;
        let single = self
            .single
            .range(first..=last)
            .flat_map(|(_, claims)| claims);
        let mut taken = BTreeSet::new();
        let mut one_of = 0;
        let mut owner = None;
        for claim in single
            .chain(&self.ranges)
            .filter(|claim| claim.meets(wanted))
        {
            if claim.all {
                let from = claim.ports.first.max(first);
                let to = claim.ports.last.min(last);
                taken.extend(from..=to);
            } else if wanted.ports.covers(claim.ports) {
                one_of += 1;
            } else {
                continue;
            }
            owner = owner.or(Some(claim.owner));
        }
        let enough = if wanted.all { 1 } else { wanted.ports.count() };
        (taken.len() + one_of >= enough).then(|| {
            let (ports, protocol) = (wanted.ports, wanted.protocol);
            match owner {
                Some(owner) if !owner.is_empty() => {
                    format!("port {ports}/{protocol} is used by container {owner}")
                }
                Some(_) | None => format!("port {ports}/{protocol} is used"),
            }
        })
    }
}
