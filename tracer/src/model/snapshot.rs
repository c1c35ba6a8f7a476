//! What a trace found: the input of every report.

use std::time::Duration;

use serde::Serialize;

use super::{
    Direction, EarlyDrop, Evidence, Explanation, Flow, GuestTimes, MacAddr, Mechanism, PacketHead, PacketWay,
    PortKind, Taken,
};

/// Latencies of one segment, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatencyNs {
    /// The smallest, exact.
    pub min: u64,
    /// The mean, exact.
    pub mean: f64,
    /// The median; this and the other quantiles within 1.6 %.
    pub p50: u64,
    /// 90 % are not larger.
    pub p90: u64,
    /// 99 % are not larger.
    pub p99: u64,
    /// 99.9 % are not larger.
    pub p999: u64,
    /// The largest, exact.
    pub max: u64,
}

/// How many packets, and how long they took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latencies {
    /// Packets, those included whose latency is not known (see [`Ledger::clock_skew`]).
    pub count: u64,
    /// Their latencies; `None` when there were none.
    pub latency_ns: Option<LatencyNs>,
}

/// A pair of hooks that packets passed one after the other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Segment {
    /// The hook before.
    pub from: String,
    /// The hook behind.
    pub to: String,
    /// Whether it leaves the discovered path, or comes from beside it.
    pub off_path: bool,
    /// The figures.
    #[serde(flatten)]
    pub latencies: Latencies,
    /// The same packets in two parts; `None`: all of them took the same path, or it is not known which they took.
    #[serde(flatten)]
    pub paths: SwitchPaths,
}

/// The packets of a segment through a switch, by the path they took in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct SwitchPaths {
    /// Forwarded by the switch's datapath alone; `None`: this is not told apart.
    pub fast_path: Option<Latencies>,
    /// Given to user space, which decided about them (upcall).
    pub slow_path: Option<Latencies>,
}

/// Packets that a switch's kernel datapath gave to user space while packets were admitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Upcalls {
    /// Packets, whosesoever, for which no flow was known.
    pub misses: u64,
    /// The same per second.
    pub misses_per_s: f64,
    /// Packets, or copies of them, that a flow sent there by an action.
    pub actions: u64,
    /// Upcalls of traced packets, per direction (see [`Direction::index`]).
    pub traced: [u64; 2],
    /// Of those: upcalls after which a packet counts as one of the fast path.
    pub unmarked: u64,
}

/// Packets that died.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Drop {
    /// The last hook that saw them.
    pub after: String,
    /// The kernel's reason; `None`: lost, or a kernel that gives none.
    pub reason: Option<String>,
    /// Whose reason it is, if not the kernel core's: `openvswitch`.
    pub subsystem: Option<String>,
    /// The place that freed them, by its function; `None`: lost, nothing was seen to free them.
    pub location: Option<String>,
    /// How many.
    pub count: u64,
    /// On which CPUs, by their numbers; none of those that are lost. Of what is missing to `count` it is not known: there were more
    /// places and CPUs than are kept apart.
    pub cpus: Vec<OnCpu>,
    /// When the first of them died, in nanoseconds since 1970: when it was seen last, or behind the last hook when it was
    /// freed.
    pub first_ns: u64,
    /// When the last of them did.
    pub last_ns: u64,
    /// One of them.
    pub example: Option<DropExample>,
    /// The head of one of them, where they died in a switch and heads were kept.
    #[serde(skip)]
    pub head: Option<PacketHead>,
    /// What the switch's rules do with that packet, where it was asked.
    pub explain: Option<Explanation>,
}

impl Drop {
    /// Whether nothing was seen to free them.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.location.is_none()
    }
}

/// Packets that one CPU freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OnCpu {
    /// Its number.
    pub cpu: u32,
    /// How many.
    pub count: u64,
}

/// One packet that was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DropExample {
    /// When it was freed, in nanoseconds since 1970.
    pub time_ns: u64,
    /// Length of the frame, in bytes.
    pub len_bytes: u32,
    /// What it belongs to.
    #[serde(flatten)]
    pub flow: Flow,
}

