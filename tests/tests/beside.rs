//! Ports beside the path that are the host's own, and the port of somebody else: what is delivered there is not lost, and what
//! is not for who is there is not delivered.

use std::{net::Ipv4Addr, process::Command};

use hoptrace_tests::frames::{self, Ends};
use hoptrace_tests::prelude::*;

/// Echo requests, or datagrams, of each test.
const PACKETS: u64 = 50;
/// Where datagrams go to.
const PORT: u16 = 9;
/// An address of the guests' network that nobody has.
const OURS: Ipv4Addr = Ipv4Addr::new(10, 99, 99, 50);
/// A MAC address that nobody has.
const NEW: &str = "fa:16:3e:77:00:01";
/// A network namespace as those of Neutron's DHCP agent.
const NETNS: &str = "qdhcp-5ae1c10f";
/// A port in it.
const DHCP: &str = "tapd1d2d3d4-d5";

fn shell(set: &str, remove: &str) -> Result<Trap> {
    Trap::set("sh", &["-ec", set], &["-c", remove])
}

/// The guest pings [`OURS`], which is at `place`: all is delivered there, and all answers come from there.
fn assert_answered(guest: &Guest, place: &str) -> Result<Report> {
    let report = trace_answers(guest)?;
    assert_delivered(&report, place)?;
    Ok(report)
}

/// The report of a trace during which the guest pings [`OURS`], and all is answered.
fn trace_answers(guest: &Guest) -> Result<Report> {
    // Another test may have left its answer. The switches know both addresses then, and the guest knows the host's.
    guest.control("neighbours-flush")?;
    let known = guest.ping(OURS.into(), 3, Duration::from_millis(10))?;
    ensure!(known.received > 0, "{known:?}");
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--timeout", "4s", "--json"])?;
    let ping = guest.ping(OURS.into(), PACKETS, Duration::from_millis(5))?;
    ensure!(ping.received == PACKETS, "{ping:?}");
    tracer.finish()
}

