//! From the integration bridge over patch ports to the physical NICs: the same for every OVS layout.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{beside, defects, walk::Walk};
use crate::model::{
    Direction, Hop, HopFacts, Link, LinkKind, OtherEnd, OvsBridge, OvsInterface, OvsPlace, OvsPort,
    Printable, ProblemKind, Role, Topology,
};

/// Leads out of the host.
pub(super) const NIC: (Role, HopFacts) = (
    Role::Nic,
    HopFacts { other_end: OtherEnd::Wire, receives: Direction::Ingress, shared: true, firewall_behind: None },
);

/// From the port of the integration bridge that `at` is to the wire.
pub(super) fn walk_switch(walk: &mut Walk, topology: &Topology, at: OvsPlace<'_>) {
    defects::ovs_port(walk, at);
    walk.network = network_in_words(at.port);
    walk.ovs_bridge(at.bridge);
    walk_to_wire(walk, topology, at);
    let on_path: HashSet<&str> = walk.hops().map(|hop| hop.ifname.as_str()).collect();
    let others = beside::ports(topology, at, &on_path);
    walk.other_ports.extend(others);
}

/// `vlan 101 on physnet1`, from what Neutron noted.
pub(super) fn network_in_words(port: &OvsPort) -> Option<String> {
    let network = &port.network;
    let mut words = network.network_type.clone()?;
    if let Some(id) = &network.segmentation_id {
        words = format!("{words} {id}");
    }
    if let Some(name) = &network.physical_network {
        words = format!("{words} on {name}");
    }
    Some(words)
}

/// The kind of tunnel, if Neutron noted that the port's network is one.
fn tunnel_of(port: &OvsPort) -> Option<&str> {
    port.network.network_type.as_deref().filter(|kind| ["vxlan", "geneve", "gre"].contains(kind))
}

/// A bridge reached from the integration bridge, and how.
struct Reached<'a> {
    bridge: &'a OvsBridge,
    /// Patch ports from the integration bridge to here: (near end, far end, far bridge).
    patches: Vec<(&'a str, &'a str, &'a OvsBridge)>,
}

/// Walks on from the integration bridge, whose node is already drawn, to every bridge with an uplink.
pub(super) fn walk_to_wire(walk: &mut Walk, topology: &Topology, start: OvsPlace<'_>) {
    let reached = breadth_first(walk, topology, start.bridge);
    if let Some(kind) = tunnel_of(start.port) {
        // Whatever else leads to the wire is for other networks.
        walk.cut(format!(
            "the network is a {kind} tunnel: the way beyond {} is not traced yet",
            Printable(&start.bridge.name)
        ));
        return;
    }
    let with_uplink: Vec<(&Reached<'_>, Vec<OvsPlace<'_>>)> = reached
        .iter()
        .map(|reached| (reached, uplinks(topology, reached.bridge, start.interface)))
        .filter(|(_, uplinks)| !uplinks.is_empty())
        .collect();
    let mut drawn = HashSet::from([start.bridge.name.as_str()]);
    for (reached, uplinks) in &with_uplink {
        draw_way(walk, reached, &mut drawn);
        for place in uplinks {
            draw_nic(walk, topology, *place);
        }
    }
    if with_uplink.len() > 1 {
        let names: Vec<_> =
            with_uplink.iter().map(|(it, _)| Printable(&it.bridge.name).to_string()).collect();
        walk.problem(
            &start.bridge.name,
            format!(
                "more than one bridge leads to the wire ({}): packets take one of them",
                names.join(", ")
            ),
        );
    }
    if with_uplink.is_empty() {
        no_uplink(walk, &reached, start, &mut drawn);
    } else if !walk.hops().any(Hop::is_uplink) {
        walk.cut("no uplink has an interface the kernel knows");
    }
}

/// Bridges in the order of their distance. A patch port without a working peer is a problem at the bridge it is on.
fn breadth_first<'a>(walk: &mut Walk, topology: &'a Topology, start: &'a OvsBridge) -> Vec<Reached<'a>> {
    let mut seen = HashSet::from([start.name.as_str()]);
    let mut queue = VecDeque::from([Reached { bridge: start, patches: Vec::new() }]);
    let patches: HashMap<&str, OvsPlace<'_>> =
        topology.ovs_interfaces().map(|place| (place.interface.name.as_str(), place)).collect();
    let mut reached = Vec::new();
    while let Some(here) = queue.pop_front() {
        for place in here.bridge.places().filter(|place| place.interface.kind == "patch") {
            match patch_peer(&patches, place.interface) {
                Ok(far) if seen.insert(far.bridge.name.as_str()) => {
                    let mut way = here.patches.clone();
                    way.push((place.interface.name.as_str(), far.interface.name.as_str(), far.bridge));
                    queue.push_back(Reached { bridge: far.bridge, patches: way });
                }
                Ok(_) => {}
                Err(what) => walk.problem(&here.bridge.name, what),
            }
        }
        reached.push(here);
    }
    reached
}

