use super::*;
use crate::{
    model::{IfIndex, Role},
    path::testing::hop,
};

fn planned(hops: &[Hop], options: PlanOptions<'_>) -> Result<Plan, PlanError> {
    super::plan(&hops.iter().collect::<Vec<_>>(), options)
}

fn hops(hops: &[(Role, &str)]) -> Vec<Hop> {
    (1..).zip(hops).map(|(index, (role, ifname))| hop(*role, ifname, index)).collect()
}

fn with(neighbours: &[OtherPort]) -> PlanOptions<'_> {
    PlanOptions { neighbours, ..PlanOptions::default() }
}

#[test]
fn packets_may_leave_by_a_neighbour_first_where_a_switch_takes_them_off_the_first_interface() {
    let port = [OtherPort { ifname: "qvo2".to_owned(), ..OtherPort::default() }];
    let hops = hops(&[(Role::Tap, "tap1"), (Role::Nic, "ens3")]);
    for (taken_at_first, traits) in [(false, 0), (true, HookConfig::OVERTAKES)] {
        let options = PlanOptions { neighbours: &port, taken_at_first, ..PlanOptions::default() };
        let plan = planned(&hops, options).unwrap();
        let beside = plan.hooks.iter().filter(|hook| hook.is_neighbour());
        // What comes from there is admitted anyway.
        assert_eq!(beside.map(|hook| hook.config.traits).collect::<Vec<_>>(), [traits, 0]);
    }
}

#[test]
fn the_hybrid_path_gets_eight_hooks_in_path_order() {
    let hops = hops(&[(Role::Tap, "tap1"), (Role::Qvb, "qvb1"), (Role::Qvo, "qvo1"), (Role::Nic, "ens3")]);
    let plan = planned(&hops, PlanOptions::default()).unwrap();
    let hooks: Vec<_> =
        plan.hooks.iter().map(|hook| (hook.interfaces[0].ifname.as_str(), hook.side.name())).collect();
    assert_eq!(
        hooks,
        [
            ("tap1", "tc ingress"),
            ("qvb1", "tc egress"),
            ("qvo1", "tc ingress"),
            ("ens3", "tc egress"),
            ("ens3", "tc ingress"),
            ("qvo1", "tc egress"),
            ("qvb1", "tc ingress"),
            ("tap1", "tc egress"),
        ]
    );
    let flags: Vec<_> = plan.hooks.iter().map(|hook| hook.config.flags).collect();
    let (entry, terminal) = (HookConfig::ENTRY, HookConfig::TERMINAL);
    let (guest, shared) = (HookConfig::GUEST, HookConfig::SHARED);
    assert_eq!(flags, [entry | guest, 0, 0, terminal | shared, entry | shared, 0, 0, terminal | guest]);
    // Addresses are learned at qvo, the last interface that is the port's alone.
    let traits: Vec<_> = plan.hooks.iter().map(|hook| hook.config.traits).collect();
    assert_eq!(traits, [0, 0, HookConfig::LEARNS, 0, 0, 0, 0, 0]);
    let later: Vec<_> = plan.hooks.iter().map(|hook| hook.config.later).collect();
    assert_eq!(later, [0b1110, 0b1100, 0b1000, 0, 0b1110_0000, 0b1100_0000, 0b1000_0000, 0]);
    assert_eq!(plan.segments.len(), 6);
    assert_eq!(plan.hooks[1].config.segment_from[0], 1);
    assert_eq!(plan.hooks[1].config.segment_from[2], OFF_PATH_SEGMENT);
    let totals = plan.totals.map(|total| total.0).array();
    assert_eq!((totals, plan.guest.0, plan.segment_count), ([4, 8], 9, 12));
}

