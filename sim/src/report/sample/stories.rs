//! Runs told by hand, for pictures.

use crate::judge::{Failover, Term};
use crate::plan::{Fault, Host, How, Op, Plan, Topology, Way};
use crate::property::{Property, Violation};
use crate::run::Run;
use crate::trace::{HostId, Keep, Kind, NOWHERE, Trace};

const MS: u64 = 1_000_000;
/// How long a lease is told to last.
const LEASE_MS: u64 = 2_000;

/// Tells a run event by event, in any order; events are sorted before they are taken in.
struct Teller {
    plan: Plan,
    hosts: Vec<String>,
    events: Vec<Told>,
    requests: u64,
}

struct Told {
    at: u64,
    host: HostId,
    kind: Kind,
    numbers: (u64, u64),
    text: String,
}

impl Teller {
    fn new(topology: Topology, clients: u8) -> Self {
        let names = |letter: &str, count: u8| {
            let name = |number| format!("{letter}{number}");
            (1..=count).map(name).collect::<Vec<_>>()
        };
        let hosts = [
            names("m", topology.managers),
            names("s", topology.stores),
            names("e", topology.engines),
            names("c", clients),
        ];
        Self {
            plan: Plan {
                topology,
                ..Plan::default()
            },
            hosts: hosts.concat(),
            events: Vec::new(),
            requests: 0,
        }
    }

    fn id(&self, name: &str) -> HostId {
        let found = self.hosts.iter().position(|host| host == name);
        found
            .and_then(|at| HostId::try_from(at).ok())
            .unwrap_or(NOWHERE)
    }

    fn tell(&mut self, ms: u64, host: &str, kind: Kind, numbers: (u64, u64)) -> &mut Self {
        self.say(ms, host, kind, numbers, "")
    }

    fn say(
        &mut self,
        ms: u64,
        host: &str,
        kind: Kind,
        numbers: (u64, u64),
        text: &str,
    ) -> &mut Self {
        let host = self.id(host);
        self.events.push(Told {
            at: ms * MS,
            host,
            kind,
            numbers,
            text: text.to_owned(),
        });
        self
    }

    /// A manager acts from `from` to `to` and renews its lease all the while.
    fn acts(&mut self, host: &str, epoch: u64, (from, to): (u64, u64)) -> &mut Self {
        self.tell(from, host, Kind::Acting, (epoch, 0));
        self.renews(host, epoch, (from, to));
        self.tell(to, host, Kind::Idle, (epoch, 0))
    }

    fn renews(&mut self, host: &str, epoch: u64, (from, to): (u64, u64)) -> &mut Self {
        for at in (from..to).step_by(400) {
            let until = (at + LEASE_MS) * MS;
            self.tell(at, host, Kind::Lease, (epoch, until));
        }
        self
    }

    fn fault(&mut self, id: u32, (from, to): (u64, u64), op: Op) -> &mut Self {
        let lasting = op.has_end();
        let words = op.to_string();
        self.plan.faults.push(Fault {
            id,
            at_ms: from,
            lasts_ms: to - from,
            op,
        });
        self.say(from, "", Kind::FaultBegan, (id.into(), 0), &words);
        if lasting {
            self.tell(to, "", Kind::FaultEnded, (id.into(), 0));
        }
        self
    }

    fn cut(&mut self, one: &str, other: &str, (from, to): (u64, u64)) -> &mut Self {
        for (here, there) in [(one, other), (other, one)] {
            let there = u64::from(self.id(there));
            self.tell(from, here, Kind::Cut, (there, 0));
            self.tell(to, here, Kind::Healed, (there, 0));
        }
        self
    }

    /// A client asks every `pace` ms; each answer takes `took` ms.
    fn client(
        &mut self,
        host: &str,
        (from, to): (u64, u64),
        pace: u64,
        answer: impl Fn(u64) -> (u64, u64),
    ) -> &mut Self {
        let mut at = from;
        while at < to {
            self.requests += 1;
            let request = self.requests;
            let (took, status) = answer(at);
            self.tell(at, host, Kind::Asked, (request, 0));
            self.tell(at + took, host, Kind::Answered, (request, status));
            at += pace.max(took);
        }
        self
    }

