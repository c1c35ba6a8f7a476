//! What can be wrong with what a path leads over, each with its evidence.

use super::{command, leftovers, limits, plug, walk::Walk};
use crate::model::{
    BridgePortState, InstanceState, Link, LinkKind, OtherEnd, OvsInterface, OvsPlace, Path, Printable,
    ProblemKind, Topology, VmPort,
};

/// Neutron's OVS agent puts a port it could not bind into this VLAN, whose packets are dropped.
const DEAD_VLAN_TAG: u16 = 4095;

/// All that can be wrong with a port, whatever its layout, once its interfaces are known.
pub(super) fn port(walk: &mut Walk, topology: &Topology, port: &VmPort) {
    identity(walk, port);
    stale_rows(walk, topology, port);
    interfaces(walk, topology);
    limits::set(walk, topology, port);
}

/// Further rows that carry the port's iface-id: an agent may bind the wrong one. A command is told for one that is dead, or that the kernel
/// contradicts: the tap is not behind it.
fn stale_rows(walk: &mut Walk, topology: &Topology, port: &VmPort) {
    for row in port.stale_rows.iter().filter_map(|name| topology.ovs_interface(name)) {
        let (bridge, name) = (Printable(&row.bridge.name), Printable(&row.interface.name));
        let dead = not_opened(row.interface).map_or(String::new(), |what| format!(" ({what})"));
        let tap = port.tap.as_deref().and_then(|tap| topology.link(tap));
        let leads_elsewhere = || {
            let link = topology.link(&row.interface.name);
            tap.zip(link).is_some_and(|(tap, link)| !plug::leads_to(topology, link, tap))
        };
        let is_useless = leftovers::is_dead(topology, row.interface) || leads_elsewhere();
        let command = command::del_port(&row.bridge.name, &row.port.name).filter(|_| is_useless);
        let remove = command.map_or(String::new(), |command| format!("; to remove it: {command}"));
        let what = format!(
            "a second row, {name} on {bridge}, has this port's iface-id{dead}: the agent may bind that one{remove}"
        );
        // In the drawing if the row is: else at the guest.
        let at = port.ovs_interface.clone().filter(|at| walk.hops().any(|hop| hop.ifname == *at));
        walk.problem(at.as_deref().unwrap_or(Path::GUEST), what);
    }
}

/// The port's identity: what libvirt and OVSDB disagree on, and a guest that is not running.
fn identity(walk: &mut Walk, port: &VmPort) {
    if let Some(attached) = port.attached_mac.filter(|attached| *attached != port.id.mac) {
        let what = format!(
            "the guest has {} (libvirt), but OVSDB's attached-mac is {attached}: port security drops what it sends",
            port.id.mac
        );
        walk.problem(Path::GUEST, what);
    }
    if port.state == Some(InstanceState::Paused) {
        walk.defect(ProblemKind::Paused, Path::GUEST, "the VM is paused: it answers nothing");
    }
    if port.unplugged {
        let what =
            "its link is set down (libvirt): the guest has no carrier, and QEMU drops what comes for it";
        walk.defect(ProblemKind::Unplugged, Path::GUEST, what);
    }
}

/// Every hop: down, no carrier, not forwarding, or with a smaller MTU than the hop before.
fn interfaces(walk: &mut Walk, topology: &Topology) {
    let hops: Vec<(OtherEnd, &Link)> =
        walk.hops().filter_map(|hop| Some((hop.facts.other_end, topology.link_at(hop.ifindex)?))).collect();
    let mut largest: Option<&Link> = None;
    for (other_end, link) in hops {
        // It is the bridge, of which all has been said.
        if other_end == OtherEnd::Host {
            continue;
        }
        if let Some(what) = link_defect(other_end, link) {
            let kind = if link.admin_up { ProblemKind::NoCarrier } else { ProblemKind::Down };
            walk.defect(kind, &link.name, what);
        }
        // A port without carrier is always disabled; that has been said already.
        if let (true, true, Some(BridgePortState::NotForwarding(state))) =
            (link.admin_up, link.carrier, link.bridge_port_state)
        {
            walk.defect(
                ProblemKind::NotForwarding,
                &link.name,
                format!("its bridge does not forward through it: spanning tree state {state}"),
            );
        }
        // A tunnel takes what there is room for below it.
        if other_end == OtherEnd::Tunnel {
            continue;
        }
        if let Some(before) = largest.filter(|before| link.mtu_bytes < before.mtu_bytes) {
            let what = format!(
                "MTU {} is smaller than {} of {}: larger packets are dropped here",
                link.mtu_bytes,
                before.mtu_bytes,
                Printable(&before.name),
            );
            walk.defect(ProblemKind::SmallerMtu, &link.name, what);
        }
        // Uplinks are alternatives: each is compared with what comes before all of them.
        if other_end != OtherEnd::Wire && largest.is_none_or(|before| link.mtu_bytes > before.mtu_bytes) {
            largest = Some(link);
        }
    }
}

fn link_defect(other_end: OtherEnd, link: &Link) -> Option<String> {
    if !link.admin_up {
        return Some(format!("it is down (IFF_UP is not set): ip link set {} up", Printable(&link.name)));
    }
    if link.carrier {
        return None;
    }
    Some(
        match (other_end, link.kind) {
            (OtherEnd::Guest, LinkKind::Tun) => "no carrier: no process has the tap open",
            (_, LinkKind::Veth) => "no carrier: the other end of the veth pair is down",
            _ => "no carrier (IFF_LOWER_UP is not set): cable, switch port or peer",
        }
        .to_owned(),
    )
}

/// A Linux bridge that is down forwards nothing.
pub(super) fn bridge_down(walk: &mut Walk, bridge: &Link) {
    if !bridge.admin_up {
        let what = "the bridge is down (IFF_UP is not set): it forwards nothing";
        walk.defect(ProblemKind::Down, &bridge.name, what);
    }
}

/// What OVSDB says is wrong with a port.
pub(super) fn ovs_port(walk: &mut Walk, place: OvsPlace<'_>) {
    let interface = place.interface;
    if let Some(what) = not_opened(interface) {
        let kind = if interface.ofport == Some(-1) { ProblemKind::NotOpened } else { ProblemKind::Other };
        walk.defect(kind, &interface.name, what);
    }
    if place.port.tag == Some(DEAD_VLAN_TAG) {
        walk.defect(
            ProblemKind::DeadVlan,
            &interface.name,
            "VLAN tag 4095 is Neutron's dead VLAN: the port's binding failed, its packets are dropped",
        );
    }
    if let Some(status) = interface.neutron.iface_status.as_deref().filter(|status| *status != "active") {
        walk.problem(&interface.name, format!("Neutron's iface-status is {}, not active", Printable(status)));
    }
}

/// `ofport -1` and the `error` column.
pub(super) fn not_opened(interface: &OvsInterface) -> Option<String> {
    let reason = || {
        interface
            .error
            .as_deref()
            .map_or("OVSDB gives no error".to_owned(), |error| Printable(error).to_string())
    };
    match interface.ofport {
        Some(-1) => Some(format!("Open vSwitch could not open it (ofport -1): {}", reason())),
        _ => interface.error.is_some().then(|| format!("Open vSwitch reports: {}", reason())),
    }
}
