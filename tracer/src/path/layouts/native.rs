//! The tap is a port of the integration bridge itself: Neutron's OVS driver with its own firewall, OVN, or a domain with a virtual port of
//! Open vSwitch's.

use super::{
    super::{
        defects,
        plug::{self, Plug},
        trunk, uplink,
        walk::{Extent, Walk},
    },
    Layout,
};
use crate::model::{Direction, HopFacts, OtherEnd, OvsPlace, Path, PathKind, Role, Topology, VmPort};

/// What comes from the guest is received here, and goes to the switch, where the firewall is, too.
const TAP: (Role, HopFacts) = (
    Role::Tap,
    HopFacts {
        other_end: OtherEnd::Guest,
        receives: Direction::Egress,
        shared: false,
        firewall_behind: None,
    },
);

/// The layout.
pub(super) const LAYOUT: Layout = Layout { recognises, walk };

fn recognises(topology: &Topology, port: &VmPort) -> bool {
    match plug::of(topology, port) {
        Plug::Switch => true,
        Plug::Nothing | Plug::Nowhere => is_named(topology, port),
        Plug::LinuxBridge(_) => false,
    }
}

/// Whether libvirt plugs the tap into a bridge of Open vSwitch's, or the row of the port is no veth end of Nova's.
pub(super) fn is_named(topology: &Topology, port: &VmPort) -> bool {
    let to_switch = topology.bridges().iter().any(|bridge| Some(&bridge.name) == port.source_bridge.as_ref());
    to_switch || port.ovs_interface.as_deref().is_some_and(|name| !name.starts_with("qvo"))
}

fn walk(topology: &Topology, port: &VmPort, extent: Extent) -> Path {
    let place = place(topology, port);
    let is_ovn = place.is_some_and(|place| place.interface.of_ovn);
    let kind = if is_ovn { PathKind::Ovn } else { PathKind::OvsNative };
    let mut walk = Walk::new(kind, extent);
    match (plug::tap(topology, port), place) {
        (Some(tap), place) => {
            let bridge = place.map(|place| place.bridge.name.as_str());
            let tag = place.and_then(|place| trunk::plugged(topology, place).port.tag);
            walk.hop(TAP, tap, bridge, tag);
            uplink::walk_from(&mut walk, topology, (&tap.name, Some(tap)), place, "the tap");
        }
        (None, place) => {
            plug::no_tap(&mut walk, port);
            if let Some(place) = place {
                uplink::walk_switch(&mut walk, topology, place);
            }
        }
    }
    defects::port(&mut walk, topology, port);
    walk.finish(port)
}

/// The port's row: that of its tap, else the one with its iface-id.
fn place<'a>(topology: &'a Topology, port: &VmPort) -> Option<OvsPlace<'a>> {
    let row = |name: &Option<String>| topology.ovs_interface(name.as_deref()?);
    row(&port.tap).or_else(|| row(&port.ovs_interface))
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
