//! What the programs count, per hook and CPU.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Programs at tracepoints measure what they cost in one of so many runs, a power of two.
pub const MEASURED_ONE_OF: u64 = 64;

/// Counters of one hook on one CPU. Only that CPU writes them, with bottom halves off; user space adds them up.
///
/// What follows from others is not counted for each packet: see [`HookCounters::seen`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HookCounters {
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
    /// The VM's packets that have no identity: not IP, ARP or RARP, truncated, malformed.
    pub unparsed: u64,
    /// Records the ring buffer had no room for.
    pub ring_lost: u64,
    /// Records sent to user space.
    pub emitted: u64,
    /// Packets that became part of another one before it came here. Of those of the other direction: at that direction's
    /// first hook.
    pub merged: u64,
    /// Frames for groups on their way to the VM, which are not followed, where the filter names a group.
    pub groups: u64,
    /// Zero: whole cache lines.
    pub reserved: [u64; 4],
    /// Scratch memory of the programs: what goes through it is unknown to the verifier.
    pub scratch: [u64; 8],
}

impl HookCounters {
    /// Packets of the traced VM that matched the filter and have an identity.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.entered + self.joined + self.passed + self.copies + self.overtaken + self.untracked
    }
}

/// Exact figures of one segment on one CPU, beside its histogram, which also tells how many packets there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SegmentStats {
    /// Sum of the known latencies, in nanoseconds. It may count below zero on one CPU, as a two's complement, where a latency was recorded
    /// on another CPU and taken back on this one.
    pub sum_ns: u64,
    /// The largest `u64::MAX - latency`: zeroed memory is an empty minimum.
    pub min_ns_inverted: u64,
    /// The largest latency, in nanoseconds.
    pub max_ns: u64,
    /// Packets that passed both hooks, but in what time is not known.
    pub untimed: u64,
    /// Packets that passed both hooks and were not to be timed: [`crate::config::Control::untimed_below`].
    pub unasked: u64,
    /// Zero: one cache line.
    pub reserved: [u64; 3],
}

impl SegmentStats {
    /// Adds one latency.
    #[inline(always)]
    pub const fn record(&mut self, latency_ns: u64) {
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
        self.sum_ns = self.sum_ns.wrapping_sub(latency_ns);
    }
}

const _: () = assert!(size_of::<HookCounters>() == 256);
const _: () = assert!(size_of::<SegmentStats>() == 64);
