//! OVN's logical network as its southbound database describes it.

use std::sync::Arc;

/// A port of a logical switch (table `Port_Binding`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogicalPort {
    /// The switch; its ports share it.
    pub switch: Arc<LogicalSwitch>,
    /// The host that OVN has bound it to; `None`: to none.
    pub chassis: Option<Chassis>,
}

/// A logical switch, which is a network of Neutron's (table `Datapath_Binding`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogicalSwitch {
    /// Its name: Neutron's are `neutron-` and the network's id.
    pub name: Option<String>,
    /// The name that people gave the network.
    pub display_name: Option<String>,
    /// What tells it from others inside of a tunnel.
    pub tunnel_key: Option<u32>,
    /// Where it is joined to provider networks: a segment of each. Without any, hosts reach each other by tunnels.
    pub localnets: Vec<Localnet>,
}

/// A segment of a provider network that a logical switch is joined to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Localnet {
    /// The provider network's name.
    pub network: String,
    /// The VLAN there; `None`: frames have no tag.
    pub vlan_tag: Option<u16>,
}

/// A host with OVN's controller on it. All unknown: the database names one without describing it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chassis {
    /// Its name.
    pub name: Option<String>,
    /// The host's name.
    pub hostname: Option<String>,
}
