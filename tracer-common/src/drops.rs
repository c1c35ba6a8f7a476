//! Where the kernel frees packets, and which interfaces they can die at.

mod free;

pub use free::{Free, MEANINGS, Meaning, Stands, Verdict, verdict};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{config::MAX_HOOKS, inflight::Reach};

/// Interfaces that a port's packets can die at, at most.
pub const MAX_DEVICES: u32 = 64;

/// Prefixes of addresses in the kernel that the drop program can know, at most.
pub const MAX_PLACES: u32 = 1 << 14;

/// Facts about the drop program and the running kernel, patched in by the loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DropConfig {
    /// 1 if the tracepoint gives a reason.
    pub has_reason: u32,
    /// 1 if it gives the socket that was to receive the packet.
    pub has_socket: u32,
    /// Hooks behind which a packet without an interface can have died, a bit each.
    pub nowhere_after: u32,
    /// Zero.
    pub reserved: u32,
    /// What the core's reasons can mean ([`Meaning`]), by their numbers.
    pub meanings: [u8; MEANINGS],
}

impl Default for DropConfig {
    fn default() -> Self {
        Self { has_reason: 0, has_socket: 0, nowhere_after: 0, reserved: 0, meanings: [0; MEANINGS] }
    }
}

/// An interface that packets of the trace can die at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Device {
    /// Hooks behind which a live packet comes to this interface, a bit each.
    pub live_after: u16,
    /// Last hooks of a direction behind which the packet still is at this interface, a bit each.
    pub done_after: u16,
    /// [`Device::FILTER_ONLY`] and its siblings.
    pub flags: u16,
    /// The first hook of a direction, plus 1, if it is where this interface receives; else 0.
    pub entry: u8,
    /// That direction.
    pub direction: u8,
}

impl Device {
    /// A bridge: its firewall works under its name, but so does the host's own stack, for copies.
    pub const FILTER_ONLY: u16 = 1;
    /// The last hook here is where the interface receives: behind it packets are not sent but go on in a switch.
    pub const RECEIVED: u16 = 1 << 1;
    /// No interface at all: packets that Open vSwitch got back from user space, and those in the queues of sockets.
    pub const NOWHERE: u16 = 1 << 2;
    /// Sockets take the path's packets here; what the host does with them behind that are copies.
    pub const TAPPED: u16 = 1 << 3;
    /// The first hook sees what this interface receives before anything can end it (hooks at tracepoints).
    pub const SEEN_FIRST: u16 = 1 << 4;
    /// It is below the interface of the first hook (a bond's member), so that all of its receiving side comes before that.
    pub const BELOW: u16 = 1 << 5;

    /// Whether `flag` is set.
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Where a packet that is freed here for a reason that can mean this may have ended.
    #[inline(always)]
    #[must_use]
    pub const fn reach(&self, meaning: Meaning) -> Reach {
        Reach { live_after: self.live_after(meaning), done_after: self.done_after }
    }

    /// Hooks behind which a live packet that is freed here for such a reason comes to this interface, a bit each.
    #[inline(always)]
    #[must_use]
    pub const fn live_after(&self, meaning: Meaning) -> u16 {
        // Behind the sockets that take packets from here, the host has copies.
        let ends = if self.has(Self::TAPPED) {
            Meaning::RECEIVING
        } else {
            Meaning::RECEIVING | Meaning::TAPPED | Meaning::FIREWALL
        };
        if self.has(Self::SEEN_FIRST) && self.entry != 0 && meaning.is(ends) {
            self.live_after | 1 << ((self.entry - 1) & 0xf)
        } else {
            self.live_after
        }
    }

    /// The same where the reason can mean this: behind the last hook packets end only by what can mean it.
    #[inline(always)]
    #[must_use]
    pub const fn reach_of(&self, meaning: Meaning) -> Reach {
        let done = self.has(Self::RECEIVED) || meaning.is(Meaning::SENDING | Meaning::PURGE);
        Reach { live_after: self.live_after(meaning), done_after: if done { self.done_after } else { 0 } }
    }

    /// Whether packets that are freed here for a reason that can mean this died before the path's first hook.
    #[inline(always)]
    #[must_use]
    pub const fn is_before(&self, meaning: Meaning) -> bool {
        let tapped = meaning.is(Meaning::TAPPED) && !self.has(Self::TAPPED) && !self.has(Self::SEEN_FIRST);
        let below = self.has(Self::BELOW) && meaning.is(Meaning::FIREWALL) && !self.has(Self::SEEN_FIRST);
        let before = meaning.is(Meaning::RECEIVING) || tapped || below;
        self.entry != 0 && before
    }
}

/// A packet that was freed at a site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Example {
    /// [`Example::NONE`] or one of its siblings.
    pub state: u32,
    /// Length of the frame, in bytes.
    pub len_bytes: u32,
    /// When it was freed, in nanoseconds of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// Its identity.
    pub key: u64,
    /// Source address: IPv4 in the first four bytes, or IPv6.
    pub source: [u64; 2],
    /// Destination address.
    pub destination: [u64; 2],
    /// Source port; ICMP: the type.
    pub source_port: u16,
    /// Destination port; ICMP: the code.
    pub destination_port: u16,
    /// EtherType.
    pub ether_type: u16,
    /// IP protocol.
    pub protocol: u8,
    /// The hook that saw it last.
    pub after: u8,
}

