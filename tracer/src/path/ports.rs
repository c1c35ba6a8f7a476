//! Every port of every VM, joined from libvirt and OVSDB.

use std::collections::HashSet;

use crate::model::{Instance, InstanceId, InstanceInterface, OvsInterface, Topology, VmPort};

/// How much of a port id Nova puts into interface names, after `tap`, `qbr`, `qvb`, `qvo`.
const SHORT_ID_BYTES: usize = 11;

/// A port id as it appears in interface names: its first 11 characters.
pub(super) fn short_id(port_id: &str) -> &str {
    port_id.get(..SHORT_ID_BYTES).unwrap_or(port_id)
}

/// Every port the sources know: libvirt's interfaces joined with their OVS interfaces, then what only OVSDB knows.
#[must_use]
pub fn ports(topology: &Topology) -> Vec<VmPort> {
    let plugged: Vec<&OvsInterface> = topology
        .ovs_interfaces()
        .map(|place| place.interface)
        .filter(|interface| is_vm_port(interface))
        .collect();
    let mut claimed = HashSet::new();
    let mut ports = Vec::new();
    for instance in &topology.instances {
        for interface in &instance.interfaces {
            let ovs = plugged.iter().find(|ovs| belong_together(instance, interface, ovs)).copied();
            claimed.extend(ovs.map(|ovs| ovs.name.as_str()));
            ports.push(from_libvirt(topology, instance, interface, ovs));
        }
    }
    let rest = plugged.into_iter().filter(|ovs| !claimed.contains(ovs.name.as_str()));
    ports.extend(rest.filter_map(|ovs| from_ovsdb(topology, ovs)));
    ports
}

/// Neutron's own ports (DHCP, routers) have an `iface-id` too; only a VM's has `vm-uuid`, and only Nova's plug makes `qvo`.
fn is_vm_port(interface: &OvsInterface) -> bool {
    let keys = &interface.neutron;
    keys.vm_uuid.is_some() || (keys.iface_id.is_some() && interface.name.starts_with("qvo"))
}

fn belong_together(instance: &Instance, interface: &InstanceInterface, ovs: &OvsInterface) -> bool {
    let keys = &ovs.neutron;
    if let (Some(ours), Some(theirs)) = (&interface.port_id, &keys.iface_id) {
        return ours == theirs;
    }
    let by_name =
        interface.tap.as_deref().and_then(|tap| tap.strip_prefix("tap")).zip(keys.iface_id.as_deref());
    let by_mac = || {
        keys.attached_mac == Some(interface.mac)
            && keys.vm_uuid.as_ref().is_none_or(|it| *it == instance.uuid)
    };
    by_name.is_some_and(|(short, id)| short == short_id(id)) || by_mac()
}

fn from_libvirt(
    topology: &Topology,
    instance: &Instance,
    interface: &InstanceInterface,
    ovs: Option<&OvsInterface>,
) -> VmPort {
    let port_id = interface.port_id.clone().or_else(|| ovs?.neutron.iface_id.clone());
    let derived = || port_id.as_deref().and_then(|id| existing_tap(topology, id));
    VmPort {
        state: Some(instance.state),
        unplugged: interface.unplugged,
        tap: interface.tap.clone().or_else(derived),
        source_bridge: interface.source_bridge.clone(),
        ovs_interface: ovs.map(|ovs| ovs.name.clone()),
        attached_mac: ovs.and_then(|ovs| ovs.neutron.attached_mac),
        id: InstanceId {
            name: Some(instance.name.clone()),
            uuid: Some(instance.uuid.clone()),
            display_name: instance.display_name.clone(),
            mac: interface.mac,
            ips: interface.fixed_ips.clone(),
            port_id,
        },
    }
}

/// A port libvirt said nothing about; without a MAC it cannot be traced.
fn from_ovsdb(topology: &Topology, ovs: &OvsInterface) -> Option<VmPort> {
    let keys = &ovs.neutron;
    let of_instance =
        topology.instances.iter().find(|instance| keys.vm_uuid.as_ref() == Some(&instance.uuid));
    Some(VmPort {
        state: of_instance.map(|instance| instance.state),
        unplugged: false,
        tap: keys.iface_id.as_deref().and_then(|id| existing_tap(topology, id)),
        source_bridge: None,
        ovs_interface: Some(ovs.name.clone()),
        attached_mac: keys.attached_mac,
        id: InstanceId {
            name: of_instance.map(|instance| instance.name.clone()),
            uuid: keys.vm_uuid.clone(),
            display_name: of_instance.and_then(|instance| instance.display_name.clone()),
            mac: keys.attached_mac?,
            ips: Vec::new(),
            port_id: keys.iface_id.clone(),
        },
    })
}

fn existing_tap(topology: &Topology, port_id: &str) -> Option<String> {
    let name = format!("tap{}", short_id(port_id));
    topology.link(&name).is_some().then_some(name)
}
