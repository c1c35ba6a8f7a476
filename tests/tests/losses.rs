//! Packets dropped on purpose: after the right hook, for the kernel's own reason, in the right number, and nothing else is.

use std::{process::Command, time::Instant};

use hoptrace_tests::prelude::*;

/// Datagrams sent into the trap.
const DOOMED: u64 = 200;
/// Their port.
const DOOMED_PORT: u16 = 4444;
/// Their length on the wire: 64 bytes of payload, and the headers of UDP, IPv4 and Ethernet.
const DOOMED_LEN: u64 = 64 + 8 + 20 + 14;
/// Pings beside them, which must come through.
const INNOCENT: u64 = 100;

/// Sends into the trap from both sides, with innocent traffic beside it, and gives the report.
fn trace_doomed(lab: &Lab, guest: &Guest, command: &str) -> Result<DropsReport> {
    // An upcall of Open vSwitch can take more than a second on an emulated machine.
    let tracer = Tracer::start(&[command, &guest.port_id, "--timeout", "4s", "--json"])?;
    let sink = lab.wire_udp_sink(DOOMED_PORT)?;
    lab.wire_udp_flood((guest.ipv4, DOOMED_PORT).into(), DOOMED, 64, Duration::from_millis(1))?;
    let sent = guest.send_udp((lab.wire.ipv4.into(), DOOMED_PORT), DOOMED, 64, Duration::from_millis(1))?;
    ensure!(sent.sent == DOOMED, "{sent:?}");
    lab.wire_ping(guest, 100, Duration::from_millis(5))?;
    let through = sink.finish(0, Duration::ZERO)?;
    ensure!(through.datagrams == 0, "the trap let {} datagrams through", through.datagrams);
    tracer.finish_drops()
}