/// What one hook counted beside the packets it followed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HookReport {
    /// The hook.
    pub hook: String,
    /// Sights of packets that matched the filter and have an identity.
    pub seen: u64,
    /// Sights of packets that looked like another one on its way: counted, and not timed.
    pub ambiguous: u64,
    /// No packet has to leave the table for others before it has timed out: 0.
    pub evicted: u64,
    /// Sights that found no slot in the table.
    pub untracked: u64,
    /// Packet records sent from here.
    pub emitted: u64,
    /// Packet records the ring buffer had no room for.
    pub ring_lost: u64,
}

/// Where every packet of one direction went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Seen at the first hook.
    pub entered: u64,
    /// First seen at a later hook.
    pub joined_midway: u64,
    /// Seen at the last hook, or gone elsewhere.
    pub completed: u64,
    /// Of those: left the path for other VMs of this host, or for the host itself, not for the wire.
    pub elsewhere: u64,
    /// Of those completed: left the hook before the wire hook, which was not shown them, though no counter says that one died
    /// in between. Known at the end only.
    pub unseen: u64,
    /// Of those completed, on the way out: questions that the switch itself has answered. On the way in, of those entered: its
    /// answers.
    pub by_switch: u64,
    /// Sent to the port of somebody they are not for, and seen nowhere else.
    pub misdelivered: u64,
    /// Freed by the kernel with a reason.
    pub dropped: u64,
    /// Not seen again in time, no reason seen.
    pub lost: u64,
    /// Became part of another packet.
    pub merged: u64,
    /// Came out of another packet.
    pub split: u64,
    /// On their way when the figures were read.
    pub in_flight: u64,
    /// No packet has to leave the table for others before it has timed out: 0.
    pub evicted: u64,
    /// Beside the balance: packets that looked like another one on its way at some time. Each of them is in the balance, too; none is
    /// timed from then on.
    pub ambiguous: u64,
    /// Beside the balance: sights of further copies of a packet.
    pub copies: u64,
    /// Beside the balance: copies of packets that the kernel freed while the packet lived.
    pub copy_dropped: u64,
    /// Beside the balance: found no slot in the table.
    pub untracked: u64,
    /// Beside the balance: have no identity.
    pub unparsed: u64,
    /// Beside the balance: sights in the wrong order, or with clocks that contradict each other.
    pub clock_skew: u64,
    /// Beside the balance: records the ring buffer had no room for.
    pub ring_lost: u64,
    /// Whether the balance holds.
    pub balanced: bool,
}

impl Ledger {
    /// Packets that went in less those that came out: 0 when the balance holds.
    #[must_use]
    pub fn imbalance(&self) -> i128 {
        let into = [self.entered, self.joined_midway, self.split];
        let out = [
            self.completed,
            self.misdelivered,
            self.dropped,
            self.lost,
            self.merged,
            self.in_flight,
            self.evicted,
        ];
        let sum = |counts: &[u64]| counts.iter().copied().map(i128::from).sum::<i128>();
        sum(&into) - sum(&out)
    }

    /// Sets [`Ledger::balanced`] from the other figures.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.balanced = self.imbalance() == 0;
        self
    }
}

/// Everything about one direction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DirectionReport {
    /// Each segment of the path, in path order; then those beside it that packets took.
    pub segments: Vec<Segment>,
    /// From the first hook to the last.
    pub total: Latencies,
    /// From the first hook to a neighbour's port, or from there to the last hook.
    pub neighbour_total: Latencies,
    /// Packets that died.
    pub drops: Vec<Drop>,
    /// Packets that died before the first hook.
    pub early_drops: Vec<EarlyDrop>,
    /// What each hook could not follow, in path order.
    pub hooks: Vec<HookReport>,
    /// The slowest packets, slowest first, where they were asked for.
    pub slowest: Vec<PacketWay<'static>>,
    /// The head of a packet that went through the switch, where heads were kept.
    #[serde(skip)]
    pub carried: Option<PacketHead>,
    /// What the switch's rules do with that packet, where it was asked.
    pub explain: Option<Explanation>,
    /// Where every packet went.
    pub ledger: Ledger,
}

