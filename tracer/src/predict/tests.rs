//! Answers in, verdicts out.
#![allow(clippy::unwrap_used)]

use super::{
    testing::{Host, OTHER_PORT, OWN_PORT, switch_ports},
    verdict::Verdict,
    *,
};
use crate::model::{Fate, OtherPort, PathKind, Step};

/// What the switch says of a packet that hits these rules of `br-int`.
fn answer(rules: &str, actions: &str) -> String {
    format!(
        "Flow: udp\n\nbridge(\"br-int\")\n---\n{rules}\n\nFinal flow: unchanged\nMegaflow: udp\nDatapath actions: {actions}\n"
    )
}

const NORMAL: &str =
    " 0. priority 0\n    resubmit(,60)\n60. priority 3\n    NORMAL\n     -> forwarding to learned port";

const EGRESS: Asked<'static> = Asked { direction: Direction::Egress, in_port: "", doubts: &[] };

fn judged_on(host: &Host, answer: &str) -> Verdict {
    let explain = explained("br-int", "udp", answer).unwrap();
    verdict(host.known(), &answered(EGRESS, &explain, answer, &switch_ports()))
}

/// Where it goes, and the line.
fn judged(answer: &str) -> (Fate, String) {
    let verdict = judged_on(&Host::new(), answer);
    assert!(!verdict.line.contains('\n') && !verdict.line.contains('\x1b'), "{verdict:?}");
    (verdict.fate, verdict.line)
}

#[test]
fn a_packet_leaves_by_a_port_that_is_named() {
    for (actions, fate, line) in [
        ("pop_vlan,2", Fate::ToWire, "leaves by ens3 (nic)"),
        ("4", Fate::ToVm, "comes to the VM by qvoc3d70d5c-a9 (qvo)"),
        ("5", Fate::Beside, "goes to qvo7be41f06-31 beside the path: VM yjwang-test-2 on this host"),
        ("1", Fate::Beside, "goes to br-ex beside the path: a port of bridge br-ex"),
        ("77", Fate::Beside, "goes to port 77 of the datapath beside the path: nothing is known of it"),
        ("ens3", Fate::ToWire, "leaves by ens3 (nic)"),
        ("set(tunnel(tun_id=0x1,dst=10.0.0.2)),6", Fate::ToWire, "leaves by vxlan (a vxlan tunnel)"),
        (
            "set(tunnel(tun_id=0x1,dst=10.0.0.2)),genev_sys_6081",
            Fate::ToWire,
            "leaves by genev_sys_6081 (a tunnel)",
        ),
    ] {
        assert_eq!(judged(&answer(NORMAL, actions)), (fate, line.to_owned()), "{actions}");
    }
}

#[test]
fn a_flood_names_its_ports() {
    let flood = answer(NORMAL, "3,push_vlan(vid=1,pcp=0),5,pop_vlan,1,2");
    let line = "flooded to 4 ports: br-int, qvo7be41f06-31, br-ex, ens3";
    assert_eq!(judged(&flood), (Fate::Flooded, line.to_owned()));
    let many: Vec<_> = (100..200).map(|number| number.to_string()).collect();
    let (_, line) = judged(&answer(NORMAL, &many.join(",")));
    assert!(
        line.starts_with("flooded to 100 ports: port 100 of the datapath, ") && line.ends_with(", …"),
        "{line}"
    );
}

#[test]
fn the_rule_that_drops_is_named() {
    let dropped = |rules: &str| {
        let (fate, line) = judged(&answer(rules, "drop"));
        assert_eq!(fate, Fate::Dropped, "{line}");
        line
    };
    let rule =
        " 0. priority 0\n    resubmit(,60)\n60. udp,tp_dst=9\x1b[31m, priority 1000, cookie 0x17\n    drop";
    assert_eq!(
        dropped(rule),
        "dropped by the rule of table 60 of br-int: priority 1000 udp,tp_dst=9\\u{1b}[31m"
    );
    assert_eq!(dropped("60. No match.\n    drop"), "dropped: no rule of table 60 of br-int matches");
    assert_eq!(
        dropped(" 0. priority 0\n    NORMAL\n     -> learned port is input port, dropping"),
        "dropped at the rule of table 0 of br-int: priority 0 any packet (learned port is input port, dropping)"
    );
    assert_eq!(dropped(""), "dropped: the switch names no rule");
    let long = " 0. priority 7\n    note:aa\n".repeat(100) + "99. priority 8\n    drop";
    assert_eq!(dropped(&long), "dropped by the rule of table 99 of br-int: priority 8 any packet");
}