/// Why packets died, as the report is to say it.
#[derive(Debug, Clone, Copy)]
enum Cause {
    /// Nothing in the kernel freed them.
    Lost,
    /// The kernel did: subsystem, reason, and a part of the advice.
    Dropped(Option<&'static str>, &'static str, &'static str),
}

/// The direction's doomed died after `after`, for that cause, and nothing else did; the innocent came through.
fn assert_died(report: &DropsReport, direction: Direction, after: &str, cause: Cause) -> Result<()> {
    let found = report.direction(direction);
    let drop = found.only_drop().context(direction)?;
    ensure!(drop.after == after && drop.count == DOOMED, "{direction}: {found}");
    ensure!(drop.first_ns < drop.last_ns, "{direction}: {drop}");
    let (lost, dropped) = match cause {
        Cause::Lost => {
            let none = [&drop.reason, &drop.subsystem, &drop.location, &drop.advice];
            ensure!(none.iter().all(|it| it.is_none()) && drop.example.is_none(), "{direction}: {drop}");
            ensure!(drop.cpus.is_empty(), "{direction}: {drop}");
            (DOOMED, 0)
        }
        Cause::Dropped(subsystem, reason, advice) => {
            ensure!(drop.reason.as_deref() == Some(reason), "{direction}: {drop}");
            ensure!(drop.subsystem.as_deref() == subsystem, "{direction}: {drop}");
            let location = drop.location.as_deref().context("no location")?;
            ensure!(location.contains("+0x"), "{direction}: no function: {location}");
            drop.advises(advice).context(direction)?;
            ensure!(drop.example_port() == Some(DOOMED_PORT), "{direction}: {drop}");
            let example = drop.example.as_ref().context("no example")?;
            ensure!(example.protocol == "udp" && example.len_bytes == DOOMED_LEN, "{direction}: {drop}");
            (0, DOOMED)
        }
    };
    let ledger = found.ledger;
    let expected = Ledger {
        lost,
        dropped,
        entered: ledger.completed + DOOMED,
        joined_midway: 0,
        evicted: 0,
        ambiguous: 0,
        untracked: 0,
        in_flight: 0,
        ..ledger
    };
    ledger.expect(&expected).context(direction)?;
    ensure!(ledger.completed >= INNOCENT, "{direction}: {ledger}");
    ensure!(report.drops_without_site == 0, "{}", report.drops_without_site);
    Ok(())
}

/// The rule that drops the doomed on a bridge, in ebtables' words behind `-A` or `-D`.
fn bridge_trap() -> Result<Trap> {
    let port = DOOMED_PORT.to_string();
    let rule = ["FORWARD", "-p", "IPv4", "--ip-proto", "udp", "--ip-dport", &port, "-j", "DROP"];
    let words = |action: &'static str| [&[action][..], &rule].concat();
    Trap::set("ebtables-nft", &words("-A"), &words("-D"))
}

/// Makes the kernel's datapath learn its flows for the doomed, and keep them: a packet that vswitchd drops when it is
/// asked about it is lost without a reason, only the next ones meet the flow.
fn teach_the_datapath(lab: &Lab, guest: &Guest) -> Result<Trap> {
    let remembers = Trap::lasting_flows()?;
    lab.wire_udp_flood((guest.ipv4, DOOMED_PORT).into(), 1, 64, Duration::ZERO)?;
    guest.send_udp((lab.wire.ipv4.into(), DOOMED_PORT), 1, 64, Duration::ZERO)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let flows = Command::new("ovs-appctl").args(["dpctl/dump-flows"]).output()?;
        let flows = String::from_utf8_lossy(&flows.stdout).into_owned();
        let doomed = flows.lines().filter(|flow| flow.contains("actions:drop") && flow.contains("dst=4444"));
        if doomed.count() == 2 {
            return Ok(remembers);
        }
        ensure!(Instant::now() < deadline, "no flows for the doomed:\n{flows}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The first kernel whose Open vSwitch says that, and why, it drops; older ones free such packets as if all were well.
const OVS_REASONS: (u32, u32) = (6, 6);

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn an_openflow_drop_rule_ends_packets_after_qvo_and_after_the_nic() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _trap =
        Trap::flow(&lab.integration_bridge, &format!("priority=1000,udp,tp_dst={DOOMED_PORT}"), "drop")?;
    let _remembers = if lab.datapath == "system" { Some(teach_the_datapath(&lab, guest)?) } else { None };
    let report = trace_doomed(&lab, guest, "trace")?;
    // Where vswitchd itself drops, the kernel has no reason. Its own copies of the frames it drops all the time: that
    // must not be taken for one.
    let names_its_reasons = kernel_version()? >= OVS_REASONS;
    let cause = |bridge| match lab.datapath.as_str() {
        "system" if names_its_reasons => Cause::Dropped(Some("openvswitch"), "LAST_ACTION", bridge),
        _ => Cause::Lost,
    };
    assert_died(&report, Egress, "qvo", cause("br-int"))?;
    assert_died(&report, Ingress, "nic", cause("br-ex"))?;
    if lab.datapath != "system" {
        for (direction, found) in report.directions.both() {
            let copies = found.ledger.copy_dropped;
            ensure!(copies >= DOOMED, "{direction}: {copies} copies");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn a_bridge_rule_drops_packets_between_tap_and_qvb() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _trap = bridge_trap()?;
    // Both commands tell the same.
    for command in ["trace", "drops"] {
        let report = trace_doomed(&lab, guest, command)?;
        ensure!(report.schema == format!("hoptrace.{command}/2"), "{}", report.schema);
        // Where there is no security group, none is named.
        ensure!(!report.to_string().contains("neutron-"), "{report}");
        let rule = Cause::Dropped(None, "NETFILTER_DROP", "filter, chain FORWARD, ");
        let counter = Cause::Dropped(None, "NETFILTER_DROP", "whose counter rose by 400 in all");
        for (direction, after) in [(Egress, "tap"), (Ingress, "qvb")] {
            assert_died(&report, direction, after, rule)?;
            assert_died(&report, direction, after, counter)?;
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn drops_are_told_by_the_cpu_that_freed_them() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _trap = bridge_trap()?;
    let cpus = std::thread::available_parallelism().context("count CPUs")?.get();
    let port = DOOMED_PORT.to_string();
    // One CPU after the other, and a part of the last ones on the first.
    let shares = [(cpus - 1, DOOMED), (0, DOOMED / 4)];
    for shares in [&shares[..1], &shares[..]] {
        let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "and", "port", &port, "--json"])?;
        let mut expected = std::collections::BTreeMap::new();
        for (cpu, count) in shares {
            let _pinned = guest.pin(*cpu)?;
            let before = InterfaceCounts::of(&guest.tap)?;
            let sent =
                guest.send_udp((lab.wire.ipv4.into(), DOOMED_PORT), *count, 64, Duration::from_millis(1))?;
            ensure!(sent.sent == *count, "{sent:?}");
            before.wait_for_received(&guest.tap, *count)?;
            *expected.entry(*cpu).or_insert(0) += count;
        }
        let report = tracer.finish_drops()?;
        let drop = report.egress().only_drop()?;
        let on_cpus: Vec<_> = drop.cpus.iter().map(|on| (on.cpu, on.count)).collect();
        ensure!(on_cpus == Vec::from_iter(expected.clone()), "{expected:?}: {drop}");
        ensure!(drop.count == expected.values().sum::<u64>(), "{drop}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn packets_that_die_in_bursts_are_told_as_such() -> Result<()> {
    const BURSTS: u64 = 4;
    const PAUSE: Duration = Duration::from_millis(800);
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _trap = bridge_trap()?;
    let port = DOOMED_PORT.to_string();
    let words = ["drops", &guest.port_id, "udp", "and", "port", &port, "--timeout", "4s", "--json"];
    let tracer = Tracer::start(&words)?;
    let began = Instant::now();
    for burst in 0..BURSTS {
        if burst > 0 {
            // How long nothing dies is what is tested.
            std::thread::sleep(PAUSE);
        }
        lab.wire_udp_flood((guest.ipv4, DOOMED_PORT).into(), DOOMED / BURSTS, 64, Duration::ZERO)?;
    }
    let took = began.elapsed();
    let report = tracer.finish_drops()?;
    let drop = report.ingress().only_drop()?;
    ensure!(drop.count == DOOMED, "{drop}");
    let bursts = drop.bursts.with_context(|| format!("no bursts: {drop}"))?;
    // A machine that stands still for a moment cuts one in two.
    ensure!((BURSTS..=BURSTS + 1).contains(&bursts.count), "{bursts:?}");
    ensure!(u128::from(bursts.longest_ns) < PAUSE.as_nanos(), "{bursts:?}");
    let gaps = u128::from(bursts.count - 1) * u128::from(bursts.every_ns);
    // The first look at a burst is up to a tenth of a second late.
    let least = (PAUSE * u32::try_from(BURSTS - 1)?).saturating_sub(Duration::from_millis(200));
    ensure!(
        (least.as_nanos()..=(took + Duration::from_millis(200)).as_nanos()).contains(&gaps),
        "{bursts:?} in {took:?}"
    );
    Ok(())
}

/// Packets that an interface had no room for on their way out.
fn refused(ifname: &str) -> Result<u64> {
    let path = format!("/sys/class/net/{ifname}/statistics/tx_dropped");
    Ok(std::fs::read_to_string(&path).with_context(|| path)?.trim().parse()?)
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn a_guest_that_does_not_drain_its_queue_is_named() -> Result<()> {
    const SENT: u64 = 2_000;
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    guest.sink_reset()?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "and", "port", "9", "--json"])?;
    let before = refused(&guest.tap)?;
    lab.introduce(guest)?;
    let frozen = guest.freeze()?;
    let on_bridge = InterfaceCounts::of(&guest.qvb)?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), SENT, 64, Duration::from_micros(500))?;
    // The last ones may be on their way still.
    on_bridge.wait_for_received(&guest.qvb, SENT)?;
    let dropped = refused(&guest.tap)? - before;
    ensure!(dropped > 0 && dropped < SENT, "{dropped} of {SENT} dropped at {}", guest.tap);
    drop(frozen);
    let arrived = guest.sink_wait(SENT - dropped, Duration::from_secs(30))?.datagrams;
    let report = tracer.finish()?;
    let found = report.ingress();
    ensure!(arrived == SENT - dropped, "{arrived} arrived, {dropped} dropped: {found}");
    let drop = found.only_drop()?;
    ensure!(drop.after == "tap" && drop.count == dropped, "{drop}");
    ensure!(drop.reason.as_deref() == Some("FULL_RING"), "{drop}");
    ensure!(drop.location.as_ref().is_some_and(|place| place.contains("tun_net_xmit")), "{drop}");
    drop.advises("does not drain")?;
    ensure!(drop.example_port() == Some(9), "{drop}");
    let ledger = found.ledger;
    ledger.expect(&Ledger { entered: SENT, completed: arrived, dropped, lost: 0, ..ledger })?;
    ensure!(report.egress().drops.is_empty(), "{}", report.egress());
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn without_loss_nothing_is_dropped_however_many_copies_are() -> Result<()> {
    const PINGS: u64 = 1_000;
    let lab = Lab::from_env()?;
    // Not the guest that other tests here send datagrams to: it may still say that nobody takes them, and that is ICMP, too.
    let guest = lab.guest("yjwang-test-2")?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "icmp", "--json"])?;
    lab.wire_ping(guest, PINGS, Duration::from_millis(2))?;
    let report = tracer.finish_drops()?;
    for (direction, found) in report.directions.both() {
        ensure!(found.drops.is_empty(), "{direction}: {found}");
        let ledger = found.ledger;
        ledger.expect(&Ledger { completed: PINGS, dropped: 0, lost: 0, ..ledger }).context(direction)?;
        // The host drops its own copy of what a userspace datapath takes.
        let copies = ledger.copy_dropped;
        ensure!(lab.datapath == "system" || copies >= PINGS, "{direction}: {copies} copies");
    }
    Ok(())
}
