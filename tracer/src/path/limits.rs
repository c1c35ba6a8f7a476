//! What the interfaces of a path let through at most, and who has set that: Neutron's bandwidth limits, Nova's quotas, somebody's `tc`.
//!
//! Rates are what OVSDB and libvirt have been told. Whether the kernel does it, its queueing disciplines say.

use super::walk::Walk;
use crate::model::{Beyond, Direction, Hop, Limit, LimitSource, Printable, Topology, VmPort};

/// The kernel's disciplines that hold packets back by themselves.
const SHAPERS: [&str; 5] = ["cbq", "hfsc", "htb", "netem", "tbf"];
/// Where the kernel has filters for what comes in, limits among them.
const INGRESS: &str = "ingress";

/// Sets the limits of each interface so far.
pub(super) fn set(walk: &mut Walk, topology: &Topology, port: &VmPort) {
    let mut idle = Vec::new();
    for hop in walk.hops_mut() {
        hop.limits = of_switch(topology, hop);
        if hop.is_guests() {
            for limit in of_libvirt(port, hop) {
                // libvirt has Open vSwitch do it where that has the tap.
                if !hop.limits.iter().any(|it| it.direction == limit.direction) {
                    hop.limits.push(limit);
                }
            }
        }
        let Some(disciplines) = &topology.disciplines else { continue };
        let kinds = disciplines.get(&hop.ifindex).map(Vec::as_slice).unwrap_or_default();
        idle.extend(hop.limits.iter().filter_map(|limit| not_in_force(hop, limit, kinds)));
        hop.limits.extend(of_kernel(hop, kinds));
    }
    for (at, what) in idle {
        walk.problem(&at, what);
    }
}

/// What Open vSwitch is told about a port of its.
fn of_switch(topology: &Topology, hop: &Hop) -> Vec<Limit> {
    let Some(place) = topology.ovs_interface(&hop.ifname) else { return Vec::new() };
    let policed = place.interface.policed_bits_per_second.map(|rate| Limit {
        direction: hop.facts.receives,
        beyond: Beyond::Die,
        bits_per_second: Some(rate),
        set_by: LimitSource::Ovsdb,
        name: "ingress_policing_rate".to_owned(),
    });
    let shaped = place.port.qos.as_ref().map(|qos| Limit {
        direction: hop.facts.receives.other(),
        beyond: if qos.kind.ends_with("policer") { Beyond::Die } else { Beyond::Wait },
        bits_per_second: qos.bits_per_second,
        set_by: LimitSource::Ovsdb,
        name: format!("QoS {}", qos.kind),
    });
    policed.into_iter().chain(shaped).collect()
}

/// What libvirt is told about the guest's interface.
fn of_libvirt(port: &VmPort, hop: &Hop) -> impl Iterator<Item = Limit> + use<> {
    let limit = |direction: Direction, rate: Option<u64>, beyond, element: &str| {
        rate.map(|rate| Limit {
            direction,
            beyond,
            bits_per_second: Some(rate),
            set_by: LimitSource::Libvirt,
            name: format!("<bandwidth> {element}"),
        })
    };
    let (sent, to_guest) = (hop.facts.receives, hop.facts.receives.other());
    let from_guest = limit(sent, port.bandwidth.from_guest, Beyond::Die, "outbound");
    from_guest.into_iter().chain(limit(to_guest, port.bandwidth.to_guest, Beyond::Wait, "inbound"))
}

/// What only the kernel knows of.
fn of_kernel(hop: &Hop, kinds: &[String]) -> Option<Limit> {
    let direction = hop.facts.receives.other();
    let kind = kinds.iter().find(|kind| SHAPERS.contains(&kind.as_str()))?;
    let is_told = hop.limits.iter().any(|it| it.direction == direction && it.beyond == Beyond::Wait);
    (!is_told).then(|| Limit {
        direction,
        beyond: Beyond::Wait,
        bits_per_second: None,
        set_by: LimitSource::Kernel,
        name: kind.clone(),
    })
}