fn patch_peer<'a>(
    patches: &HashMap<&str, OvsPlace<'a>>,
    near: &OvsInterface,
) -> Result<OvsPlace<'a>, String> {
    let name = Printable(&near.name);
    let Some(peer) = near.peer.as_deref() else {
        return Err(format!("patch port {name} has no options:peer"));
    };
    let Some(far) = patches.get(peer).copied() else {
        return Err(format!("patch port {name} names the peer {}, which does not exist", Printable(peer)));
    };
    if far.interface.kind != "patch" {
        return Err(format!("patch port {name} names the peer {}, which is no patch port", Printable(peer)));
    }
    match far.interface.peer.as_deref() {
        Some(back) if back == near.name => Ok(far),
        back => Err(format!(
            "patch port {name} names the peer {}, whose own peer is {}",
            Printable(peer),
            back.map_or_else(|| "missing".to_owned(), |back| Printable(back).to_string()),
        )),
    }
}

/// The ports of a bridge that lead out of the host: devices that belong to no VM and to no other bridge, and are no mirror's output.
fn uplinks<'a>(topology: &Topology, bridge: &'a OvsBridge, own: &OvsInterface) -> Vec<OvsPlace<'a>> {
    bridge
        .places()
        .filter(|place| place.interface.name != own.name && is_uplink(topology, place.interface))
        .filter(|place| !bridge.mirror_outputs.contains(&place.port.name))
        .collect()
}

fn is_uplink(topology: &Topology, interface: &OvsInterface) -> bool {
    let keys = &interface.neutron;
    let of_vm = keys.iface_id.is_some() || keys.vm_uuid.is_some() || keys.attached_mac.is_some();
    let by_name = ["qvo", "tap"].iter().any(|prefix| interface.name.starts_with(prefix));
    if of_vm || by_name {
        return false;
    }
    match (interface.kind.as_str(), topology.link(&interface.name)) {
        ("" | "system", Some(link)) => link.kind != LinkKind::Tun && !leads_back(topology, link),
        // Without a netdev it may still be meant as the uplink: OVS says why it could not open it.
        ("" | "system" | "dpdk", _) => true,
        _ => false,
    }
}

/// A veth whose other end is a port of a bridge on this host.
fn leads_back(topology: &Topology, link: &Link) -> bool {
    topology
        .veth_peer(link)
        .is_some_and(|peer| peer.master.is_some() || topology.ovs_interface(&peer.name).is_some())
}

fn draw_way<'a>(walk: &mut Walk, reached: &Reached<'a>, drawn: &mut HashSet<&'a str>) {
    for (near, far, bridge) in &reached.patches {
        if drawn.insert(bridge.name.as_str()) {
            walk.patch(near, far);
            walk.ovs_bridge(bridge);
        }
    }
}

fn draw_nic(walk: &mut Walk, topology: &Topology, place: OvsPlace<'_>) {
    let interface = place.interface;
    match topology.link(&interface.name) {
        Some(link) => {
            walk.hop(NIC, link, Some(&place.bridge.name), place.port.tag);
            defects::ovs_port(walk, place);
        }
        None if interface.kind == "dpdk" => {
            walk.missing(&interface.name, "a DPDK port: the kernel has no interface to hook there");
        }
        None => {
            let no_device = || "OVSDB knows it, but there is no such interface".to_owned();
            walk.missing(&interface.name, defects::not_opened(interface).unwrap_or_else(no_device));
        }
    }
}

/// The path ends here: at the provider bridges that have no uplink, or at the integration bridge itself.
fn no_uplink<'a>(
    walk: &mut Walk,
    reached: &[Reached<'a>],
    start: OvsPlace<'a>,
    drawn: &mut HashSet<&'a str>,
) {
    let is_tunnel = |it: &Reached<'_>| {
        it.bridge.places().any(|place| matches!(place.interface.kind.as_str(), "vxlan" | "geneve" | "gre"))
    };
    let leaves: Vec<_> = reached.iter().filter(|it| !it.patches.is_empty() && !is_tunnel(it)).collect();
    for leaf in &leaves {
        draw_way(walk, leaf, drawn);
        walk.defect(
            ProblemKind::NoUplink,
            &leaf.bridge.name,
            "no uplink: none of its ports is a physical interface",
        );
        walk.cut(format!("{} has no uplink", Printable(&leaf.bridge.name)));
    }
    if leaves.is_empty() {
        let at = &start.bridge.name;
        // A patch port that leads nowhere is the cause, if there is one.
        let broken = walk.first_problem(at).map(|what| format!(": {what}")).unwrap_or_default();
        walk.cut(format!("{} has no uplink{broken}", Printable(at)));
        walk.defect(
            ProblemKind::NoUplink,
            at,
            "no uplink: it has neither a physical interface nor a patch port that leads to one",
        );
    }
}