#[test]
fn two_nics_are_alternatives() {
    let hops = hops(&[(Role::Tap, "tap1"), (Role::Qvo, "qvo1"), (Role::Nic, "ens3"), (Role::Nic, "ens4")]);
    let plan = planned(&hops, PlanOptions::default()).unwrap();
    let from_qvo: Vec<_> = plan
        .segments
        .iter()
        .filter(|segment| {
            plan.hooks[segment.from.place()].label == "qvo" && segment.direction == Direction::Egress
        })
        .map(|segment| plan.hooks[segment.to.place()].label.as_str())
        .collect();
    assert_eq!(from_qvo, ["nic:ens3", "nic:ens4"]);
    assert_eq!(plan.hooks[1].config.later, 0b1100);
}

#[test]
fn a_path_of_one_interface_can_not_be_traced() {
    assert_eq!(planned(&hops(&[(Role::Tap, "tap1")]), PlanOptions::default()), Err(PlanError::TooShort(1)));
    let many: Vec<_> = (0..9).map(|_| (Role::Nic, "ens3")).chain([(Role::Tap, "t")]).collect();
    assert!(matches!(planned(&hops(&many), PlanOptions::default()), Err(PlanError::TooLong(20))));
}

#[test]
fn neighbours_are_alternatives_to_the_nic() {
    let hops = hops(&[(Role::Tap, "tap1"), (Role::Qvb, "qvb1"), (Role::Qvo, "qvo1"), (Role::Nic, "ens3")]);
    let ports = [(7, "qvo2"), (8, "qvo3")].map(|(index, ifname)| OtherPort {
        ifname: ifname.to_owned(),
        ifindex: IfIndex(index),
        ..OtherPort::default()
    });
    let plan = planned(&hops, with(&ports)).unwrap();
    let [out, into] = &plan.hooks[8..] else { panic!("{:?}", plan.hooks) };
    for (hook, side) in [(out, Side::Egress), (into, Side::Ingress)] {
        let ifnames: Vec<_> = hook.interfaces.iter().map(|interface| interface.ifname.as_str()).collect();
        assert_eq!((hook.label.as_str(), hook.side, ifnames), ("neighbour", side, vec!["qvo2", "qvo3"]));
    }
    // From qvo, hook 2, to the neighbours; from them to qvo, hook 5.
    let beside: Vec<_> = plan
        .segments
        .iter()
        .filter(|segment| segment.off_path)
        .map(|segment| (segment.direction, segment.from.place(), segment.to.place()))
        .collect();
    assert_eq!(beside, [(Direction::Egress, 2, 8), (Direction::Ingress, 9, 5)]);
    assert_eq!(out.config.segment_from[2], plan.segments[6].index.0);
    assert_eq!(plan.hooks[5].config.segment_from[9], plan.segments[7].index.0);
    let flags = [out, into].map(|hook| hook.config.flags);
    assert_eq!(flags, [HookConfig::NEIGHBOUR, HookConfig::NEIGHBOUR | HookConfig::ENTRY]);
    assert_eq!(
        (out.config.later, into.config.later, plan.neighbour_entries.bits()),
        (0, 0b1110_0000, 1 << 9)
    );
    let besides: Vec<_> = plan.hooks.iter().map(|hook| hook.config.beside).collect();
    assert_eq!(besides, [1 << 8, 1 << 8, 1 << 8, 0, 0, 0, 0, 0, 0, 0]);
    // A packet for a neighbour that was faster than its sight at qvo overtook qvo, but one on the path did not.
    assert_eq!(plan.hooks[2].config.later, 0b1000);
    assert_eq!(out.config.total_segment, plan.neighbour_totals.egress.0);
    assert_eq!(plan.hooks[7].config.total_from_neighbour, plan.neighbour_totals.ingress.0);
    let mut all: Vec<_> = plan.segments.iter().map(|segment| segment.index.0).collect();
    let totals = [plan.totals, plan.neighbour_totals].map(|totals| totals.map(|total| total.0).array());
    all.extend(totals.into_iter().flatten().chain(plan.guest.0..plan.guest.0 + 3));
    all.sort_unstable();
    assert_eq!(all, (1..u8::try_from(plan.segment_count).unwrap()).collect::<Vec<_>>());
}

