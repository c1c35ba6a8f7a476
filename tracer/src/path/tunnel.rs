//! From the switch to other hosts by a tunnel: networks that are no provider's (VXLAN, Geneve, GRE).
//!
//! The kernel's datapath has a device for all tunnels of a kind (`vxlan_sys_4789`), where packets are still, or again, as the VM sends them:
//! hooks are there. The userspace datapath has none.

use std::collections::HashSet;

use super::{
    defects,
    network::Tunnelled,
    uplink::{Reached, draw_way},
    walk::Walk,
};
use crate::model::{
    Direction, HopFacts, Link, OtherEnd, OvsPlace, Printable, ProblemKind, Role, Topology, Tunnel,
};

/// Leads to other hosts.
pub(super) const DEVICE: (Role, HopFacts) = (
    Role::Tunnel,
    HopFacts {
        other_end: OtherEnd::Tunnel,
        receives: Direction::Ingress,
        shared: true,
        firewall_behind: None,
    },
);

/// Where the kernel does not say which kind a device is of.
const UNKNOWN: &str = "unknown";

/// Bytes before a frame that is sent in a tunnel of this kind, the outer Ethernet header left out and the inner one counted. `of_ovn`: it has OVN's
/// option.
fn overhead_bytes(kind: &str, of_ovn: bool, over_ipv6: bool) -> u32 {
    const ETHERNET: u32 = 14;
    let ip = if over_ipv6 { 40 } else { 20 };
    ip + ETHERNET
        + match kind {
            // UDP, the header of either, and eight bytes of option.
            "geneve" if of_ovn => 8 + 8 + 8,
            "vxlan" | "geneve" => 8 + 8,
            // With a key.
            _ => 8,
        }
}

/// From the bridge of `start`, which is drawn already, to the nearest one of `reached` with tunnels of this kind.
pub(super) fn walk_out<'a>(
    walk: &mut Walk,
    topology: &Topology,
    reached: &[Reached<'a>],
    start: OvsPlace<'a>,
    network: Tunnelled<'_>,
) {
    let Tunnelled { kind, key, routed } = network;
    let is_end = |place: &OvsPlace<'_>| place.interface.kind == kind;
    let found = reached.iter().find(|reached| reached.bridge.places().any(|place| is_end(&place)));
    let Some(found) = found else {
        // So it is where there is no other host.
        return walk.cut(format!(
            "the network is a {kind} tunnel, and no bridge behind {} has a port of that kind: there is no other host, or its agent has made none",
            Printable(&start.bridge.name)
        ));
    };
    draw_way(walk, found, &mut HashSet::from([start.bridge.name.as_str()]));
    let ends: Vec<OvsPlace<'_>> = found.bridge.places().filter(is_end).collect();
    let is_userspace = found.bridge.is_userspace();
    let devices = if is_userspace || routed { Vec::new() } else { devices(topology, kind, &ends) };
    for device in &devices {
        walk.hop(DEVICE, device, Some(&found.bridge.name), None);
    }
    let remotes: Vec<_> = ends.iter().filter_map(|end| end.interface.tunnel.remote).collect();
    let mut underlay: Vec<&Link> = Vec::new();
    for link in ends.iter().filter_map(|end| topology.underlay(&end.interface.tunnel)) {
        if !underlay.contains(&link) {
            underlay.push(link);
        }
    }
    for end in &ends {
        defects::ovs_port(walk, *end);
    }
    if let Some(end) = ends.first() {
        let over_ipv6 =
            ends.iter().any(|end| end.interface.tunnel.remote.is_some_and(|remote| remote.is_ipv6()));
        let overhead = overhead_bytes(kind, routed, over_ipv6);
        lower(walk, &end.interface.name, (kind, overhead), &underlay);
    }
    let names = underlay.iter().map(|link| link.name.clone()).collect();
    walk.cut(if routed {
        format!(
            "the network is a {kind} tunnel, and OVN may route packets before that, under another MAC address"
        )
    } else {
        why_partly(kind, &devices, is_userspace)
    });
    walk.tunnel(Tunnel {
        kind: kind.to_owned(),
        key,
        local: ends.iter().find_map(|end| end.interface.tunnel.local),
        ends: ends.iter().map(|end| end.interface.name.clone()).collect(),
        remotes,
        underlay: names,
    });
}

