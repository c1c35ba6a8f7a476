//! Counters of the host that rise while packets are traced are told as evidence, and nothing else is.

use std::{net::Ipv4Addr, process::Command, time::Instant};

use hoptrace_tests::faults::{Ends, send_with_bad_checksum};
use hoptrace_tests::prelude::*;

/// Datagrams sent into the trap.
const DOOMED: u64 = 200;
/// Their port.
const DOOMED_PORT: u16 = 4444;

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn without_loss_there_is_no_evidence() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--json"])?;
    lab.wire_ping(guest, 50, Duration::from_millis(10))?;
    let report = tracer.finish()?;
    // What else comes by on the NIC is not ours to know; on the VM's own interfaces there is nothing else.
    ensure!(report.evidence.iter().all(|it| it.shared), "{:?}", report.evidence);
    ensure!(report.notes.is_empty(), "{:?}", report.notes);
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn what_the_tap_counts_is_told_beside_what_died_there() -> Result<()> {
    const SENT: u64 = 2_000;
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    guest.sink_reset()?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "and", "port", "9", "--json"])?;
    lab.introduce(guest)?;
    let before = InterfaceCounts::of(&guest.tap)?;
    let frozen = guest.freeze()?;
    let on_bridge = InterfaceCounts::of(&guest.qvb)?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), SENT, 64, Duration::from_micros(500))?;
    // The last ones may be on their way still.
    on_bridge.wait_for_received(&guest.qvb, SENT)?;
    let dropped = InterfaceCounts::of(&guest.tap)?.since(&before).tx_dropped;
    drop(frozen);
    guest.sink_wait(SENT - dropped, Duration::from_secs(30))?;
    let report = tracer.finish_drops()?;
    let found = report.told_at(&guest.tap, "tx_dropped")?;
    ensure!(found.count >= dropped && dropped > 0, "{dropped} dropped: {found}");
    ensure!(found.source == "interface" && !found.shared, "{found}");
    found.means("did not take")?;
    // Beside the ledger, not in it.
    let ledger = report.ingress().ledger;
    ledger.expect(&Ledger { dropped, ..ledger })?;
    Ok(())
}

