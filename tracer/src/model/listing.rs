//! One line of the list of what this host can trace.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use super::{InstanceState, MacAddr, Traceability};

/// A port of an instance, or an instance without any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ListRow {
    /// Nova's display name.
    pub display_name: Option<String>,
    /// The libvirt domain.
    pub name: Option<String>,
    /// The instance's UUID.
    pub uuid: Option<String>,
    /// What the instance is doing; `None` when libvirt does not know it.
    pub state: Option<InstanceState>,
    /// The port's MAC address; `None` for an instance without ports.
    pub mac: Option<MacAddr>,
    /// The port's fixed addresses.
    pub ips: Vec<IpAddr>,
    /// The Neutron port.
    pub port_id: Option<String>,
    /// The tap, when it exists.
    pub tap: Option<String>,
    /// The OVS bridge the VLAN tag is local to, else the bridge of the tap.
    pub bridge: Option<String>,
    /// The VLAN tag of the OVS port.
    pub vlan_tag: Option<u16>,
    /// How many problems its path has.
    pub problems: usize,
    /// Whether it can be traced, or why not.
    #[serde(flatten)]
    pub traceability: Traceability,
}

/// A row of Open vSwitch's database that a VM has left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StaleRow {
    /// The OVS interface.
    pub ifname: String,
    /// The bridge it is on.
    pub bridge: String,
    /// The Neutron port it was for.
    pub port_id: Option<String>,
    /// The MAC address that port had.
    pub mac: Option<MacAddr>,
    /// The instance it was for.
    pub uuid: Option<String>,
    /// What shows that nothing uses it.
    pub why: String,
    /// The commands that remove it.
    pub remove: Vec<String>,
}
