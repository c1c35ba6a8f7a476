//! What the interfaces of a path let through at most, and who has set that: Neutron's bandwidth limits, Nova's quotas, somebody's `tc`.
//!
//! Rates are what OVSDB and libvirt have been told. Whether the kernel does it, its queueing disciplines say.

use super::walk::Walk;
use crate::model::{
    Beyond, Direction, Hop, IfIndex, Limit, LimitSource, OvsPlace, Printable, Topology, VmPort,
};

/// The kernel's disciplines that are there to hold packets back.
const SHAPERS: [&str; 4] = ["cbq", "hfsc", "htb", "tbf"];
/// Those of Open vSwitch's types that it makes of these; others limit nothing.
const SHAPERS_OF_SWITCH: [&str; 2] = ["linux-hfsc", "linux-htb"];
/// Where the kernel has filters for what comes in, limits among them.
const INGRESS: &str = "ingress";

/// Sets the limits of each interface so far.
pub(super) fn set(walk: &mut Walk, topology: &Topology, port: &VmPort) {
    let mut idle = Vec::new();
    for hop in walk.hops_mut() {
        let place = topology.ovs_interface(&hop.ifname);
        let mut limits: Vec<Limit> = place.into_iter().flat_map(|place| of_switch(place, hop)).collect();
        if hop.is_guests() {
            // libvirt has Open vSwitch do it where that has the tap.
            let rest =
                of_libvirt(port, hop).filter(|it| !limits.iter().any(|told| told.direction == it.direction));
            let rest: Vec<_> = rest.collect();
            limits.extend(rest);
        }
        if let Some(kinds) = disciplines(topology, hop.ifindex) {
            // Ports of other types hold their limits themselves.
            if place.is_none_or(|place| place.interface.is_netdev()) {
                for limit in &mut limits {
                    let why = why_idle(hop, limit, kinds, place);
                    limit.in_force = Some(why.is_none());
                    idle.extend(why.map(|why| (hop.ifname.clone(), why)));
                }
            }
            limits.extend(of_kernel(hop, &limits, kinds));
        }
        hop.limits = limits;
    }
    for (at, what) in idle {
        walk.problem(&at, what);
    }
}

/// What somebody has set at an interface; `None`: the kernel did not say.
fn disciplines(topology: &Topology, ifindex: IfIndex) -> Option<&[String]> {
    let all = topology.disciplines.as_ref()?;
    Some(all.get(&ifindex).map(Vec::as_slice).unwrap_or_default())
}

fn limit(hop: &Hop, direction: Direction, beyond: Beyond, set_by: LimitSource, name: String) -> Limit {
    let shared = hop.facts.shared;
    Limit { direction, beyond, bits_per_second: None, in_force: None, shared, set_by, name }
}

/// What Open vSwitch is told about a port of its.
fn of_switch(place: OvsPlace<'_>, hop: &Hop) -> impl Iterator<Item = Limit> + use<> {
    let (received, sent) = (hop.facts.receives, hop.facts.receives.other());
    let of = |direction, beyond, name| limit(hop, direction, beyond, LimitSource::Ovsdb, name);
    let policed = place.interface.policed_bits_per_second.map(|rate| Limit {
        bits_per_second: Some(rate),
        ..of(received, Beyond::Die, "ingress_policing_rate".to_owned())
    });
    let qos = place.port.qos.as_ref().filter(|qos| SHAPERS_OF_SWITCH.contains(&qos.kind.as_str()));
    let shaped = qos.map(|qos| Limit {
        bits_per_second: qos.bits_per_second,
        ..of(sent, Beyond::Wait, format!("QoS {}", qos.kind))
    });
    policed.into_iter().chain(shaped)
}

/// What libvirt is told about the guest's interface.
fn of_libvirt(port: &VmPort, hop: &Hop) -> impl Iterator<Item = Limit> + use<> {
    let (received, sent) = (hop.facts.receives, hop.facts.receives.other());
    let of = |direction, rate: Option<u64>, beyond, element: &str| {
        let name = format!("<bandwidth> {element}");
        rate.map(|rate| Limit {
            bits_per_second: Some(rate),
            ..limit(hop, direction, beyond, LimitSource::Libvirt, name)
        })
    };
    let from_guest = of(received, port.bandwidth.from_guest, Beyond::Die, "outbound");
    from_guest.into_iter().chain(of(sent, port.bandwidth.to_guest, Beyond::Wait, "inbound"))
}