impl Example {
    /// There is none; the next packet becomes one.
    pub const NONE: u32 = 0;
    /// Being written.
    pub const BUSY: u32 = 1;
    /// A packet that may go on: a copy was freed.
    pub const PROVISIONAL: u32 = 2;
    /// A packet that was dropped behind its last hook.
    pub const CERTAIN: u32 = 3;
}

/// Where, why and on which CPU the kernel frees packets. The mark of a packet holds the site's index: whatever settles the packet or takes
/// that back counts it where the CPU is known, and needs not know it. A count of its own for each CPU, made when a packet is freed, would hold the
/// copies, too: only later it is known what was one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DropSite {
    /// [`DropSite::FREE`] or one of its siblings.
    pub state: u64,
    /// The address in the kernel that the packet was freed from.
    pub location: u64,
    /// The kernel's reason, a number of its own.
    pub reason: u32,
    /// The hook, plus 1, that would have been the first to see the packets of this site; 0: they were seen.
    pub before: u32,
    /// When the first packet died, by the direction it entered in; 0: none did. On its way: when it was seen last.
    pub first_ns: [u64; 2],
    /// When the last one did.
    pub last_ns: [u64; 2],
    /// The CPU that freed them, plus 1; 0: any, because there was no room for a site of one CPU.
    pub cpu: u32,
    /// Zero: whole cache lines.
    pub padding: u32,
    /// Packets dropped behind the last hook of their way, by the direction they entered in and that hook.
    pub dropped: [[u64; MAX_HOOKS]; 2],
    /// Packets dropped on their way, by the direction they entered in and the hook that saw them last.
    pub settled: [[u64; MAX_HOOKS]; 2],
    /// A packet of each direction.
    pub examples: [Example; 2],
}

impl DropSite {
    /// Free.
    pub const FREE: u64 = 0;
    /// Being written, once.
    pub const BUSY: u64 = 1;
    /// Location and reason stay from here on.
    pub const READY: u64 = 2;
    /// Sites that one place and reason may take. Two CPUs can claim two for the same, which counts as one.
    pub const PROBES: u32 = 8;

    /// The first index to look for a site at, of `sites` (a power of two). Those of one CPU have a half for themselves, so that they leave
    /// room for every place and reason.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the upper bits of the product are meant")]
    pub const fn home(location: u64, reason: u32, before: u32, cpu: u32, sites: u32) -> u32 {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let cause = location ^ ((reason as u64) << 40) ^ ((before as u64) << 32);
        let mixed = cause.wrapping_add((cpu as u64).wrapping_mul(SPREAD)).wrapping_mul(SPREAD);
        let half = sites / 2;
        ((mixed >> 40) as u32 & (half - 1)) + if cpu == 0 { 0 } else { half }
    }

    /// The index to look at `steps` behind that.
    #[inline(always)]
    #[must_use]
    pub const fn behind(home: u32, steps: u32, sites: u32) -> u32 {
        let half = sites / 2;
        (home & half) + ((home + steps) & (half - 1))
    }
}

/// What the drop program counts on one CPU; only that writes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FreeCounters {
    /// Copies of packets in the table that were freed, by the direction the packets entered in.
    pub copies: [u64; 2],
    /// Those that found no drop site: they are lost without a reason.
    pub no_site: u64,
    /// Zero: one cache line.
    pub reserved: [u64; 5],
}

const _: () = assert!(size_of::<Device>() == 8);
const _: () = assert!(size_of::<DropConfig>() == 16 + MEANINGS);
const _: () = assert!(size_of::<Example>() == 64);
const _: () = assert!(size_of::<DropSite>() == 704);
const _: () = assert!(size_of::<FreeCounters>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    const SITES: u32 = 1_024;

    #[test]
    fn neighbouring_places_have_homes_of_their_own() {
        let homes: std::collections::HashSet<u32> = (0..64)
            .flat_map(|place| (2..6).map(move |reason| (0xffff_ffff_8123_4000 + place * 0x1a0, reason)))
            .map(|(location, reason)| DropSite::home(location, reason, 0, 0, SITES))
            .collect();
        assert!(homes.len() > 180, "{}", homes.len());
        assert!(homes.iter().all(|home| *home < SITES / 2));
    }

    #[test]
    fn cpus_have_homes_of_their_own_in_a_half_of_their_own() {
        let homes: std::collections::HashSet<u32> = (1..=128)
            .flat_map(|cpu| {
                (2..4).map(move |reason| DropSite::home(0xffff_ffff_8123_4000, reason, 0, cpu, SITES))
            })
            .collect();
        assert!(homes.len() > 180, "{}", homes.len());
        assert!(homes.iter().all(|home| (SITES / 2..SITES).contains(home)));
    }

    #[test]
    fn who_looks_further_stays_in_the_half() {
        let from = |home| [0, 1, 2, 3].map(|steps| DropSite::behind(home, steps, SITES));
        assert_eq!(from(510), [510, 511, 0, 1]);
        assert_eq!(from(1_022), [1_022, 1_023, 512, 513]);
    }
}
