//! Faults: which kinds a run has (drawn once, from a stream of their own), and when they strike.

use super::super::{Input, Record, Resignation};
use super::{CALM_FROM, Event, Lab, MS};
use crate::rng::Random;

/// The kinds of fault, each on or off for a whole run.
#[derive(Clone, Copy, Debug, Default)]
struct Mask {
    stale: bool,
    slow: bool,
    loss: bool,
    cuts: bool,
    deaf: bool,
    pauses: bool,
    crashes: bool,
    step_downs: bool,
    usurpers: bool,
    store_loss: bool,
}

pub(super) struct Weather {
    random: Random,
    mask: Mask,
    outages_only: bool,
    calm: bool,
}

impl Weather {
    pub(super) fn draw(mut random: Random) -> Self {
        let mut on = || random.chance(500);
        let mut mask = Mask {
            stale: on(),
            slow: on(),
            loss: on(),
            cuts: on(),
            deaf: on(),
            pauses: on(),
            crashes: on(),
            step_downs: on(),
            usurpers: on(),
            store_loss: on(),
        };
        // A process that starts right after the store forgot everything cannot know: outside the model.
        mask.crashes &= !mask.store_loss;
        let outages_only = random.chance(60);
        if outages_only {
            mask = Mask::default();
        }
        Self {
            random,
            mask,
            outages_only,
            calm: false,
        }
    }

    pub(super) fn only_outages(&self) -> bool {
        self.outages_only
    }

    pub(super) fn store_forgets(&self) -> bool {
        self.mask.store_loss
    }

    fn short(&mut self) -> u64 {
        self.random.between(MS / 5, 8 * MS)
    }

    pub(super) fn request_delay(&mut self) -> u64 {
        if self.mask.slow && !self.calm && self.random.chance(50) {
            return self.random.below(900 * MS);
        }
        self.short()
    }

    pub(super) fn answer_delay(&mut self) -> u64 {
        if self.mask.slow && !self.calm && self.random.chance(100) {
            return self.random.below(6_000 * MS);
        }
        self.short()
    }

    pub(super) fn dispatch_delay(&mut self) -> u64 {
        self.random.below(5 * MS)
    }

    pub(super) fn loses_answer(&mut self) -> bool {
        self.mask.loss && !self.calm && self.random.chance(100)
    }

    pub(super) fn loses_hint(&mut self) -> bool {
        self.mask.loss && !self.calm && self.random.chance(300)
    }

    pub(super) fn staleness(&mut self) -> u64 {
        if self.mask.stale && !self.calm {
            self.random.below(2_000 * MS)
        } else {
            0
        }
    }
}

impl Lab {
    pub(super) fn blow(&mut self) {
        if self.now >= CALM_FROM {
            self.weather.calm = true;
            return;
        }
        let pause = self.weather.random.between(100 * MS, 2_500 * MS);
        // An outage right after another may find the holder between two tries: no promise is made for that.
        let apart = if self.weather.outages_only {
            9_000 * MS
        } else {
            0
        };
        self.after(pause + apart, Event::Weather);
        let node = usize::try_from(self.weather.random.below(self.nodes.len() as u64)).unwrap();
        let mask = self.weather.mask;
        let kind = self.weather.random.below(8);
        let length = self.weather.random.between(50 * MS, 6_000 * MS);
        match kind {
            _ if self.weather.outages_only => self.outage(length),
            0 if mask.cuts => self.nodes[node].cut_until = self.now + length,
            1 if mask.cuts => self.outage(length),
            2 if mask.deaf => self.nodes[node].deaf_until = self.now + length,
            3 if mask.pauses => self.nodes[node].paused_until = self.now + length,
            4 if mask.crashes => self.crash(node, length),
            5 if mask.step_downs => {
                let life = self.nodes[node].life;
                self.deliver(node, life, Input::Resign(Resignation::StepDown), None);
            }
            6 if mask.usurpers => self.usurp(),
            7 if mask.store_loss => {
                let ago = self.weather.random.between(200 * MS, 8_000 * MS);
                if self.weather.random.chance(500) {
                    self.store.wipe(self.now);
                } else {
                    self.store.roll_back(self.now, ago);
                }
            }
            _ => {}
        }
    }

    fn outage(&mut self, length: u64) {
        for node in &mut self.nodes {
            node.cut_until = self.now + length;
        }
    }

    fn crash(&mut self, node: usize, length: u64) {
        let Some(machine) = self.nodes[node].machine.take() else {
            return;
        };
        if self.weather.random.chance(500) {
            let instance = machine.instance().to_owned();
            self.after(3 * MS, Event::GuardReleases { instance });
        }
        self.after(length, Event::Restart { node });
    }

    /// An operator, or a program of somebody else's, writes a record of its own, and gives it up after a full lease.
    fn usurp(&mut self) {
        let Some(record) = self.store.current().record().cloned() else {
            return;
        };
        let forged = Record {
            epoch: record.epoch + 1,
            holder: "x:4000".parse().unwrap(),
            instance: "x".into(),
            nonce: "x".into(),
            released: false,
            ..record
        };
        self.store.put(self.now, forged);
        self.tell_everyone();
        let delay = self.weather.random.between(2_050 * MS, 3_000 * MS);
        self.after(
            delay,
            Event::GuardReleases {
                instance: "x".into(),
            },
        );
    }
}
