//! Which faults a random plan has, and when.

use swarm_core::rng::Random;

use super::{Family, Fault, Mask, Op, Plan, Profile, Tier, pick};
use crate::plan::{Host, How, RefuseWhich, StoreKind, Way};

/// Faults of a plan drawn so far.
struct Drawing<'a> {
    plan: &'a Plan,
    random: &'a mut Random,
    outside: bool,
    faults: Vec<Fault>,
}

/// Outages closer than this may catch the holder between two tries.
const OUTAGES_APART_MS: u64 = 9_500;
/// Between two faults nothing elects without quiet.
const QUIET_MS: u64 = 2_500;

pub(super) fn draw(plan: &Plan, mask: &Mask, profile: Profile, random: &mut Random) -> Vec<Fault> {
    let families: Vec<Family> = mask
        .families
        .iter()
        .copied()
        .filter(|family| plan.tier == Tier::World || *family != Family::Engine)
        .collect();
    if families.is_empty() {
        return Vec::new();
    }
    let most = match profile {
        Profile::Pr | Profile::Nightly => 12,
        Profile::Soak => 60,
    };
    let count = random.between(1, most);
    let mut drawing = Drawing {
        plan,
        random,
        outside: mask.outside,
        faults: Vec::new(),
    };
    if mask.outages {
        drawing.outages(count);
    } else {
        drawing.mixed(&families, count);
    }
    drawing.faults
}

