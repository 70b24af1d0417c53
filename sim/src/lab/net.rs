//! Links between hosts: each direction can be cut in two ways, delayed, and healed again.

use swarm_core::rng::Random;

use crate::plan::{How, Knobs};
use crate::trace::HostId;

/// What becomes of a message.
pub(super) enum Fate {
    /// It arrives after so long.
    Arrives(u64),
    /// It waits for the end of a cut.
    Held,
    /// It is lost, and its sender may hear so at once.
    Refused,
}

struct Link<E> {
    holds: u16,
    refusals: u16,
    extra: u64,
    waiting: Vec<(u64, E)>,
}

/// All links.
pub(super) struct Net<E> {
    hosts: usize,
    links: Vec<Link<E>>,
    shortest: u64,
    longest: u64,
    random: Random,
}

impl<E> Net<E> {
    pub(super) fn new(hosts: usize, knobs: &Knobs, random: Random) -> Self {
        let link = || Link {
            holds: 0,
            refusals: 0,
            extra: 0,
            waiting: Vec::new(),
        };
        Self {
            hosts,
            links: std::iter::repeat_with(link).take(hosts * hosts).collect(),
            shortest: knobs.latency_min_us * 1_000,
            longest: knobs.latency_max_us * 1_000,
            random,
        }
    }

    fn link(&mut self, from: HostId, to: HostId) -> Option<&mut Link<E>> {
        self.links
            .get_mut(usize::from(from) * self.hosts + usize::from(to))
    }

    /// What becomes of a message sent now.
    pub(super) fn fate(&mut self, from: HostId, to: HostId) -> Fate {
        let (shortest, longest) = (self.shortest, self.longest);
        let delay = self.random.between(shortest, longest);
        match self.link(from, to) {
            Some(link) if link.refusals > 0 => Fate::Refused,
            Some(link) if link.holds > 0 => Fate::Held,
            Some(link) => Fate::Arrives(delay + link.extra),
            None => Fate::Refused,
        }
    }

    /// Keeps a message until the link is healed.
    pub(super) fn keep(&mut self, from: HostId, to: HostId, cause: u64, event: E) {
        if let Some(link) = self.link(from, to) {
            link.waiting.push((cause, event));
        }
    }

    pub(super) fn is_open(&self, from: HostId, to: HostId) -> bool {
        self.links
            .get(usize::from(from) * self.hosts + usize::from(to))
            .is_some_and(|link| link.holds == 0 && link.refusals == 0)
    }

    /// Whether messages go both ways.
    pub(super) fn connected(&self, one: HostId, other: HostId) -> bool {
        one == other || (self.is_open(one, other) && self.is_open(other, one))
    }

    /// Cuts a direction once more; whether it was open before.
    pub(super) fn cut(&mut self, from: HostId, to: HostId, how: How) -> bool {
        let was_open = self.is_open(from, to);
        if let Some(link) = self.link(from, to) {
            match how {
                How::Hold => link.holds += 1,
                How::Refuse => link.refusals += 1,
            }
        }
        was_open
    }

    /// Takes one cut back. What waited is handed out when the direction is open again.
    pub(super) fn heal(&mut self, from: HostId, to: HostId, how: How) -> Option<Vec<(u64, E)>> {
        let link = self.link(from, to)?;
        let cuts = match how {
            How::Hold => &mut link.holds,
            How::Refuse => &mut link.refusals,
        };
        *cuts = cuts.saturating_sub(1);
        (link.holds == 0 && link.refusals == 0).then(|| std::mem::take(&mut link.waiting))
    }

    pub(super) fn slow_down(&mut self, from: HostId, to: HostId, by: u64) {
        if let Some(link) = self.link(from, to) {
            link.extra += by;
        }
    }

    pub(super) fn speed_up(&mut self, from: HostId, to: HostId, by: u64) {
        if let Some(link) = self.link(from, to) {
            link.extra = link.extra.saturating_sub(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_is_open_again_when_every_cut_is_taken_back() {
        let mut net: Net<u8> = Net::new(2, &Knobs::default(), Random::new(1));
        assert!(net.cut(0, 1, How::Hold));
        assert!(!net.cut(0, 1, How::Hold));
        assert!(matches!(net.fate(0, 1), Fate::Held));
        assert!(matches!(net.fate(1, 0), Fate::Arrives(_)));
        net.keep(0, 1, 0, 7);
        assert_eq!(net.heal(0, 1, How::Hold), None);
        assert_eq!(net.heal(0, 1, How::Hold), Some(vec![(0, 7)]));
        net.cut(1, 0, How::Refuse);
        assert!(matches!(net.fate(1, 0), Fate::Refused));
        assert!(!net.connected(0, 1));
    }
}
