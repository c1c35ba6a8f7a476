//! What is beside a path: every other port of the switches that it leads through, and the Linux bridge's own interface.

use std::collections::{HashSet, VecDeque};

use super::uplink;
use crate::model::{
    InstanceInterface, Link, LinkKind, MacAddr, OtherPort, OvsBridge, OvsInterface, OvsPlace, PortKind,
    Topology, VethPeer,
};

/// The interfaces beside the path of the port at `start`, whose own interfaces are `on_path`.
pub(super) fn ports(topology: &Topology, start: OvsPlace<'_>, on_path: &HashSet<&str>) -> Vec<OtherPort> {
    let places = reached(topology, start.bridge).into_iter().flat_map(OvsBridge::places);
    let others = places.filter(|place| !on_path.contains(place.interface.name.as_str()));
    others.filter_map(|place| port(topology, start, place)).collect()
}

/// The Linux bridge's own interface: what is for the host comes there.
pub(super) fn bridge(link: &Link) -> OtherPort {
    OtherPort {
        ifname: link.name.clone(),
        ifindex: link.index,
        kind: PortKind::Bridge,
        macs: link.mac.into_iter().collect(),
        bridge: Some(link.name.clone()),
        ..OtherPort::default()
    }
}

/// The other ports of a Linux bridge, those of other VMs among them.
pub(super) fn ports_of_bridge(topology: &Topology, bridge: &Link, on_path: &HashSet<&str>) -> Vec<OtherPort> {
    let others = topology.ports_of(bridge).filter(|link| !on_path.contains(link.name.as_str()));
    let port = |link: &Link| {
        let (kind, macs) = behind(topology, link, mac_behind(topology, &link.name));
        OtherPort {
            ifname: link.name.clone(),
            ifindex: link.index,
            kind,
            macs,
            bridge: Some(bridge.name.clone()),
            ..OtherPort::default()
        }
    };
    others.map(port).collect()
}

/// The bridge and all that patch ports and veth pairs lead to from there.
fn reached<'a>(topology: &'a Topology, start: &'a OvsBridge) -> Vec<&'a OvsBridge> {
    let mut seen = HashSet::from([start.name.as_str()]);
    let mut queue = VecDeque::from([start]);
    let mut reached = Vec::new();
    while let Some(bridge) = queue.pop_front() {
        reached.push(bridge);
        for far in bridge.places().filter_map(|place| far_end(topology, place)) {
            if seen.insert(far.bridge.name.as_str()) {
                queue.push_back(far.bridge);
            }
        }
    }
    reached
}

/// The other end of a pair of ports between two bridges.
fn far_end<'a>(topology: &'a Topology, near: OvsPlace<'a>) -> Option<OvsPlace<'a>> {
    if near.interface.kind == "patch" {
        return topology.ovs_interface(near.interface.peer.as_deref()?);
    }
    uplink::veth_end(topology, near)
}

fn port(topology: &Topology, start: OvsPlace<'_>, place: OvsPlace<'_>) -> Option<OtherPort> {
    let interface = place.interface;
    let is_mirror = place.bridge.mirror_outputs.contains(&place.port.name);
    let other = OtherPort {
        ifname: interface.name.clone(),
        bridge: Some(place.bridge.name.clone()),
        ofport: interface.ofport,
        is_mirror,
        ..OtherPort::default()
    };
    if interface.kind == "internal" {
        // Of another network that is local to the bridge: nothing of this one goes there, and there may be hundreds.
        let is_apart = place.bridge.name == start.bridge.name
            && place.port.tag.is_some()
            && place.port.tag != start.port.tag;
        return if is_apart && !is_mirror { None } else { internal(topology, place, other) };
    }
    let link = topology.link(&interface.name).filter(|_| interface.is_netdev())?;
    // A dead row, or one that the kernel contradicts: the interface is no port of this switch.
    let is_elsewhere = topology
        .master(link)
        .is_some_and(|master| master.kind == LinkKind::Bridge && master.name != place.bridge.name);
    let is_no_port = interface.ofport == Some(-1) || is_elsewhere;
    if is_no_port || far_end(topology, place).is_some() {
        return None;
    }
    let (kind, macs) = behind(topology, link, vm_mac(topology, interface));
    Some(OtherPort { ifindex: link.index, kind, macs, ..other })
}

/// An internal port: here, or moved to another network namespace.
fn internal(topology: &Topology, place: OvsPlace<'_>, other: OtherPort) -> Option<OtherPort> {
    let interface = place.interface;
    let here = topology.link(&interface.name).filter(|link| is_internal(link));
    let (link, namespace) = match (here, topology.link_away(&interface.name)) {
        (Some(link), _) => (link, None),
        (None, Some(away)) => (&away.link, Some(away.namespace.clone())),
        (None, None) => return None,
    };
    let is_local = interface.name == place.bridge.name;
    Some(OtherPort {
        ifname: link.name.clone(),
        ifindex: link.index,
        kind: if is_local { PortKind::Local } else { PortKind::Internal },
        macs: link.mac.or(interface.mac_in_use).into_iter().collect(),
        namespace,
        ..other
    })
}

/// With the userspace datapath an internal port is a tap device.
const fn is_internal(link: &Link) -> bool {
    matches!(link.kind, LinkKind::OpenVswitch | LinkKind::Tun | LinkKind::Other)
}

/// The MAC address of the VM behind an interface of Open vSwitch's, as OVSDB or libvirt has it.
fn vm_mac(topology: &Topology, ovs: &OvsInterface) -> Option<MacAddr> {
    ovs.neutron.attached_mac.or_else(|| mac_behind(topology, &ovs.name))
}

/// The MAC address of the VM whose tap, or veth end on the switch, the interface is, as libvirt has it.
fn mac_behind(topology: &Topology, ifname: &str) -> Option<MacAddr> {
    let is_it = |interface: &&InstanceInterface| {
        let short = interface.tap.as_deref().and_then(|tap| tap.strip_prefix("tap"));
        interface.tap.as_deref() == Some(ifname) || (short.is_some() && short == ifname.strip_prefix("qvo"))
    };
    let mut of_vms = topology.instances.iter().flat_map(|instance| &instance.interfaces);
    of_vms.find(is_it).map(|interface| interface.mac)
}

/// Whose port an interface is, and the addresses behind it, given that of the VM behind it, if one is.
fn behind(topology: &Topology, link: &Link, of_vm: Option<MacAddr>) -> (PortKind, Vec<MacAddr>) {
    let kind = if of_vm.is_some() { PortKind::Vm } else { PortKind::Other };
    (kind, of_vm.or_else(|| mac_of_peer(topology, link)).into_iter().collect())
}

/// The address of a veth's other end, if that is no port of another bridge.
fn mac_of_peer(topology: &Topology, link: &Link) -> Option<MacAddr> {
    let peer = match link.peer? {
        VethPeer::Here(_) => topology.veth_peer(link)?,
        VethPeer::OtherNamespace(_) => &topology.link_away(&link.name)?.link,
    };
    peer.mac.filter(|_| peer.master.is_none())
}

#[cfg(test)]
#[path = "beside_tests.rs"]
mod tests;
