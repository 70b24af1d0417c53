//! The table: what was measured, next to what is aimed at.

use std::fmt;

use crate::options::Size;

/// What the manager should do with 1,000 engines and 30,000 containers on two cores.
const AIMS: [(&str, &str); 9] = [
    (MEMORY_AT_START, "<= 8 MiB"),
    (READY, "<= 3 s"),
    (MEMORY, "<= 100 MiB"),
    (INFO, "p99 <= 10 ms"),
    (LIST, "p99 <= 10 ms"),
    (CREATE_SHARE, "p99 <= 2 ms"),
    (CREATE_RATE, ">= 2,000 /s"),
    (INSPECT_CPU, "<= 20 us"),
    (FAILOVER, "<= 100 ms"),
];

pub(crate) const MEMORY_AT_START: &str = "RSS with no engines";
pub(crate) const READY: &str = "ready";
pub(crate) const MEMORY: &str = "RSS";
pub(crate) const INFO: &str = "info";
pub(crate) const LIST: &str = "ps -a";
pub(crate) const INSPECT_CPU: &str = "inspect, CPU of the manager";
pub(crate) const CREATE_SHARE: &str = "create+start, 1 client, manager's share";
pub(crate) const CREATE_RATE: &str = "create+start, 32 clients, rate";
pub(crate) const FAILOVER: &str = "kill -9 until ps -a is whole";

pub(crate) struct Report {
    size: Size,
    rows: Vec<(&'static str, String)>,
}

impl Report {
    pub(crate) fn new(size: Size) -> Self {
        let rows = Vec::new();
        Self { size, rows }
    }

    pub(crate) fn add(&mut self, what: &'static str, measured: impl fmt::Display) {
        let measured = measured.to_string();
        eprintln!("{what}: {measured}");
        self.rows.push((what, measured));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size {
            engines,
            containers,
        } = self.size;
        writeln!(
            f,
            "{engines} engines x {containers} containers; aims are for 1000 x 30 on two cores\n"
        )?;
        writeln!(f, "{:42} {:14} measured", "what", "aim")?;
        for (what, measured) in &self.rows {
            let aim = AIMS.iter().find(|(known, _)| known == what);
            let aim = aim.map_or("", |(_, aim)| aim);
            writeln!(f, "{what:42} {aim:14} {measured}")?;
        }
        Ok(())
    }
}
