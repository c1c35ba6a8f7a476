//! Addresses behind the port that are not the port's own: counted, learned, and followed where that is wanted.

use hoptrace_tests::frames;
use hoptrace_tests::prelude::*;

/// A virtual router's (VRRP).
const VRRP: &str = "00:00:5e:00:01:33";
/// Another one, which the wire takes over: the switches remember that.
const TAKEN: &str = "00:00:5e:00:01:34";
const PINGS: u64 = 100;
/// The exit code of a report that does not answer the question.
const INCONCLUSIVE: i32 = 4;

/// The outside world believes that the guest has the address `mac`.
fn believe(lab: &Lab, guest: &Guest, mac: &str) -> Result<Trap> {
    let (netns, to, from) = (&lab.wire.netns, guest.ipv4.to_string(), &lab.wire.interface);
    let set = ["-n", netns, "neigh", "replace", &to, "lladdr", mac, "dev", from, "nud", "permanent"];
    Trap::set("ip", &set, &["-n", netns, "neigh", "del", &to, "dev", from])
}

/// Pings the guest from outside; gives how many replies came.
fn ping(lab: &Lab, guest: &Guest, count: u64) -> Result<u64> {
    let words = ["-q", "-c", &count.to_string(), "-i", "0.01", "-W", "1", &guest.ipv4.to_string()];
    let said = String::from_utf8(lab.wire("ping", words).output()?.stdout)?;
    let received = said.split(" received").next().and_then(|said| said.rsplit(' ').next());
    Ok(received.context("ping said nothing")?.parse()?)
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
    ensure!(ping(&lab, guest, PINGS)? == PINGS, "not all were answered");
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
    lab.in_wire(|| frames::send(&lab.wire.interface, &[announcement()], Duration::ZERO))?;
    ensure!(ping(&lab, guest, PINGS)? == 0, "somebody has the address");
    let report = tracer.finish()?;
    let ledger = report.ingress().ledger;
    ensure!(ledger.entered <= 3, "{ledger}");
    ledger.expect(&Ledger { completed: ledger.entered, lost: 0, ..ledger })?;
    Ok(())
}
