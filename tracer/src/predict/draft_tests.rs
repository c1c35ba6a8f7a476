//! Words and a host in, a packet and its place out.
#![allow(clippy::unwrap_used)]

use super::{
    super::testing::{Host, OTHER_PORT, OWN_PORT, switch_ports},
    *,
};
use crate::model::{
    Bond, BridgeKind, NeutronNetwork, OtherEnd, OtherPort, OvsPort, PathKind, PortKind, Step,
};
use crate::path::testing::two_vms;

const WIRE_MAC: &str = "52:54:00:99:99:01";
const OWN_MAC: &str = "fa:16:3e:21:1b:4b";
const OTHER_MAC: &str = "fa:16:3e:5c:90:d2";

fn draft<'a>(host: &'a Host, words: &str) -> Result<Draft<'a>, PredictError> {
    Draft::new(&PacketWords::from_words(&[words]).unwrap(), host.known())
}

/// What a bridge has learned: number of the port, VLAN, address.
fn learned<const COUNT: usize>(of: [(i64, u16, &str); COUNT]) -> Vec<Learned> {
    of.map(|(ofport, vlan, mac)| Learned { ofport, vlan, mac: mac.parse().unwrap() }).to_vec()
}

/// The packet in words, where it comes in, and what was assumed.
fn asked(host: &Host, words: &str) -> (String, (String, String), Vec<String>) {
    let draft = draft(host, words).unwrap();
    let place = (draft.bridge.to_owned(), draft.in_port.to_owned());
    let learned = learned([(1, 1, WIRE_MAC), (2, 1, OWN_MAC), (3, 1, OTHER_MAC)]);
    let Drafted { packet, assumptions, .. } = draft.packet(host.known(), &learned, &switch_ports());
    (packet.to_string(), place, assumptions)
}

fn place(bridge: &str, port: &str) -> (String, String) {
    (bridge.to_owned(), port.to_owned())
}

/// Changes the port of the integration bridge of this name.
fn with_port(name: &str, change: impl Fn(&mut OvsPort)) -> Host {
    let mut topology = two_vms();
    let mut ports = topology.bridges_mut().iter_mut().flat_map(|bridge| &mut bridge.ports);
    change(ports.find(|port| port.name == name).unwrap());
    Host::of(topology)
}

#[test]
fn a_packet_of_the_vm_s_comes_to_its_port_of_the_switch() {
    let host = Host::new();
    let (packet, at, assumed) = asked(&host, "udp and dst host 10.99.99.1 and dst port 53");
    assert_eq!(
        packet,
        "udp from 10.99.99.111 port 40000 to 10.99.99.1 port 53; MAC fa:16:3e:21:1b:4b to 52:54:00:99:99:01"
    );
    assert_eq!(at, place("br-int", OWN_PORT));
    assert_eq!(
        assumed,
        [
            "source 10.99.99.111 is assumed: the VM's own address",
            "source port 40000 is assumed: the words name none",
            "the MAC address of 10.99.99.1 is not known here: 52:54:00:99:99:01 is assumed, which br-int has learned \
             behind int-br-ex; `ether dst MAC` gives the right one, beyond the VM's subnet that of its gateway",
        ]
    );
    let whole = "tcp and src host 10.99.99.111 and dst host 10.99.99.1 and src port 5 and dst port 80 and ether dst \
                 52:54:00:00:00:07";
    let (packet, _, assumed) = asked(&host, whole);
    assert!(packet.ends_with("to 52:54:00:00:00:07") && assumed.is_empty(), "{packet}: {assumed:?}");
}

#[test]
fn what_is_learned_helps_only_where_it_leads_one_way_out() {
    let host = Host::new();
    let mac = |learned: Vec<Learned>| {
        let draft = draft(&host, "icmp and dst host 10.99.99.1").unwrap();
        assert!(draft.wants_learned());
        let Drafted { packet, assumptions, doubts } = draft.packet(host.known(), &learned, &switch_ports());
        assert_eq!(doubts.is_empty(), packet.destination_mac != DESTINATION_MAC);
        assert!(assumptions.iter().any(|line| line.contains(&packet.destination_mac.to_string())));
        packet.destination_mac.to_string()
    };
    let made_up = DESTINATION_MAC.to_string();
    assert_eq!(mac(learned([(1, 1, WIRE_MAC), (1, 1, "52:54:00:99:99:02")])), WIRE_MAC);
    assert_eq!(mac(learned([])), made_up);
    assert_eq!(mac(learned([(1, 1, WIRE_MAC), (4, 1, "52:54:00:99:99:02")])), made_up, "two ways");
    assert_eq!(mac(learned([(1, 2, WIRE_MAC)])), made_up, "another VLAN");
    assert_eq!(mac(learned([(2, 1, WIRE_MAC)])), made_up, "the guest's own, of another address");
    assert_eq!(mac(learned([(3, 1, OTHER_MAC), (2, 1, OWN_MAC)])), made_up, "VMs of this host");
    assert_eq!(mac(learned([(9, 1, WIRE_MAC)])), made_up, "a port that is gone");
}