#[test]
fn neighbours_need_a_path_to_the_nic_and_room() {
    let port = OtherPort { ifname: "qvo2".to_owned(), ifindex: IfIndex(7), ..OtherPort::default() };
    let cut = hops(&[(Role::Tap, "tap1"), (Role::Qvb, "qvb1"), (Role::Qvo, "qvo1")]);
    assert_eq!(planned(&cut, with(std::slice::from_ref(&port))).unwrap().hooks.len(), 6);
    let nics = [(Role::Nic, "a"), (Role::Nic, "b"), (Role::Nic, "c"), (Role::Nic, "d"), (Role::Nic, "e")];
    let long = hops(&[&[(Role::Tap, "tap1"), (Role::Qvb, "qvb1"), (Role::Qvo, "qvo1")][..], &nics].concat());
    let plan = planned(&long, with(&[port])).unwrap();
    assert_eq!((plan.hooks.len(), plan.neighbours.len(), plan.neighbour_entries.bits()), (16, 0, 0));
}

#[test]
fn xdp_comes_before_the_nic_on_the_way_in() {
    let hops = hops(&[
        (Role::Tap, "tap1"),
        (Role::Qvb, "qvb1"),
        (Role::Qvo, "qvo1"),
        (Role::Nic, "ens3"),
        (Role::Nic, "ens4"),
    ]);
    let port = [OtherPort { ifname: "qvo2".to_owned(), ifindex: IfIndex(7), ..OtherPort::default() }];
    let plan = planned(
        &hops,
        PlanOptions { neighbours: &port, xdp: Some(XdpMode::Native), ..PlanOptions::default() },
    )
    .unwrap();
    let ingress: Vec<_> = plan
        .hooks
        .iter()
        .filter(|hook| hook.direction == Direction::Ingress)
        .map(|hook| (hook.label.as_str(), hook.side.name(), hook.config.flags & HookConfig::ENTRY != 0))
        .collect();
    assert_eq!(
        ingress,
        [
            ("xdp:ens3", "native xdp", true),
            ("xdp:ens4", "native xdp", true),
            ("nic:ens3", "tc ingress", false),
            ("nic:ens4", "tc ingress", false),
            ("qvo", "tc egress", false),
            ("qvb", "tc ingress", false),
            ("tap", "tc egress", false),
            ("neighbour", "tc ingress", true),
        ]
    );
    let label = |place: usize| plan.hooks[place].label.as_str();
    let segments: Vec<_> = plan
        .segments
        .iter()
        .filter(|segment| segment.direction == Direction::Ingress)
        .map(|segment| (label(segment.from.place()), label(segment.to.place())))
        .collect();
    assert_eq!(
        segments,
        [
            ("xdp:ens3", "nic:ens3"),
            ("xdp:ens4", "nic:ens4"),
            ("nic:ens3", "qvo"),
            ("nic:ens4", "qvo"),
            ("qvo", "qvb"),
            ("qvb", "tap"),
            ("neighbour", "qvo"),
        ]
    );
    let xdp: Vec<_> = plan
        .xdp_hooks()
        .map(|(number, mode, interface)| (number, mode.name(), interface.ifindex.0))
        .collect();
    assert_eq!(
        (xdp, plan.entries.map(|hook| hook.0).array()),
        (vec![(5, "native", 4), (6, "native", 5)], [0, 5])
    );
    let (neighbour, qvo) = (plan.hooks.last().unwrap(), 9);
    assert_eq!((neighbour.config.later, label(qvo)), (0b1110 << 8, "qvo"));
}

#[test]
fn xdp_needs_a_nic() {
    let cut = hops(&[(Role::Tap, "tap1"), (Role::Qvb, "qvb1"), (Role::Qvo, "qvo1")]);
    let xdp = PlanOptions { xdp: Some(XdpMode::Generic), ..PlanOptions::default() };
    assert_eq!(planned(&cut, xdp), Err(PlanError::NoNic));
    let nics = [(Role::Nic, "a"), (Role::Nic, "b"), (Role::Nic, "c"), (Role::Nic, "d"), (Role::Nic, "e")];
    let many = hops(&[&[(Role::Tap, "tap1")][..], &nics].concat());
    assert_eq!(planned(&many, xdp), Err(PlanError::TooManyNics(5)));
}

