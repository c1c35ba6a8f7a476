//! What the loader patches into the programs before the verifier sees them. The values are constants to the
//! verifier, so that what is switched off costs nothing.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{address::ADDRESSES, filter::Filter};

/// Hooks of one trace at most.
pub const MAX_HOOKS: usize = 16;
/// The segment of hops that the path does not contain; its figures are those of all of them together.
pub const OFF_PATH_SEGMENT: u8 = 0;

/// Interfaces that XDP programs of one trace can be at.
pub const MAX_XDP: usize = 4;

/// A hook that is an XDP program's: one program serves all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct XdpPlace {
    /// The interface's index; 0: no such hook.
    pub ifindex: u32,
    /// The hook's number.
    pub hook: u32,
}

/// Places that one side's hooks are spread over, a power of two.
pub const PLACES: usize = 1 << PLACE_BITS;
const PLACE_BITS: u32 = 5;

/// The place of the hook at interface `ifindex` among [`PLACES`], if they are spread by `spread`, an odd number.
#[inline(always)]
#[must_use]
pub const fn place_of(ifindex: u32, spread: u32) -> usize {
    (ifindex.wrapping_mul(spread) >> (32 - PLACE_BITS)) as usize
}

/// Bits of [`near_bit`], for each side.
pub const NEAR_WORDS: usize = 4;

/// The word and the bit in it that stand for interface `ifindex`: programs at tracepoints, which see all interfaces of the
/// host, go on only where it is set. Others may have the same.
#[inline(always)]
#[must_use]
pub const fn near_bit(ifindex: u32) -> (usize, u64) {
    ((ifindex >> 6) as usize & (NEAR_WORDS - 1), 1 << (ifindex & 63))
}

/// Facts about the whole trace; first what is read for every packet, together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TraceConfig {
    /// 64 less the number of bits of an index into the in-flight table.
    pub slot_shift: u32,
    /// Segments with figures of their own, of all ports: the stride of the per-CPU arrays.
    pub segments: u32,
    /// How long a packet may stay away before it is lost, in nanoseconds.
    pub timeout_ns: u64,
    /// Decides where in the table an identity has its home; odd, and another one for each trace.
    pub seed: u64,
    /// The VM's MAC address, its six bytes read as a little-endian number.
    pub mac: u64,
    /// Packets whose identity is below this go to the ring buffer; 0: none.
    pub sample_below: u64,
    /// 1 to count admitted packets against [`Control::budget`].
    pub budgeted: u32,
    /// The first of the segments of the guest's own times.
    pub guest_segment: u16,
    /// The first hook of each direction, egress first.
    pub entries: [u8; 2],
    /// The hooks that packets from neighbours enter by, a bit each.
    pub neighbour_entries: u16,
    /// 1 if `filter` is one, [`Self::FOR_GROUP`] if it asks for a group's packets.
    pub filtering: u16,
    /// 1 to send packets slower than [`Control::slower_than_ns`] to the ring buffer.
    pub tail: u16,
    /// 1 if it can be that not every packet is timed ([`Control::untimed_below`]).
    pub sharing: u16,
    /// What spreads the hooks over their places: see [`place_of`].
    pub spread: u32,
    /// The hooks at neighbours' ports, ingress side first.
    pub beside: [u8; 2],
    /// 1 to keep the heads of packets, at hooks that say so ([`HookConfig::KEEPS_HEADS`]).
    pub keeping_heads: u16,
    /// How many ports there is room for in a trace of several ([`crate::ports`]); 0: it is one of one port, and only then `mac` and what
    /// else is one port's holds.
    pub ports: u32,
    /// Segments of each port, where there are several.
    pub port_segments: u32,
    /// Which packets are traced.
    pub filter: Filter,
    /// The VM's IPv4 addresses, read as little-endian numbers; 0 where there is none.
    pub ipv4: [u32; 4],
}

impl TraceConfig {
    /// There is a filter, and it names a group: packets for groups that match it are counted at every hook of the path.
    pub const FOR_GROUP: u16 = 2;
}