    fn run(mut self, ms: u64, violation: Option<Violation>) -> (Plan, Run) {
        self.events.retain(|event| event.at < ms * MS);
        self.events.sort_by_key(|event| event.at);
        let mut run = Run {
            trace: Trace::new(Keep::All, self.hosts),
            simulated: ms * MS,
            ..Run::default()
        };
        for event in self.events {
            if event.kind == Kind::Acting {
                run.terms.push(Term {
                    at: event.at,
                    host: event.host,
                    epoch: event.numbers.0,
                });
            }
            let what = (event.at, event.host, event.kind);
            run.trace.add(what, event.numbers, 0, || event.text);
        }
        if let Some(mut violation) = violation {
            let what = (violation.at, NOWHERE, Kind::Violation);
            let words = violation.what.clone();
            violation.event = run.trace.add(what, (0, 0), 0, || words);
            run.violation = Some(violation);
        }
        run.hash = run.trace.hash();
        (self.plan, run)
    }
}

/// A killed primary whose guard gives its lease back: one change, a short wait, nothing lost.
#[must_use]
pub fn killed_primary() -> (Plan, Run) {
    let mut story = Teller::new(Topology::default(), 2);
    let victim = Op::Kill {
        host: Host::Primary,
        guard: true,
    };
    story
        .acts("m2", 1, (310, 6_000))
        .tell(6_000, "m2", Kind::Ended, (1, 0))
        .tell(9_000, "m2", Kind::Started, (2, 0))
        .acts("m3", 2, (6_019, 12_000))
        .fault(1, (6_000, 9_000), victim)
        .client("c1", (400, 11_900), 50, |_| (8, 200))
        .client("c2", (400, 11_900), 130, |at| match at {
            5_950..=6_000 => (70, 201),
            _ => (12, 201),
        });
    let (plan, mut run) = story.run(12_000, None);
    run.failovers.push(Failover {
        cause: "kill".to_owned(),
        at: 6_000 * MS,
        took_us: 19_000,
        budget_us: 125_000,
    });
    (plan, run)
}

/// A paused primary wakes up beside its successor: what a testbed is for.
#[must_use]
pub fn two_primaries() -> (Plan, Run) {
    let topology = Topology {
        stores: 3,
        ..Topology::default()
    };
    let mut story = Teller::new(topology, 3);
    let manager = Host::Manager;
    let to_store = |from, way| Op::Cut {
        from,
        to: Host::Store(1),
        way,
        how: How::Hold,
    };
    story
        .acts("m1", 4, (240, 7_802))
        .fault(7, (3_200, 9_000), to_store(manager(1), Way::Both))
        .fault(12, (3_900, 7_610), Op::Pause { host: manager(1) })
        .fault(
            31,
            (4_100, 9_500),
            Op::Rate {
                host: manager(2),
                ppm: 48_000,
            },
        )
        .cut("m1", "s1", (3_200, 9_000))
        .tell(3_900, "m1", Kind::Paused, (0, 0))
        .tell(7_610, "m1", Kind::Resumed, (0, 0))
        .tell(7_590, "m2", Kind::SwapSent, (5, 1))
        .tell(7_594, "s2", Kind::SwapDone, (5, 81))
        .tell(7_598, "m2", Kind::Acting, (5, 0))
        .renews("m2", 5, (7_598, 7_802))
        .say(
            5_300,
            "m3",
            Kind::Log,
            (2, 0),
            "no answer from store s1, trying s2",
        )
        .client("c1", (300, 7_800), 60, |at| match at {
            3_900..7_600 => (900, 503),
            _ => (9, 200),
        })
        .client("c2", (300, 7_800), 90, |_| (6, 200))
        .client("c3", (320, 7_780), 210, |at| match at {
            3_850..7_600 => (1_400, 502),
            _ => (22, 201),
        });
    let words = "m1 (epoch 4) and m2 (epoch 5) both act";
    let broken = Violation::new(Property::SinglePrimary, "", 7_640 * MS, words);
    story.run(7_640, Some(broken))
}