/// Both directions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Directions {
    /// VM → wire.
    pub egress: DirectionReport,
    /// Wire → VM.
    pub ingress: DirectionReport,
}

impl Directions {
    /// One of them, to be changed.
    pub const fn get_mut(&mut self, direction: Direction) -> &mut DirectionReport {
        match direction {
            Direction::Egress => &mut self.egress,
            Direction::Ingress => &mut self.ingress,
        }
    }

    /// One of them.
    #[must_use]
    pub const fn get(&self, direction: Direction) -> &DirectionReport {
        match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        }
    }
}

/// A port beside the path: another VM's or the host's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// The interface.
    pub ifname: String,
    /// Whose it is.
    pub kind: PortKind,
    /// Where it is, in words.
    pub place: String,
    /// The network namespace it is in, if that is another one.
    pub netns: Option<String>,
    /// The MAC address of who is behind it.
    pub mac: Option<MacAddr>,
    /// Packets of the traced VM for who is behind it.
    pub received: u64,
    /// Packets of the traced VM that came by, but were for others: flooded, mirrored or forwarded on.
    pub copies: u64,
    /// Of those: for one other address only, of which nothing shows that it is behind this port.
    pub strays: u64,
    /// Packets for the traced VM from there.
    pub sent: u64,
    /// Packets for the traced VM that came there.
    pub strays_in: u64,
    /// Whether there are hooks at it.
    pub hooked: bool,
}

/// What tracing cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct TracerCost {
    /// Attachments.
    pub hooks: usize,
    /// Nanoseconds per packet and hook, from the kernel's BPF statistics; `None` when no packet came by while they
    /// were on.
    pub ns_per_hook: Option<f64>,
    /// Runs of the programs that the figure is the mean of.
    pub runs_measured: u64,
    /// Nanoseconds that hooks at tracepoints cost per packet that any device of the host sends and, where not only the wire
    /// hook is at one, receives; `None` as above.
    pub ns_per_sent: Option<f64>,
    /// Runs that the figure is the mean of.
    pub sent_measured: u64,
    /// Packets that hooks at tracepoints have missed because the kernel did not run their program.
    pub missed_runs: u64,
    /// CPU of this process, in percent of one core.
    pub cpu_pct: f64,
    /// Memory locked for the kernel's maps, in bytes, by the kernel's own count.
    pub map_bytes: u64,
    /// How the programs got onto the interfaces.
    pub mechanism: Mechanism,
}

/// Everything a trace found so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// How long packets were admitted.
    pub duration: Duration,
    /// Both directions.
    pub directions: Directions,
    /// Hops between hooks that are no neighbours on the path.
    pub off_path: Latencies,
    /// The guest's own response times.
    pub guest: GuestTimes,
    /// Ports beside the path.
    pub neighbours: Vec<Neighbour>,
    /// What the switch gave to user space; `None`: there is no kernel datapath, or its upcalls can not be seen.
    pub upcalls: Option<Upcalls>,
    /// What else is to know about the trace, such as what attaching changed on the host; a line each.
    pub notes: Vec<String>,
    /// What else went wrong: questions without an answer, and, known at the end only, counters of the host that rose.
    pub evidence: Vec<Evidence>,
    /// Frees of packets from more places than are kept apart: those packets are lost without a reason.
    pub drops_without_site: u64,
    /// Hooks that somebody took away, which ended the trace.
    pub taken: Option<Taken>,
    /// What tracing cost.
    pub tracer: TracerCost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_balances_or_says_so() {
        let ledger = Ledger {
            entered: 10,
            joined_midway: 2,
            completed: 9,
            lost: 2,
            in_flight: 1,
            ..Ledger::default()
        };
        assert!(ledger.settled().balanced);
        assert!(!Ledger { lost: 3, ..ledger }.settled().balanced);
        assert!(Ledger { split: 3, merged: 2, evicted: 1, ..ledger }.settled().balanced);
    }
}
