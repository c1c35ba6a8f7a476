//! What the programs count, per hook and CPU.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Counters of one hook on one CPU. Only that CPU writes them, with bottom halves off; user space adds them up.
///
/// At every hook `seen = entered + joined + passed + copies + overtaken + untracked`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HookCounters {
    /// Packets of the traced VM that matched the filter and have an identity.
    pub seen: u64,
    /// Got a slot at the first hook of their direction.
    pub entered: u64,
    /// Got a slot at a later hook.
    pub joined: u64,
    /// Came from another hook.
    pub passed: u64,
    /// Reached the end of their path here.
    pub completed: u64,
    /// Packets of the other direction that reached the end of their path here.
    pub completed_crossed: u64,
    /// Of those joined: pieces that a large packet was cut into.
    pub split: u64,
    /// A scratch word, in the cache line of the counters of usual packets.
    pub word: u64,
    /// Of those that entered, joined or passed: they had the identity of another packet on its way, so they are not timed.
    pub grouped: u64,
    /// Packets that looked like another one on its way from here on, and are not timed any more.
    pub untold: u64,
    /// Packets whose last hook was this one, that were not seen again in time, and whose slot was needed.
    pub lost: u64,
    /// Likewise those that had entered in the other direction.
    pub lost_crossed: u64,
    /// Further copies of a packet that had already passed this hook.
    pub copies: u64,
    /// Seen here after a later hook had already seen them.
    pub overtaken: u64,
    /// Passed, but the clock said earlier than at the hook before.
    pub clock_skew: u64,
    /// No slot was free, or another CPU was busy with it.
    pub untracked: u64,
    /// The VM's packets that have no identity: not IP or ARP, truncated, malformed.
    pub unparsed: u64,
    /// Records the ring buffer had no room for.
    pub ring_lost: u64,
    /// Records sent to user space.
    pub emitted: u64,
    /// Packets that became part of another one before it came here. Of those of the other direction: at that direction's
    /// first hook.
    pub merged: u64,
    /// Zero: whole cache lines.
    pub reserved: [u64; 4],
    /// Scratch memory of the programs: what goes through it is unknown to the verifier.
    pub scratch: [u64; 8],
}

/// Exact figures of one segment on one CPU, beside its histogram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SegmentStats {
    /// Packets whose latency is known. It and the sum may count below zero on one CPU, as two's complements, where a
    /// latency was recorded on another CPU and taken back on this one.
    pub count: u64,
    /// Sum of their latencies, in nanoseconds.
    pub sum_ns: u64,
    /// The largest `u64::MAX - latency`: zeroed memory is an empty minimum.
    pub min_ns_inverted: u64,
    /// The largest latency, in nanoseconds.
    pub max_ns: u64,
    /// Packets that passed both hooks, but in what time is not known.
    pub untimed: u64,
    /// Zero: one cache line.
    pub reserved: [u64; 3],
}

impl SegmentStats {
    /// Adds one latency.
    #[inline(always)]
    pub const fn record(&mut self, latency_ns: u64) {
        self.count = self.count.wrapping_add(1);
        self.sum_ns = self.sum_ns.wrapping_add(latency_ns);
        if u64::MAX - latency_ns > self.min_ns_inverted {
            self.min_ns_inverted = u64::MAX - latency_ns;
        }
        if latency_ns > self.max_ns {
            self.max_ns = latency_ns;
        }
    }

    /// Takes one latency back, but for the extremes.
    #[inline(always)]
    pub const fn take_back(&mut self, latency_ns: u64) {
        self.count = self.count.wrapping_sub(1);
        self.sum_ns = self.sum_ns.wrapping_sub(latency_ns);
    }
}

const _: () = assert!(size_of::<HookCounters>() == 256);
const _: () = assert!(size_of::<SegmentStats>() == 64);
