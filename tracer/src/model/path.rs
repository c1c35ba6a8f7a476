//! The packet path of one port: the ordered interfaces from the VM to the wire.

use serde::Serialize;

use super::{IfIndex, InstanceId, MacAddr, OtherPort};

/// The layout a path follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// tap, Linux bridge, veth pair, br-int, br-ex, physical NIC: Neutron's OVS driver with `iptables_hybrid`.
    OvsHybrid,
}

impl PathKind {
    /// As in machine-readable output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OvsHybrid => "ovs-hybrid",
        }
    }
}

/// What an interface is on the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The VM's tap device.
    Tap,
    /// The veth end on the Linux bridge.
    Qvb,
    /// The veth end on the integration bridge.
    Qvo,
    /// A physical NIC on the provider bridge.
    Nic,
}

impl Role {
    /// As in machine-readable output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::Qvb => "qvb",
            Self::Qvo => "qvo",
            Self::Nic => "nic",
        }
    }
}

/// An interface on the path where hooks can sit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// What it is on the path.
    pub role: Role,
    /// Its name in the network namespace hoptrace runs in.
    pub ifname: String,
    /// Its index there.
    pub ifindex: IfIndex,
    /// The bridge it is a port of.
    pub bridge: Option<String>,
    /// The VLAN tag of its OVS port (802.1Q VID, local to br-int).
    pub vlan_tag: Option<u16>,
}

/// What kind of thing is wrong on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProblemKind {
    /// An interface or a bridge is not `IFF_UP`.
    Down,
    /// An interface has no carrier.
    NoCarrier,
    /// A bridge does not forward through a port.
    NotForwarding,
    /// An interface takes smaller packets than the one before.
    SmallerMtu,
    /// The VM's CPUs are stopped.
    Paused,
    /// The VM has no process.
    NotRunning,
    /// Open vSwitch could not open a port.
    NotOpened,
    /// Neutron could not bind the port.
    DeadVlan,
    /// What lets packets pass, perhaps not as they should.
    #[default]
    Other,
}

impl ProblemKind {
    /// Whether packets that come there die.
    #[must_use]
    pub const fn blocks(self) -> bool {
        !matches!(self, Self::SmallerMtu | Self::Other)
    }
}

/// Something wrong on the path, with the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of thing.
    #[serde(skip)]
    pub kind: ProblemKind,
    /// The interface, bridge or port it was seen at.
    pub at: String,
    /// What is wrong, and what shows it, in one line.
    pub what: String,
}

/// What a bridge on the path is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum BridgeKind {
    /// A Linux bridge; on the hybrid path the one where security groups are enforced.
    Linux,
    /// An Open vSwitch bridge.
    Ovs {
        /// `system` (kernel) or `netdev` (user space).
        datapath: String,
        /// `secure` or `standalone`.
        fail_mode: Option<String>,
    },
}

/// An interface's state, of the hop of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InterfaceState {
    /// The hop's `ifname`.
    pub ifname: String,
    /// In bytes.
    pub mtu_bytes: u32,
    /// `IFF_UP`.
    pub admin_up: bool,
    /// `IFF_LOWER_UP`.
    pub carrier: bool,
}

/// A step of the drawing, from the VM to the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "node", rename_all = "kebab-case")]
pub enum Node {
    /// A hop, by its `ifname`.
    Interface(InterfaceState),
    /// A bridge.
    Bridge {
        /// Its name.
        name: String,
        /// What it is made of.
        kind: BridgeKind,
    },
    /// A pair of patch ports between two OVS bridges: no netdev, so no hook.
    Patch {
        /// The end towards the VM.
        name: String,
        /// The end towards the wire.
        peer: String,
    },
    /// Where the way ends before it should.
    Gap {
        /// What is missing, by role or by the name it should have.
        missing: String,
    },
}

impl Node {
    /// The name problems refer to.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Interface(state) => &state.ifname,
            Self::Bridge { name, .. } | Self::Patch { name, .. } => name,
            Self::Gap { missing } => missing,
        }
    }
}

/// How much of a path can be traced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "traceable", rename_all = "lowercase")]
pub enum Traceability {
    /// From the tap to the wire.
    Fully,
    /// Hooks can sit on some of it.
    Partly {
        /// Why not on all of it, in one line.
        why: String,
    },
    /// Nothing, or too little, to hook.
    No {
        /// Why, in one line.
        why: String,
    },
}

impl Traceability {
    /// Why not all of it, if so.
    #[must_use]
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Self::Fully => None,
            Self::Partly { why } | Self::No { why } => Some(why),
        }
    }
}

/// The ordered interfaces from the VM to the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The layout.
    pub kind: PathKind,
    /// Whose path.
    pub instance: InstanceId,
    /// The port's MAC address, that of the guest.
    pub mac: MacAddr,
    /// From the VM to the wire. Several hops of role [`Role::Nic`] are alternatives (a bond, two uplinks).
    pub hops: Vec<Hop>,
    /// Hops, bridges and patch ports in the order of the drawing.
    pub nodes: Vec<Node>,
    /// The network behind the port, in words: `vlan 101 on physnet1`.
    pub network: Option<String>,
    /// Interfaces beside the path, where packets leave it or come from: on the same switch, and the Linux bridge's own.
    pub other_ports: Vec<OtherPort>,
    /// The interface at which the path ends because nobody could be asked about the switch behind it, and the kernel has
    /// it in none of its own: what it receives, a userspace datapath may have taken.
    pub taken_unseen: Option<IfIndex>,
    /// What is wrong on the way. `at` is the name of a node, or [`Path::GUEST`].
    pub problems: Vec<Problem>,
    /// How much of it can be traced.
    pub traceability: Traceability,
}

impl Path {
    /// Where problems of the guest itself are noted.
    pub const GUEST: &'static str = "guest";

    /// The `path` object of all machine-readable output.
    #[must_use]
    pub fn summary(&self) -> PathSummary<'_> {
        PathSummary { kind: self.kind, hops: &self.hops, partly_traced: self.traceability.why_not() }
    }

    /// The hop that a hook's label means: its role, with the interface behind a colon where several have that role. XDP and
    /// the wire are at the NIC.
    #[must_use]
    pub fn hop_of(&self, label: &str) -> Option<&Hop> {
        let (layer, ifname) =
            label.split_once(':').map_or((label, None), |(layer, ifname)| (layer, Some(ifname)));
        let role = if matches!(layer, "xdp" | "wire") { Role::Nic.as_str() } else { layer };
        let is = |hop: &&Hop| hop.role.as_str() == role && ifname.is_none_or(|ifname| hop.ifname == ifname);
        self.hops.iter().find(is)
    }

    /// What is wrong at a node.
    pub fn problems_at<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Problem> {
        self.problems.iter().filter(move |problem| problem.at == name)
    }
}

/// The `path` object of all machine-readable output.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PathSummary<'a> {
    /// The layout.
    pub kind: PathKind,
    /// From the VM to the wire.
    pub hops: &'a [Hop],
    /// Why it ends before the wire, if it does.
    pub partly_traced: Option<&'a str>,
}
