//! Actions in, ports out.

use super::*;

fn read(passes: &[&str]) -> Outputs {
    outputs(passes.iter().copied())
}

fn ports(passes: &[&str]) -> Vec<String> {
    read(passes).ports.into_iter().map(|output| output.port).collect()
}

#[test]
fn ports_are_what_is_no_action() {
    for (actions, expected) in [
        ("2", vec!["2"]),
        ("drop", vec![]),
        ("", vec![]),
        ("pop_vlan,3", vec!["3"]),
        ("push_vlan(vid=1,pcp=0),2,pop_vlan,5,ens3", vec!["2", "5", "ens3"]),
        ("push_vlan(tpid=0x88a8,vid=1,pcp=0),2,2", vec!["2"]),
        ("set(eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)),set(ipv4(ttl=63)),7", vec!["7"]),
        ("ct_clear,meter(5),trunc(64),4", vec!["4"]),
        ("\"drop\",\"a,b(c\",\"d\\\"e\"", vec!["drop", "a,b(c", "d\"e"]),
        ("clone(push_vlan(vid=7,pcp=0),4),5", vec!["4", "5"]),
        ("clone(clone(ct(commit,zone=1),3),4),5", vec!["3", "4", "5"]),
        ("qvoc3d70d5c-a9,br-int,vxlan_sys_4789", vec!["qvoc3d70d5c-a9", "br-int", "vxlan_sys_4789"]),
    ] {
        assert_eq!(ports(&[actions]), expected, "{actions}");
        assert!(read(&[actions]).unclear.is_empty(), "{actions}");
    }
}

#[test]
fn each_pass_adds_its_ports() {
    let tracked = read(&["ct(zone=1),recirc(0x1)", "ct(commit,zone=1),recirc(0x2)", "pop_vlan,3"]);
    assert_eq!((tracked.ports.len(), tracked.unclear.is_empty()), (1, true), "{tracked:?}");
    // A flood goes on in two ways.
    assert_eq!(ports(&["4,ct,recirc(0x1),clone(ct,recirc(0x2))", "5", "drop"]), ["4", "5"]);
    let dropped = read(&["ct,recirc(0x1)", "drop"]);
    assert_eq!((&dropped.ports, &dropped.unclear), (&Vec::new(), &Vec::new()));
}

#[test]
fn a_pass_that_is_not_told_is_not_taken_for_a_drop() {
    assert_eq!(read(&["ct,recirc(0x1)"]).unclear, ["recirc"]);
    assert_eq!(read(&["ct,recirc(0x1)", "ct,recirc(0x2)"]).unclear, ["recirc"]);
    for by_hash in ["hash(l4(0)),recirc(0x1)", "lb_output(1)"] {
        let read = read(&[by_hash]);
        assert!(read.hashed && read.unclear.is_empty() && read.ports.is_empty(), "{read:?}");
    }
}

#[test]
fn tunnels_are_told_as_such() {
    let output = |port: &str, tunnel| Output { port: port.to_owned(), tunnel };
    let kernel = read(&["2,set(tunnel(tun_id=0x1,dst=10.0.0.2,ttl=64,tp_dst=4789,flags(df|key))),5,6"]);
    assert_eq!(kernel.ports, [output("2", false), output("5", true), output("6", false)]);
    // The outer packet's way is the tunnel's business.
    let user = "clone(tnl_push(tnl_port(4789),header(size=50,type=4,eth(dst=02:00:00:00:00:01,src=02:00:00:00:00:02,\
                dl_type=0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=0x4000),udp(src=0,dst=4789,\
                csum=0x0),vxlan(flags=0x8000000,vni=0x1)),out_port(1)),3),9";
    assert_eq!(read(&[user]).ports, [output("4789", true), output("9", false)]);
}

#[test]
fn user_space_is_told_apart_from_copies_for_it() {
    let whom = |actions: &str| read(&[actions]).user_space;
    let controller = "userspace(pid=0,controller(reason=1,dont_send=0,continuation=0,recirc_id=1,rule_cookie=0,\
                      controller_id=0,max_len=65535))";
    assert_eq!(whom(controller), Some(UserSpace::Controller));
    assert_eq!(whom("userspace(pid=4294967295,slow_path(action))"), Some(UserSpace::SlowPath));
    assert_eq!(whom("userspace(pid=3,userdata(00))"), Some(UserSpace::Other));
    for copy in [
        "userspace(pid=1,sFlow(vid=0,pcp=0,output=3),actions),3",
        "sample(sample=10.0%,actions(userspace(pid=1,flow_sample(probability=1),actions))),3",
        "userspace(pid=1,ipfix(output_port=3)),3",
    ] {
        assert_eq!((whom(copy), ports(&[copy])), (None, vec!["3".to_owned()]), "{copy}");
    }
}

#[test]
fn a_packet_s_length_decides_as_for_a_small_one() {
    assert_eq!(ports(&["check_pkt_len(size=1500,gt(drop),le(3)),4"]), ["3", "4"]);
    assert_eq!(ports(&["check_pkt_len(size=1500,gt(7),le(drop))"]), Vec::<String>::new());
}

#[test]
fn what_is_not_understood_is_said_and_never_taken_for_a_port() {
    for (actions, unclear) in [
        ("action99(00)", "action99"),
        ("tnl_pop(4)", "tnl_pop"),
        ("<empty>,***3 leftover bytes*** (000000)", "<empty>"),
        ("bad length 3, expected 4 for: action5(00)", "bad length 3"),
    ] {
        let read = read(&[actions]);
        assert_eq!(
            (read.ports.len(), read.unclear.first().map(String::as_str)),
            (0, Some(unclear)),
            "{read:?}"
        );
    }
}

#[test]
fn hostile_text_is_read_to_its_end() {
    let deep = "clone(".repeat(100_000);
    assert_eq!(read(&[&deep]).unclear, ["clone"]);
    assert!(read(&[&format!("{deep}3{}", ")".repeat(100_000))]).ports.is_empty());
    let many: Vec<_> = (0..5_000).map(|number| number.to_string()).collect();
    assert_eq!(read(&[&many.join(",")]).ports.len(), MAX_ITEMS);
    for odd in [
        ")))",
        "(((",
        ",,,",
        "\"",
        "\"\\",
        "\"a",
        "a)b(",
        "日(本,語)",
        "clone(",
        "set(tunnel(",
        "tnl_push(",
        "check_pkt_len(le(",
    ] {
        read(&[odd]);
    }
    assert_eq!(ports(&["clone(3,4"]), ["3", "4"]);
}

#[test]
fn ports_have_names_where_they_are_all_there_is_to_know() {
    let port = |name: &str, number, kind: &str| SwitchPort {
        bridge: "br-int".to_owned(),
        name: name.to_owned(),
        ofport: 1,
        number: Some(number),
        kind: kind.to_owned(),
    };
    let known = [port("ens3", 2, "system"), port("qvo1", 3, "system"), port("vxlan-1", 4, "vxlan")];
    let found = |actions: &str| read(&[actions]).names(&known);
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(found("push_vlan(vid=1,pcp=0),2,pop_vlan,3"), names(&["ens3", "qvo1"]));
    assert_eq!(found("tap7"), names(&["tap7"]));
    assert_eq!(found("drop"), names(&[]));
    for actions in [
        "9",
        "4",
        "userspace(pid=1,slow_path(action))",
        "hash(l4(0)),recirc(1)",
        "check_pkt_len(size=1500,gt(3),le(2))",
        "shout(2)",
    ] {
        assert_eq!(found(actions), None, "{actions}");
    }
    assert_eq!(read(&[]).names(&known), None, "the switch did not say what it does");
}
