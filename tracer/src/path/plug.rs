//! Where a VM's tap is plugged in, for every layout.

use super::{ports::short_id, walk::Walk};
use crate::model::{InstanceState, Link, LinkKind, Printable, ProblemKind, Topology, VmPort};

/// The port's tap, if it exists.
pub(super) fn tap<'a>(topology: &'a Topology, port: &VmPort) -> Option<&'a Link> {
    topology.link(port.tap.as_deref()?)
}

/// The Linux bridge between the tap and the veth pair: the tap's master, else the one libvirt named, else the one Nova would
/// have named, else the master of the veth end whose peer is the port's OVS interface.
pub(super) fn linux_bridge<'a>(topology: &'a Topology, port: &VmPort) -> Option<&'a Link> {
    let is_bridge = |link: &&Link| link.kind == LinkKind::Bridge;
    let by_tap = || topology.master(tap(topology, port)?).filter(is_bridge);
    let by_libvirt = || topology.link(port.source_bridge.as_deref()?).filter(is_bridge);
    let by_name =
        || topology.link(&format!("qbr{}", short_id(port.id.port_id.as_deref()?))).filter(is_bridge);
    let by_ovs = || {
        let qvo = topology.link(port.ovs_interface.as_deref()?)?;
        topology.master(topology.veth_peer(qvo)?).filter(is_bridge)
    };
    by_tap().or_else(by_libvirt).or_else(by_name).or_else(by_ovs)
}

/// The name Nova would give.
pub(super) fn expected(port: &VmPort, prefix: &str) -> String {
    port.id.port_id.as_deref().map_or_else(|| prefix.to_owned(), |id| format!("{prefix}{}", short_id(id)))
}

/// The way begins with a gap, because there is no tap.
pub(super) fn no_tap(walk: &mut Walk, port: &VmPort) {
    let name = port.tap.clone().unwrap_or_else(|| expected(port, "tap"));
    let is_off = matches!(port.state, Some(InstanceState::ShutOff | InstanceState::Other));
    let kind = if is_off { ProblemKind::NotRunning } else { ProblemKind::Other };
    let why = match port.state {
        Some(state @ (InstanceState::ShutOff | InstanceState::Other)) => {
            format!("the VM is {} (libvirt), so it has no tap", state.as_str())
        }
        Some(state) => {
            format!(
                "libvirt says the VM is {}, but there is no interface {}",
                state.as_str(),
                Printable(&name)
            )
        }
        None => format!("there is no interface {}: is the VM running on this host?", Printable(&name)),
    };
    walk.gap_of(kind, &name, why);
}

/// In words, for an unknown layout.
pub(super) fn describe(topology: &Topology, port: &VmPort) -> String {
    let Some(name) = port.tap.as_deref() else { return "it has no tap and no bridge".to_owned() };
    let master = tap(topology, port).and_then(|tap| topology.master(tap));
    if let Some(place) = topology.ovs_interface(name) {
        return format!(
            "its tap {} is a port of the OVS bridge {}",
            Printable(name),
            Printable(&place.bridge.name)
        );
    }
    match master {
        Some(master) => format!("its tap {} is a port of {}", Printable(name), Printable(&master.name)),
        None => format!("its tap {} is a port of no bridge", Printable(name)),
    }
}
