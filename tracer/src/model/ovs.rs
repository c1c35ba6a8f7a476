//! Open vSwitch as its database describes it.

use super::{MacAddr, TunnelOptions};

/// An OVS bridge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OvsBridge {
    /// Its name.
    pub name: String,
    /// `system` (kernel) or `netdev` (user space); the empty string means `system`.
    pub datapath_type: String,
    /// `secure` or `standalone`.
    pub fail_mode: Option<String>,
    /// Its ports.
    pub ports: Vec<OvsPort>,
    /// The ports, by their names, that its mirrors copy packets to.
    pub mirror_outputs: Vec<String>,
}

/// A port of an OVS bridge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OvsPort {
    /// Its name.
    pub name: String,
    /// The VLAN it is an access port of.
    pub tag: Option<u16>,
    /// The VLANs it trunks; empty means all.
    pub trunks: Vec<u16>,
    /// `access`, `trunk`, `native-tagged` …, where it is set.
    pub vlan_mode: Option<String>,
    /// More than one: an OVS bond.
    pub interfaces: Vec<OvsInterface>,
    /// What Neutron's agent noted about the network.
    pub network: NeutronNetwork,
}

/// What Neutron's OVS agent writes into a port's `other_config`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NeutronNetwork {
    /// `flat`, `vlan`, `vxlan`, `geneve`, `gre` or `local`.
    pub network_type: Option<String>,
    /// The provider network's name.
    pub physical_network: Option<String>,
    /// The VLAN id or tunnel key on the wire.
    pub segmentation_id: Option<String>,
}

/// An interface of an OVS port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OvsInterface {
    /// Its name.
    pub name: String,
    /// `patch`, `internal`, `vxlan`, `dpdk`, …; empty or `system` for a netdev.
    pub kind: String,
    /// The `OpenFlow` port number; `-1` when OVS could not open it.
    pub ofport: Option<i64>,
    /// Why OVS could not open it.
    pub error: Option<String>,
    /// The MAC address it has.
    pub mac_in_use: Option<MacAddr>,
    /// `options:peer` of a patch port.
    pub peer: Option<String>,
    /// The options of a tunnel's port.
    pub tunnel: TunnelOptions,
    /// `admin_state`.
    pub admin_up: Option<bool>,
    /// `link_state`.
    pub link_up: Option<bool>,
    /// Neutron's keys.
    pub neutron: NeutronKeys,
    /// Whether OVN installed flows for it.
    pub of_ovn: bool,
}

impl OvsInterface {
    /// Whether packets leave the host by it inside of others.
    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        matches!(self.kind.as_str(), "vxlan" | "geneve" | "gre" | "ip6gre" | "stt" | "erspan" | "gtpu")
    }

    /// Whether a netdev of this network namespace backs it.
    #[must_use]
    pub fn is_netdev(&self) -> bool {
        matches!(self.kind.as_str(), "" | "system")
    }
}

/// What Nova and Neutron write into an interface's `external_ids`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NeutronKeys {
    /// The Neutron port.
    pub iface_id: Option<String>,
    /// The VM's MAC address.
    pub attached_mac: Option<MacAddr>,
    /// Nova's instance.
    pub vm_uuid: Option<String>,
    /// `active`, or `inactive` while Neutron keeps it unplugged.
    pub iface_status: Option<String>,
}
