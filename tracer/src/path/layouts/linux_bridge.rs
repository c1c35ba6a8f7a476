//! The tap and the way out of the host are ports of one Linux bridge: Neutron's Linux bridge agent (`brq`), a network of libvirt's, a bridge that an
//! operator made.

use super::{
    super::{
        beside, bond, defects,
        plug::{self, Plug},
        tunnel, uplink,
        walk::{Extent, Walk},
    },
    Layout,
};
use crate::model::{
    Direction, Hop, HopFacts, Link, LinkKind, OtherEnd, Path, PathKind, Printable, Role, Topology, VmPort,
};

/// Neutron's agent names its bridges so. It has the security groups on them.
const NEUTRONS: &str = "brq";

/// What comes from the guest the host receives here.
pub(super) const HOST: (Role, HopFacts) = (
    Role::Bridge,
    HopFacts { other_end: OtherEnd::Host, receives: Direction::Egress, shared: true, firewall_behind: None },
);

/// The layout.
pub(super) const LAYOUT: Layout = Layout { recognises, walk };

fn recognises(topology: &Topology, port: &VmPort) -> bool {
    match plug::of(topology, port) {
        Plug::LinuxBridge(_) => true,
        Plug::Nothing | Plug::Nowhere => is_named(port),
        Plug::Switch => false,
    }
}

/// Whether libvirt plugs the tap into a bridge of Neutron's agent's, or into a network of its own.
pub(super) fn is_named(port: &VmPort) -> bool {
    port.network.is_some() || port.source_bridge.as_deref().is_some_and(|name| name.starts_with(NEUTRONS))
}

const fn tap(has_firewall: bool) -> (Role, HopFacts) {
    let firewall_behind = if has_firewall { Some(Direction::Egress) } else { None };
    let receives = Direction::Egress;
    (Role::Tap, HopFacts { other_end: OtherEnd::Guest, receives, shared: false, firewall_behind })
}

fn way_out(link: &Link, has_firewall: bool) -> (Role, HopFacts) {
    let (role, facts) = if is_tunnel(link) { tunnel::DEVICE } else { uplink::NIC };
    let firewall_behind = if has_firewall { Some(Direction::Ingress) } else { None };
    (role, HopFacts { firewall_behind, ..facts })
}

fn walk(topology: &Topology, port: &VmPort, extent: Extent) -> Path {
    let mut walk = Walk::new(PathKind::LinuxBridge, extent);
    walk.network = port.network.as_ref().map(|name| format!("libvirt network {name}"));
    let bridge = plug::linux_bridge(topology, port);
    let has_firewall = bridge.is_some_and(|bridge| bridge.name.starts_with(NEUTRONS));
    plug::walk_tap(&mut walk, topology, port, tap(has_firewall), bridge);
    if let Some(bridge) = bridge {
        walk.linux_bridge(bridge);
        defects::bridge_down(&mut walk, bridge);
        walk_out(&mut walk, topology, bridge, has_firewall);
        if !walk.hops().any(Hop::is_host_s) {
            walk.beside(|_| vec![beside::bridge(bridge)]);
        }
        walk.beside(|on_way| beside::ports_of_bridge(topology, bridge, on_way));
    }
    defects::port(&mut walk, topology, port);
    walk.finish(port)
}

/// From the bridge to the wire.
fn walk_out(walk: &mut Walk, topology: &Topology, bridge: &Link, has_firewall: bool) {
    let out: Vec<&Link> = ways_out(topology, bridge).collect();
    for link in &out {
        walk.hop(way_out(link, has_firewall), link, Some(&bridge.name), None);
        bond::note(walk, topology, link, None);
    }
    for device in out.iter().filter(|link| is_tunnel(link)) {
        tunnel::of_device(walk, topology, device);
    }
    if out.is_empty() {
        to_host(walk, topology, bridge);
    }
}

/// To the bridge's own interface, where the host is on the VM's network; to nowhere where it has no address there.
fn to_host(walk: &mut Walk, topology: &Topology, bridge: &Link) {
    let at = Printable(&bridge.name);
    if topology.addresses.contains_key(&bridge.index) {
        walk.hop(HOST, bridge, Some(&bridge.name), None);
        walk.cut(format!(
            "the host itself routes what the VM sends, and may translate addresses: packets are followed as far as {at}"
        ));
    } else if let Some(port) = leads_on(topology, bridge) {
        let port = Printable(&port.name);
        walk.cut(format!(
            "no port of {at} leads out of the host: it leads on by {port}, which is not followed"
        ));
    } else {
        walk.cut(format!("no port of {at} leads out of the host, and no address of the host is known there"));
    }
}

/// The bridge's ports that lead out of the host.
pub(super) fn ways_out<'a>(topology: &'a Topology, bridge: &Link) -> impl Iterator<Item = &'a Link> {
    topology.ports_of(bridge).filter(|link| leads_out(link))
}

/// A NIC, a VLAN of one, a bond, a tunnel: no guest's, no veth end, whose other end is here or in another namespace, and no anchor.
const fn leads_out(link: &Link) -> bool {
    matches!(link.kind, LinkKind::Vlan | LinkKind::Bond | LinkKind::Tunnel | LinkKind::Other)
}

/// A port of the bridge that leads on within the host.
fn leads_on<'a>(topology: &'a Topology, bridge: &Link) -> Option<&'a Link> {
    let leads_on =
        |link: &&Link| matches!(link.kind, LinkKind::Veth | LinkKind::OpenVswitch | LinkKind::Bridge);
    topology.ports_of(bridge).find(leads_on)
}

/// By its kind, else by the name that Neutron's agent gives.
fn is_tunnel(link: &Link) -> bool {
    link.kind == LinkKind::Tunnel || link.name.starts_with("vxlan-")
}

#[cfg(test)]
#[path = "linux_bridge_tests.rs"]
mod tests;