/// A coverage counter of ovs-vswitchd; its threads add to it about once a second.
fn coverage(counter: &str) -> Result<u64> {
    let output = Command::new("ovs-appctl").args(["coverage/read-counter", counter]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_ovs_vswitchd_drops_itself_is_told_by_its_own_counter() -> Result<()> {
    const COUNTER: &str = "drop_action_of_pipeline";
    let lab = Lab::from_env()?;
    if lab.datapath == "system" {
        // The kernel drops there, and says so itself: `losses` is about that.
        return Ok(());
    }
    let guest = lab.guest("yjwang-test-1")?;
    let _trap =
        Trap::flow(&lab.integration_bridge, &format!("priority=1000,udp,tp_dst={DOOMED_PORT}"), "drop")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
    let before = coverage(COUNTER)?;
    lab.wire_udp_flood((guest.ipv4, DOOMED_PORT).into(), DOOMED, 64, Duration::from_millis(1))?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while coverage(COUNTER)? < before + DOOMED {
        ensure!(Instant::now() < deadline, "{} counted of {DOOMED}", coverage(COUNTER)? - before);
        std::thread::sleep(Duration::from_millis(50));
    }
    let report = tracer.finish()?;
    let found = report.told_at("ovs-vswitchd", COUNTER)?;
    ensure!(found.count >= DOOMED && found.shared, "{found}");
    found.means("OpenFlow rules")?;
    ensure!(report.ingress().ledger.lost == DOOMED, "{report}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_the_userspace_datapath_s_sockets_had_no_room_for_is_told_beside_the_loss() -> Result<()> {
    const SENT: u64 = 3_000;
    const COUNTER: &str = "packet socket full";
    let lab = Lab::from_env()?;
    if lab.datapath == "system" {
        // It receives without sockets.
        return Ok(());
    }
    let guest = lab.guest("yjwang-test-1")?;
    lab.introduce(guest)?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--timeout", "4s", "--json"])?;
    let stopped = Trap::set(
        "sh",
        &["-c", "kill -STOP $(pidof ovs-vswitchd)"],
        &["-c", "kill -CONT $(pidof ovs-vswitchd)"],
    )?;
    let at_nic = InterfaceCounts::of(&lab.nic)?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), SENT, 1_000, Duration::ZERO)?;
    at_nic.wait_for_received(&lab.nic, SENT)?;
    drop(stopped);
    let report = tracer.finish_drops()?;
    let ledger = report.ingress().ledger;
    ledger.balances()?;
    let found = report.told_at(&lab.nic, COUNTER)?;
    // Of all VMs.
    let lost = ledger.lost;
    ensure!(lost > 0 && found.count >= lost && found.source == "socket", "{lost}: {found}");
    report.first()?.says(&format!("{} {COUNTER} (", lab.nic))?;
    Ok(())
}

/// The last request is old enough by the time its sender gives up waiting for a reply.
const PATIENCE: &str = "200ms";

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn a_guest_that_does_not_answer_is_told_with_the_number_of_its_requests() -> Result<()> {
    const PINGS: u64 = 30;
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let to = guest.ipv4.to_string();
    let ping = |count: &str| lab.wire("ping", ["-q", "-c", count, "-i", "0.01", "-W", "1", &to]).output();
    ensure!(ping("1")?.status.success(), "the guest is silent without a reason");
    let tracer = Tracer::start(&["drops", &guest.port_id, "icmp", "--timeout", PATIENCE, "--json"])?;
    lab.wire_ping(guest, 20, Duration::from_millis(10))?;
    let frozen = guest.freeze()?;
    ensure!(!ping(&PINGS.to_string())?.status.success(), "a guest that is frozen answers");
    let report = tracer.finish_drops()?;
    drop(frozen);
    let found = report.told_at(&guest.tap, "echo_unanswered")?;
    ensure!(found.count == PINGS && found.of == Some(PINGS + 20), "{found}");
    ensure!(found.source == "tap" && !found.shared, "{found}");
    found.means("the guest sent no reply")?;
    // They arrived: nothing of it is a loss.
    let ingress = report.ingress();
    ensure!(ingress.drops.is_empty() && ingress.ledger.completed == PINGS + 20, "{ingress}");
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn replies_behind_the_last_packet_admitted_are_replies() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    // Fewer packets than requests: the last ones' replies are not followed any more.
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "-c", "7", "--timeout", "10ms", "--json"])?;
    lab.wire_ping(guest, 20, Duration::from_millis(50))?;
    let ended = tracer.wait()?;
    let report = Report::read(&ended.stdout)?;
    let found = report.evidence_at(&guest.tap, "echo_unanswered");
    ensure!(found.is_none(), "{found:?}");
    ensure!(report.ingress().ledger.entered > 0, "{report}");
    Ok(())
}

/// Broadcasts for the guest's address; three, a second apart, and gives up another second later.
fn ask_everybody(lab: &Lab, guest: &Guest) -> Result<()> {
    let to = guest.ipv4.to_string();
    let forgot = lab.wire("ip", ["neigh", "flush", "to", &to]).output()?;
    ensure!(forgot.status.success(), "{}", String::from_utf8_lossy(&forgot.stderr));
    let ping = lab.wire("ping", ["-q", "-c", "1", "-W", "5", &to]).output()?;
    ensure!(!ping.status.success(), "a guest that is frozen answers");
    Ok(())
}

