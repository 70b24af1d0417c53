//! Hosts by name or by part, and the directions and ways in which a link fails.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A host by its name, or by the part it plays when the fault begins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Host {
    /// Manager `m<n>`, counted from 1.
    Manager(u8),
    /// Server `s<n>` of the store.
    Store(u8),
    /// Engine `e<n>`.
    Engine(u8),
    /// Client `c<n>`.
    Client(u8),
    /// The acting primary; the first manager if there is none.
    Primary,
    /// The first manager that is up and not the primary.
    Replica,
    /// The second such manager; the first if there is no second.
    SecondReplica,
    /// The leader of the store; its first server if there is none.
    StoreLeader,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manager(n) => write!(f, "m{n}"),
            Self::Store(n) => write!(f, "s{n}"),
            Self::Engine(n) => write!(f, "e{n}"),
            Self::Client(n) => write!(f, "c{n}"),
            Self::Primary => f.write_str("primary"),
            Self::Replica => f.write_str("replica"),
            Self::SecondReplica => f.write_str("second-replica"),
            Self::StoreLeader => f.write_str("store-leader"),
        }
    }
}

/// A text that names no host.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no host: m1, s1, e1, c1, primary, replica, second-replica or store-leader")]
pub struct NoHost(String);

impl TryFrom<String> for Host {
    type Error = NoHost;

    fn try_from(text: String) -> Result<Self, NoHost> {
        let numbered = |letter: char| {
            let number = text.strip_prefix(letter)?.parse().ok()?;
            (1..=64).contains(&number).then_some(number)
        };
        match text.as_str() {
            "primary" => Ok(Self::Primary),
            "replica" => Ok(Self::Replica),
            "second-replica" => Ok(Self::SecondReplica),
            "store-leader" => Ok(Self::StoreLeader),
            _ => numbered('m')
                .map(Self::Manager)
                .or_else(|| numbered('s').map(Self::Store))
                .or_else(|| numbered('e').map(Self::Engine))
                .or_else(|| numbered('c').map(Self::Client))
                .ok_or(NoHost(text)),
        }
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

/// Which direction of a link a fault concerns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Both.
    #[default]
    Both,
    /// From the first host to the second.
    Forth,
    /// From the second host to the first.
    Back,
}

impl Way {
    pub(super) const fn arrow(self) -> &'static str {
        match self {
            Self::Both => "–",
            Self::Forth => "→",
            Self::Back => "←",
        }
    }
}

/// What happens to what is sent over a cut link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It waits, and arrives when the cut ends, as where TCP retransmits.
    #[default]
    Hold,
    /// It is lost and new connections are refused at once: a firewall that rejects.
    Refuse,
}

/// Which requests a store turns down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefuseWhich {
    /// All.
    #[default]
    All,
    /// Those that change something.
    Writes,
    /// The others.
    Reads,
}
