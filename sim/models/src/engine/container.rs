//! One container and the commands executed in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarm_core::time::{Mono, Wall};

use super::console::Console;
use super::files::Files;
use super::network::Endpoint;
use super::process::Process;
use super::spec::{Port, Spec};

/// A full ID: 64 hex characters.
pub(super) type Id = Arc<str>;

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Created and never started.
    Created,
    /// Running.
    Running,
    /// Running, with its processes stopped.
    Paused,
    /// Ended.
    Exited,
    /// Could not be removed completely.
    Dead,
}

/// Result of a container's health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Not known yet.
    Starting,
    /// Fine.
    Healthy,
    /// Failing.
    Unhealthy,
}

/// One container.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) id: Id,
    /// Order of creation.
    pub(super) number: u64,
    /// Without the leading slash.
    pub(super) name: String,
    pub(super) spec: Spec,
    pub(super) image_id: Arc<str>,
    pub(super) phase: Phase,
    pub(super) created: Wall,
    pub(super) started: Wall,
    pub(super) finished: Wall,
    pub(super) pid: u64,
    pub(super) exit_code: i64,
    pub(super) error: String,
    pub(super) restarts: u64,
    pub(super) health: Option<Health>,
    pub(super) console: Arc<Console>,
    pub(super) process: Option<Box<Process>>,
    pub(super) paused_at: Mono,
    /// By network name; boxed because a map node has room for eleven and a container has one or two.
    pub(super) endpoints: BTreeMap<String, Box<Endpoint>>,
    pub(super) published: Vec<Published>,
    pub(super) execs: Vec<Id>,
    pub(super) files: Option<Box<Files>>,
}

/// A port that is open on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) port: Port,
    pub(super) address: String,
    pub(super) host_port: u16,
}

/// A command executed in a container.
#[derive(Debug)]
pub(super) struct Exec {
    pub(super) id: Id,
    pub(super) container: Id,
    pub(super) command: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) tty: bool,
    pub(super) stdin: bool,
    pub(super) privileged: bool,
    pub(super) user: String,
    pub(super) detach_keys: String,
    pub(super) started: bool,
    pub(super) exit_code: Option<i64>,
    pub(super) pid: u64,
    pub(super) console: Arc<Console>,
    pub(super) process: Option<Box<Process>>,
}

impl Phase {
    /// Docker's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
}

impl Health {
    /// Docker's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl Container {
    /// Running, paused or not.
    pub(super) fn is_up(&self) -> bool {
        match self.phase {
            Phase::Running | Phase::Paused => true,
            Phase::Created | Phase::Exited | Phase::Dead => false,
        }
    }

    /// The host name its processes see: by default the short ID.
    pub(super) fn hostname(&self) -> &str {
        if self.spec.hostname.is_empty() {
            self.id.get(..12).unwrap_or(&self.id)
        } else {
            &self.spec.hostname
        }
    }

    /// `PATH`, `HOSTNAME` and what was configured.
    pub(super) fn env(&self) -> Vec<String> {
        let mut env = vec![
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            format!("HOSTNAME={}", self.hostname()),
        ];
        env.extend(self.spec.env());
        env
    }
}
