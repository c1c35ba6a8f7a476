//! From the integration bridge over patch ports to the physical NICs: the same for every OVS layout.

use std::collections::{HashSet, VecDeque};

use super::{
    beside, bond, defects,
    network::{self, Bridges, Network},
    trunk, tunnel,
    walk::Walk,
};
use crate::model::{
    Direction, Hop, HopFacts, Link, LinkKind, OtherEnd, OvsBridge, OvsInterface, OvsPlace, Printable,
    ProblemKind, Role, SourceName, Topology,
};

/// Leads out of the host.
pub(super) const NIC: (Role, HopFacts) = (
    Role::Nic,
    HopFacts { other_end: OtherEnd::Wire, receives: Direction::Ingress, shared: true, firewall_behind: None },
);

/// On from the interface `name`, which may not be there and which should be a port of the switch, `place`; `end` is where the way ends if OVSDB
/// could not be asked.
pub(super) fn walk_from(
    walk: &mut Walk,
    topology: &Topology,
    (name, link): (&str, Option<&Link>),
    place: Option<OvsPlace<'_>>,
    end: &str,
) {
    match place {
        Some(place) => walk_switch(walk, topology, place),
        None if topology.answered(SourceName::Ovsdb) => {
            let what = "no bridge in OVSDB has a port of this name: the VM is cut off";
            walk.defect(ProblemKind::NotInSwitch, name, what);
            walk.cut(format!("{} is unknown to OVSDB", Printable(name)));
        }
        None => {
            walk.cut(format!("OVSDB could not be asked for the way beyond {end}"));
            // The kernel's datapath would be its master.
            walk.taken_unseen = link.filter(|link| link.master.is_none()).map(|link| link.index);
        }
    }
}

/// From the port of the switch that `at` is to the wire.
pub(super) fn walk_switch(walk: &mut Walk, topology: &Topology, at: OvsPlace<'_>) {
    defects::ovs_port(walk, at);
    let plugged = trunk::plugged(topology, at);
    if plugged.interface.name != at.interface.name {
        defects::ovs_port(walk, plugged);
    }
    network::note_binding(walk, topology, plugged);
    walk.network = network::in_words(topology, plugged);
    walk.ovs_bridge(at.bridge);
    trunk::note(walk, topology, at);
    walk_to_wire(walk, topology, at, plugged);
    walk.beside(|on_way| beside::ports(topology, at, on_way));
}

/// A bridge reached from the one that the port is on, and how.
pub(super) struct Reached<'a> {
    pub(super) bridge: &'a OvsBridge,
    /// From there to here.
    way: Vec<Crossing<'a>>,
}

/// A pair of ports between two bridges.
#[derive(Clone, Copy)]
struct Crossing<'a> {
    near: OvsPlace<'a>,
    far: OvsPlace<'a>,
    is_veth: bool,
}

/// Walks on from the port's bridge, whose node is already drawn, to every bridge with an uplink by which packets of its network may leave. `plugged` is
/// the port that has the network.
fn walk_to_wire<'a>(walk: &mut Walk, topology: &'a Topology, start: OvsPlace<'a>, plugged: OvsPlace<'a>) {
    let mut reached = breadth_first(walk, topology, start);
    let at = &start.bridge.name;
    let bridges = match network::of(topology, plugged) {
        // Whatever else leads to the wire is for other networks.
        Network::Tunnel(network) => return tunnel::walk_out(walk, topology, &reached, start, network),
        Network::Unknown if start.bridge.places().any(|place| place.interface.is_tunnel()) => {
            return walk.cut(format!(
                "{} has tunnels, and whether packets of this port's network leave by one or by a provider bridge is in OVN's southbound \
                 database, {}",
                Printable(at),
                network::why_unknown(topology)
            ));
        }
        Network::Unknown => Bridges::Any,
        Network::Provider(bridges) => bridges,
    };
    let in_reach: Vec<&str> = reached.iter().map(|reached| reached.bridge.name.as_str()).collect();
    if let Some(what) = bridges.why_none(topology, at, &in_reach) {
        walk.cut(format!("{} has no way to the port's provider network", Printable(at)));
        walk.defect(ProblemKind::NoUplink, at, what);
        return;
    }
    reached.retain(|reached| bridges.have(&reached.bridge.name, &in_reach));
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
        no_uplink(walk, topology, &reached, start, &mut drawn);
    } else if !walk.hops().any(Hop::is_uplink) {
        walk.cut("no uplink has an interface the kernel knows");
    }
}

/// Bridges in the order of their distance. A patch port without a working peer is a problem at the bridge it is on.
fn breadth_first<'a>(walk: &mut Walk, topology: &'a Topology, start: OvsPlace<'a>) -> Vec<Reached<'a>> {
    let mut seen = HashSet::from([start.bridge.name.as_str()]);
    let mut queue = VecDeque::from([Reached { bridge: start.bridge, way: Vec::new() }]);
    let mut reached = Vec::new();
    while let Some(here) = queue.pop_front() {
        let mut crossings = Vec::new();
        for near in here.bridge.places() {
            match far_end(topology, near) {
                Some(Ok((far, is_veth))) => crossings.push(Crossing { near, far, is_veth }),
                Some(Err(what)) => walk.problem(&here.bridge.name, what),
                None => {}
            }
        }
        // On a trunk bridge: the pair of the port itself before those of its subports.
        crossings.sort_by_key(|crossing| trunk::is_of_other(start.interface, crossing.far.interface));
        for crossing in crossings {
            if seen.insert(crossing.far.bridge.name.as_str()) {
                let way = [here.way.as_slice(), &[crossing]].concat();
                queue.push_back(Reached { bridge: crossing.far.bridge, way });
            }
        }
        reached.push(here);
    }
    reached
}

