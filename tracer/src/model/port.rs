//! A VM's port, joined from libvirt and OVSDB: what a handle resolves to.

use super::{Attachment, Bandwidth, InstanceId, InstanceState, MacAddr};

/// One port of one VM, as far as the sources know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmPort {
    /// Which VM and which port.
    pub id: InstanceId,
    /// What the VM is doing; `None` when libvirt does not know it.
    pub state: Option<InstanceState>,
    /// How libvirt connects it to the host.
    pub attachment: Attachment,
    /// libvirt has its link set down.
    pub unplugged: bool,
    /// What libvirt lets through at most.
    pub bandwidth: Bandwidth,
    /// The tap device's name, known or derived from the port id.
    pub tap: Option<String>,
    /// The bridge libvirt plugged the tap into.
    pub source_bridge: Option<String>,
    /// libvirt's network that it belongs to.
    pub network: Option<String>,
    /// The OVS interface that carries this port's `iface-id` or MAC.
    pub ovs_interface: Option<String>,
    /// Further OVS interfaces that carry its `iface-id`: leftovers of another plug, of a crash.
    pub stale_rows: Vec<String>,
    /// The MAC OVSDB has for this port.
    pub attached_mac: Option<MacAddr>,
}