fn with_wire(neighbours: &[OtherPort]) -> PlanOptions<'_> {
    PlanOptions { neighbours, wire: true, ..PlanOptions::default() }
}

#[test]
fn the_wire_comes_behind_the_nic_on_the_way_out() {
    let hops = hops(&[(Role::Tap, "tap1"), (Role::Qvo, "qvo1"), (Role::Nic, "ens3"), (Role::Nic, "ens4")]);
    let port = [OtherPort { ifname: "qvo2".to_owned(), ifindex: IfIndex(7), ..OtherPort::default() }];
    let plan = planned(&hops, with_wire(&port)).unwrap();
    let label = |place: usize| plan.hooks[place].label.as_str();
    let egress: Vec<_> = plan.hooks.iter().filter(|hook| hook.direction == Direction::Egress).collect();
    let shown: Vec<_> = egress
        .iter()
        .map(|hook| (hook.label.as_str(), hook.side.name(), hook.config.flags & HookConfig::TERMINAL != 0))
        .collect();
    assert_eq!(
        shown,
        [
            ("tap", "tc ingress", false),
            ("qvo", "tc ingress", false),
            ("nic:ens3", "tc egress", false),
            ("nic:ens4", "tc egress", false),
            ("wire:ens3", "net_dev_start_xmit", true),
            ("wire:ens4", "net_dev_start_xmit", true),
            ("neighbour", "tc egress", false),
        ]
    );
    let segments: Vec<_> = plan
        .segments
        .iter()
        .filter(|segment| segment.direction == Direction::Egress)
        .map(|segment| (label(segment.from.place()), label(segment.to.place())))
        .collect();
    assert_eq!(
        segments,
        [
            ("tap", "qvo"),
            ("qvo", "nic:ens3"),
            ("qvo", "nic:ens4"),
            ("nic:ens3", "wire:ens3"),
            ("nic:ens4", "wire:ens4"),
            ("qvo", "neighbour"),
        ]
    );
    // A copy at the other NIC did not overtake that NIC's packet.
    let later: Vec<_> = egress.iter().map(|hook| hook.config.later).collect();
    assert_eq!(later, [0b11_1110, 0b11_1100, 0b01_0000, 0b10_0000, 0, 0, 0]);
    let readable: Vec<_> = egress
        .iter()
        .filter(|hook| hook.config.flags & HookConfig::BEFORE_TRACEPOINT != 0)
        .map(|hook| hook.label.as_str())
        .collect();
    assert_eq!(readable, ["nic:ens3", "nic:ens4"]);
    // What leaves by a neighbour's port never comes to the NIC or the wire.
    let besides: Vec<_> = egress.iter().map(|hook| hook.config.beside != 0).collect();
    assert_eq!(besides, [true, true, false, false, false, false, false]);
    let wire: Vec<_> = plan.wire_hooks().map(|(number, interface)| (number, interface.ifindex.0)).collect();
    assert_eq!((wire, plan.entries.map(|hook| hook.0).array()), (vec![(4, 3), (5, 4)], [0, 6]));
}

#[test]
fn the_wire_is_left_out_without_a_nic_or_room() {
    let cut = hops(&[(Role::Tap, "tap1"), (Role::Qvb, "qvb1"), (Role::Qvo, "qvo1")]);
    let plan = planned(&cut, with_wire(&[])).unwrap();
    assert_eq!((plan.hooks.len(), plan.wire_hooks().count()), (6, 0));
    assert!(plan.hooks.iter().all(|hook| hook.config.flags & HookConfig::BEFORE_TRACEPOINT == 0));
    let nics = [(Role::Nic, "a"), (Role::Nic, "b"), (Role::Nic, "c"), (Role::Nic, "d")];
    let long = hops(&[&[(Role::Tap, "tap1"), (Role::Qvb, "qvb1"), (Role::Qvo, "qvo1")][..], &nics].concat());
    // Neighbours come first: what goes to them would be lost, otherwise.
    let port = [OtherPort { ifname: "qvo2".to_owned(), ifindex: IfIndex(7), ..OtherPort::default() }];
    let plan = planned(&long, with_wire(&port)).unwrap();
    assert_eq!((plan.hooks.len(), plan.neighbours.len(), plan.wire_hooks().count()), (16, 1, 0));
}

