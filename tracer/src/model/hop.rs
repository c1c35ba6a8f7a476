//! An interface on a path, and what its layout knows of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bond, Direction, IfIndex, Interface, Limit};

/// What an interface is called on the path. A name for people and for machine-readable output: what follows from the interface's place
/// is in its [`HopFacts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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
    /// The device of a tunnel, at which packets are as the VM sent them.
    Tunnel,
    /// A Linux bridge's own interface, by which the host is on the VM's network.
    Bridge,
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
            Self::Tunnel => "tunnel",
            Self::Bridge => "bridge",
        }
    }
}

/// What is at an interface's other end, the one that is not on its bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OtherEnd {
    /// The guest itself.
    Guest,
    /// The other end of a veth pair.
    Veth,
    /// The network outside the host.
    Wire,
    /// Other hosts: what it sends goes there inside of other packets.
    Tunnel,
    /// The host itself, which routes, and may translate addresses.
    Host,
}

/// What a layout knows of an interface on its paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HopFacts {
    /// What is at its other end.
    pub other_end: OtherEnd,
    /// The direction of the packets that it receives. It sends those of the other one.
    pub receives: Direction,
    /// Other VMs' packets cross it, too.
    pub shared: bool,
    /// Packets of this direction come to the VM's firewall behind it.
    pub firewall_behind: Option<Direction>,
}

/// An interface on the path where hooks can sit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// What it is called on the path.
    pub role: Role,
    /// Its name in the network namespace hoptrace runs in.
    pub ifname: String,
    /// Its index there.
    pub ifindex: IfIndex,
    /// The bridge it is a port of.
    pub bridge: Option<String>,
    /// The VLAN tag of its OVS port (802.1Q VID, local to br-int).
    #[schemars(range(max = 4095))]
    pub vlan_tag: Option<u16>,
    /// In bytes.
    pub mtu_bytes: u32,
    /// Packets that its queue holds at most (`txqueuelen`); of a tap each of its rings.
    #[serde(default)]
    pub queue_packets: u32,
    /// `IFF_UP`.
    pub admin_up: bool,
    /// `IFF_LOWER_UP`.
    pub carrier: bool,
    /// It stands on other interfaces: a bond, a VLAN interface.
    pub stacked: bool,
    /// The bond that it is, stands on, or is a member of.
    pub bond: Option<Bond>,
    /// What it lets through at most.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// What follows from its place in the layout.
    #[serde(flatten)]
    pub facts: HopFacts,
}

impl Hop {
    /// What it is to the kernel.
    #[must_use]
    pub fn interface(&self) -> Interface {
        Interface { ifname: self.ifname.clone(), ifindex: self.ifindex }
    }

    /// Whether the guest is at its other end.
    #[must_use]
    pub fn is_guests(&self) -> bool {
        self.facts.other_end == OtherEnd::Guest
    }

    /// Whether the network outside the host is at its other end.
    #[must_use]
    pub fn is_uplink(&self) -> bool {
        self.facts.other_end == OtherEnd::Wire
    }

    /// Whether packets go to other hosts from here inside of others.
    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        self.facts.other_end == OtherEnd::Tunnel
    }

    /// Whether the host itself is behind it.
    #[must_use]
    pub fn is_host_s(&self) -> bool {
        self.facts.other_end == OtherEnd::Host
    }

    /// Whether packets leave the VM's network on this host here: to the wire, to other hosts, to the host itself.
    #[must_use]
    pub fn leads_out(&self) -> bool {
        matches!(self.facts.other_end, OtherEnd::Wire | OtherEnd::Tunnel | OtherEnd::Host)
    }

    /// Whether packets take either this one or `other`: several ways out.
    #[must_use]
    pub fn is_alternative_to(&self, other: &Self) -> bool {
        self.leads_out() && other.leads_out()
    }

    /// Whether this one and `other` are the two ends of a veth pair.
    #[must_use]
    pub fn is_pair_with(&self, other: &Self) -> bool {
        let is_veth = |hop: &Self| hop.facts.other_end == OtherEnd::Veth;
        is_veth(self) && is_veth(other) && self.facts.receives != other.facts.receives
    }
}
