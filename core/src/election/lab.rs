//! A small randomised event loop: several elections, one store, hostile weather, and checks on true time.
//!
//! It runs with every `cargo test`. The checks have to notice each rule of HA.md section 7.3 that is taken out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lease::operation_timeout;
use super::*;

mod store;
mod weather;
mod wire;

use store::Store;
use weather::Weather;

const LEASE: Duration = Duration::from_secs(2);
const RUN: u64 = 60_000 * MS;
/// No fault begins after this, so that the end of a run can be judged.
const CALM_FROM: u64 = 42_000 * MS;
const MS: u64 = 1_000_000;

/// What went wrong, in words.
type Violation = String;

#[derive(Clone, Debug)]
enum Event {
    Wake {
        node: usize,
        life: u64,
    },
    Deliver {
        node: usize,
        life: u64,
        input: Input,
        about: Option<u64>,
    },
    Swap {
        node: usize,
        life: u64,
        op: OpId,
        expected: Option<Version>,
        record: Record,
    },
    Verify {
        node: usize,
        life: u64,
        op: OpId,
    },
    Poll {
        node: usize,
    },
    Mutate {
        node: usize,
        ticket: Ticket,
    },
    Leave {
        node: usize,
        life: u64,
        epoch: u64,
    },
    Weather,
    Restart {
        node: usize,
    },
    GuardReleases {
        instance: String,
    },
}

struct Node {
    machine: Option<Election>,
    life: u64,
    /// Local nanoseconds for each true microsecond: the error of its clock.
    rate: u64,
    offset: u64,
    paused_until: u64,
    cut_until: u64,
    deaf_until: u64,
    /// When it lost the lease against its will, in true time.
    lost_at: Option<u64>,
    /// The highest epoch it was told of.
    told_epoch: u64,
    /// The one wake that counts.
    wake_at: u64,
}

impl Node {
    fn local(&self, now: u64) -> Mono {
        Mono(self.offset + now / 1_000 * self.rate + now % 1_000)
    }

    fn true_delay(&self, local: Duration) -> u64 {
        u64::try_from(local.as_nanos()).unwrap() * 1_000 / self.rate + 1_000
    }

    fn acting(&self, now: u64) -> Option<u64> {
        let machine = self.machine.as_ref()?;
        machine
            .authority(self.local(now))
            .map(|authority| authority.epoch)
    }
}

pub(super) struct Lab {
    now: u64,
    seq: u64,
    queue: BTreeMap<(u64, u64), Event>,
    random: Random,
    weather: Weather,
    store: Store,
    nodes: Vec<Node>,
    broken: Option<Rule>,
    highest_acquired: u64,
    pub(super) changes: u64,
    pub(super) dispatched: u64,
    violation: Option<Violation>,
}

/// Runs one seed; the first violation, if any, with the lab that shows it.
pub(super) fn run(seed: u64, broken: Option<Rule>) -> (Lab, Option<Violation>) {
    let root = Random::new(seed);
    let mut random = root.fork("lab");
    let weather = Weather::draw(root.fork("weather"));
    let mut lab = Lab {
        now: 0,
        seq: 0,
        queue: BTreeMap::new(),
        store: Store::new(root.fork("store")),
        nodes: Vec::new(),
        weather,
        broken,
        highest_acquired: 0,
        changes: 0,
        dispatched: 0,
        violation: None,
        random: root.fork("run"),
    };
    for index in 0..random.between(2, 5) {
        lab.nodes.push(Node {
            machine: None,
            life: 0,
            rate: random.between(981, 1_019),
            offset: random.below(1_000_000 * MS),
            paused_until: 0,
            cut_until: 0,
            deaf_until: 0,
            lost_at: None,
            told_epoch: 0,
            wake_at: 0,
        });
        let at = random.below(300 * MS);
        let node = usize::try_from(index).unwrap();
        lab.at(at, Event::Restart { node });
        lab.at(at, Event::Poll { node });
    }
    lab.at(1_000 * MS, Event::Weather);
    lab.at(500 * MS, Event::Mutate { node: 0, ticket: 1 });
    lab.go();
    let violation = lab.violation.take();
    (lab, violation)
}

