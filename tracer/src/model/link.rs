//! Network interfaces as the kernel knows them.

use super::{BondOptions, IfIndex, MacAddr, TunnelOptions};

/// What kind of device a link is, as far as paths care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// A Linux bridge.
    Bridge,
    /// One end of a veth pair.
    Veth,
    /// A tun or tap device.
    Tun,
    /// An 802.1Q sub-interface.
    Vlan,
    /// A Linux bond or team.
    Bond,
    /// One end of a tunnel: VXLAN, Geneve, GRE.
    Tunnel,
    /// A device of the Open vSwitch kernel datapath (a bridge's own port).
    OpenVswitch,
    /// Swallows what it is given: an anchor for a bridge's address.
    Dummy,
    /// Anything else; physical NICs have no kind.
    Other,
}

/// The other end of a veth pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VethPeer {
    /// In this network namespace.
    Here(IfIndex),
    /// In another one, with its index there.
    OtherNamespace(IfIndex),
}

/// A bridge port's spanning tree state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgePortState {
    /// Forwards.
    Forwarding,
    /// Does not forward (yet).
    NotForwarding(&'static str),
}

/// A network interface of this network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: IfIndex,
    /// Its name.
    pub name: String,
    /// Its own address; a VM's tap has another one than the VM.
    pub mac: Option<MacAddr>,
    /// In bytes, without the Ethernet header.
    pub mtu_bytes: u32,
    /// Packets that its queue holds at most (`txqueuelen`); of a tap each of its rings.
    pub queue_packets: u32,
    /// `IFF_UP`: an administrator wants it up.
    pub admin_up: bool,
    /// `IFF_LOWER_UP`: there is a carrier.
    pub carrier: bool,
    /// What kind of device it is.
    pub kind: LinkKind,
    /// The bridge, bond or datapath it is a port of.
    pub master: Option<IfIndex>,
    /// The other end, of a veth.
    pub peer: Option<VethPeer>,
    /// The interface that a VLAN interface stands on, or a VXLAN device is bound to.
    pub lower: Option<IfIndex>,
    /// How a bond is set.
    pub bond: Option<BondOptions>,
    /// How a tunnel's device is set.
    pub tunnel: Option<TunnelOptions>,
    /// Its state as a port of a Linux bridge.
    pub bridge_port_state: Option<BridgePortState>,
}