/// The same to its MAC address: where OVSDB alone names the ports, the guest's addresses are not known, and broadcasts are
/// not followed.
fn ask_the_guest(lab: &Lab, guest: &Guest) -> Result<()> {
    let (to, mac, from) = (guest.ipv4.to_string(), guest.mac.as_str(), lab.wire.interface.as_str());
    let probe = ["neigh", "replace", &to, "lladdr", mac, "dev", from, "nud", "probe"];
    let probe = lab.wire("ip", probe).output()?;
    ensure!(probe.status.success(), "{}", String::from_utf8_lossy(&probe.stderr));
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let state = lab.wire("ip", ["neigh", "show", "to", &to]).output()?;
        let state = String::from_utf8_lossy(&state.stdout).into_owned();
        if !state.contains("PROBE") {
            ensure!(state.is_empty() || state.contains("FAILED"), "a guest that is frozen answers: {state}");
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{state}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn arp_that_the_guest_does_not_answer_is_told_with_the_address() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let to = guest.ipv4.to_string();
    let tracer = Tracer::start(&["trace", &guest.port_id, "arp", "--timeout", PATIENCE, "--json"])?;
    let frozen = guest.freeze()?;
    if guest.nic_pid.is_none() {
        ask_everybody(&lab, guest)?;
    } else {
        ask_the_guest(&lab, guest)?;
    }
    let report = tracer.finish()?;
    drop(frozen);
    let found = report.told_at(&guest.tap, "arp_unanswered")?;
    ensure!(found.count >= 2 && found.of == Some(found.count), "{found}");
    ensure!(found.about.as_ref() == Some(&to), "{found}");
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn arp_of_the_guest_that_nobody_answers_is_told_with_the_address() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let [a, b, c, _] = guest.ipv4.octets();
    let nobody = Ipv4Addr::new(a, b, c, 77);
    let asked = nobody.to_string();
    let words = ["trace", &guest.port_id, "arp", "and", "host", &asked, "--timeout", PATIENCE, "--json"];
    let tracer = Tracer::start(&words)?;
    let ping = guest.ping(nobody.into(), 4, Duration::from_secs(1));
    ensure!(ping.as_ref().map_or(true, |report| report.received == 0), "{ping:?}");
    let report = tracer.finish()?;
    let found = report.told_at(&guest.tap, "arp_of_guest_unanswered")?;
    ensure!(found.count >= 2 && found.about == Some(asked), "{found}");
    report.finding("nothing-comes-back")?.suggests("capture at the physical switch's port")?;
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn packets_with_a_wrong_checksum_are_counted_at_the_tap() -> Result<()> {
    const WRONG: u64 = 40;
    const RIGHT: u64 = 30;
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--json"])?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), RIGHT, 65, Duration::from_millis(2))?;
    let ends = Ends { from: lab.wire.ipv4, from_port: DOOMED_PORT, to: guest.ipv4, port: DOOMED_PORT };
    lab.in_wire(|| send_with_bad_checksum(ends, WRONG / 2, 65))?;
    // More than one piece of what the program sums up at a time, and an odd number of bytes.
    lab.in_wire(|| send_with_bad_checksum(ends, WRONG / 2, 1_401))?;
    let report = tracer.finish_drops()?;
    let found = report.told_at(&guest.tap, "checksum_wrong")?;
    ensure!(found.count == WRONG && found.about.as_deref() == Some("UDP"), "{found}");
    // Where the sender leaves checksums to an offload that never comes, nobody has to check them; but Open vSwitch computes
    // that of a packet that it asks its daemon about.
    let checked = found.of.context("of how many?")?;
    let least = if lab.datapath == "system" { WRONG } else { WRONG + RIGHT };
    ensure!((least..=WRONG + RIGHT).contains(&checked), "{found}");
    // They did arrive.
    let ledger = report.ingress().ledger;
    ensure!(ledger.completed == WRONG + RIGHT && ledger.lost == 0, "{ledger}");
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn right_checksums_of_every_protocol_are_right() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "--json"])?;
    for to in [guest.ipv4.into(), guest.ipv6.into()] {
        lab.wire_ping_to(to, 20, &["-i", "0.01", "-s", "1101"])?;
    }
    lab.wire_udp_flood((guest.ipv4, 9).into(), 30, 1_001, Duration::from_millis(2))?;
    lab.wire_udp_flood((guest.ipv6, 9).into(), 30, 77, Duration::from_millis(2))?;
    let sink = lab.wire_tcp_sink(5_010)?;
    guest.send_tcp((lab.wire.ipv4.into(), 5_010), 100_000)?;
    sink.finish()?;
    let report = tracer.finish()?;
    let found = report.evidence_at(&guest.tap, "checksum_wrong");
    ensure!(found.is_none(), "{found:?}");
    ensure!(report.ingress().ledger.completed >= 100, "{report}");
    Ok(())
}
