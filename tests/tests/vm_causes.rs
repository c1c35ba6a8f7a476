//! Causes of loss that the kernel's Open vSwitch counts and does not name for each packet.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    process::Command,
};

use hoptrace_tests::exchange::SINK_PORT;
use hoptrace_tests::prelude::*;
use hoptrace_tests::report::Evidence;

/// More than the queue between the datapath and `ovs-vswitchd` holds.
const FLOOD: u64 = 12_000;
const PORT: u16 = 4444;

fn evidence<'a>(report: &'a DropsReport, source: &str) -> Option<&'a Evidence> {
    report.evidence.iter().find(|it| it.source == source)
}

/// Packets whose upcall the datapath could not queue, by `ovs-dpctl`.
fn lost_upcalls() -> Result<u64> {
    let output = Command::new("ovs-dpctl").arg("show").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lost = text.split_whitespace().find_map(|word| word.strip_prefix("lost:"));
    lost.with_context(|| text.clone())?.parse().with_context(|| text.clone())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn an_overflow_of_upcalls_is_told_by_the_datapath_s_own_counters() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--timeout", "4s", "--json"])?;
    let before = lost_upcalls()?;
    let stopped = Trap::set(
        "sh",
        // In this order: any packet would teach the datapath its flow again.
        &["-c", "kill -STOP $(pidof ovs-vswitchd); ovs-dpctl del-flows"],
        &["-c", "kill -CONT $(pidof ovs-vswitchd); ovs-appctl revalidator/wait"],
    )?;
    lab.wire_udp_flood((guest.ipv4, PORT).into(), FLOOD, 64, Duration::ZERO)?;
    let lost = lost_upcalls()? - before;
    drop(stopped);
    let report = tracer.finish_drops()?;
    ensure!(lost > 0, "nothing was lost");
    let datapath = evidence(&report, "datapath").context("the datapath's counter is not told")?;
    ensure!(datapath.counter == "lost" && datapath.count >= lost, "{lost}: {datapath}");
    ensure!(datapath.shared, "{datapath}");
    datapath.means("upcall queue overflow")?;
    // From kernel 6.3 on, which of its ports they came in at.
    if let Some(port) = evidence(&report, "datapath-port") {
        ensure!(port.at == lab.nic && port.count >= lost, "{lost}: {port}");
    } else {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        ensure!(release.starts_with("6.1."), "{release} counts failed upcalls per port");
    }
    report.ingress().ledger.balances()
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn a_daemon_that_hangs_is_noted_and_the_trace_goes_on() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--json"])?;
    lab.wire_ping(guest, 20, Duration::from_millis(10))?;
    let stopped = Trap::set(
        "sh",
        &["-c", "kill -STOP $(pidof ovs-vswitchd)"],
        &["-c", "kill -CONT $(pidof ovs-vswitchd)"],
    )?;
    let report = tracer.finish()?;
    drop(stopped);
    let notes = &report.notes;
    ensure!(notes.iter().any(|note| note.contains("ovs-vswitchd: no answer")), "{notes:?}");
    report.ingress().ledger.balances()
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn connections_that_the_guest_s_firewall_ignores_are_told() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let netns = guest.netns_path()?;
    let rule = |action: &str| {
        format!("nsenter --net={} iptables {action} INPUT -p tcp --dport {PORT} -j DROP", netns.display())
    };
    let _firewall = Trap::set("sh", &["-c", &rule("-A")], &["-c", &rule("-D")])?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "tcp", "--timeout", "200ms", "--json"])?;
    let to = SocketAddr::from((guest.ipv4, PORT));
    // SYNs at once and a second later; the last is old enough when it gives up.
    let outcome = lab.in_wire(|| Ok(TcpStream::connect_timeout(&to, Duration::from_secs(2)).err()))?;
    ensure!(outcome.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut), "it connected");
    let report = tracer.finish()?;
    let mut found = report.evidence.iter();
    let silence = found.find(|it| it.counter == "connection_unanswered").context("not told")?;
    ensure!(silence.count >= 2 && silence.of == Some(silence.count), "{silence}");
    ensure!(silence.at == guest.tap, "{silence}");
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn what_is_too_large_for_the_nic_is_told_with_both_figures() -> Result<()> {
    const SENT: u64 = 50;
    const LARGE_BYTES: usize = 1_430;
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let mtu = |bytes: &'static str| ["link", "set", "dev", lab.nic.as_str(), "mtu", bytes];
    let _smaller = Trap::set("ip", &mtu("1400"), &mtu("1500"))?;
    // The datapath learns its flow from a packet that is small enough.
    guest.send_udp((lab.wire.ipv4.into(), PORT), 1, 64, Duration::ZERO)?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--timeout", "4s", "--json"])?;
    guest.send_udp((lab.wire.ipv4.into(), PORT), SENT, LARGE_BYTES, Duration::from_millis(1))?;
    let report = tracer.finish_drops()?;
    let egress = report.egress();
    // The emulated guest may not get all of them out.
    let drop = egress.only_drop()?;
    ensure!(drop.after == "qvo" && drop.count == egress.ledger.entered, "{egress}");
    let figures = format!("has {} bytes, and the MTU of {} is 1400", LARGE_BYTES + 28, lab.nic);
    drop.advises(&figures)
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn limits_of_the_switch_are_named_where_they_drop() -> Result<()> {
    const SENT: u64 = 3_000;
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let qvo = guest.qvo.as_str();
    let port = format!("port {qvo}");
    let sets = |words: &str| words.replace("PORT", &port).replace("INTERFACE", &format!("interface {qvo}"));
    let set = |on: &str, off: &str| {
        let [on, off] = [on, off].map(|words| format!("ovs-vsctl {}", sets(words)));
        Trap::set("sh", &["-c", &on], &["-c", &off])
    };
    let traced = |send: &dyn Fn() -> Result<()>| {
        let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--timeout", "4s", "--json"])?;
        send()?;
        tracer.finish_drops()
    };
    let _sink = lab.wire_udp_sink(SINK_PORT)?;
    // The datapath has learned its flows.
    lab.wire_udp_flood((guest.ipv4, SINK_PORT).into(), 1, 64, Duration::ZERO)?;
    guest.send_udp((lab.wire.ipv4.into(), SINK_PORT), 1, 64, Duration::ZERO)?;

    let policed = set(
        "set INTERFACE ingress_policing_rate=1000 ingress_policing_burst=100",
        "set INTERFACE ingress_policing_rate=0 ingress_policing_burst=0",
    )?;
    let report =
        traced(&|| guest.send_udp((lab.wire.ipv4.into(), SINK_PORT), SENT, 400, Duration::ZERO).map(drop))?;
    drop(policed);
    let egress = report.egress();
    let by_policer = egress.only_drop()?;
    ensure!(by_policer.after == "qvo" && by_policer.count > 0, "{egress}");
    by_policer.advises(&format!(
        "{qvo} lets 1 Mbit/s through from the VM (Open vSwitch's ingress_policing_rate)"
    ))?;
    egress.ledger.balances()?;

    // A sender waits for what of its own is queued: less than that must fill the queue, whose length is taken from here when it is made.
    let queue = |packets: &'static str| ["link", "set", "dev", qvo, "txqueuelen", packets];
    let _shorter = Trap::set("ip", &queue("20"), &queue("1000"))?;
    let _shaped = set(
        "set PORT qos=@it -- --id=@it create qos type=linux-htb other-config:max-rate=2000000",
        "clear PORT qos -- --all destroy qos",
    )?;
    let report =
        traced(&|| lab.wire_udp_flood((guest.ipv4, SINK_PORT).into(), SENT, 400, Duration::ZERO).map(drop))?;
    let ingress = report.ingress();
    // The kernel frees some of them in the same function's other branch.
    ensure!(!ingress.drops.is_empty(), "{ingress}");
    for by_queue in &ingress.drops {
        ensure!(by_queue.after == "qvo" && by_queue.reason.as_deref() == Some("QDISC_DROP"), "{ingress}");
        by_queue.advises("is full: it lets 2 Mbit/s through to the VM (Open vSwitch's QoS linux-htb)")?;
    }
    ingress.ledger.balances()
}
