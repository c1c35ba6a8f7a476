//! Addresses behind the port that are not the port's own: counted, learned, and followed where that is wanted.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, UdpSocket},
    process::Stdio,
};

use hoptrace_tests::frames;
use hoptrace_tests::prelude::*;

/// A virtual router's (VRRP).
const VRRP: &str = "00:00:5e:00:01:33";
/// Another one, which the wire takes over: the switches remember that.
const TAKEN: &str = "00:00:5e:00:01:34";
const PINGS: u64 = 100;
/// QEMU says it so often, within two seconds.
const ANNOUNCEMENTS: u64 = 5;
/// Where datagrams for groups go.
const GROUP_PORT: u16 = 4446;
/// The exit code of a report that does not answer the question.
const INCONCLUSIVE: i32 = 4;

/// The outside world believes that the guest has the address `mac`.
fn believe(lab: &Lab, guest: &Guest, mac: &str) -> Result<Trap> {
    let (netns, to, from) = (&lab.wire.netns, guest.ipv4.to_string(), &lab.wire.interface);
    let set = ["-n", netns, "neigh", "replace", &to, "lladdr", mac, "dev", from, "nud", "permanent"];
    Trap::set("ip", &set, &["-n", netns, "neigh", "del", &to, "dev", from])
}

/// Pings the guest from outside; gives how many replies came: none or all.
fn ping(lab: &Lab, guest: &Guest, count: u64) -> Result<u64> {
    lab.wire_ping_or_none(guest, count, Duration::from_millis(10))
}

/// What was told of an address.
fn told(report: &Report, counter: &str, mac: &str) -> u64 {
    let of = report.evidence.iter().filter(|it| it.counter == counter && it.about.as_deref() == Some(mac));
    of.map(|it| it.count).sum()
}

