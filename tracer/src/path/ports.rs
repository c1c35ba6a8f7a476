//! Every port of every VM, joined from libvirt and OVSDB.

use std::collections::HashSet;

use super::{leftovers, plug};
use crate::model::{
    Attachment, Bandwidth, Instance, InstanceId, InstanceInterface, LinkKind, OvsInterface, OvsPlace,
    Topology, VmPort,
};

/// How much of a port id Nova puts into interface names, after `tap`, `qbr`, `qvb`, `qvo`.
const SHORT_ID_BYTES: usize = 11;

/// A port id as it appears in interface names: its first 11 characters.
pub(super) fn short_id(port_id: &str) -> &str {
    port_id.get(..SHORT_ID_BYTES).unwrap_or(port_id)
}

/// Every port the sources know: libvirt's interfaces joined with their OVS interfaces, then what only OVSDB knows and is no leftover.
#[must_use]
pub fn ports(topology: &Topology) -> Vec<VmPort> {
    let plugged: Vec<OvsPlace<'_>> =
        topology.ovs_interfaces().filter(|place| is_vm_port(place.interface)).collect();
    let mut claimed = HashSet::new();
    let mut ports = Vec::new();
    for instance in &topology.instances {
        for interface in &instance.interfaces {
            let own = plugged.iter().filter(|place| belong_together(instance, interface, place.interface));
            let own: Vec<_> = own.map(|place| place.interface).collect();
            let tap = interface.tap.clone().or_else(|| own.iter().find_map(|row| tap_of(topology, row)));
            let rows = live_first(topology, tap.as_deref(), own.into_iter());
            claimed.extend(rows.iter().map(|row| row.name.as_str()));
            ports.push(from_libvirt(topology, instance, interface, &rows));
        }
    }
    let rest = plugged.into_iter().filter(|place| !claimed.contains(place.interface.name.as_str()));
    let rest: Vec<_> = rest.filter(|place| !leftovers::is_leftover(topology, *place)).collect();
    let mut taken = HashSet::new();
    for place in &rest {
        let keys = &place.interface.neutron;
        if keys.iface_id.is_some() && !taken.insert((&keys.iface_id, &keys.vm_uuid)) {
            continue;
        }
        let same = rest.iter().filter(|other| {
            let others = &other.interface.neutron;
            other.interface.name == place.interface.name
                || (keys.iface_id.is_some()
                    && (&others.iface_id, &others.vm_uuid) == (&keys.iface_id, &keys.vm_uuid))
        });
        let same: Vec<_> = same.map(|place| place.interface).collect();
        let tap = same.iter().find_map(|row| tap_of(topology, row));
        ports.extend(from_ovsdb(topology, &live_first(topology, tap.as_deref(), same.into_iter())));
    }
    ports
}

/// Neutron's own ports (DHCP, routers) have an `iface-id` too; only a VM's has `vm-uuid`, and only Nova's plug makes `qvo`.
pub(super) fn is_vm_port(interface: &OvsInterface) -> bool {
    let keys = &interface.neutron;
    keys.vm_uuid.is_some() || (keys.iface_id.is_some() && interface.name.starts_with("qvo"))
}

/// The rows of one port whose tap is `tap`, the one in use first: the kernel's word for where the tap is counts most, then whether there is
/// an interface, and whether Open vSwitch could open it.
fn live_first<'a>(
    topology: &Topology,
    tap: Option<&str>,
    rows: impl Iterator<Item = &'a OvsInterface>,
) -> Vec<&'a OvsInterface> {
    let mut rows: Vec<_> = rows.collect();
    let tap = tap.and_then(|tap| topology.link(tap));
    rows.sort_by_key(|row| {
        let link = topology.link(&row.name);
        let is_taps = tap.zip(link).is_some_and(|(tap, link)| plug::leads_to(topology, link, tap));
        (!is_taps, link.is_none(), row.ofport == Some(-1))
    });
    rows
}

fn belong_together(instance: &Instance, interface: &InstanceInterface, ovs: &OvsInterface) -> bool {
    let keys = &ovs.neutron;
    // A row of another VM's, whatever else is the same.
    if keys.vm_uuid.as_ref().is_some_and(|uuid| *uuid != instance.uuid) {
        return false;
    }
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
    rows: &[&OvsInterface],
) -> VmPort {
    let ovs = rows.first();
    let port_id = interface.port_id.clone().or_else(|| ovs?.neutron.iface_id.clone());
    let derived = || port_id.as_deref().and_then(|id| existing_tap(topology, id));
    VmPort {
        attachment: interface.attachment.clone(),
        state: Some(instance.state),
        unplugged: interface.unplugged,
        bandwidth: interface.bandwidth,
        tap: interface.tap.clone().or_else(derived),
        source_bridge: interface.source_bridge.clone(),
        network: interface.network.clone(),
        ovs_interface: ovs.map(|ovs| ovs.name.clone()),
        stale_rows: stale(rows),
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
fn from_ovsdb(topology: &Topology, rows: &[&OvsInterface]) -> Option<VmPort> {
    let ovs = rows.first()?;
    let keys = &ovs.neutron;
    let of_instance =
        topology.instances.iter().find(|instance| keys.vm_uuid.as_ref() == Some(&instance.uuid));
    Some(VmPort {
        attachment: if ovs.kind.starts_with("dpdkvhostuser") {
            Attachment::VhostUser
        } else {
            Attachment::Tap
        },
        state: of_instance.map(|instance| instance.state),
        unplugged: false,
        bandwidth: Bandwidth::default(),
        tap: tap_of(topology, ovs),
        source_bridge: None,
        network: None,
        ovs_interface: Some(ovs.name.clone()),
        stale_rows: stale(rows),
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

/// All but the first.
fn stale(rows: &[&OvsInterface]) -> Vec<String> {
    rows.iter().skip(1).map(|row| row.name.clone()).collect()
}

/// The tap of a port that only OVSDB knows: by Nova's name for it, else the row's own interface, if that is one.
pub(super) fn tap_of(topology: &Topology, ovs: &OvsInterface) -> Option<String> {
    let by_id = ovs.neutron.iface_id.as_deref().and_then(|id| existing_tap(topology, id));
    let own = || topology.link(&ovs.name).filter(|link| link.kind == LinkKind::Tun);
    by_id.or_else(|| own().map(|link| link.name.clone()))
}

fn existing_tap(topology: &Topology, port_id: &str) -> Option<String> {
    let name = format!("tap{}", short_id(port_id));
    topology.link(&name).is_some().then_some(name)
}