#[test]
fn another_vm_of_the_network_is_known_by_its_address() {
    let host = Host::new();
    let (packet, at, assumed) = asked(&host, "icmp and dst host 10.99.99.112");
    assert!(packet.ends_with(&format!("to {OTHER_MAC}")), "{packet}");
    assert_eq!(at, place("br-int", OWN_PORT));
    assert!(assumed.contains(&format!(
        "10.99.99.112 is yjwang-test-2's on this host, whose MAC address is {OTHER_MAC}"
    )));
    let is_unknown = |change: fn(&mut OvsPort)| {
        draft(&with_port(OTHER_PORT, change), "icmp and dst host 10.99.99.112").unwrap().wants_learned()
    };
    assert!(is_unknown(|port| port.tag = Some(2)), "another VLAN");
    let by_ovn = |port: &mut OvsPort| port.interfaces.iter_mut().for_each(|it| it.of_ovn = true);
    assert!(is_unknown(by_ovn), "OVN's networks are not told apart by VLANs");
}

#[test]
fn a_packet_for_the_vm_comes_in_by_the_nic() {
    let host = Host::new();
    let (packet, at, assumed) = asked(&host, "udp and dst host 10.99.99.111 and dst port 53");
    assert_eq!(
        packet,
        "udp from 192.0.2.1 port 40000 to 10.99.99.111 port 53; MAC 02:00:00:00:00:01 to fa:16:3e:21:1b:4b"
    );
    assert_eq!(at, place("br-ex", "ens3"));
    assert_eq!(assumed.len(), 4, "{assumed:?}");
    let named = "icmp and src host 10.99.99.1 and dst host 10.99.99.111 and ether src 52:54:00:99:99:01";
    let (packet, _, assumed) = asked(&host, named);
    assert!(packet.ends_with(&format!("MAC {WIRE_MAC} to {OWN_MAC}")), "{packet}");
    assert_eq!(assumed, ["on the wire it has no VLAN tag, as far as its network is known"]);
    // By the VM's MAC address alone.
    let (packet, at, _) = asked(&host, &format!("ether dst {OWN_MAC}"));
    assert!(packet.starts_with("icmp echo request from 192.0.2.1 to 10.99.99.111; "), "{packet}");
    assert_eq!(at, place("br-ex", "ens3"));
}

#[test]
fn what_another_vm_sends_comes_in_by_its_port() {
    let host = Host::new();
    let (packet, at, assumed) = asked(&host, "icmp and src host 10.99.99.112 and dst host 10.99.99.111");
    assert!(packet.ends_with(&format!("MAC {OTHER_MAC} to {OWN_MAC}")), "{packet}");
    assert_eq!(at, place("br-int", OTHER_PORT));
    assert_eq!(assumed, ["yjwang-test-2 on this host sends it, by qvo7be41f06-31"]);
}

#[test]
fn on_the_wire_a_packet_has_the_network_s_tag() {
    let network = |kind: &str| NeutronNetwork {
        network_type: Some(kind.to_owned()),
        physical_network: Some("physnet1".to_owned()),
        segmentation_id: Some("101".to_owned()),
    };
    let vlan = |kind: &str, words: &str| {
        let host = with_port(OWN_PORT, |port| port.network = network(kind));
        let draft = draft(&host, words).unwrap();
        draft.vlan
    };
    assert_eq!(vlan("vlan", "icmp and dst host 10.99.99.111"), Some(101));
    assert_eq!(vlan("vlan", "icmp and dst host 10.99.99.1"), None, "on its way out it has none yet");
    assert_eq!(vlan("vlan", "icmp and src host 10.99.99.112 and dst host 10.99.99.111"), None);
    assert_eq!(vlan("flat", "icmp and dst host 10.99.99.111"), None);
}

#[test]
fn protocols_and_sources_that_are_not_said_are_filled_in() {
    let host = Host::new();
    let packet = |words: &str| asked(&host, words).0;
    assert!(packet("dst host 10.99.99.1").starts_with("icmp echo request from 10.99.99.111 to 10.99.99.1; "));
    assert!(packet("dst host fd00::1").starts_with("icmp6 echo request from 2001:db8::1 to fd00::1; "));
    assert!(
        packet("dst host 10.99.99.1 and dst port 80").starts_with("tcp from 10.99.99.111 port 40000 to ")
    );
    assert!(packet("udp and host 10.99.99.1").contains(" port 9; "));
    assert!(packet("host 10.99.99.111 and host 10.99.99.1").contains("from 10.99.99.111 to 10.99.99.1; "));
    assert!(packet("arp and host 10.99.99.1").ends_with("to ff:ff:ff:ff:ff:ff"));
    assert!(packet("udp and dst host 255.255.255.255").ends_with("to ff:ff:ff:ff:ff:ff"));
    assert!(packet("udp and dst host ff02::fb").ends_with("to 33:33:00:00:00:fb"));
}