/// All of so many packets went through, and none looked like another one.
fn assert_all(report: &Report, direction: Direction, count: u64) -> Result<()> {
    let ledger = report.direction(direction).ledger;
    let all = Ledger { entered: count, completed: count, joined_midway: 0, lost: 0, dropped: 0, ..ledger };
    let told = || format!("{direction}; {:?}", report.evidence);
    ledger.expect(&Ledger { ambiguous: 0, ..all }).with_context(told)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn frames_for_another_address_are_said_where_nothing_else_came() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    // Nobody has it: the switches flood frames for it to every port.
    let _belief = believe(&lab, guest, VRRP)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--json"])?;
    ensure!(ping(&lab, guest, PINGS)? == 0, "somebody has the address");
    tracer.signal(Signal::INT)?;
    let ended = tracer.wait()?;
    let report = Report::read(&ended.stdout)?;
    ensure!(told(&report, "other_address_passed", VRRP) == PINGS, "{:?}", report.evidence);
    ensure!(ended.status.code() == Some(INCONCLUSIVE), "{:?}: {}", ended.status, ended.stderr);
    ensure!(ended.stderr.contains("100 frames for other addresses"), "{}", ended.stderr);
    ensure!(!ended.stderr.contains("no matching packet"), "{}", ended.stderr);
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_address_that_the_guest_uses_is_learned() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _borrowed = guest.use_address(VRRP)?;
    let _belief = believe(&lab, guest, VRRP)?;
    // The switches learn where it is.
    ensure!(ping(&lab, guest, 3)? == 3, "the guest does not answer under its new address");
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--json"])?;
    // The guest has used the address when the second one comes.
    ensure!(
        ping(&lab, guest, 1)? == 1 && ping(&lab, guest, PINGS - 1)? == PINGS - 1,
        "not all were answered"
    );
    let report = tracer.finish()?;
    // The first request came before the guest had used the address; its reply is the guest's in any case.
    assert_all(&report, Ingress, PINGS - 1)?;
    assert_all(&report, Egress, PINGS)?;
    let counts = ["other_address_passed", "other_address_followed", "other_address_sent"]
        .map(|counter| told(&report, counter, VRRP));
    ensure!(counts == [1, PINGS - 1, PINGS], "{:?}", report.evidence);
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_address_that_is_given_is_the_port_s_own() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _borrowed = guest.use_address(VRRP)?;
    let _belief = believe(&lab, guest, VRRP)?;
    ensure!(ping(&lab, guest, 3)? == 3, "the guest does not answer under its new address");
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--mac", VRRP, "--wire", "--json"])?;
    ensure!(ping(&lab, guest, PINGS)? == PINGS, "not all were answered");
    let report = tracer.finish()?;
    assert_all(&report, Ingress, PINGS)?;
    assert_all(&report, Egress, PINGS)?;
    ensure!(told(&report, "other_address_passed", VRRP) == 0, "{:?}", report.evidence);
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_dies_before_the_tap_is_told_of_an_address_that_is_given() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _rule = Trap::flow(&lab.integration_bridge, &format!("priority=200,icmp,dl_dst={VRRP}"), "drop")?;
    let _belief = believe(&lab, guest, VRRP)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--mac", VRRP, "--json"])?;
    ensure!(ping(&lab, guest, PINGS)? == 0, "the rule does not drop them");
    let report = tracer.finish()?;
    let found = report.ingress();
    ensure!(found.ledger.entered == PINGS && found.ledger.completed == 0, "{found}");
    let died: u64 = found.drops.iter().filter(|it| it.after == "nic").map(|it| it.count).sum();
    ensure!(died == PINGS, "{found}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_neighbour_s_address_is_not_the_guest_s_to_take() -> Result<()> {
    let lab = Lab::from_env()?;
    let (guest, neighbour) = (lab.guest("yjwang-test-1")?, lab.guest("yjwang-test-2")?);
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
    {
        let _stolen = guest.use_address(&neighbour.mac)?;
        guest.send_udp((lab.wire.ipv4.into(), 9), 1, 64, Duration::ZERO)?;
    }
    // The switches learn where the address belongs.
    let pinged = neighbour.ping(lab.wire.ipv4.into(), 3, Duration::from_millis(10))?;
    ensure!(pinged.received > 0, "{pinged:?}");
    lab.wire_udp_flood((neighbour.ipv4, 9).into(), 200, 64, Duration::from_millis(1))?;
    let report = tracer.finish()?;
    let [ingress, egress] = [report.ingress().ledger, report.egress().ledger];
    ingress.expect(&Ledger { entered: 0, joined_midway: 0, lost: 0, dropped: 0, ..ingress })?;
    egress.expect(&Ledger { entered: 1, completed: 1, joined_midway: 0, lost: 0, ..egress })?;
    ensure!(told(&report, "other_address_sent", &neighbour.mac) == 1, "{:?}", report.evidence);
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn who_gives_another_vm_s_address_is_told_whose_it_is() -> Result<()> {
    let lab = Lab::from_env()?;
    let (guest, neighbour) = (lab.guest("yjwang-test-1")?, lab.guest("yjwang-test-2")?);
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--mac", &neighbour.mac])?;
    let said = tracer.notes.join("\n");
    tracer.signal(Signal::INT)?;
    tracer.wait()?;
    let whose = format!("--mac {} is the address of who is at {}", neighbour.mac, neighbour.qvo);
    ensure!(said.contains(&whose), "{said}");
    Ok(())
}

/// Datagrams from the wire to a group.
fn datagrams(lab: &Lab, group: [u8; 4], count: u64) -> Result<()> {
    lab.in_wire(|| {
        let socket = UdpSocket::bind((lab.wire.ipv4, 0))?;
        socket.set_broadcast(true)?;
        for number in 0..count {
            socket.send_to(&number.to_be_bytes(), (Ipv4Addr::from(group), GROUP_PORT))?;
        }
        Ok(())
    })
}

/// A frame that says where a VM is now, as QEMU sends it after a migration (RARP).
fn reverse_arp() -> Vec<u8> {
    let mac = [2, 0, 0, 0, 0, 9];
    let rarp = [&[0, 1, 8, 0, 6, 4, 0, 3][..], &mac, &[0; 4], &mac, &[0; 4]].concat();
    [&[0xff; 6][..], &mac, &[0x80, 0x35], &rarp, &[0; 18]].concat()
}

/// What the tap counted of each kind of group.
fn groups(report: &Report) -> [u64; 4] {
    ["broadcast", "IPv4 multicast", "IPv6 multicast", "other multicast"]
        .map(|kind| told(report, "group_passed", kind))
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn frames_for_groups_are_counted_at_the_tap_and_said_where_nothing_else_came() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let udp = Tracer::start(&["trace", &guest.port_id, "udp", "port", &GROUP_PORT.to_string(), "--json"])?;
    let all = Tracer::start(&["trace", &guest.port_id, "--json"])?;
    datagrams(&lab, [255; 4], 20)?;
    datagrams(&lab, [224, 0, 0, 18], 30)?;
    let frames = vec![reverse_arp(); 5];
    lab.in_wire(|| frames::send(&lab.wire.interface, &frames))?;
    // Behind them comes one that is followed.
    ensure!(ping(&lab, guest, 1)? == 1, "no reply");
    let report = all.finish()?;
    let [broadcast, multicast, ..] = groups(&report);
    ensure!(broadcast >= 25 && multicast == 30, "{:?}", report.evidence);
    ensure!(report.ingress().ledger.entered <= 3, "{}", report.ingress());
    udp.signal(Signal::INT)?;
    let ended = udp.wait()?;
    let report = Report::read(&ended.stdout)?;
    ensure!(groups(&report) == [20, 30, 0, 0], "{:?}", report.evidence);
    ensure!(report.ingress().ledger.entered == 0, "{}", report.ingress());
    ensure!(
        ended.stderr.contains("but 50 frames for groups (broadcast, multicast) passed to the guest"),
        "{}",
        ended.stderr
    );
    ensure!(!ended.stderr.contains("no matching packet"), "{}", ended.stderr);
    Ok(())
}

/// Frames for groups at the hooks on the way to the guest, from the NIC on.
fn groups_at_hooks(report: &Report) -> Vec<u64> {
    let hooks = &report.ingress().hooks;
    hooks.iter().filter(|hook| hook.hook != "neighbour").map(|hook| hook.groups).collect()
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn packets_of_a_group_that_the_filter_names_are_counted_at_every_hook() -> Result<()> {
    const GROUP: [u8; 4] = [239, 1, 1, 1];
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let ended = |rule: Option<&str>| -> Result<(Report, String)> {
        let _rule = rule.map(|rule| Trap::flow(&lab.integration_bridge, rule, "drop")).transpose()?;
        let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "and", "host", "239.1.1.1", "--json"])?;
        datagrams(&lab, GROUP, 50)?;
        datagrams(&lab, [239, 1, 1, 2], 50)?;
        // What comes behind them.
        ensure!(ping(&lab, guest, 1)? == 1, "no reply");
        tracer.signal(Signal::INT)?;
        let ended = tracer.wait()?;
        Ok((Report::read(&ended.stdout)?, ended.stderr))
    };
    let (report, said) = ended(None)?;
    ensure!(groups_at_hooks(&report) == [50; 4] && groups(&report) == [0, 50, 0, 0], "{report}");
    ensure!(report.finding("group-ends").is_err(), "{:?}", report.findings);
    ensure!(said.contains("but 50 frames for groups"), "{said}");
    let (report, said) = ended(Some("priority=200,udp,nw_dst=239.1.1.1"))?;
    ensure!(
        said.contains("but 50 frames for groups were on their way, and none came to the guest"),
        "{said}"
    );
    ensure!(groups_at_hooks(&report) == [50, 0, 0, 0] && groups(&report) == [0; 4], "{report}");
    report.finding("group-ends")?.suggests("ovs-appctl mdb/show")?;
    ensure!(report.ingress().ledger.entered == 0 && report.ingress().died() == 0, "{report}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_qemu_announces_after_a_migration_is_followed() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "rarp", "--json"])?;
    let count = ANNOUNCEMENTS.to_string();
    let words = ["20", "tcpdump", "-n", "-i", &lab.wire.interface, "-c", &count, "rarp"];
    let mut tcpdump = lab.wire("timeout", words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(tcpdump.stderr.take().context("no stderr")?).lines();
    let mut listens = said.by_ref().map_while(Result::ok);
    ensure!(listens.any(|line| line.contains("listening on")), "tcpdump does not listen");
    run("virsh", &["-q", "qemu-monitor-command", "--hmp", &guest.domain, "announce_self"])?;
    ensure!(tcpdump.wait()?.success(), "not all announcements came out");
    let report = tracer.finish()?;
    let ledger = report.egress().ledger;
    let (entered, completed) = (ANNOUNCEMENTS, ANNOUNCEMENTS);
    ledger.expect(&Ledger { entered, completed, joined_midway: 0, lost: 0, unparsed: 0, ..ledger })
}

/// A question to all about an address that nobody has, from the virtual router's address.
fn announcement() -> Vec<u8> {
    let router = [0x00, 0x00, 0x5e, 0x00, 0x01, 0x34];
    let address = [10, 99, 99, 251];
    let arp = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &router, &address, &[0; 6], &address].concat();
    let frame = [&[0xff; 6][..], &router, &[8, 6], &arp].concat();
    [frame, vec![0; 18]].concat()
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_address_that_somebody_else_has_taken_over_is_not_the_guest_s_any_more() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _belief = believe(&lab, guest, TAKEN)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--json"])?;
    {
        let _borrowed = guest.use_address(TAKEN)?;
        // The outside world asks, and the switches learn where it is.
        ensure!(ping(&lab, guest, 3)? > 0, "the guest does not answer under its new address");
    }
    // A frame of the guest's own may come back this late; silence has no event to wait for.
    std::thread::sleep(Duration::from_millis(120));
    lab.in_wire(|| frames::send(&lab.wire.interface, &[announcement()]))?;
    ensure!(ping(&lab, guest, PINGS)? == 0, "somebody has the address");
    let report = tracer.finish()?;
    let ledger = report.ingress().ledger;
    ensure!(ledger.entered <= 3, "{ledger}");
    ledger.expect(&Ledger { completed: ledger.entered, lost: 0, ..ledger })?;
    Ok(())
}
