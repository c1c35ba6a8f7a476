//! The packet path of one port: the ordered interfaces from the VM to the wire.

use serde::Serialize;

use super::{IfIndex, MacAddr};

/// The layout a path follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// tap, Linux bridge, veth pair, br-int, br-ex, physical NIC: Neutron's OVS driver with `iptables_hybrid`.
    OvsHybrid,
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
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
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

/// Something wrong on the path, with the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The interface, bridge or port it was seen at.
    pub at: String,
    /// What is wrong, and what shows it, in one line.
    pub what: String,
}

/// The ordered interfaces from the VM to the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Path {
    /// The layout.
    pub kind: PathKind,
    /// The port's MAC address.
    pub mac: MacAddr,
    /// From the VM to the wire. Several hops of role [`Role::Nic`] are alternatives (a bond, two uplinks).
    pub hops: Vec<Hop>,
    /// What is wrong on the way.
    pub problems: Vec<Problem>,
}