fn assert_delivered(report: &Report, place: &str) -> Result<()> {
    for (direction, elsewhere) in [(Egress, PACKETS), (Ingress, 0)] {
        let found = report.direction(direction);
        let ledger = found.ledger;
        let all = Ledger { entered: PACKETS, completed: PACKETS, elsewhere, ..ledger };
        let none = Ledger { joined_midway: 0, lost: 0, dropped: 0, misdelivered: 0, ambiguous: 0, ..all };
        ledger.expect(&Ledger { copies: 0, ..none }).context(direction)?;
        ensure!(found.neighbour_total.count == PACKETS, "{direction}: {}", found.neighbour_total);
    }
    let port = report.neighbour(place)?;
    let counts = [port.received, port.sent, port.copies, port.strays];
    ensure!(counts == [PACKETS, PACKETS, 0, 0] && port.hooked, "{port}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_address_of_the_provider_bridge_is_delivered_to_and_answers() -> Result<()> {
    let lab = Lab::from_env()?;
    let bridge = &lab.provider_bridge;
    let _address = shell(
        // Or the host answers for it at the bridge at the tap, too, which the guest may hear later and believe.
        &format!("sysctl -qw net.ipv4.conf.all.arp_ignore=1; ip addr add {OURS}/24 dev {bridge}"),
        &format!("ip addr del {OURS}/24 dev {bridge}; sysctl -qw net.ipv4.conf.all.arp_ignore=0"),
    )?;
    let guest = lab.guests.first().context("no guest")?;
    assert_answered(guest, &format!("{bridge} (local port of bridge {bridge})")).map(drop)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_internal_port_in_another_namespace_is_delivered_to_and_answers() -> Result<()> {
    let lab = Lab::from_env()?;
    let (bridge, vlan) = (&lab.integration_bridge, lab.local_vlan);
    let _port = shell(
        &format!(
            "ip netns add {NETNS}
             ovs-vsctl --timeout=10 add-port {bridge} {DHCP} tag={vlan} -- set interface {DHCP} type=internal
             ip link set {DHCP} netns {NETNS}
             ip -n {NETNS} addr add {OURS}/24 dev {DHCP}
             ip -n {NETNS} link set {DHCP} up"
        ),
        &format!("ovs-vsctl --timeout=10 del-port {bridge} {DHCP}; ip netns del {NETNS}"),
    )?;
    let guest = lab.guests.first().context("no guest")?;
    let place = format!("{DHCP} in netns {NETNS} (internal port of bridge {bridge})");
    let report = trace_answers(guest)?;
    let port = report.neighbour(&place)?;
    ensure!(port.netns.as_deref() == Some(NETNS), "{port}");
    if report.tracer.mechanism != "clsact" {
        return assert_delivered(&report, &place);
    }
    // No hook comes there, and the report says what that means.
    let note = format!("no hook at {place}: what goes there counts as lost, or if it was answered,");
    ensure!(!port.hooked, "{port}");
    ensure!(report.notes.iter().any(|line| line.starts_with(&note)), "{:?}", report.notes);
    assert_by_switch(&report, PACKETS)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_address_of_the_bridge_at_the_tap_is_delivered_to_and_answers() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let qbr = &guest.qbr;
    let _address =
        shell(&format!("ip addr add {OURS}/24 dev {qbr}"), &format!("ip addr del {OURS}/24 dev {qbr}"))?;
    let report = assert_answered(guest, &format!("{qbr} (this host)"))?;
    let mut ways_out = report.egress().segments.iter();
    let out = ways_out.find(|segment| segment.to == "neighbour").context("no way out")?;
    ensure!(out.from == "tap" && out.count == PACKETS, "{out}");
    Ok(())
}

/// A MAC address of the switch's own.
const RESPONDER: &str = "02:00:00:00:00:99";

/// Rules of the integration bridge by which it answers for [`OURS`] itself, as Neutron's and OVN's do.
fn responder(lab: &Lab, guest: &Guest) -> Result<Vec<Trap>> {
    let (mac, address) = (RESPONDER.replace(':', ""), u32::from(OURS));
    let back = "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]";
    let arp = format!(
        "{back},mod_dl_src:{RESPONDER},load:0x2->NXM_OF_ARP_OP[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],\
         move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],load:0x{mac}->NXM_NX_ARP_SHA[],\
         load:0x{address:08x}->NXM_OF_ARP_SPA[],in_port"
    );
    let echo = format!(
        "{back},mod_dl_src:{RESPONDER},move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[],mod_nw_src:{OURS},\
         load:0x0->NXM_OF_ICMP_TYPE[],in_port"
    );
    let rules = [
        (format!("priority=1000,in_port={},arp,arp_op=1,arp_tpa={OURS}", guest.qvo), arp),
        (format!("priority=1000,in_port={},icmp,icmp_type=8,nw_dst={OURS}", guest.qvo), echo),
    ];
    let bridge = lab.integration_bridge.as_str();
    let set = |(flow, actions): (String, String)| Trap::flow(bridge, &flow, &actions);
    rules.into_iter().map(set).collect()
}

/// All that entered was answered by the switch, and its answers arrived.
fn assert_by_switch(report: &Report, count: u64) -> Result<()> {
    for (direction, found) in report.directions.both() {
        let ledger = found.ledger;
        let all = Ledger { entered: count, completed: count, by_switch: count, elsewhere: 0, ..ledger };
        let none = Ledger { joined_midway: 0, lost: 0, dropped: 0, ambiguous: 0, misdelivered: 0, ..all };
        ledger.expect(&none).context(direction)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_the_switch_answers_itself_ends_there() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let _rules = responder(&lab, guest)?;
    let known = guest.ping(OURS.into(), 3, Duration::from_millis(10))?;
    ensure!(known.received == 3, "{known:?}");
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--timeout", "4s", "--json"])?;
    let ping = guest.ping(OURS.into(), PACKETS, Duration::from_millis(2))?;
    ensure!(ping.received == PACKETS, "{ping:?}");
    assert_by_switch(&tracer.finish()?, PACKETS)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_arp_responder_answers_equal_questions_each_by_itself() -> Result<()> {
    const QUESTIONS: u64 = 5;
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let _rules = responder(&lab, guest)?;
    let filter = OURS.to_string();
    let tracer =
        Tracer::start(&["trace", &guest.port_id, "arp", "host", &filter, "--timeout", "4s", "--json"])?;
    for _ in 0..QUESTIONS {
        guest.control("neighbours-flush")?;
        let ping = guest.ping(OURS.into(), 1, Duration::ZERO)?;
        ensure!(ping.received == 1, "{ping:?}");
    }
    assert_by_switch(&tracer.finish()?, QUESTIONS)
}

fn all_misdelivered(ledger: &Ledger) -> Result<()> {
    let expected = Ledger { entered: PACKETS, misdelivered: PACKETS, completed: 0, lost: 0, ..*ledger };
    ledger.expect(&expected)
}

/// Datagrams to the wire that a rule sends to the other guest's port.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_goes_to_the_wrong_port_is_not_delivered() -> Result<()> {
    let lab = Lab::from_env()?;
    let [guest, other] = lab.guests.as_slice() else { bail!("not two guests") };
    lab.introduce(guest)?;
    let flow = format!("priority=1000,in_port={},udp,tp_dst={PORT}", guest.qvo);
    let _rule = Trap::flow(&lab.integration_bridge, &flow, &format!("output:{}", other.qvo))?;
    let args = ["trace", &guest.port_id, "udp", "port", "9", "--timeout", "4s"];
    for is_json in [true, false] {
        let json: &[&str] = if is_json { &["--json"] } else { &[] };
        let tracer = Tracer::start(&[&args[..], json].concat())?;
        send(guest, lab.wire.ipv4)?;
        if is_json {
            let report = tracer.finish()?;
            all_misdelivered(&report.egress().ledger)?;
            ensure!(report.neighbour(&other.qvo)?.strays == PACKETS, "{report}");
        } else {
            tracer.signal(Signal::INT)?;
            let text = String::from_utf8(tracer.wait()?.stdout)?;
            let first = text.lines().next().unwrap_or_default();
            ensure!(first.contains("50 packets from the VM were sent to the port of another VM"), "{text}");
            ensure!(text.contains(&other.qvo) && text.contains("misdelivered 50"), "{text}");
        }
    }
    Ok(())
}

/// The same on the way in.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_is_for_the_vm_and_goes_to_another_port_is_not_delivered() -> Result<()> {
    let lab = Lab::from_env()?;
    let [guest, other] = lab.guests.as_slice() else { bail!("not two guests") };
    lab.introduce(guest)?;
    let flow = format!("priority=1000,dl_dst={},udp,tp_dst={PORT}", guest.mac);
    let _rule = Trap::flow(&lab.integration_bridge, &flow, &format!("strip_vlan,output:{}", other.qvo))?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--timeout", "4s", "--json"])?;
    lab.wire_udp_flood((guest.ipv4, PORT).into(), PACKETS, 64, Duration::from_millis(1))?;
    let report = tracer.finish()?;
    all_misdelivered(&report.ingress().ledger)?;
    let first = report.first()?;
    first.says(&format!("{PACKETS} packets to the VM were sent to the port of another VM"))?;
    first.says(&other.qvo)?;
    Ok(())
}

/// Nor does a copy that is flooded turn a packet that is lost into one that went to the wrong port.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_is_flooded_while_the_vm_s_port_is_down_is_lost() -> Result<()> {
    let lab = Lab::from_env()?;
    let [guest, _] = lab.guests.as_slice() else { bail!("not two guests") };
    lab.introduce(guest)?;
    let qvo = guest.qvo.as_str();
    let _down = Trap::set("ip", &["link", "set", qvo, "down"], &["link", "set", qvo, "up"])?;
    // What comes to the bridge's own port would show that the switch floods.
    let bridge = lab.integration_bridge.as_str();
    let _local = Trap::set("ip", &["link", "set", bridge, "down"], &["link", "set", bridge, "up"])?;
    let flushed = Command::new("ovs-appctl").args(["fdb/flush", &lab.integration_bridge]).status()?;
    ensure!(flushed.success(), "{flushed}");
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--timeout", "2s", "--json"])?;
    lab.wire_udp_flood((guest.ipv4, PORT).into(), PACKETS, 64, Duration::from_millis(1))?;
    let report = tracer.finish()?;
    let ledger = report.ingress().ledger;
    ledger.expect(&Ledger { entered: PACKETS, misdelivered: 0, completed: 0, ..ledger })
}

/// As long as the switch does not know where the wire is, it floods.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_flooded_copy_beside_a_delivery_is_a_copy() -> Result<()> {
    let lab = Lab::from_env()?;
    let [guest, other] = lab.guests.as_slice() else { bail!("not two guests") };
    lab.introduce(guest)?;
    let flow = format!("priority=1000,in_port={},udp,tp_dst={PORT}", guest.qvo);
    let _rule = Trap::flow(&lab.integration_bridge, &flow, "FLOOD")?;
    // Without its VLAN the copy towards the wire would die there.
    let _back = Trap::flow(
        &lab.provider_bridge,
        &format!("priority=1000,in_port={},udp,tp_dst={PORT}", lab.patch_provider),
        "NORMAL",
    )?;
    let sink = lab.wire_udp_sink(PORT)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "port", "9", "--timeout", "4s", "--json"])?;
    send(guest, lab.wire.ipv4)?;
    let arrived = sink.finish(PACKETS, Duration::from_secs(10))?;
    ensure!(arrived.datagrams == PACKETS, "{arrived:?}");
    let report = tracer.finish()?;
    let ledger = report.egress().ledger;
    ledger.expect(&Ledger { completed: PACKETS, misdelivered: 0, elsewhere: 0, lost: 0, ..ledger })?;
    ensure!(report.neighbour(&other.qvo)?.copies == PACKETS, "{report}");
    Ok(())
}

