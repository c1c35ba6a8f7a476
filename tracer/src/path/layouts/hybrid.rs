//! Neutron's OVS driver with `iptables_hybrid`: tap, `qbr` (Linux bridge with the security groups), the veth pair
//! `qvb`/`qvo`, the integration bridge, and from there to the wire.

use super::{
    super::{
        beside, defects,
        plug::{self, Plug},
        trunk, tunnel, uplink,
        walk::{Extent, Walk},
    },
    Layout, linux_bridge, native,
};
use crate::model::{
    Direction, Hop, HopFacts, IfIndex, Link, OtherEnd, Path, PathKind, Printable, Role, Topology, VethPeer,
    VmPort,
};

/// What comes from the guest is received here, and goes through the bridge with the security groups.
const TAP: (Role, HopFacts) =
    (Role::Tap, of_port(OtherEnd::Guest, Direction::Egress, Some(Direction::Egress)));
/// Sends to its peer what comes from the guest; what it receives goes through the bridge with the security groups.
const QVB: (Role, HopFacts) =
    (Role::Qvb, of_port(OtherEnd::Veth, Direction::Ingress, Some(Direction::Ingress)));
/// A port of the switch.
const QVO: (Role, HopFacts) = (Role::Qvo, of_port(OtherEnd::Veth, Direction::Egress, None));

const fn of_port(other_end: OtherEnd, receives: Direction, firewall_behind: Option<Direction>) -> HopFacts {
    HopFacts { other_end, receives, shared: false, firewall_behind }
}

/// An interface as this layout has it, up and with the usual MTU, a port of no bridge: for who plans hooks without a host.
#[must_use]
pub fn hybrid_hop(role: Role, ifname: &str, ifindex: IfIndex) -> Hop {
    let (role, facts) = match role {
        Role::Tap => TAP,
        Role::Qvb => QVB,
        Role::Qvo => QVO,
        Role::Nic => uplink::NIC,
        Role::Tunnel => tunnel::DEVICE,
        Role::Bridge => linux_bridge::HOST,
    };
    Hop {
        role,
        ifname: ifname.to_owned(),
        ifindex,
        bridge: None,
        vlan_tag: None,
        mtu_bytes: 1500,
        queue_packets: 1000,
        admin_up: true,
        carrier: true,
        stacked: false,
        bond: None,
        limits: Vec::new(),
        facts,
    }
}

/// The hybrid layout.
pub(super) const LAYOUT: Layout = Layout { recognises, walk };

/// A Linux bridge that leads to Open vSwitch by a veth pair, or anything Nova names this way; and a port of which nothing is there, since
/// Nova unplugs all of it when an instance stops.
fn recognises(topology: &Topology, port: &VmPort) -> bool {
    let starts = |name: Option<&str>, prefix| name.is_some_and(|name: &str| name.starts_with(prefix));
    let named = starts(port.source_bridge.as_deref(), "qbr") || starts(port.ovs_interface.as_deref(), "qvo");
    match plug::of(topology, port) {
        Plug::LinuxBridge(bridge) => {
            let leads_out = || linux_bridge::ways_out(topology, bridge).next().is_some();
            // What Nova meant counts where the kernel has the tap on a bridge that leads to the switch.
            let is_alone = || named || plug::taps_on(topology, bridge) <= 1;
            let is_pair = || plug::veth_to_switch(topology, bridge).is_some() && is_alone();
            bridge.name.starts_with("qbr") || (is_pair() && !leads_out())
        }
        Plug::Switch => false,
        Plug::Nowhere => named,
        Plug::Nothing => named || !(native::is_named(topology, port) || linux_bridge::is_named(port)),
    }
}

fn walk(topology: &Topology, port: &VmPort, extent: Extent) -> Path {
    let mut walk = Walk::new(PathKind::OvsHybrid, extent);
    let bridge = plug::linux_bridge(topology, port);
    plug::walk_tap(&mut walk, topology, port, TAP, bridge);
    let veth = bridge.and_then(|bridge| plug::veth_to_switch(topology, bridge));
    if let Some(bridge) = bridge {
        walk.linux_bridge(bridge);
        walk.beside(|_| vec![beside::bridge(bridge)]);
        defects::bridge_down(&mut walk, bridge);
    }
    match (bridge, veth) {
        (Some(bridge), Some(qvb)) => walk.hop(QVB, qvb, Some(&bridge.name), None),
        (Some(bridge), None) => walk.gap(
            &plug::expected(port, "qvb"),
            format!("{} has no veth port towards Open vSwitch", Printable(&bridge.name)),
        ),
        (None, _) if plug::tap(topology, port).is_some() => {
            walk.gap(&plug::expected(port, "qbr"), "the tap is a port of no Linux bridge");
        }
        (None, _) => {}
    }
    walk_qvo(&mut walk, topology, port, veth);
    defects::port(&mut walk, topology, port);
    walk.finish(port)
}

fn walk_qvo(walk: &mut Walk, topology: &Topology, port: &VmPort, qvb: Option<&Link>) {
    let by_peer = qvb.and_then(|qvb| topology.veth_peer(qvb));
    let by_ovsdb = port.ovs_interface.as_deref();
    if let (Some(qvb), None) = (qvb, by_peer) {
        let found = match qvb.peer {
            Some(VethPeer::OtherNamespace(_)) => "its peer is in another network namespace",
            _ => "its peer is not in this network namespace",
        };
        walk.problem(&qvb.name, found);
    }
    if let (Some(peer), Some(ovs)) = (by_peer, by_ovsdb)
        && peer.name != ovs
        && topology.ovs_interface(&peer.name).is_some()
    {
        let ovs = Printable(ovs);
        walk.problem(&peer.name, format!("the tap leads here, but OVSDB has this port's iface-id on {ovs}"));
    }
    let name = by_peer.map(|peer| peer.name.clone()).or_else(|| by_ovsdb.map(str::to_owned));
    let Some(name) = name else {
        if plug::tap(topology, port).is_some() {
            walk.gap(&plug::expected(port, "qvo"), "no veth end leads to Open vSwitch");
        }
        return;
    };
    let place = topology.ovs_interface(&name);
    let link = by_peer.or_else(|| topology.link(&name));
    match (link, place) {
        (Some(link), _) => {
            let bridge = place.map(|place| place.bridge.name.as_str());
            let tag = place.and_then(|place| trunk::plugged(topology, place).port.tag);
            walk.hop(QVO, link, bridge, tag);
        }
        (None, _) => walk.gap(&name, "OVSDB knows it, but there is no such interface"),
    }
    uplink::walk_from(walk, topology, (&name, link), place, "the veth pair");
}

#[cfg(test)]
#[path = "hybrid_tests.rs"]
mod tests;
