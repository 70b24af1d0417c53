//! What goes wrong, in one word each.

use std::time::Duration;

use swarm_sim::plan::{Host, How, Op, RefuseWhich, Way};

use super::{Script, millis};

/// What happens to hosts.
impl Script {
    /// The process dies; a manager's guard lives on.
    pub fn kill(self, host: Host) -> Self {
        self.op(Op::Kill { host, guard: true })
    }

    /// The process and its guard die together.
    pub fn kill_with_guard(self, host: Host) -> Self {
        self.op(Op::Kill { host, guard: false })
    }

    /// The machine loses its power.
    pub fn power_loss(self, host: Host) -> Self {
        self.op(Op::PowerLoss { host })
    }

    /// SIGTERM.
    pub fn terminate(self, host: Host) -> Self {
        self.op(Op::Terminate { host })
    }

    /// `swarm step-down`.
    pub fn step_down(self, host: Host) -> Self {
        self.op(Op::StepDown { host })
    }

    /// SIGSTOP, and SIGCONT at the end.
    pub fn pause(self, host: Host) -> Self {
        self.op(Op::Pause { host })
    }

    /// The virtual machine stands still, its clock too.
    pub fn freeze(self, host: Host) -> Self {
        self.op(Op::Freeze { host })
    }

    /// Hardly any processor time: `every` passes between two turns.
    pub fn starve(self, host: Host, every: Duration) -> Self {
        let every_ms = millis(every);
        self.op(Op::Slow { host, every_ms })
    }

    /// The clock runs at another rate.
    pub fn clock_rate(self, host: Host, ppm: i32) -> Self {
        self.op(Op::Rate { host, ppm })
    }

    /// The calendar is set forward, or back.
    pub fn wall_step(self, host: Host, seconds: i64) -> Self {
        self.op(Op::WallStep { host, seconds })
    }

    /// The monotonic clock jumps forward.
    pub fn clock_jump(self, host: Host, by: Duration) -> Self {
        let ms = millis(by);
        self.op(Op::ClockJump { host, ms })
    }

    /// `swarm engine drain`.
    pub fn drain(self, host: Host) -> Self {
        self.op(Op::Drain { host })
    }

    /// An engine's event streams break off.
    pub fn cut_events(self, host: Host) -> Self {
        self.op(Op::CutEvents { host })
    }
}

/// What happens to the network.
impl Script {
    /// Nothing goes over the link; it arrives when the cut ends.
    pub fn cut(self, from: Host, to: Host) -> Self {
        self.cut_way(from, to, Way::Both)
    }

    /// Nothing goes over the link in one direction.
    pub fn cut_way(self, from: Host, to: Host, way: Way) -> Self {
        let how = How::Hold;
        self.op(Op::Cut { from, to, way, how })
    }

    /// The network keeps the first `count` such requests, for instance `POST /containers/create`, and what follows them on
    /// their connections, until the end.
    pub fn hold_requests(self, from: Host, to: Host, request: &str, count: u8) -> Self {
        let request = request.to_owned();
        self.op(Op::HoldRequests {
            from,
            to,
            request,
            count,
        })
    }

    /// A firewall rejects what goes over the link.
    pub fn reject(self, from: Host, to: Host) -> Self {
        self.reject_way(from, to, Way::Both)
    }

    /// A firewall rejects what goes over the link in one direction.
    pub fn reject_way(self, from: Host, to: Host, way: Way) -> Self {
        let how = How::Refuse;
        self.op(Op::Cut { from, to, way, how })
    }

    /// The host is cut off from all others.
    pub fn isolate(self, host: Host) -> Self {
        self.isolate_way(host, Way::Both)
    }

    /// The host does not hear the others, or they do not hear it.
    pub fn isolate_way(self, host: Host, way: Way) -> Self {
        self.op(Op::Isolate { host, way })
    }

    /// The sides do not hear each other; hosts on no side hear everybody.
    pub fn split<const N: usize>(self, sides: [Vec<Host>; N]) -> Self {
        let sides = sides.into();
        self.op(Op::Split { sides })
    }

    /// Messages on the link take so long.
    pub fn delay(self, from: Host, to: Host, by: Duration) -> Self {
        let ms = millis(by);
        self.op(Op::Delay { from, to, ms })
    }

    /// The link comes and goes.
    pub fn flap(self, from: Host, to: Host, every: Duration) -> Self {
        let every_ms = millis(every);
        self.op(Op::Flap { from, to, every_ms })
    }

    /// The host's sockets take and give so many bytes at a time.
    pub fn chop(self, host: Host, bytes: u16) -> Self {
        self.op(Op::Chop { host, bytes })
    }
}

/// What happens to the store.
impl Script {
    /// The store turns requests down.
    pub fn store_refuses(self, which: RefuseWhich) -> Self {
        self.op(Op::StoreRefuses { which })
    }

    /// Writes are applied late.
    pub fn slow_writes(self, by: Duration) -> Self {
        self.op(Op::SlowWrites { ms: millis(by) })
    }

    /// Writes are applied at once and answered late.
    pub fn slow_replies(self, by: Duration) -> Self {
        self.op(Op::SlowReplies { ms: millis(by) })
    }

    /// Reads take long.
    pub fn slow_reads(self, by: Duration) -> Self {
        self.op(Op::SlowReads { ms: millis(by) })
    }

    /// Plain reads show the past.
    pub fn stale_reads(self, by: Duration) -> Self {
        self.op(Op::StaleReads { ms: millis(by) })
    }

    /// Plain reads show the present and the past by turns.
    pub fn regressing_reads(self, by: Duration) -> Self {
        self.op(Op::RegressingReads { ms: millis(by) })
    }

    /// Blocking queries notice changes late.
    pub fn late_watches(self, by: Duration) -> Self {
        self.op(Op::LateWatches { ms: millis(by) })
    }

    /// The next writes are applied and get no answer.
    pub fn replies_lost(self, count: u64) -> Self {
        let applied = true;
        self.op(Op::LostReplies { count, applied })
    }

    /// The next writes are lost before they are applied.
    pub fn writes_lost(self, count: u64) -> Self {
        let applied = false;
        self.op(Op::LostReplies { count, applied })
    }

    /// The store comes back as it was so long ago.
    pub fn rollback(self, by: Duration) -> Self {
        self.op(Op::Rollback { ms: millis(by) })
    }
}