fn why_partly(kind: &str, devices: &[&Link], is_userspace: bool) -> String {
    let network = format!("the network is a {kind} tunnel");
    match devices.first() {
        Some(device) => {
            let name = Printable(&device.name);
            format!("{network}: packets are followed as far as {name}, where they are put into it")
        }
        None if is_userspace => {
            format!(
                "{network}, and the userspace datapath puts packets into it itself: no interface shows them"
            )
        }
        None => format!("{network}, and the kernel has no device for it"),
    }
}

/// The kernel's devices behind these ports: one for each UDP port.
fn devices<'a>(topology: &'a Topology, kind: &str, ends: &[OvsPlace<'_>]) -> Vec<&'a Link> {
    let mut devices: Vec<&Link> = Vec::new();
    for end in ends {
        let port = end.interface.tunnel.port;
        let name = match kind {
            "vxlan" => format!("vxlan_sys_{}", port.unwrap_or(4789)),
            "geneve" => format!("genev_sys_{}", port.unwrap_or(6081)),
            "gre" => "gre_sys".to_owned(),
            _ => continue,
        };
        devices.extend(topology.link(&name).filter(|link| !devices.contains(link)));
    }
    devices
}

/// The tunnel that is a device of the kernel's, which is drawn already.
pub(super) fn of_device(walk: &mut Walk, topology: &Topology, device: &Link) {
    let options = device.tunnel.clone().unwrap_or_default();
    let kind = options.kind.as_deref().unwrap_or(UNKNOWN);
    let by_route = || topology.underlay(&options);
    let underlay = device.lower.and_then(|index| topology.link_at(index)).or_else(by_route);
    let over_ipv6 = options.remote.is_some_and(|remote| remote.is_ipv6());
    lower(walk, &device.name, (kind, overhead_bytes(kind, false, over_ipv6)), underlay.as_slice());
    walk.cut(why_partly(kind, &[device], false));
    walk.tunnel(Tunnel {
        kind: kind.to_owned(),
        key: options.key,
        ends: Vec::new(),
        local: options.local,
        remotes: options.remote.into_iter().collect(),
        underlay: underlay.iter().map(|link| link.name.clone()).collect(),
    });
}

/// What is wrong with the interfaces that packets leave by inside of others: noted at the tunnel's first end.
fn lower(walk: &mut Walk, at: &str, (kind, overhead): (&str, u32), underlay: &[&Link]) {
    let guest = walk.hops().find(|hop| hop.is_guests()).map(|tap| (tap.ifname.clone(), tap.mtu_bytes));
    for link in underlay {
        let name = Printable(&link.name);
        let by = "by which this host sends to the others";
        if !link.admin_up {
            walk.defect(ProblemKind::Down, at, format!("{name}, {by}, is down: ip link set {name} up"));
        } else if !link.carrier {
            walk.defect(ProblemKind::NoCarrier, at, format!("{name}, {by}, has no carrier"));
        }
        let Some((tap, mtu_bytes)) = &guest else { continue };
        let room = link.mtu_bytes.saturating_sub(overhead);
        if *mtu_bytes > room {
            let what = format!(
                "{name}, {by}, has MTU {}, which leaves {room} for packets in a {kind} tunnel, and {} has {mtu_bytes}: larger ones are cut \
                 in pieces or dropped",
                link.mtu_bytes,
                Printable(tap),
            );
            walk.defect(ProblemKind::SmallerMtu, at, what);
        }
    }
}

#[cfg(test)]
#[path = "tunnel_tests.rs"]
mod tests;
