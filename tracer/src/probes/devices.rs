//! At which interfaces the packets of a path can die. Pure.
//!
//! What the kernel frees may be the packet or a copy of it: bridges flood, ports are mirrored, and beside a userspace
//! datapath the host drops its own copy of every frame. Which it is, the interface tells that the packet is at: behind a hook
//! it can be at the interface of that hook, at that of the next one, or in the bridge between them.

use std::collections::{BTreeMap, BTreeSet};

use hoptrace_common::{config::HookConfig, drops::Device};

use crate::{
    attach::Further,
    model::{BridgeKind, HookPlan, HookSet, Hop, IfIndex, Interface, Path, Plan, Side},
};

/// The interfaces, and what holds for a packet that is at none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Devices {
    /// By their index.
    pub(super) by_index: BTreeMap<IfIndex, Device>,
    /// Hooks behind which a packet without an interface can have died: the kernel's Open vSwitch gives packets
    /// that were in user space back without one.
    pub(super) nowhere_after: HookSet,
    /// Those of them that others' packets come by, too.
    pub(super) shared: BTreeSet<IfIndex>,
}

/// What is around the path's own interfaces.
pub(super) struct Around<'a> {
    /// A bridge's index.
    pub(super) index_of: &'a dyn Fn(&str) -> Option<IfIndex>,
    /// All interfaces below one: a bond's members, what a VLAN interface stands on.
    pub(super) below: &'a dyn Fn(&str) -> Vec<Interface>,
    /// Those of them that a packet leaves by itself, and not a copy of it.
    pub(super) carriers: &'a dyn Fn(&str) -> Vec<Interface>,
    /// Whether packets are seen where they are received, before anything can end them.
    pub(super) at_tracepoints: bool,
}

/// The interfaces that packets of `plan` can die at.
pub(super) fn devices(plan: &Plan, path: &Path, around: &Around<'_>) -> Devices {
    let first = if around.at_tracepoints { Device::SEEN_FIRST } else { 0 };
    let mut devices = Devices::default();
    for (number, hook) in plan.hooks.iter().enumerate().filter(|(_, hook)| !hook.is_neighbour()) {
        let Some((own, hop)) = place(hook, path) else { continue };
        if hop.facts.shared {
            let below = (around.below)(&hop.ifname).into_iter().map(|below| below.ifindex);
            devices.shared.extend(below.chain([own]));
        }
        let after = 1_u16 << number;
        let received = matches!(hook.side, Side::Ingress | Side::Xdp(_));
        let userspace = is_userspace_port(path, hop);
        // What the host does with a frame behind this hook, a userspace datapath has taken already.
        let is_copy = received && userspace;
        if !is_copy {
            devices.at(own).live_after |= after;
        }
        if received && path.is_in_switch(hop) && !userspace {
            devices.nowhere_after = devices.nowhere_after.with(number);
        }
        // What the host's own stack makes of a packet is not of the path any more.
        if hook.config.flags & HookConfig::TERMINAL != 0 && !is_copy && !(received && hop.is_host_s()) {
            let device = devices.at(own);
            device.done_after |= after;
            device.flags |= if received { Device::RECEIVED } else { 0 };
            // What is handed to a bond waits in a member's queue.
            for below in (around.carriers)(&hop.ifname).iter().filter(|_| !received) {
                devices.at(below.ifindex).done_after |= after;
            }
        }
        if hook.config.flags & HookConfig::ENTRY != 0 && received {
            let device = devices.at(own);
            device.entry = u8::try_from(number + 1).unwrap_or(0);
            device.direction = hook.direction.index();
            device.flags |= first | if userspace { Device::TAPPED } else { 0 };
            // Sockets take packets at the interface itself, behind those below it.
            for below in (around.below)(&hop.ifname) {
                let device = devices.at(below.ifindex);
                device.entry = u8::try_from(number + 1).unwrap_or(0);
                device.direction = hook.direction.index();
                device.flags |= first | Device::BELOW;
            }
        }
        let next = plan.segments.iter().filter(|segment| segment.from.place() == number && !segment.off_path);
        for (index, behind) in next
            .filter_map(|segment| plan.hooks.get(segment.to.place()))
            .filter_map(|behind| place(behind, path))
        {
            devices.at(index).live_after |= after;
            let passed = path.between(hop, behind);
            for (one, other) in passed.iter().zip(passed.iter().skip(1)) {
                // Without a hook of its own.
                if *other != behind {
                    devices.at(other.ifindex).live_after |= after;
                }
                if let Some(bridge) = linux_bridge(path, one, other).and_then(around.index_of) {
                    let device = devices.at(bridge);
                    device.live_after |= after;
                    device.flags |= Device::FILTER_ONLY;
                }
            }
        }
    }
    devices
}