impl Lab {
    fn at(&mut self, time: u64, event: Event) {
        self.seq += 1;
        self.queue.insert((time, self.seq), event);
    }

    fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    fn fail(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(format!(
                "{}.{:03}s: {}",
                self.now / MS / 1_000,
                self.now / MS % 1_000,
                what()
            ));
        }
    }

    fn go(&mut self) {
        while let Some(((time, _), event)) = self.queue.pop_first() {
            if time > RUN || self.violation.is_some() {
                break;
            }
            self.now = time;
            self.happen(event);
            self.check_single_primary();
        }
        let acting = (0..self.nodes.len()).any(|node| self.nodes[node].acting(self.now).is_some());
        if !acting {
            self.fail(|| "no primary though the weather has been calm for 18 s".into());
        }
        if self.weather.only_outages() && self.changes > 1 {
            self.fail(|| "a store outage changed the epoch".into());
        }
    }

    fn check_single_primary(&mut self) {
        let acting: Vec<(usize, u64)> = (0..self.nodes.len())
            .filter_map(|node| Some((node, self.nodes[node].acting(self.now)?)))
            .collect();
        if acting.len() > 1 {
            self.fail(|| format!("several acting primaries (manager, epoch): {acting:?}"));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { node, life } => self.wake(node, life),
            Event::Deliver {
                node,
                life,
                input,
                about,
            } => self.deliver(node, life, input, about),
            Event::Swap {
                node,
                life,
                op,
                expected,
                record,
            } => self.store_swap(node, life, op, expected, &record),
            Event::Verify { node, life, op } => {
                let reading = self.store.current();
                let delay = self.weather.answer_delay();
                self.answer(node, life, delay, Input::Verified(op, Some(reading)), None);
            }
            Event::Poll { node } => {
                let life = self.nodes[node].life;
                let reading = self.store.stale(self.now, self.weather.staleness());
                self.hint(node, life, reading);
                self.after(400 * MS, Event::Poll { node });
            }
            Event::Mutate { node, ticket } => self.mutate(node, ticket),
            Event::Leave { node, life, epoch } => self.leave(node, life, epoch),
            Event::Weather => self.blow(),
            Event::Restart { node } => self.restart(node),
            Event::GuardReleases { instance } => self.guard_releases(&instance),
        }
    }

    fn restart(&mut self, node: usize) {
        if self.nodes[node].machine.is_some() {
            return;
        }
        let life = self.nodes[node].life + 1;
        let config = ElectionConfig {
            advertise: format!("m{node}:4000").parse().unwrap(),
            instance: format!("m{node}life{life}"),
            lease: LEASE,
            fence: Fence::Verify,
        };
        let mut machine = Election::new(config, self.random.fork(&format!("m{node}/{life}")));
        if let Some(rule) = self.broken {
            machine = machine.without(rule);
        }
        let slot = &mut self.nodes[node];
        (slot.machine, slot.life, slot.lost_at, slot.told_epoch) = (Some(machine), life, None, 0);
        let members = (0..self.nodes.len())
            .map(|node| format!("m{node}:4000").parse().unwrap())
            .collect();
        self.deliver(node, life, Input::Members(members), None);
        let reading = self.store.current();
        self.hint(node, life, reading);
    }

    fn wake(&mut self, node: usize, life: u64) {
        if self.nodes[node].life != life || self.nodes[node].wake_at != self.now {
            return;
        }
        if self.now < self.nodes[node].paused_until {
            let until = self.nodes[node].paused_until;
            self.nodes[node].wake_at = until;
            self.at(until, Event::Wake { node, life });
            return;
        }
        let local = self.nodes[node].local(self.now);
        let mut out = Effects::default();
        if let Some(machine) = &mut self.nodes[node].machine {
            machine.wake(local, &mut out);
        }
        self.carry_out(node, out);
    }

    /// `about` is the epoch of the swap an answer belongs to.
    fn deliver(&mut self, node: usize, life: u64, input: Input, about: Option<u64>) {
        if self.nodes[node].life != life || self.nodes[node].machine.is_none() {
            return;
        }
        if self.now < self.nodes[node].paused_until {
            let until = self.nodes[node].paused_until;
            self.at(
                until,
                Event::Deliver {
                    node,
                    life,
                    input,
                    about,
                },
            );
            return;
        }
        let foreign = self.foreign_epoch(node, &input);
        if let Some(epoch) = foreign {
            self.nodes[node].told_epoch = self.nodes[node].told_epoch.max(epoch);
        }
        let conflict = foreign.is_some() && about.is_some();
        let local = self.nodes[node].local(self.now);
        let mut out = Effects::default();
        if let Some(machine) = &mut self.nodes[node].machine {
            machine.handle(local, input, &mut out);
        }
        if conflict && self.nodes[node].acting(self.now) == about {
            self.fail(|| format!("m{node} goes on though it was told of another's record"));
        }
        self.carry_out(node, out);
    }

    /// The epoch of another's record that `input` shows.
    fn foreign_epoch(&self, node: usize, input: &Input) -> Option<u64> {
        let (Input::Swapped(_, SwapOutcome::Conflict(Some(reading)))
        | Input::Observed(reading)
        | Input::Verified(_, Some(reading))) = input
        else {
            return None;
        };
        let own = format!("m{node}life{}", self.nodes[node].life);
        reading
            .record()
            .filter(|record| record.instance != own)
            .map(|record| record.epoch)
    }

    fn carry_out(&mut self, node: usize, mut out: Effects<Effect>) {
        let life = self.nodes[node].life;
        let effects: Vec<Effect> = out.drain().collect();
        for effect in effects {
            match effect {
                Effect::Swap {
                    op,
                    expected,
                    record,
                } => self.send_swap(node, op, expected, record),
                Effect::Verify { op } => {
                    let delay = self.weather.request_delay();
                    if self.now < self.nodes[node].cut_until {
                        let wait = operation_timeout(LEASE).as_nanos() as u64;
                        self.answer(node, life, wait, Input::Verified(op, None), None);
                    } else {
                        self.after(delay, Event::Verify { node, life, op });
                    }
                }
                Effect::Open { tickets, epoch } => {
                    for _ in tickets {
                        let delay = self.weather.dispatch_delay();
                        self.after(delay, Event::Leave { node, life, epoch });
                    }
                }
                Effect::Refuse { .. } => {}
                Effect::Quiesce => self.after(
                    MS,
                    Event::Deliver {
                        node,
                        life,
                        input: Input::Flushed,
                        about: None,
                    },
                ),
                Effect::Notify(notice) => self.noticed(node, &notice),
            }
        }
        if let Some(wake) = self.nodes[node].machine.as_ref().and_then(Machine::wake_at) {
            let local = self.nodes[node].local(self.now);
            let delay = self.nodes[node].true_delay(wake.at.since(local));
            self.nodes[node].wake_at = self.now + delay;
            self.after(delay, Event::Wake { node, life });
        }
    }

    fn noticed(&mut self, node: usize, notice: &Notice) {
        match notice {
            Notice::Acquired { epoch } => {
                self.changes += 1;
                // What nobody alive was told of is lost when the store forgets it.
                let told = self.nodes[node].told_epoch;
                let highest = if self.weather.store_forgets() {
                    told
                } else {
                    self.highest_acquired
                };
                if *epoch <= highest {
                    self.fail(|| format!("m{node} acquired epoch {epoch} after epoch {highest}"));
                }
                self.highest_acquired = self.highest_acquired.max(*epoch);
            }
            Notice::Lost(LossReason::Resigned) => {}
            Notice::Lost(_) => self.nodes[node].lost_at = Some(self.now),
            Notice::Recovered { .. }
            | Notice::Lapsed { .. }
            | Notice::Standby
            | Notice::Leader { .. }
            | Notice::StoreTrouble(_)
            | Notice::Resigned => {}
        }
    }
}
