//! Where a VM's interface is plugged in, for every layout: by what the kernel says, then by what the switch says, then by what libvirt
//! was told, names last.

use super::{ports::short_id, walk::Walk};
use crate::model::{
    Attachment, HopFacts, InstanceState, Link, LinkKind, OvsPlace, Printable, ProblemKind, Role, SourceName,
    Topology, VmPort,
};

/// Where a port is plugged in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Plug<'a> {
    /// Its tap is a port of this Linux bridge, or would be if it were there.
    LinuxBridge(&'a Link),
    /// Its tap is a port of Open vSwitch, as far as the kernel and the switch say.
    Switch,
    /// Its tap is there, and a port of nothing.
    Nowhere,
    /// Nothing of it is there.
    Nothing,
}

/// Where this one is.
pub(super) fn of<'a>(topology: &'a Topology, port: &VmPort) -> Plug<'a> {
    let row = port.tap.as_deref().and_then(|tap| topology.ovs_interface(tap));
    let Some(tap) = tap(topology, port) else {
        let row = row.or_else(|| topology.ovs_interface(port.ovs_interface.as_deref()?));
        return match linux_bridge(topology, port) {
            Some(bridge) => Plug::LinuxBridge(bridge),
            None if row.is_some_and(is_taps) => Plug::Switch,
            None => Plug::Nothing,
        };
    };
    match topology.master(tap) {
        Some(master) if master.kind == LinkKind::Bridge => Plug::LinuxBridge(master),
        // The kernel's datapath.
        Some(master) if master.kind == LinkKind::OpenVswitch => Plug::Switch,
        Some(_) => Plug::Nowhere,
        // A userspace datapath has no masters: its word is all there is.
        None if row.is_some_and(|row| row.interface.ofport != Some(-1)) => Plug::Switch,
        None => match linux_bridge(topology, port) {
            Some(bridge) => Plug::LinuxBridge(bridge),
            None if row.is_some() => Plug::Switch,
            None if !topology.answered(SourceName::Ovsdb) && is_for_switch(port) => Plug::Switch,
            None => Plug::Nowhere,
        },
    }
}

/// Not the veth end that Nova's hybrid plug makes.
fn is_taps(place: OvsPlace<'_>) -> bool {
    !place.interface.name.starts_with("qvo")
}

/// Whether Nova plugs it straight into the switch.
fn is_for_switch(port: &VmPort) -> bool {
    port.source_bridge.as_deref().is_some_and(|bridge| bridge.starts_with("br-"))
}

/// Whether the kernel has it as a port of a Linux bridge: then it is none of a switch's, whatever OVSDB says.
pub(super) fn is_in_linux_bridge(topology: &Topology, link: &Link) -> bool {
    topology.master(link).is_some_and(|master| master.kind == LinkKind::Bridge)
}

/// Whether an interface of a switch's is the way to `tap`: it is the tap itself, which no Linux bridge has, or the other end of a veth pair that the
/// tap's bridge has.
pub(super) fn leads_to(topology: &Topology, link: &Link, tap: &Link) -> bool {
    if link.index == tap.index {
        return !is_in_linux_bridge(topology, tap);
    }
    topology.veth_peer(link).is_some_and(|peer| peer.master.is_some() && peer.master == tap.master)
}

/// The port's tap, if it exists.
pub(super) fn tap<'a>(topology: &'a Topology, port: &VmPort) -> Option<&'a Link> {
    topology.link(port.tap.as_deref()?)
}

/// The Linux bridge that the tap is or should be a port of: the tap's master, else the one libvirt named, else the one Nova would
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

/// The veth port of a Linux bridge that leads to Open vSwitch, by the kernel's word for the pair and OVSDB's for its other end; else one that Nova
/// named so.
pub(super) fn veth_to_switch<'a>(topology: &'a Topology, bridge: &Link) -> Option<&'a Link> {
    let mut veths = topology.ports_of(bridge).filter(|link| link.kind == LinkKind::Veth);
    let leads_to_ovs = |link: &&Link| {
        topology.veth_peer(link).is_some_and(|peer| topology.ovs_interface(&peer.name).is_some())
    };
    let named = veths.clone().find(|link| link.name.starts_with("qvb"));
    veths.find(leads_to_ovs).or(named)
}

/// How many taps the bridge has.
pub(super) fn taps_on(topology: &Topology, bridge: &Link) -> usize {
    topology.ports_of(bridge).filter(|link| link.kind == LinkKind::Tun).count()
}

/// The name Nova would give.
pub(super) fn expected(port: &VmPort, prefix: &str) -> String {
    port.id.port_id.as_deref().map_or_else(|| prefix.to_owned(), |id| format!("{prefix}{}", short_id(id)))
}

/// The way begins with the port's tap, which `hop` is, and which should be a port of `bridge`.
pub(super) fn walk_tap(
    walk: &mut Walk,
    topology: &Topology,
    port: &VmPort,
    hop: (Role, HopFacts),
    bridge: Option<&Link>,
) {
    let Some(tap) = tap(topology, port) else { return no_tap(walk, port) };
    let master = topology.master(tap);
    walk.hop(hop, tap, master.map(|master| master.name.as_str()), None);
    if let (None, Some(bridge)) = (master, bridge) {
        walk.defect(
            ProblemKind::NotForwarding,
            &tap.name,
            format!("it is not a port of {}: it has no master", Printable(&bridge.name)),
        );
    }
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

/// Why no hook can see the port's packets, and what shows them instead; `None` where it has a tap.
pub(super) fn outside_kernel(topology: &Topology, port: &VmPort) -> Option<String> {
    let of_target = || port.tap.as_deref().filter(|name| topology.ovs_interface(name).is_some());
    let in_switch = || of_target().or(port.ovs_interface.as_deref()).or(port.tap.as_deref());
    Some(match &port.attachment {
        Attachment::Tap => return None,
        Attachment::Device(device) => format!(
            "the guest has a device of the host's, {} (SR-IOV): its packets never pass this host's kernel. What helps: the \
             statistics of the physical function, `ip -s link show` (vf), `ethtool -S`, and the port's representor, if the NIC switches",
            Printable(device)
        ),
        Attachment::VhostUser => {
            let name = in_switch().map_or_else(|| "its port".to_owned(), |name| Printable(name).to_string());
            format!(
                "it is a vhost-user port (DPDK): packets go from Open vSwitch to the guest through shared memory and pass no interface of the \
                 kernel's. What helps: `ovs-vsctl get interface {name} statistics` (ovs_tx_failure_drops), `ovs-appctl \
                 dpif-netdev/pmd-stats-show`"
            )
        }
        Attachment::Macvtap(lower) => format!(
            "it is a macvtap on {}, a layout that hoptrace does not trace yet. What helps: `ip -s link show`, and a capture at {}",
            Printable(lower),
            Printable(lower)
        ),
        Attachment::Sockets(kind) => format!(
            "QEMU itself carries its packets (interface type {}): they pass no interface of the kernel's as the guest's own",
            Printable(kind)
        ),
    })
}

/// In words, for an unknown layout.
pub(super) fn describe(topology: &Topology, port: &VmPort) -> String {
    let Some(name) = port.tap.as_deref() else { return "it has no tap and no bridge".to_owned() };
    match tap(topology, port).and_then(|tap| topology.master(tap)) {
        Some(master) => format!("its tap {} is a port of {}", Printable(name), Printable(&master.name)),
        None => format!("its tap {} is a port of no bridge", Printable(name)),
    }
}
