//! Hooks and segments of a trace: what goes where.

use hoptrace_common::config::HookConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Direction, HookId, HookSet, IfIndex, OtherPort, PerDirection, SegmentId};

/// Where an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum XdpMode {
    /// In the driver, before there is an skb.
    Native,
    /// In the network stack, behind the driver.
    Generic,
}

impl XdpMode {
    /// As on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// Which side of an interface a hook is on, as `tc` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Frames the host receives from the interface.
    Ingress,
    /// Frames the host sends to the interface.
    Egress,
    /// Frames the host receives from the interface, before `tc ingress` sees them.
    Xdp(XdpMode),
    /// Frames that the interface's driver takes over to send, behind its queueing discipline.
    Wire,
}

impl Side {
    /// As `tc` names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "tc ingress",
            Self::Egress => "tc egress",
            Self::Xdp(XdpMode::Native) => "native xdp",
            Self::Xdp(XdpMode::Generic) => "generic xdp",
            Self::Wire => "net_dev_start_xmit",
        }
    }
}

/// An interface to attach to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub ifname: String,
    /// Its index.
    pub ifindex: IfIndex,
}

/// One program, and where it is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookPlan {
    /// The name reports use: the role, with the interface where several have that role.
    pub label: String,
    /// The interface; at neighbours there may be more, or none.
    pub interfaces: Vec<Interface>,
    /// Which side of it.
    pub side: Side,
    /// The direction of the packets it sees.
    pub direction: Direction,
    /// What the program needs to know.
    pub config: HookConfig,
}

/// A pair of hooks that packets are expected to pass one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentPlan {
    /// Its number in the kernel's arrays.
    pub index: SegmentId,
    /// That of its packets which came by user space, always the one behind; `None`: those are not told from the others.
    pub slow: Option<SegmentId>,
    /// The direction of its packets.
    pub direction: Direction,
    /// The hook before.
    pub from: HookId,
    /// The hook behind.
    pub to: HookId,
    /// Whether it leaves the discovered path, or comes from beside it.
    pub off_path: bool,
}

/// All hooks and segments of a trace. A hook's number is its place in `hooks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The hooks, egress first, each direction in path order.
    pub hooks: Vec<HookPlan>,
    /// The interfaces of the path that have none.
    pub unhooked: Vec<Interface>,
    /// The segments between them.
    pub segments: Vec<SegmentPlan>,
    /// The segment of the whole way.
    pub totals: PerDirection<SegmentId>,
    /// The segment of the whole way to and from neighbours, per direction; [`OFF_PATH_SEGMENT`](hoptrace_common::config::OFF_PATH_SEGMENT) without
    /// neighbours.
    pub neighbour_totals: PerDirection<SegmentId>,
    /// Hooks that packets from neighbours enter by.
    pub neighbour_entries: HookSet,
    /// Hooks behind which packets come to a switch that may give them to user space.
    pub upcalled_after: HookSet,
    /// The other VMs' ports that hooks are at.
    pub neighbours: Vec<OtherPort>,
    /// The number of the first hook, per direction.
    pub entries: PerDirection<HookId>,
    /// The first segment of the guest's own times: what its kernel answers, then what it acknowledges, then what its programs
    /// say (see [`GuestTimes`](super::GuestTimes)).
    pub guest: SegmentId,
    /// Segments in all, the off-path one included.
    pub segment_count: u32,
}

impl HookPlan {
    /// Whether it is at neighbours' ports, beside the path.
    #[must_use]
    pub const fn is_neighbour(&self) -> bool {
        self.config.flags & HookConfig::NEIGHBOUR != 0
    }
}

impl Plan {
    /// The mode of the XDP hooks, if there are any, and each with its number.
    pub fn xdp_hooks(&self) -> impl Iterator<Item = (usize, XdpMode, &Interface)> {
        self.hooks.iter().enumerate().filter_map(|(number, hook)| match hook.side {
            Side::Xdp(mode) => Some((number, mode, hook.interfaces.first()?)),
            Side::Ingress | Side::Egress | Side::Wire => None,
        })
    }

    /// The hooks where drivers take packets over, each with its number.
    pub fn wire_hooks(&self) -> impl Iterator<Item = (usize, &Interface)> {
        let hooks = self.hooks.iter().enumerate().filter(|(_, hook)| hook.side == Side::Wire);
        hooks.filter_map(|(number, hook)| Some((number, hook.interfaces.first()?)))
    }

    /// The hooks that packets pass last before a wire hook.
    #[must_use]
    pub fn before_wire(&self) -> HookSet {
        let is_wire = |place: usize| self.hooks.get(place).is_some_and(|hook| hook.side == Side::Wire);
        let before = self.segments.iter().filter(|segment| !segment.off_path && is_wire(segment.to.place()));
        before.map(|segment| segment.from.place()).collect()
    }

    /// The hooks of the way out behind which packets still come to the switch, a bit each; in the upper half the first ones of the
    /// way in behind it. 0: the path ends before the switch.
    #[must_use]
    pub fn at_switch(&self) -> u32 {
        let is_shared = |place: usize| {
            self.hooks.get(place).is_some_and(|hook| hook.config.flags & HookConfig::SHARED != 0)
        };
        let through = self
            .segments
            .iter()
            .filter(|segment| is_shared(segment.from.place()) != is_shared(segment.to.place()));
        let inner = through.filter(|segment| !segment.off_path).map(|segment| match segment.direction {
            // All before it are, too.
            Direction::Egress => (2_u32 << (segment.from.0 & 0xf)) - 1,
            Direction::Ingress => 1 << (16 + (segment.to.0 & 0xf)),
        });
        inner.fold(0, |bits, more| bits | more)
    }

    /// The interfaces of the path, with hooks and without.
    pub fn path_interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.path_places().map(|(interface, _)| interface).chain(&self.unhooked)
    }

    /// Where hooks are on the path: interfaces and sides of them.
    pub fn path_places(&self) -> impl Iterator<Item = (&Interface, Side)> {
        let hooks = self.hooks.iter().filter(|hook| !hook.is_neighbour());
        hooks.flat_map(|hook| hook.interfaces.iter().map(|interface| (interface, hook.side)))
    }
}