/// The other guest shows itself under a new address, to the wire only; then the guest's packets go there.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_goes_to_an_address_that_turned_up_meanwhile_is_delivered() -> Result<()> {
    let lab = Lab::from_env()?;
    let [guest, other] = lab.guests.as_slice() else { bail!("not two guests") };
    let ends = Ends {
        macs: [frames::mac(&guest.mac)?, frames::mac(NEW)?],
        ipv4: [Ipv4Addr::new(10, 99, 99, 201), Ipv4Addr::new(10, 99, 99, 202)],
        ipv6: ["fd99::c1".parse()?, "fd99::c2".parse()?],
    };
    let traffic = frames::ordinary(&ends).into_iter().next().context("nothing to send")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
    {
        let _address = other.use_address(NEW)?;
        let to_wire = Ends { macs: [frames::mac(NEW)?, frames::mac(&lab.wire.mac)?], ..ends };
        other.send_frames(&frames::without_identity(&to_wire)[0].frames)?;
        let before = InterfaceCounts::of(&guest.tap)?;
        guest.send_frames(&traffic.frames)?;
        before.wait_for_received(&guest.tap, traffic.frames.len() as u64)?;
    }
    let report = tracer.finish()?;
    let (elsewhere, ledger) = (traffic.frames.len() as u64, report.egress().ledger);
    ledger.expect(&Ledger { elsewhere, misdelivered: 0, lost: 0, ..ledger })
}