/// What only the kernel knows of.
fn of_kernel(hop: &Hop, told: &[Limit], kinds: &[String]) -> Option<Limit> {
    let sent = hop.facts.receives.other();
    let kind = kinds.iter().find(|kind| SHAPERS.contains(&kind.as_str()))?;
    let is_told = told.iter().any(|it| it.direction == sent && it.beyond == Beyond::Wait);
    (!is_told).then(|| Limit {
        in_force: Some(true),
        ..limit(hop, sent, Beyond::Wait, LimitSource::Kernel, kind.clone())
    })
}

/// What shows that nothing is done of what was asked for.
fn why_idle(hop: &Hop, limit: &Limit, kinds: &[String], place: Option<OvsPlace<'_>>) -> Option<String> {
    let has = |wanted: &[&str]| kinds.iter().any(|kind| wanted.contains(&kind.as_str()));
    let is_in_user_space = || place.is_some_and(|place| place.bridge.is_userspace());
    let why = match limit.beyond {
        Beyond::Die if !has(&[INGRESS]) => {
            let taken = if has(&["clsact"]) { ", but somebody's clsact in its place" } else { "" };
            format!("the kernel has no ingress queueing discipline{taken}")
        }
        Beyond::Die if is_in_user_space() => {
            "Open vSwitch's userspace datapath has the packet before the kernel's filters do".to_owned()
        }
        Beyond::Wait if !has(&SHAPERS) => "the kernel has no queueing discipline that does it".to_owned(),
        _ => return None,
    };
    let rate = limit.rate().map_or_else(String::new, |rate| format!(" ({rate})"));
    let (owner, name, at) = (limit.owner(), Printable(&limit.name), Printable(&hop.ifname));
    Some(format!("{owner}'s {name}{rate} is not in force: {why}: tc qdisc show dev {at}"))
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
        assert!(path.hops().flat_map(|hop| &hop.limits).all(|limit| limit.in_force.is_none()));
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
        assert!(policed.contains("libvirt's <bandwidth> outbound (16 kbit/s) is not in force"), "{policed}");
        assert!(policed.contains("somebody's clsact in its place"), "{policed}");
        assert!(shaped.contains("no queueing discipline that does it"), "{shaped}");
        let in_force = |ifname: &str| {
            let hop = path.hops().find(|hop| hop.ifname == ifname).unwrap();
            hop.limits.iter().map(|limit| limit.in_force).collect::<Vec<_>>()
        };
        assert_eq!(in_force("tapc3d70d5c-a9"), [Some(false); 2]);
        assert_eq!(in_force("qvoc3d70d5c-a9"), [Some(true); 2]);
        // Its sockets come before traffic control.
        for bridge in topology.bridges_mut() {
            bridge.datapath_type = "netdev".to_owned();
        }
        let path = path_of(&topology);
        let what =
            path.problems_at("qvoc3d70d5c-a9").map(|problem| problem.what.as_str()).collect::<Vec<_>>();
        assert!(
            matches!(what[..], [what] if what.contains("userspace datapath has the packet before")),
            "{what:?}"
        );
    }

    #[test]
    fn what_open_vswitch_does_not_limit_by_is_no_limit() {
        let mut topology = limited();
        for port in topology.bridges_mut().iter_mut().flat_map(|bridge| &mut bridge.ports) {
            let Some(qos) = &mut port.qos else { continue };
            *qos = OvsQos { kind: "linux-noop".to_owned(), bits_per_second: None };
            // Which polices by itself, in user space.
            port.interfaces[0].kind = "dpdk".to_owned();
        }
        topology.disciplines = Some(HashMap::new());
        let path = path_of(&topology);
        let hop = path.hops().find(|hop| hop.ifname == "qvoc3d70d5c-a9").unwrap();
        let told: Vec<_> = hop.limits.iter().map(|it| (it.name.as_str(), it.in_force)).collect();
        assert_eq!(told, [("ingress_policing_rate", None)]);
        assert!(path.problems_at("qvoc3d70d5c-a9").next().is_none(), "{:?}", path.problems);
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
