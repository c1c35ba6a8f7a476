//! Open vSwitch as its database describes it.

use super::{MacAddr, TunnelOptions};

/// What the switch is told as a whole: the one row of the table `Open_vSwitch`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OvsSystem {
    /// The name of OVN's chassis, unless its controller was told another.
    pub system_id: Option<String>,
    /// The host's name, which is the chassis', too.
    pub hostname: Option<String>,
    /// Where OVN's controller is told that the southbound database is: remotes, with commas between.
    pub ovn_remote: Option<String>,
    /// By which bridges OVN's controller is told that provider networks are reached.
    pub bridge_mappings: BridgeMappings,
}

/// Which bridge leads to which provider network: `physnet1:br-ex,physnet2:br-eth1`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BridgeMappings(Vec<(String, String)>);

impl BridgeMappings {
    /// Reads them as OVN's controller does: what comes behind a pair that is none does not count.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pairs = text.split(',').map_while(|pair| {
            pair.split_once(':').filter(|(network, bridge)| !network.is_empty() && !bridge.is_empty())
        });
        Self(pairs.map(|(network, bridge)| (network.to_owned(), bridge.to_owned())).collect())
    }

    /// The bridge that leads to a network; of several the first.
    #[must_use]
    pub fn bridge(&self, network: &str) -> Option<&str> {
        self.pairs().find(|(name, _)| *name == network).map(|(_, bridge)| bridge)
    }

    /// Each network with its bridge.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(network, bridge)| (network.as_str(), bridge.as_str()))
    }
}

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

impl OvsBridge {
    /// Whether its datapath is in user space.
    #[must_use]
    pub fn is_userspace(&self) -> bool {
        self.datapath_type == "netdev"
    }
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
    /// How a bond spreads packets over its interfaces.
    pub bond_mode: Option<String>,
    /// The address of the interface that a bond uses, where it is only one.
    pub bond_active: Option<MacAddr>,
    /// More than one: an OVS bond.
    pub interfaces: Vec<OvsInterface>,
    /// How what it sends is shaped.
    pub qos: Option<OvsQos>,
    /// What Neutron's agent noted about the network.
    pub network: NeutronNetwork,
}

/// How what a port sends is shaped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OvsQos {
    /// `linux-htb`, `linux-hfsc`, `egress-policer` …
    pub kind: String,
    /// What passes at most, in bits per second, where that is told: of what goes by its first queue, as all does that no rule puts into another.
    pub bits_per_second: Option<u64>,
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
    /// What Open vSwitch lets in here at most, in bits per second (`ingress_policing_rate`).
    pub policed_bits_per_second: Option<u64>,
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
        is_tunnel_type(&self.kind)
    }

    /// Whether a netdev of this network namespace backs it.
    #[must_use]
    pub fn is_netdev(&self) -> bool {
        matches!(self.kind.as_str(), "" | "system")
    }
}

/// Whether packets leave the host inside of others by interfaces of this type.
#[must_use]
pub fn is_tunnel_type(kind: &str) -> bool {
    matches!(kind, "vxlan" | "geneve" | "gre" | "ip6gre" | "stt" | "erspan" | "gtpu")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_read_up_to_what_is_none() {
        let mappings = BridgeMappings::parse("physnet1:br-ex,physnet2:br:1,physnet1:br-other");
        assert_eq!(mappings.bridge("physnet1"), Some("br-ex"));
        assert_eq!((mappings.bridge("physnet2"), mappings.bridge("br-ex")), (Some("br:1"), None));
        for broken in ["", ",", ":", "a:", ":b", "a", ",physnet1:br-ex", "a:,physnet1:br-ex"] {
            assert_eq!(BridgeMappings::parse(broken), BridgeMappings::default(), "{broken:?}");
        }
        assert_eq!(BridgeMappings::parse("physnet1:br-ex, physnet2:br-two,").pairs().count(), 2);
        assert_eq!(BridgeMappings::parse("physnet1:br-ex,,physnet2:br-two").pairs().count(), 1);
    }
}