#[test]
fn the_segments_through_a_switch_have_one_more_behind_them_for_its_slow_path() {
    let hops = hops(&[(Role::Tap, "tap1"), (Role::Qvb, "qvb1"), (Role::Qvo, "qvo1"), (Role::Nic, "ens3")]);
    let port = [OtherPort { ifname: "qvo2".to_owned(), ifindex: IfIndex(7), ..OtherPort::default() }];
    let slow_at = [IfIndex(3), IfIndex(4)];
    for xdp in [None, Some(XdpMode::Generic)] {
        let options =
            PlanOptions { neighbours: &port, slow_at: &slow_at, xdp, wire: true, ..PlanOptions::default() };
        let plan = planned(&hops, options).unwrap();
        let label = |place: usize| plan.hooks[place].label.as_str();
        let slow: Vec<_> = plan
            .segments
            .iter()
            .filter(|segment| segment.slow.is_some_and(|slow| slow == segment.index.behind(1)))
            .map(|segment| (label(segment.from.place()), label(segment.to.place())))
            .collect();
        assert_eq!(slow, [("qvo", "nic"), ("nic", "qvo"), ("qvo", "neighbour"), ("neighbour", "qvo")]);
        let after: Vec<_> = plan
            .hooks
            .iter()
            .enumerate()
            .filter(|(place, _)| plan.upcalled_after.has(*place))
            .map(|(_, hook)| (hook.label.as_str(), hook.side.name()))
            .collect();
        assert_eq!(after, [("qvo", "tc ingress"), ("nic", "tc ingress"), ("neighbour", "tc ingress")]);
        let mut all: Vec<_> = plan.segments.iter().map(|segment| segment.index.0).collect();
        all.extend(plan.segments.iter().filter_map(|segment| Some(segment.slow?.0)));
        let totals = [plan.totals, plan.neighbour_totals].map(|totals| totals.map(|total| total.0).array());
        all.extend(totals.into_iter().flatten().chain(plan.guest.0..plan.guest.0 + 3));
        all.sort_unstable();
        assert_eq!(all, (1..u8::try_from(plan.segment_count).unwrap()).collect::<Vec<_>>());
    }
    let plan = planned(&hops, with(&port)).unwrap();
    assert!(plan.upcalled_after.is_empty() && plan.segments.iter().all(|segment| segment.slow.is_none()));
}

#[test]
fn generic_xdp_comes_behind_the_tracepoint_where_the_nic_receives() {
    let hops = hops(&[(Role::Tap, "tap1"), (Role::Qvo, "qvo1"), (Role::Nic, "ens3")]);
    let order = |mode, at_tracepoints| {
        let plan = planned(&hops, PlanOptions { xdp: Some(mode), at_tracepoints, ..PlanOptions::default() })
            .unwrap();
        let ingress = plan.hooks.iter().filter(|hook| hook.direction == Direction::Ingress);
        let entry = ingress.clone().find(|hook| hook.config.flags & HookConfig::ENTRY != 0).unwrap();
        assert_eq!(entry.label, ingress.clone().next().unwrap().label);
        ingress.map(|hook| hook.label.clone()).collect::<Vec<_>>()
    };
    assert_eq!(order(XdpMode::Generic, true), ["nic", "xdp", "qvo", "tap"]);
    assert_eq!(order(XdpMode::Generic, false), ["xdp", "nic", "qvo", "tap"]);
    assert_eq!(order(XdpMode::Native, true), ["xdp", "nic", "qvo", "tap"]);
}