/// The hooks of the path behind which packets come to Open vSwitch, whatever its datapath.
pub(super) fn before_switch(plan: &Plan, path: &Path) -> HookSet {
    let comes_there = |hook: &HookPlan| {
        let port = place(hook, path).filter(|_| hook.side == Side::Ingress && !hook.is_neighbour());
        port.is_some_and(|(_, hop)| path.is_in_switch(hop))
    };
    let hooks = plan.hooks.iter().enumerate().filter(|(_, hook)| comes_there(hook));
    hooks.map(|(number, _)| number).collect()
}

/// The interfaces of the path that are ports of a kernel datapath of Open vSwitch.
pub(super) fn kernel_switch_ports(path: &Path) -> Vec<IfIndex> {
    let ports = path.hops().filter(|hop| path.is_in_switch(hop) && !is_userspace_port(path, hop));
    ports.map(|hop| hop.ifindex).collect()
}

impl Devices {
    /// All of them, for whom it matters who else comes by.
    pub(super) fn further(&self) -> Vec<Further> {
        let all = self.by_index.keys();
        all.map(|ifindex| Further { ifindex: *ifindex, shared: self.shared.contains(ifindex) }).collect()
    }

    fn at(&mut self, index: IfIndex) -> &mut Device {
        self.by_index.entry(index).or_default()
    }
}

/// The interface of a hook on the path.
fn place<'a>(hook: &HookPlan, path: &'a Path) -> Option<(IfIndex, &'a Hop)> {
    let index = hook.interfaces.first()?.ifindex;
    path.hops().find(|hop| hop.ifindex == index).map(|hop| (index, hop))
}

fn is_userspace_port(path: &Path, hop: &Hop) -> bool {
    path.taken_unseen == Some(hop.ifindex) || path.bridge_of(hop).is_some_and(BridgeKind::is_userspace)
}

/// The Linux bridge that both are ports of.
fn linux_bridge<'a>(path: &Path, one: &'a Hop, other: &Hop) -> Option<&'a str> {
    let is_linux = path.bridge_of(one) == Some(&BridgeKind::Linux);
    one.bridge.as_deref().filter(|_| is_linux && one.bridge == other.bridge)
}

#[cfg(test)]
mod tests {
    use hoptrace_common::drops::Meaning;

    use super::*;
    use crate::{
        attach::{self, PlanOptions},
        model::{HookChoice, Role, Step},
        path::testing::{hop, hybrid_path},
    };

    const TAP: IfIndex = IfIndex(13);
    const QVB: IfIndex = IfIndex(11);
    const QVO: IfIndex = IfIndex(12);
    const NIC: IfIndex = IfIndex(2);
    const QBR: IfIndex = IfIndex(20);
    const MEMBERS: [IfIndex; 2] = [IfIndex(30), IfIndex(31)];

    fn path(datapath: &str) -> Path {
        let ovs = BridgeKind::Ovs { datapath: datapath.to_owned(), fail_mode: None };
        let names = [("tap", TAP.0), ("qvb", QVB.0), ("qvo", QVO.0), ("ens3", NIC.0)];
        hybrid_path(names, "qbr", &ovs)
    }

    fn plan(path: &Path) -> Plan {
        attach::plan(&path.hops().collect::<Vec<_>>(), PlanOptions::default()).unwrap()
    }

    /// The hooks, by their labels, that a device covers.
    fn found(datapath: &str) -> (Plan, Devices) {
        let path = path(datapath);
        let plan = plan(&path);
        let devices = devices(&plan, &path, &around(false));
        (plan, devices)
    }

    /// The NIC is a bond of two.
    fn members(ifname: &str) -> Vec<Interface> {
        let members = MEMBERS.map(|ifindex| Interface { ifname: format!("eth{}", ifindex.0), ifindex });
        if ifname == "ens3" { members.to_vec() } else { Vec::new() }
    }