/// A mirror shows what is dropped, too.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_only_a_mirror_saw_is_lost() -> Result<()> {
    let lab = Lab::from_env()?;
    shown_to_a_mirror(&lab, "", "-- set interface mirror0 type=internal", "")?;
    // What leads out of the host otherwise.
    shown_to_a_mirror(
        &lab,
        "ip link add mirror0 type veth peer name mirror1; ip link set mirror1 up",
        "",
        "ip link del mirror0",
    )
}

/// A mirror's output port of some kind, and a rule that drops what the guest sends.
fn shown_to_a_mirror(lab: &Lab, before: &str, kind: &str, behind: &str) -> Result<()> {
    let guest = lab.guests.first().context("no guest")?;
    let bridge = &lab.integration_bridge;
    let _mirror = shell(
        &format!(
            "{before}
             ovs-vsctl --timeout=10 add-port {bridge} mirror0 {kind} \
             -- --id=@out get port mirror0 -- --id=@m create mirror name=m select-all=true output-port=@out \
             -- set bridge {bridge} mirrors=@m
             ip link set mirror0 up"
        ),
        &format!(
            "ovs-vsctl --timeout=10 clear bridge {bridge} mirrors -- del-port {bridge} mirror0; {behind}"
        ),
    )?;
    let _rule =
        Trap::flow(bridge, &format!("priority=1000,in_port={},udp,tp_dst={PORT}", guest.qvo), "drop")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "port", "9", "--timeout", "4s", "--json"])?;
    send(guest, lab.wire.ipv4)?;
    let report = tracer.finish()?;
    let ledger = report.egress().ledger;
    let expected = Ledger { entered: PACKETS, misdelivered: 0, elsewhere: 0, completed: 0, ..ledger };
    ledger.expect(&expected)?;
    let mirror = report.neighbour(&format!("mirror0 (output port of a mirror of bridge {bridge})"))?;
    ensure!(mirror.copies == PACKETS && mirror.strays == 0, "{mirror}");
    Ok(())
}

/// The guest's datagrams; they have left it when this returns.
fn send(guest: &Guest, to: Ipv4Addr) -> Result<()> {
    let sent = guest.send_udp((to.into(), PORT), PACKETS, 64, Duration::from_millis(1))?;
    ensure!(sent.sent == PACKETS, "{sent:?}");
    let ping = guest.ping(to.into(), 1, Duration::ZERO)?;
    ensure!(ping.received == 1, "{ping:?}");
    Ok(())
}