#[test]
fn a_switch_that_gives_up_drops() {
    let failed = answer(NORMAL, "drop\nTranslation failed (Recursion too deep), packet is dropped.");
    let line = "dropped, because the switch could not finish: Translation failed (Recursion too deep), packet is dropped.";
    assert_eq!(judged(&failed), (Fate::Dropped, line.to_owned()));
}

#[test]
fn what_a_hash_chooses_is_a_bond_s_or_a_group_s() {
    let hashed = "hash(l4(0)),recirc(0x1)";
    let (fate, line) = judged(&answer(NORMAL, hashed));
    assert!(fate == Fate::Unclear && line.contains("does not follow"), "{line}");
    let mut bonded = Host::new();
    for bridge in bonded.topology.bridges_mut() {
        for port in bridge.ports.iter_mut().filter(|port| port.name == "ens3") {
            port.interfaces.extend(port.interfaces.clone());
        }
    }
    let verdict = judged_on(&bonded, &answer(NORMAL, hashed));
    let line = "leaves by a bond, whose member the datapath chooses by a hash (of the path's: ens3)";
    assert_eq!((verdict.fate, verdict.line.as_str()), (Fate::ToWire, line));
    let (fate, line) = judged(&answer(" 0. priority 0\n    group:1", hashed));
    assert!(fate == Fate::Unclear && line.contains("a group's buckets"), "{line}");
    let (fate, line) = judged(&answer(NORMAL, &format!("5,{hashed}")));
    let expected = "flooded to 1 port and to one that the datapath chooses by a hash: qvo7be41f06-31";
    assert_eq!((fate, line.as_str()), (Fate::Flooded, expected));
}

#[test]
fn user_space_and_what_is_not_understood_are_no_drops() {
    let controller = "userspace(pid=0,controller(reason=1,dont_send=0,continuation=0,recirc_id=1))";
    let line = "goes to user space (controller)".to_owned();
    assert_eq!(judged(&answer(NORMAL, controller)), (Fate::UserSpace, line));
    let (fate, line) = judged(&answer(NORMAL, "action99(\x1b)"));
    assert!(fate == Fate::Unclear && line.ends_with("is not understood: action99"), "{line}");
}

#[test]
fn a_mirror_s_copy_is_no_way() {
    let mut host = Host::new();
    let mirror = OtherPort { ifname: OTHER_PORT.to_owned(), is_mirror: true, ..OtherPort::default() };
    host.path.other_ports = vec![mirror];
    let verdict = judged_on(&host, &answer(NORMAL, "5,2"));
    assert_eq!(verdict.line, "leaves by ens3 (nic); mirrored to qvo7be41f06-31");
    assert_eq!((verdict.fate, verdict.outputs.len()), (Fate::ToWire, 2));
}

#[test]
fn a_mirror_into_one_of_several_tunnels_is_no_way_either() {
    let mut host = Host::new();
    // The second of those that share a port of the datapath.
    let bridge = host.topology.bridges_mut().iter_mut().find(|bridge| bridge.name == "br-int").unwrap();
    bridge.mirror_outputs.push("vxlan-0a000003".to_owned());
    let verdict = judged_on(&host, &answer(NORMAL, "6,2"));
    assert_eq!(verdict.line, "leaves by ens3 (nic); mirrored to vxlan");
}

#[test]
fn behind_a_veth_pair_between_bridges_nothing_is_predicted() {
    let mut host = Host::new();
    for step in &mut host.path.steps {
        if let Step::Patch { veth, .. } = step {
            *veth = true;
        }
    }
    let verdict = judged_on(&host, &answer(NORMAL, "int-br-ex"));
    let line = "goes on by int-br-ex, a veth pair to br-ex: what is done with it there is not predicted";
    assert_eq!((verdict.fate, verdict.line.as_str()), (Fate::Onward, line));
}