#[test]
fn words_that_say_no_destination_are_refused() {
    let host = Host::new();
    for words in [
        "",
        "udp",
        "src host 10.99.99.111",
        "host 10.99.99.111",
        "dst port 53",
        "ether dst 52:54:00:00:00:07",
    ] {
        let error = draft(&host, words).unwrap_err();
        assert!(matches!(error, PredictError::NoDestination), "{words}: {error}");
    }
    // The VM has no address of that kind.
    let error = draft(&host, &format!("icmp6 and ether dst {OWN_MAC}")).unwrap_err();
    assert!(matches!(error, PredictError::NoDestination), "{error}");
}

#[test]
fn without_a_port_of_the_switch_there_is_nobody_to_ask() {
    let mut host = Host::new();
    host.path.steps.pop();
    let error = draft(&host, "icmp and dst host 10.99.99.111").unwrap_err().to_string();
    assert!(error.contains("where packets for the VM come in is not known"), "{error}");
    assert!(draft(&host, "icmp and dst host 10.99.99.1").is_ok());
    host.path.steps.truncate(3);
    let error = draft(&host, "icmp and dst host 10.99.99.1").unwrap_err().to_string();
    assert!(error.starts_with("no port of Open vSwitch is known on this path"), "{error}");
    // The device of a tunnel is on the switch's bridge, too, and nobody's port.
    let mut host = Host::new();
    let mut device = host.path.hops().next_back().unwrap().clone();
    (device.facts.other_end, device.bridge) = (OtherEnd::Tunnel, Some("br-int".to_owned()));
    host.path.steps.retain(|step| !matches!(step, Step::Interface(_)));
    host.path.steps.push(Step::Interface(device));
    let error = draft(&host, "icmp and dst host 10.99.99.1").unwrap_err().to_string();
    assert!(error.starts_with("no port of Open vSwitch is known on this path"), "{error}");
    let mut host = Host::new();
    host.path.kind = PathKind::LinuxBridge;
    for step in &mut host.path.steps {
        if let Step::Bridge { kind, .. } = step {
            *kind = BridgeKind::Linux;
        }
    }
    for words in ["icmp and dst host 10.99.99.1", "icmp and dst host 10.99.99.111"] {
        let error = draft(&host, words).unwrap_err().to_string();
        assert!(
            error.starts_with("no switch of Open vSwitch is on this path: there are no rules to ask"),
            "{error}"
        );
    }
}

#[test]
fn of_several_ways_in_the_first_is_taken_and_said() {
    let mut host = Host::new();
    let mut other = host.path.hops().next_back().unwrap().clone();
    other.ifname = "ens4".to_owned();
    host.path.steps.push(Step::Interface(other));
    let (_, at, assumed) = asked(&host, "icmp and src host 10.99.99.1 and dst host 10.99.99.111");
    assert_eq!(at, place("br-ex", "ens3"));
    assert!(assumed.contains(&"it comes in by ens3, not by ens4".to_owned()), "{assumed:?}");
}

#[test]
fn a_router_on_this_host_may_be_the_way_to_everybody_else() {
    const ROUTER: &str = "fa:16:3e:00:00:01";
    let mut host = Host::new();
    let mac = || {
        let draft = draft(&host, "icmp and dst host 8.8.8.8").unwrap();
        let learned = learned([(1, 1, WIRE_MAC), (4, 1, ROUTER)]);
        draft.packet(host.known(), &learned, &switch_ports()).packet.destination_mac
    };
    assert_eq!(mac(), DESTINATION_MAC, "two ways");
    let router =
        OtherPort { kind: PortKind::Internal, macs: vec![ROUTER.parse().unwrap()], ..OtherPort::default() };
    host.path.other_ports.push(router);
    let draft = draft(&host, "icmp and dst host 8.8.8.8").unwrap();
    let drafted = draft.packet(host.known(), &learned([(1, 1, WIRE_MAC), (3, 1, ROUTER)]), &switch_ports());
    assert_eq!((drafted.packet.destination_mac, drafted.doubts.len()), (DESTINATION_MAC, 1));
}

#[test]
fn a_vm_whose_addresses_are_not_known_is_asked_about_in_doubt() {
    let mut host = Host::new();
    host.path.instance.ips.clear();
    let draft = draft(&host, "icmp and dst host 10.99.99.1 and ether dst 52:54:00:99:99:01").unwrap();
    let drafted = draft.packet(host.known(), &[], &switch_ports());
    assert_eq!(drafted.doubts, ["the VM's own address is not known, and one for examples is assumed"]);
}

#[test]
fn what_comes_in_comes_by_the_member_of_a_bond_that_is_used() {
    let mut host = Host::new();
    let mut other = host.path.hops().next_back().unwrap().clone();
    other.ifname = "ens4".to_owned();
    let members = vec!["ens3".to_owned(), "ens4".to_owned()];
    other.bond =
        Some(Bond { name: "bond0".to_owned(), members, active: Some("ens4".to_owned()), mode: None });
    host.path.steps.push(Step::Interface(other));
    let (_, at, _) = asked(&host, "icmp and src host 10.99.99.1 and dst host 10.99.99.111");
    assert_eq!(at, place("br-ex", "ens4"));
}