/// What shows that the kernel does not do what was asked for.
fn not_in_force(hop: &Hop, limit: &Limit, kinds: &[String]) -> Option<(String, String)> {
    let has = |wanted: &[&str]| kinds.iter().any(|kind| wanted.contains(&kind.as_str()));
    let (is_there, expected) = match limit.beyond {
        Beyond::Die if limit.direction == hop.facts.receives => (has(&[INGRESS]), "ingress"),
        Beyond::Wait => (has(&SHAPERS), "rate-limiting"),
        Beyond::Die => return None,
    };
    if is_there {
        return None;
    }
    let rate = limit.rate().map_or_else(String::new, |rate| format!(" ({rate})"));
    let taken = if has(&["clsact"]) { ", but somebody's clsact in its place" } else { "" };
    let why = if limit.set_by == LimitSource::Ovsdb { " (ovs-vswitchd's log says why)" } else { "" };
    let what = format!(
        "{} has {}{rate} here, but the kernel has no {expected} queueing discipline{taken}: the limit is not in force{why}",
        limit.owner(),
        Printable(&limit.name),
    );
    Some((hop.ifname.clone(), what))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use super::*;
    use crate::{
        model::{Bandwidth, IfIndex, OvsQos, Path},
        path::testing::{MAC, lab},
    };

    fn path_of(topology: &Topology) -> Path {
        crate::path::find(topology, MAC).unwrap()
    }

    fn limits(path: &Path, ifname: &str) -> Vec<(Direction, Beyond, Option<u64>, LimitSource)> {
        let hop = path.hops().find(|hop| hop.ifname == ifname).unwrap();
        hop.limits.iter().map(|it| (it.direction, it.beyond, it.bits_per_second, it.set_by)).collect()
    }

    fn limited() -> Topology {
        let mut topology = lab();
        for port in topology.bridges_mut().iter_mut().flat_map(|bridge| &mut bridge.ports) {
            if port.name.starts_with("qvo") {
                port.qos = Some(OvsQos { kind: "linux-htb".to_owned(), bits_per_second: Some(10_000_000) });
                port.interfaces[0].policed_bits_per_second = Some(1_024_000);
            }
        }
        topology.instances[0].interfaces[0].bandwidth =
            Bandwidth { to_guest: Some(8_000), from_guest: Some(16_000) };
        topology
    }

    #[test]
    fn limits_are_for_what_an_interface_receives_and_for_what_it_sends() {
        let path = path_of(&limited());
        let (out, into) = (Direction::Egress, Direction::Ingress);
        assert_eq!(
            limits(&path, "qvoc3d70d5c-a9"),
            [
                (out, Beyond::Die, Some(1_024_000), LimitSource::Ovsdb),
                (into, Beyond::Wait, Some(10_000_000), LimitSource::Ovsdb),
            ]
        );
        assert_eq!(
            limits(&path, "tapc3d70d5c-a9"),
            [
                (out, Beyond::Die, Some(16_000), LimitSource::Libvirt),
                (into, Beyond::Wait, Some(8_000), LimitSource::Libvirt),
            ]
        );
        assert!(limits(&path, "ens3").is_empty());
        // Not known is not missing.
        assert!(path.problems.is_empty(), "{:?}", path.problems);
    }

    #[test]
    fn the_kernel_says_whether_a_limit_is_in_force() {
        let mut topology = limited();
        let kinds = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>();
        topology.disciplines = Some(HashMap::from([
            (IfIndex(12), kinds(&["htb", "ingress"])),
            (IfIndex(13), kinds(&["clsact"])),
        ]));
        let path = path_of(&topology);
        let wrong: Vec<_> = path.problems.iter().map(|it| (it.at.as_str(), it.what.as_str())).collect();
        let [(one, policed), (other, shaped)] = wrong[..] else { panic!("{wrong:?}") };
        assert_eq!((one, other), ("tapc3d70d5c-a9", "tapc3d70d5c-a9"));
        assert!(
            policed.contains("<bandwidth> outbound (16 kbit/s)") && policed.contains("somebody's clsact"),
            "{policed}"
        );
        assert!(shaped.contains("no rate-limiting"), "{shaped}");
    }

    #[test]
    fn what_nobody_else_knows_of_is_the_kernel_s() {
        let mut topology = lab();
        topology.disciplines = Some(HashMap::from([
            (IfIndex(2), vec!["mq".to_owned(), "fq_codel".to_owned()]),
            (IfIndex(11), vec!["tbf".to_owned(), "clsact".to_owned()]),
        ]));
        let path = path_of(&topology);
        assert_eq!(
            limits(&path, "qvbc3d70d5c-a9"),
            [(Direction::Egress, Beyond::Wait, None, LimitSource::Kernel)]
        );
        assert!(limits(&path, "ens3").is_empty() && path.problems.is_empty());
    }
}