#[test]
fn connection_tracking_is_assumed_to_see_a_new_connection() {
    let tracked = answer(NORMAL, "ct,recirc(0x1)")
        + "recirc(0x1) - resume conntrack with default ct_state=trk|new (use --ct-next to customize)\n"
        + &answer(NORMAL, "2");
    let explain = explained("br-int", "udp", &tracked).unwrap();
    assert!(explain.assumed.is_some_and(|assumed| assumed.contains("ct_state=trk|new is assumed")));
    assert_eq!(judged(&tracked), (Fate::ToWire, "leaves by ens3 (nic)".to_owned()));
    assert_eq!(explained("br-int", "udp", &answer(NORMAL, "2")).unwrap().assumed, None);
    let error = explained("br-int", "udp", "Bad\x1b answer\nmore").unwrap_err().to_string();
    assert!(error.ends_with("is not understood: Bad\\u{1b} answer"), "{error}");
}

#[test]
fn security_groups_on_the_way_are_said_not_to_be_predicted() {
    let host = Host::new();
    for direction in Direction::ALL {
        let said = not_predicted(&host.path, direction);
        assert_eq!(said, ["security groups on qbrc3d70d5c-a9 are not predicted"], "{direction:?}");
    }
    let mut native = host.path;
    native.kind = PathKind::OvsNative;
    native.steps.drain(..3);
    assert_eq!(not_predicted(&native, Direction::Egress), Vec::<String>::new());
}

/// What is made of an answer to this question.
fn judged_as(asked: Asked<'_>, answer: &str) -> (Fate, String) {
    let host = Host::new();
    let explain = explained("br-int", "udp", answer).unwrap();
    let verdict = verdict(host.known(), &answered(asked, &explain, answer, &switch_ports()));
    (verdict.fate, verdict.line)
}

#[test]
fn what_is_made_up_makes_no_verdict_of_a_drop() {
    let doubts = ["the destination's MAC address is made up".to_owned()];
    let asked = Asked { doubts: &doubts, ..EGRESS };
    let (fate, line) = judged_as(asked, &answer("60. priority 9\n    drop", "drop"));
    assert!(
        fate == Fate::Unclear
            && line.starts_with("not known: the destination's MAC address is made up; dropped by"),
        "{line}"
    );
    let (fate, _) = judged_as(asked, &answer(NORMAL, "1,2,5"));
    assert_eq!(fate, Fate::Unclear);
    assert_eq!(judged_as(asked, &answer(NORMAL, "2")).0, Fate::ToWire);
}

#[test]
fn what_comes_back_by_the_port_it_came_in_by_is_the_switch_s_own_answer() {
    let asked = Asked { in_port: OWN_PORT, ..EGRESS };
    let line = "the switch answers it itself: the answer comes back by qvoc3d70d5c-a9 (qvo)";
    assert_eq!(judged_as(asked, &answer(NORMAL, "4")), (Fate::Answered, line.to_owned()));
}

#[test]
fn what_does_not_come_to_the_vm_is_told_first_and_the_rule_that_drops_it_too() {
    let asked = Asked { direction: Direction::Ingress, in_port: "ens3", ..EGRESS };
    let rules = format!("{NORMAL}\n70. priority 5\n    drop");
    let (_, line) = judged_as(asked, &answer(&rules, "1"));
    let expected = "does not come to the VM: goes to br-ex beside the path: a port of bridge br-ex; on another branch dropped by the rule of table 70 \
                    of br-int: priority 5 any packet";
    assert_eq!(line, expected);
    assert_eq!(judged_as(asked, &answer(NORMAL, "1,4")).0, Fate::Flooded);
}

#[test]
fn a_flood_into_tunnels_is_a_flood_and_other_uplinks_lead_out() {
    let flood = "set(tunnel(dst=10.0.0.2)),6,set(tunnel(dst=10.0.0.3)),6";
    let line = "flooded to 2 other hosts by vxlan (a vxlan tunnel)";
    assert_eq!(judged(&answer(NORMAL, flood)), (Fate::Flooded, line.to_owned()));
    let mut host = Host::new();
    host.path.steps.pop();
    let verdict = judged_on(&host, &answer(NORMAL, "2"));
    assert_eq!(
        (verdict.fate, verdict.line.as_str()),
        (Fate::ToWire, "leaves by ens3 (which is not on the path that is drawn)")
    );
}