impl Drawing<'_> {
    fn add(&mut self, at_ms: u64, lasts_ms: u64, op: Op) {
        let id = u32::try_from(self.faults.len() + 1).unwrap_or(u32::MAX);
        let lasts_ms = if op.has_end() { lasts_ms } else { 0 };
        self.faults.push(Fault {
            id,
            at_ms,
            lasts_ms,
            op,
        });
    }

    /// The whole store is away, again and again, with time to recover between.
    fn outages(&mut self, count: u64) {
        let mut at = self.random.between(0, 3_000);
        for _ in 0..count {
            let lasts = self.random.between(50, 8_000);
            if at + lasts > self.plan.phases.faults_ms {
                return;
            }
            let op = if self.plan.topology.stores == 1 && self.random.chance(400) {
                Op::Kill {
                    host: Host::StoreLeader,
                    guard: true,
                }
            } else {
                Op::NoStoreLeader
            };
            self.add(at, lasts, op);
            let apart = OUTAGES_APART_MS + self.plan.knobs.lease_ms;
            at += lasts + self.random.between(apart, apart * 2);
        }
    }

    /// Faults of any of `families`; now and then several at once, mostly with quiet between.
    fn mixed(&mut self, families: &[Family], count: u64) {
        let whole = self.plan.phases.faults_ms;
        let mut at = self.random.between(0, 2_000);
        for _ in 0..count {
            let lasts = self.length();
            if at + lasts > whole {
                at = self.random.below(whole.saturating_sub(lasts).max(1));
            }
            let family = pick(self.random, families, Family::Link);
            let has = |family| families.contains(&family);
            if family == Family::Link && self.plan.knobs.failsafe && self.random.chance(300) {
                self.primary_without_store(at, lasts);
            } else if family == Family::Link && self.random.chance(150) {
                self.swizzle(at, lasts);
            } else if family == Family::Operator && has(Family::Pause) && self.random.chance(300) {
                self.hand_around(at);
            } else if family == Family::StoreData && self.random.chance(150) {
                self.claim_in_doubt(at);
            } else if family == Family::StoreData && self.random.chance(200) {
                self.release_restored(at);
            } else {
                let op = self.op(family);
                self.add(at, lasts, op);
            }
            let overlaps = self.random.chance(400);
            at += if overlaps {
                self.random.between(0, lasts)
            } else {
                lasts + self.random.between(QUIET_MS, QUIET_MS + 8_000)
            };
        }
    }

    /// Mostly long enough for something to happen, now and then just too short for it.
    fn length(&mut self) -> u64 {
        let lease = self.plan.knobs.lease_ms;
        match self.random.below(5) {
            0 => self.random.between(20, 400),
            1 => self.random.between(lease / 2, lease * 2),
            2 => self.random.between(lease, lease * 4),
            _ => self.random.between(500, 8_000),
        }
    }

    /// The primary alone is cut off from the store, for long enough to live by promises.
    fn primary_without_store(&mut self, at: u64, lasts: u64) {
        let (way, lasts) = (self.way(), lasts + self.plan.knobs.lease_ms * 2);
        for server in 1..=self.plan.topology.stores {
            let op = Op::Cut {
                from: Host::Primary,
                to: Host::Store(server),
                way,
                how: How::Hold,
            };
            self.add(at, lasts, op);
        }
    }

    /// Several hosts are isolated one after another and come back in another order.
    fn swizzle(&mut self, at: u64, lasts: u64) {
        let managers = u64::from(self.plan.topology.managers);
        let count = self.random.between(2, managers.max(2));
        for n in 0..count.min(managers) {
            let host = Host::Manager(u8::try_from(n + 1).unwrap_or(1));
            let begins = at + self.random.between(0, lasts / 2);
            let ends = begins + self.random.between(lasts / 2, lasts).max(20);
            let way = self.way();
            self.add(begins, ends - begins, Op::Isolate { host, way });
        }
    }

    /// A primary sleeps through the term of another and wakes when that one has just stepped down.
    fn hand_around(&mut self, at: u64) {
        let term = self.plan.knobs.lease_ms * 3 / 2 + self.random.between(300, 1_500);
        let asleep = term + self.random.between(0, 200);
        let host = Host::Primary;
        self.add(at, asleep, Op::Pause { host: host.clone() });
        self.add(at + term, 0, Op::StepDown { host });
    }

    /// A primary dies; the answer to its successor's claim comes when somebody else has written over it.
    fn claim_in_doubt(&mut self, at: u64) {
        let lease = self.plan.knobs.lease_ms;
        let ms = self.random.between(lease / 4, lease * 3 / 4);
        let host = Host::Primary;
        self.add(at, lease, Op::SlowReplies { ms });
        self.add(at + 10, lease * 2, Op::Kill { host, guard: true });
        let usurped = at + 10 + self.random.between(50, ms.max(51));
        let lasts = self.random.between(50, lease);
        self.add(usurped, lasts, Op::Usurp);
    }

    /// The store is restored to the moment between a release and the takeover that followed it.
    fn release_restored(&mut self, at: u64) {
        let later = self.random.between(300, 4_000);
        let since = self.random.between(3, 60);
        let host = Host::Primary;
        self.add(at, 0, Op::StepDown { host });
        self.add(at + later, 0, Op::Rollback { ms: later - since });
    }

    fn manager(&mut self) -> Host {
        match self.random.below(10) {
            0..5 => Host::Primary,
            5 | 6 => Host::Replica,
            7 => Host::SecondReplica,
            _ => self.numbered_manager(),
        }
    }

    fn numbered_manager(&mut self) -> Host {
        let n = self.random.between(1, self.plan.topology.managers.into());
        Host::Manager(u8::try_from(n).unwrap_or(1))
    }

    fn server(&mut self) -> Host {
        if self.random.chance(500) {
            return Host::StoreLeader;
        }
        let n = self.random.between(1, self.plan.topology.stores.into());
        Host::Store(u8::try_from(n).unwrap_or(1))
    }

    fn engine(&mut self) -> Host {
        let n = self
            .random
            .between(1, self.plan.topology.engines.max(1).into());
        Host::Engine(u8::try_from(n).unwrap_or(1))
    }

    fn way(&mut self) -> Way {
        pick(
            self.random,
            &[Way::Both, Way::Both, Way::Forth, Way::Back],
            Way::Both,
        )
    }

    fn how(&mut self) -> How {
        pick(self.random, &[How::Hold, How::Hold, How::Refuse], How::Hold)
    }

    fn op(&mut self, family: Family) -> Op {
        match family {
            Family::Process => self.process(),
            Family::Operator => {
                let host = self.manager();
                if self.random.chance(500) {
                    Op::Terminate { host }
                } else {
                    Op::StepDown { host }
                }
            }
            Family::Pause => self.pause(),
            Family::Link => self.link(),
            Family::Path => self.path(),
            Family::Clock => self.clock(),
            Family::StoreLeader => {
                if self.random.chance(500) {
                    Op::NoStoreLeader
                } else {
                    Op::NewStoreLeader
                }
            }
            Family::StoreReads => self.store_reads(),
            Family::StoreWrites => self.store_writes(),
            Family::StoreData => self.store_data(),
            Family::Engine => {
                let host = self.engine();
                match self.random.below(3) {
                    0 => Op::Kill { host, guard: true },
                    1 => Op::Pause { host },
                    _ => Op::CutEvents { host },
                }
            }
        }
    }

    fn process(&mut self) -> Op {
        let host = if self.random.chance(200) {
            self.server()
        } else {
            self.manager()
        };
        match self.random.below(4) {
            0 => Op::PowerLoss { host },
            1 => Op::Kill { host, guard: false },
            _ => Op::Kill { host, guard: true },
        }
    }

    fn pause(&mut self) -> Op {
        let host = if self.random.chance(150) {
            self.server()
        } else {
            self.manager()
        };
        match self.random.below(4) {
            0 if self.outside => Op::Freeze { host },
            1 => Op::Slow {
                host: self.manager(),
                every_ms: self.random.between(5, 150),
            },
            _ => Op::Pause { host },
        }
    }

    fn link(&mut self) -> Op {
        let (way, how) = (self.way(), self.how());
        match self.random.below(8) {
            0 | 1 => Op::Isolate {
                host: self.manager(),
                way,
            },
            // The store's side only: the managers hear each other.
            2 | 3 => Op::Cut {
                from: self.manager(),
                to: self.server(),
                way,
                how,
            },
            // Managers only: all hear the store.
            4 => Op::Cut {
                from: Host::Primary,
                to: self.manager(),
                way,
                how,
            },
            // The clients' side only.
            5 => Op::Cut {
                from: Host::Client(u8::try_from(self.random.between(1, 3)).unwrap_or(1)),
                to: self.manager(),
                way,
                how,
            },
            6 => self.halves(),
            _ => self.bridge(),
        }
    }

    /// Two sides, each with some managers and some servers of the store.
    fn halves(&mut self) -> Op {
        let topology = self.plan.topology;
        let managers = (1..=topology.managers).map(Host::Manager);
        let stores = (1..=topology.stores).map(Host::Store);
        let mut sides = vec![Vec::new(), Vec::new()];
        for host in managers.chain(stores) {
            let side = usize::from(self.random.chance(500));
            if let Some(side) = sides.get_mut(side) {
                side.push(host);
            }
        }
        Op::Split { sides }
    }

    /// A ring or a bridge: two do not hear each other, a third hears both.
    fn bridge(&mut self) -> Op {
        Op::Split {
            sides: vec![vec![Host::Primary], vec![Host::Replica]],
        }
    }

    fn path(&mut self) -> Op {
        let from = self.manager();
        let to = if self.random.chance(600) {
            self.server()
        } else {
            self.numbered_manager()
        };
        match self.random.below(5) {
            0 | 1 => Op::Delay {
                from,
                to,
                ms: self.random.between(5, self.plan.knobs.lease_ms),
            },
            2 | 3 => Op::Flap {
                from,
                to,
                every_ms: self.random.between(50, self.plan.knobs.lease_ms * 2),
            },
            _ if self.plan.tier == Tier::World => Op::Chop {
                host: from,
                bytes: u16::try_from(self.random.between(1, 64)).unwrap_or(1),
            },
            _ => Op::Delay { from, to, ms: 50 },
        }
    }

    fn clock(&mut self) -> Op {
        let host = self.manager();
        match self.random.below(4) {
            0 if self.outside => Op::ClockJump {
                host,
                ms: self.random.between(100, self.plan.knobs.lease_ms * 3),
            },
            1 if self.outside => Op::Rate {
                host,
                ppm: pick(
                    self.random,
                    &[-300_000, -100_000, 100_000, 500_000],
                    100_000,
                ),
            },
            2 => Op::WallStep {
                host,
                seconds: pick(self.random, &[-86_400, -3_600, -1, 1, 3_600, 86_400], 1),
            },
            _ => Op::Rate {
                host,
                ppm: pick(self.random, &[-19_900, -10_000, 10_000, 19_900], 0),
            },
        }
    }

    fn store_reads(&mut self) -> Op {
        let lease = self.plan.knobs.lease_ms;
        let ms = self.random.between(20, lease * 2);
        let drawn = self.random.below(6);
        match drawn {
            // Reads of etcd never show the past; what its watches show may be old.
            1 | 2 if self.plan.topology.store == StoreKind::Etcd => Op::LateWatches { ms },
            0 => Op::SlowReads {
                ms: self.random.between(5, lease / 2),
            },
            1 => Op::StaleReads { ms },
            2 => Op::RegressingReads { ms },
            3 => Op::DeafWatches,
            4 => Op::LateWatches { ms },
            _ => Op::StuckWatches,
        }
    }

    fn store_writes(&mut self) -> Op {
        let lease = self.plan.knobs.lease_ms;
        let ms = self.random.between(5, lease / 2);
        match self.random.below(5) {
            0 => Op::StoreRefuses {
                which: pick(
                    self.random,
                    &[RefuseWhich::All, RefuseWhich::Writes, RefuseWhich::Reads],
                    RefuseWhich::All,
                ),
            },
            1 => Op::SlowWrites { ms },
            2 => Op::SlowReplies { ms },
            _ => Op::LostReplies {
                count: self.random.between(1, 6),
                applied: self.random.chance(700),
            },
        }
    }

    fn store_data(&mut self) -> Op {
        match self.random.below(6) {
            0 => Op::Wipe,
            1 => Op::Rollback {
                ms: self.random.between(200, 10_000),
            },
            2 => Op::Renumber,
            3 => Op::DeleteRecord,
            4 => Op::Usurp,
            _ => Op::Scribble,
        }
    }
}
