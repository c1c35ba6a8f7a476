//! Which bond an uplink is, stands on, or is a member of.

use super::walk::Walk;
use crate::model::{Bond, Link, LinkKind, OvsPlace, Printable, Topology};

/// The kernel's, if `link` is one or a VLAN interface on one.
fn of_link(topology: &Topology, link: &Link) -> Option<Bond> {
    let bond = bond_below(topology, link)?;
    let options = bond.bond.clone().unwrap_or_default();
    let active = options.active.and_then(|index| topology.link_at(index));
    Some(Bond {
        name: bond.name.clone(),
        mode: options.mode,
        members: topology.ports_of(bond).map(|member| member.name.clone()).collect(),
        active: active.map(|active| active.name.clone()),
    })
}

/// Open vSwitch's, if the interface at `place` is one of several of its port.
fn of_port(place: OvsPlace<'_>) -> Option<Bond> {
    let port = place.port;
    (port.interfaces.len() > 1).then(|| {
        let active =
            port.interfaces.iter().find(|it| it.mac_in_use.is_some() && it.mac_in_use == port.bond_active);
        Bond {
            name: port.name.clone(),
            mode: port.bond_mode.clone(),
            members: port.interfaces.iter().map(|it| it.name.clone()).collect(),
            active: active.map(|active| active.name.clone()),
        }
    })
}

/// Says which bond the last hop, which is `link`, is, stands on, or is a member of, `place` being its place in the switch if it has one; and which
/// members of the kernel's carry nothing, while it does.
pub(super) fn note(walk: &mut Walk, topology: &Topology, link: &Link, place: Option<OvsPlace<'_>>) {
    walk.bonded(place.and_then(of_port).or_else(|| of_link(topology, link)));
    let Some(bond) = bond_below(topology, link).filter(|bond| bond.carrier) else { return };
    for member in topology.ports_of(bond).filter(|member| !(member.admin_up && member.carrier)) {
        let state = if member.admin_up { "has no carrier" } else { "is down" };
        let what = format!(
            "{}, a member of {}, {state}: the others carry all of it",
            Printable(&member.name),
            Printable(&bond.name)
        );
        walk.problem(&link.name, what);
    }
}

fn bond_below<'a>(topology: &'a Topology, link: &'a Link) -> Option<&'a Link> {
    let lower = || link.lower.and_then(|index| topology.link_at(index));
    match link.kind {
        LinkKind::Bond => Some(link),
        LinkKind::Vlan => lower().filter(|lower| lower.kind == LinkKind::Bond),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::model::{BondOptions, IfIndex, Link, LinkKind, OvsInterface, OvsPort};
    use crate::path::{find, testing::*};

    fn member(index: u32, name: &str) -> Link {
        Link { master: Some(IfIndex(2)), ..link(index, name, LinkKind::Other) }
    }

    #[test]
    fn a_bond_of_the_kernel_names_its_members_and_the_one_that_is_used() {
        let mut topology = lab();
        let options = BondOptions { mode: Some("active-backup".to_owned()), active: Some(IfIndex(31)) };
        change_link(&mut topology, "ens3", |nic| {
            (nic.kind, nic.bond) = (LinkKind::Bond, Some(options.clone()));
        });
        let idle = Link { carrier: false, ..member(30, "eth0") };
        add_links(&mut topology, vec![idle, member(31, "eth1")]);
        let path = find(&topology, PORT).unwrap();
        let bond = path.hops().last().unwrap().bond.clone().unwrap();
        assert_eq!((bond.name.as_str(), bond.mode.as_deref()), ("ens3", Some("active-backup")));
        assert_eq!(
            (bond.members, bond.active.as_deref()),
            (vec!["eth0".to_owned(), "eth1".to_owned()], Some("eth1"))
        );
        let [problem] = path.problems.as_slice() else { panic!("{:?}", path.problems) };
        assert!(problem.at == "ens3" && problem.what.contains("eth0, a member of ens3, has no carrier"));
    }

    #[test]
    fn a_vlan_interface_on_a_bond_stands_on_it() {
        let mut topology = lab();
        change_link(&mut topology, "ens3", |nic| (nic.kind, nic.lower) = (LinkKind::Vlan, Some(IfIndex(70))));
        add_links(&mut topology, vec![link(70, "bond0", LinkKind::Bond)]);
        let path = find(&topology, PORT).unwrap();
        assert_eq!(path.hops().last().unwrap().bond.as_ref().unwrap().name, "bond0");
    }

    #[test]
    fn the_members_of_a_bond_of_the_switch_are_hops_and_say_which_is_used() {
        let mut topology = lab();
        let with_mac = |name: &str, text: &str| OvsInterface { mac_in_use: Some(mac(text)), ..netdev(name) };
        let members = vec![with_mac("eth0", "02:00:00:00:00:01"), with_mac("eth1", "02:00:00:00:00:02")];
        let bond = OvsPort {
            name: "bond0".to_owned(),
            bond_mode: Some("active-backup".to_owned()),
            bond_active: Some(mac("02:00:00:00:00:02")),
            ..port(members)
        };
        let provider = topology.bridges_mut().first_mut().unwrap();
        provider.ports.retain(|port| port.name != "ens3");
        provider.ports.push(bond);
        add_links(&mut topology, vec![link(30, "eth0", LinkKind::Other), link(31, "eth1", LinkKind::Other)]);
        let path = find(&topology, PORT).unwrap();
        let of: Vec<_> = path
            .hops()
            .filter_map(|hop| Some((hop.ifname.as_str(), hop.bond.as_ref()?.active.as_deref())))
            .collect();
        assert_eq!(of, [("eth0", Some("eth1")), ("eth1", Some("eth1"))]);
    }
}