/// The store is away for a while: no change of primary, and clients wait.
#[must_use]
pub fn store_away() -> (Plan, Run) {
    let topology = Topology {
        managers: 2,
        engines: 1,
        ..Topology::default()
    };
    let mut story = Teller::new(topology, 1);
    story
        .tell(280, "m1", Kind::Acting, (1, 0))
        .renews("m1", 1, (280, 4_000))
        .tell(5_880, "m1", Kind::Idle, (1, 0))
        .tell(4_000, "s1", Kind::Ended, (1, 0))
        .tell(9_000, "s1", Kind::Started, (2, 0))
        .acts("m1", 1, (9_130, 15_000))
        .fault(
            1,
            (4_000, 9_000),
            Op::Kill {
                host: Host::StoreLeader,
                guard: true,
            },
        )
        .client("c1", (300, 14_900), 80, |at| match at {
            5_800..9_100 => (9_180 - at, 200),
            _ => (10, 200),
        });
    story.run(15_000, None)
}

/// Everything at once, for a long time.
#[must_use]
pub fn stormy() -> (Plan, Run) {
    let topology = Topology {
        managers: 5,
        stores: 3,
        engines: 3,
        agents: false,
        ..Topology::default()
    };
    let mut story = Teller::new(topology, 4);
    let seconds = 60_u64;
    for index in 0..30_u64 {
        let from = 1_500 + index * 1_700;
        let number = u8::try_from(index % 5 + 1).unwrap_or(1);
        let (host, other) = (Host::Manager(number), Host::Store(number % 3 + 1));
        let name = host.to_string();
        let id = u32::try_from(index + 1).unwrap_or(0);
        let until = from + 900 + index % 7 * 600;
        let way = Way::Both;
        match index % 6 {
            0 => {
                story.tell(from, &name, Kind::Ended, (2, 0));
                story.tell(until, &name, Kind::Started, (2, 0));
                story.fault(id, (from, until), Op::PowerLoss { host });
            }
            1 => {
                let there = other.to_string();
                story.cut(&name, &there, (from, until));
                let (from_host, how) = (host, How::Refuse);
                let op = Op::Cut {
                    from: from_host,
                    to: other,
                    way,
                    how,
                };
                story.fault(id, (from, until), op);
            }
            2 => {
                story.tell(from, &name, Kind::Paused, (0, 0));
                story.tell(until, &name, Kind::Resumed, (0, 0));
                story.fault(id, (from, until), Op::Pause { host });
            }
            3 => {
                story.tell(from, &name, Kind::Paused, (1, 0));
                story.tell(until, &name, Kind::Resumed, (0, 0));
                story.fault(id, (from, until), Op::Freeze { host });
            }
            4 => {
                let seconds = 3_600;
                story.fault(id, (from, from), Op::WallStep { host, seconds });
            }
            _ => {
                story.fault(id, (from, until), Op::SlowWrites { ms: 120 });
            }
        }
    }
    for epoch in 1..9_u64 {
        let host = format!("m{}", (epoch + 2) % 5 + 1);
        let from = 300 + (epoch - 1) * 7_200;
        story.acts(&host, epoch, (from, (from + 6_400).min(seconds * 1_000)));
    }
    for (host, pace) in [("c1", 21), ("c2", 33), ("c3", 57), ("c4", 140)] {
        story.client(host, (200, seconds * 1_000 - 100), pace, |at| {
            match (at % 7_200, at % 11) {
                (6_700..7_200, 0..=3) => (300, 503),
                (6_700..7_200, 4) => (40, 502),
                (6_700..7_200, _) => (500, 200),
                _ => (11, 200),
            }
        });
    }
    story.run(seconds * 1_000, None)
}