/// The other end of a pair of ports between two bridges, and whether it is a veth pair.
fn far_end<'a>(topology: &'a Topology, near: OvsPlace<'a>) -> Option<Result<(OvsPlace<'a>, bool), String>> {
    if near.interface.kind == "patch" {
        return Some(patch_peer(topology, near.interface).map(|far| (far, false)));
    }
    veth_end(topology, near).map(|far| Ok((far, true)))
}

/// The other end of a veth pair between two bridges.
pub(super) fn veth_end<'a>(topology: &'a Topology, near: OvsPlace<'a>) -> Option<OvsPlace<'a>> {
    // A VM's port is none, and there may be hundreds.
    let may_be = near.interface.is_netdev() && near.interface.neutron.iface_id.is_none();
    let link = topology.link(&near.interface.name).filter(|_| may_be)?;
    let far = topology.ovs_interface(&topology.veth_peer(link)?.name)?;
    (far.bridge.name != near.bridge.name).then_some(far)
}

fn patch_peer<'a>(topology: &'a Topology, near: &OvsInterface) -> Result<OvsPlace<'a>, String> {
    let name = Printable(&near.name);
    let Some(peer) = near.peer.as_deref() else {
        return Err(format!("patch port {name} has no options:peer"));
    };
    let Some(far) = topology.ovs_interface(peer) else {
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

/// Whether an interface of the switch's leads out of the host, as far as its rows and the kernel tell.
pub(crate) fn is_uplink(topology: &Topology, interface: &OvsInterface) -> bool {
    let keys = &interface.neutron;
    let of_vm = keys.iface_id.is_some() || keys.vm_uuid.is_some() || keys.attached_mac.is_some();
    let by_name = ["qvo", "tap"].iter().any(|prefix| interface.name.starts_with(prefix));
    if of_vm || by_name {
        return false;
    }
    match (interface.kind.as_str(), topology.link(&interface.name)) {
        ("" | "system", Some(link)) => link.kind != LinkKind::Tun && !leads_back(topology, link),
        // Without a netdev it may still be meant as the uplink: OVS says why it could not open it.
        ("" | "system" | "dpdk" | "afxdp" | "afxdp-nonpmd", _) => true,
        _ => false,
    }
}

/// A veth whose other end is a port of a bridge on this host.
fn leads_back(topology: &Topology, link: &Link) -> bool {
    topology
        .veth_peer(link)
        .is_some_and(|peer| peer.master.is_some() || topology.ovs_interface(&peer.name).is_some())
}

/// Draws what is not `drawn` yet.
pub(super) fn draw_way<'a>(walk: &mut Walk, reached: &Reached<'a>, drawn: &mut HashSet<&'a str>) {
    for Crossing { near, far, is_veth } in &reached.way {
        if drawn.insert(far.bridge.name.as_str()) {
            walk.patch(&near.interface.name, &far.interface.name, *is_veth);
            walk.ovs_bridge(far.bridge);
        }
    }
}

fn draw_nic(walk: &mut Walk, topology: &Topology, place: OvsPlace<'_>) {
    let interface = place.interface;
    match topology.link(&interface.name) {
        _ if interface.kind.starts_with("afxdp") => {
            let what = "an AF_XDP port: Open vSwitch takes its frames before the kernel's stack, so no hook sees them";
            walk.missing(&interface.name, what);
        }
        Some(link) => {
            walk.hop(NIC, link, Some(&place.bridge.name), place.port.tag);
            bond::note(walk, topology, link, Some(place));
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

/// The veth port of a bridge that leads to a Linux bridge of the host's, and that one: an operator's, with the host's NIC on it.
fn to_linux_bridge<'a>(topology: &'a Topology, bridge: &'a OvsBridge) -> Option<(&'a str, &'a Link)> {
    bridge.places().filter(|place| place.interface.neutron.iface_id.is_none()).find_map(|place| {
        let peer = topology.veth_peer(topology.link(&place.interface.name)?)?;
        let beyond = topology.master(peer).filter(|master| master.kind == LinkKind::Bridge)?;
        Some((place.interface.name.as_str(), beyond))
    })
}

/// The path ends here: at the provider bridges that have no uplink, or at the integration bridge itself.
fn no_uplink<'a>(
    walk: &mut Walk,
    topology: &Topology,
    reached: &[Reached<'a>],
    start: OvsPlace<'a>,
    drawn: &mut HashSet<&'a str>,
) {
    let is_tunnel = |it: &Reached<'_>| it.bridge.places().any(|place| place.interface.is_tunnel());
    let leaves: Vec<_> = reached.iter().filter(|it| !it.way.is_empty() && !is_tunnel(it)).collect();
    for leaf in &leaves {
        draw_way(walk, leaf, drawn);
        if let Some((port, beyond)) = to_linux_bridge(topology, leaf.bridge) {
            walk.cut(format!(
                "{} leads on by {} to the Linux bridge {}, which is not followed",
                Printable(&leaf.bridge.name),
                Printable(port),
                Printable(&beyond.name)
            ));
            continue;
        }
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