/// Facts about one hook. The programs read the first eight bytes at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct HookConfig {
    /// 0 egress, 1 ingress, from the VM's point of view.
    pub direction: u8,
    /// [`HookConfig::ENTRY`] and its siblings.
    pub flags: u8,
    /// Hooks behind it in its direction, a bit each.
    pub later: u16,
    /// Hooks at neighbours that packets may leave by after it, a bit each.
    pub beside: u16,
    /// [`HookConfig::LEARNS`].
    pub traits: u16,
    /// The segment from each other hook to this one; [`OFF_PATH_SEGMENT`] where there is none.
    pub segment_from: [u8; MAX_HOOKS],
    /// The segment of the whole way, recorded at a terminal hook.
    pub total_segment: u8,
    /// The segment of the whole way of packets that came from a neighbour.
    pub total_from_neighbour: u8,
    /// The hook's own number, with its port where there are several ([`crate::ports::number_of`]).
    pub number: u16,
    /// The interface that the hook is at, where it stands in one of the [`PLACES`]; 0: at none.
    pub ifindex: u32,
}

impl HookConfig {
    /// No hook.
    pub const NONE: Self = Self {
        direction: 0,
        flags: 0,
        later: 0,
        beside: 0,
        traits: 0,
        segment_from: [0; MAX_HOOKS],
        total_segment: 0,
        total_from_neighbour: 0,
        number: 0,
        ifindex: 0,
    };
    /// The first hook of its direction.
    pub const ENTRY: u8 = 1;
    /// The last hook of its direction.
    pub const TERMINAL: u8 = 1 << 1;
    /// On the VM's own tap: measures the guest's response time.
    pub const GUEST: u8 = 1 << 2;
    /// On an interface that other VMs' packets cross, too.
    pub const SHARED: u8 = 1 << 3;
    /// At the ports of other VMs on the same switch, beside the path.
    pub const NEIGHBOUR: u8 = 1 << 4;
    /// The hook behind it is at a tracepoint, which reads the linear part of packets only.
    pub const BEFORE_TRACEPOINT: u8 = 1 << 5;
    /// The interface merges packets (GRO) before the hook sees them.
    pub const MERGES: u8 = 1 << 6;
    /// Keeps the heads of packets, to explain some of them later.
    pub const KEEPS_HEADS: u8 = 1 << 7;

    /// Of the traits: the last one on the VM's own interfaces before those that others' packets cross, too. What comes so far
    /// under another MAC address is the VM's, and that address is learned.
    pub const LEARNS: u16 = 1;
    /// Of the traits, of the hook at neighbours' ports that packets leave the path by: a switch in user space takes frames off the interface of the
    /// first hook before that sees them, so a packet may leave by this one first.
    pub const OVERTAKES: u16 = 1 << 1;
}

/// The gate, the budget and the thresholds: the one page that user space and the programs both write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Control {
    /// [`Control::CLOSED`], [`Control::OPEN`] or [`Control::DRAINING`].
    pub gate: u32,
    /// Not 0 from when on one of `addresses` was set first: until then they are not looked at.
    pub has_addresses: u32,
    /// Packets still to be admitted; counts below zero, as a two's complement.
    pub budget: u64,
    /// Packets whose identity is below this are counted and followed, and not timed; 0: all are. Read only if
    /// [`TraceConfig::sharing`] is 1.
    pub untimed_below: u64,
    /// A packet whose whole way took longer goes to the ring buffer; per direction, egress first, in nanoseconds.
    /// [`Control::NEVER`]: none does. Read only if [`TraceConfig::tail`] is 1.
    pub slower_than_ns: [u64; 2],
    /// Packets to the guest whose identity is below this have their checksum looked at; 0: none.
    pub checksum_below: u64,
    /// A packet that ended no longer ago than this may wait in a queue behind its last hook; in nanoseconds. Of all ports that of the first
    /// is read.
    pub waiting_ns: u64,
    /// Interfaces by their index, 0: none, where hooks at tracepoints see nothing: what a bond's inactive member receives the bond
    /// throws away.
    pub inactive: [u32; INACTIVE],
    /// Zero: what is read for each packet is in the first of two cache lines.
    pub reserved: [u64; 6],
    /// MAC addresses that are the port's beside its own: see [`crate::address`].
    pub addresses: [u64; ADDRESSES],
}

/// Inactive members of bonds that are known at a time.
pub const INACTIVE: usize = 6;

impl Control {
    /// Packets are let by unseen.
    pub const CLOSED: u32 = 0;
    /// New packets are admitted.
    pub const OPEN: u32 = 1;
    /// Only packets already in the table are followed.
    pub const DRAINING: u32 = 2;
    /// No way takes longer than this.
    pub const NEVER: u64 = u64::MAX;
}

const _: () = assert!(size_of::<HookConfig>() == 32);
const _: () = assert!(size_of::<Control>() == 128 + 8 * ADDRESSES);