    fn around(at_tracepoints: bool) -> Around<'static> {
        let index_of = &|name: &str| (name == "qbr").then_some(QBR);
        Around { index_of, below: &members, carriers: &members, at_tracepoints }
    }

    #[test]
    fn below_a_bond_packets_die_behind_its_hook_on_the_way_out_and_before_it_on_the_way_in() {
        for at_tracepoints in [false, true] {
            let path = path("netdev");
            let plan = plan(&path);
            let devices = devices(&plan, &path, &around(at_tracepoints));
            let member = devices.by_index[&MEMBERS[1]];
            assert_eq!(names(&plan, member.done_after), ["egress nic"]);
            assert_eq!(
                (member.live_after, plan.hooks[usize::from(member.entry) - 1].label.as_str()),
                (0, "nic")
            );
            assert_eq!(member.has(Device::SEEN_FIRST), at_tracepoints);
            assert_eq!(member.is_before(Meaning(Meaning::FIREWALL)), !at_tracepoints, "nft's ingress there");
            assert!(!devices.by_index[&NIC].is_before(Meaning(Meaning::FIREWALL)));
            let seen = names(&plan, member.live_after(Meaning(Meaning::TAPPED)));
            assert_eq!(
                seen,
                if at_tracepoints { vec!["ingress nic"] } else { vec![] },
                "a filter of tc there"
            );
            let nic = devices.by_index[&NIC];
            let xdp = names(&plan, nic.live_after(Meaning(Meaning::RECEIVING)));
            assert_eq!(xdp.contains(&"ingress nic".to_owned()), at_tracepoints, "generic XDP there");
            let tc = names(&plan, nic.live_after(Meaning(Meaning::TAPPED)));
            assert!(!tc.contains(&"ingress nic".to_owned()), "the datapath has the packet already");
        }
    }

    fn names(plan: &Plan, bits: u16) -> Vec<String> {
        let named = |(_, hook): (usize, &HookPlan)| format!("{} {}", hook.direction.name(), hook.label);
        plan.hooks.iter().enumerate().filter(|(number, _)| bits & 1 << number != 0).map(named).collect()
    }

    #[test]
    fn behind_a_hook_a_packet_is_there_or_on_its_way_to_the_next() {
        let (plan, devices) = found("system");
        let live = |index| names(&plan, devices.by_index[&index].live_after);
        assert_eq!(live(TAP), ["egress tap", "ingress qvb", "ingress tap"]);
        assert_eq!(live(QVB), ["egress tap", "egress qvb", "ingress qvo", "ingress qvb"]);
        assert_eq!(live(QVO), ["egress qvb", "egress qvo", "ingress nic", "ingress qvo"]);
        assert_eq!(live(NIC), ["egress qvo", "egress nic", "ingress nic"]);
        assert_eq!(names(&plan, devices.nowhere_after.bits()), ["egress qvo", "ingress nic"]);
    }

    #[test]
    fn the_bridge_is_between_tap_and_qvb_and_only_its_firewall_counts() {
        let (plan, devices) = found("system");
        let bridge = devices.by_index[&QBR];
        assert_eq!(bridge.flags, Device::FILTER_ONLY);
        assert_eq!(
            (names(&plan, bridge.live_after), bridge.done_after),
            (vec!["egress tap".to_owned(), "ingress qvb".to_owned()], 0)
        );
        let others = devices.by_index.iter().filter(|(index, _)| **index != QBR && !MEMBERS.contains(index));
        assert!(others.into_iter().all(|(_, device)| device.flags == 0), "{devices:?}");
    }

    #[test]
    fn with_few_hooks_packets_can_be_where_there_is_none() {
        let path = path("system");
        let plan = attach::plan(&path.hooked(HookChoice::Few, |_| false), PlanOptions::default()).unwrap();
        let devices = devices(&plan, &path, &around(false));
        let live = |index| names(&plan, devices.by_index[&index].live_after);
        assert_eq!(live(TAP), ["egress tap", "ingress qvo", "ingress tap"]);
        assert_eq!(live(QVB), ["egress tap", "ingress qvo"]);
        assert_eq!(live(QVO), ["egress tap", "egress qvo", "ingress nic", "ingress qvo"]);
        assert_eq!((live(QBR), devices.by_index[&QBR].flags), (live(QVB), Device::FILTER_ONLY));
    }

    #[test]
    fn what_the_host_does_with_frames_of_a_userspace_datapath_are_copies() {
        let (plan, devices) = found("netdev");
        let live = |index| names(&plan, devices.by_index[&index].live_after);
        // Sent to, but not received from.
        assert_eq!(live(QVO), ["egress qvb", "ingress nic", "ingress qvo"]);
        assert_eq!(live(NIC), ["egress qvo", "egress nic"]);
        assert!(devices.nowhere_after.is_empty());
    }

    #[test]
    fn packets_can_die_before_the_first_hook_of_each_direction() {
        for (datapath, flags) in [("system", 0), ("netdev", Device::TAPPED)] {
            let (plan, devices) = found(datapath);
            let entries = |index| {
                let device = devices.by_index[&index];
                (plan.hooks[usize::from(device.entry) - 1].label.clone(), device.direction, device.flags)
            };
            assert_eq!(entries(TAP), ("tap".to_owned(), 0, 0));
            assert_eq!(entries(NIC), ("nic".to_owned(), 1, flags));
            assert!([QVB, QVO, QBR].iter().all(|index| devices.by_index[index].entry == 0));
        }
    }

    #[test]
    fn packets_come_to_the_switch_behind_qvo_and_the_nic() {
        for datapath in ["system", "netdev"] {
            let (plan, _) = found(datapath);
            assert_eq!(
                names(&plan, before_switch(&plan, &path(datapath)).bits()),
                ["egress qvo", "ingress nic"]
            );
        }
        assert_eq!(kernel_switch_ports(&path("system")), [QVO, NIC]);
        assert!(kernel_switch_ports(&path("netdev")).is_empty());
    }

    #[test]
    fn a_done_packet_is_at_its_last_hook_only() {
        for datapath in ["system", "netdev"] {
            let (plan, devices) = found(datapath);
            let done: Vec<_> = devices.by_index.iter().filter(|(_, device)| device.done_after != 0).collect();
            assert_eq!(done.len(), 2 + MEMBERS.len());
            assert_eq!(names(&plan, devices.by_index[&TAP].done_after), ["ingress tap"]);
            assert_eq!(names(&plan, devices.by_index[&NIC].done_after), ["egress nic"]);
        }
    }

    #[test]
    fn where_the_path_ends_before_a_userspace_datapath_the_hosts_copies_are_no_drops() {
        for (datapath, done) in [("system", &["egress qvo"][..]), ("netdev", &[])] {
            let mut path = path(datapath);
            path.steps.pop();
            let plan = plan(&path);
            let devices = devices(&plan, &path, &around(false));
            assert_eq!(names(&plan, devices.by_index[&QVO].done_after), done);
        }
    }

    #[test]
    fn what_the_host_s_stack_makes_of_a_packet_is_no_end_of_the_path_s() {
        let ovs = BridgeKind::Ovs { datapath: "system".to_owned(), fail_mode: None };
        let mut path = hybrid_path([("tap", TAP.0), ("a", 1), ("b", 2), ("c", 3)], "qbr", &ovs);
        path.steps.truncate(2);
        path.steps.push(Step::Interface(hop(Role::Bridge, "qbr", QBR.0)));
        let plan = plan(&path);
        let devices = devices(&plan, &path, &around(false));
        assert_eq!(names(&plan, devices.by_index[&QBR].done_after), [""; 0]);
        // What the host sends, and the tap's queue does not take.
        assert_eq!(names(&plan, devices.by_index[&TAP].done_after), ["ingress tap"]);
    }

    #[test]
    fn where_nobody_knows_the_switch_behind_the_end_a_userspace_datapath_may_have_the_packet() {
        let mut path = path("");
        path.steps.truncate(3);
        path.steps.push(Step::Interface(hop(Role::Qvo, "qvo", QVO.0)));
        for (taken_unseen, done) in [(None, &["egress qvo"][..]), (Some(QVO), &[])] {
            path.taken_unseen = taken_unseen;
            let plan = plan(&path);
            let devices = devices(&plan, &path, &around(false));
            assert_eq!(names(&plan, devices.by_index[&QVO].done_after), done);
        }
    }
}
