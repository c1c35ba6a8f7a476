//! The slow path of the kernel's OVS datapath: packets it has no flow for go to user space and come back, and have figures
//! of their own. Witness is the datapath's own count of misses.

use std::time::Instant;

use hoptrace_tests::prelude::*;
use hoptrace_tests::report::{Latencies, Segment, Upcalls};

const SLOW_PINGS: u64 = 20;
const FAST_PINGS: u64 = 100;
const DATAGRAMS: u64 = 3_000;
const TCP_BYTES: u64 = 1_000_000;
/// The segment through the switch, per direction.
const SWITCH: [Switch; 2] = [(Egress, "qvo", "nic"), (Ingress, "nic", "qvo")];
const LEARNING_LIMIT: Duration = Duration::from_secs(20);

fn guest(lab: &Lab) -> Result<&Guest> {
    ensure!(lab.datapath == "system", "the datapath is {}, not the kernel's", lab.datapath);
    lab.guest("yjwang-test-1")
}

fn ping(lab: &Lab, guest: &Guest, count: u64) -> Result<()> {
    lab.wire_ping(guest, count, Duration::from_millis(10))
}

fn trace_pings(guest: &Guest) -> Result<Tracer> {
    Tracer::start(&["trace", &guest.port_id, "icmp", "--json"])
}

/// Sends until the datapath knows a flow for whatever comes, and keeps it: a tracer may take longer to start than an unused flow
/// stays.
fn teach(lab: &Lab, send: impl Fn() -> Result<()>) -> Result<Trap> {
    let lasting = Trap::lasting_flows()?;
    let began = Instant::now();
    loop {
        lab.datapath_revalidated()?;
        let before = lab.datapath_counts()?.missed;
        send()?;
        lab.datapath_revalidated()?;
        if lab.datapath_counts()?.missed == before {
            return Ok(lasting);
        }
        ensure!(began.elapsed() < LEARNING_LIMIT, "the datapath does not learn its flows");
    }
}

type Switch = (Direction, &'static str, &'static str);

/// Packets of a segment: all, by the fast path, by the slow one; both make up all, and other segments do not tell them apart.
fn counts(report: &Report, (direction, from, to): Switch) -> Result<(u64, u64, u64)> {
    let found = report.direction(direction);
    for segment in found.on_path().filter(|segment| !segment.is(from, to)) {
        ensure!(segment.slow_path.is_none() && segment.fast_path.is_none(), "{segment}");
    }
    let segment = found.segment(from, to)?;
    let no_count = || format!("no count in {segment}");
    let count = |of: Option<Latencies>| of.map(|it| it.count).with_context(no_count);
    let (all, fast, slow) = (segment.count, count(segment.fast_path)?, count(segment.slow_path)?);
    ensure!(fast + slow == all, "{direction}: {fast} + {slow} of {all}");
    found.ledger.balances().context(direction)?;
    Ok((all, fast, slow))
}

/// The median of a switch's fast or slow path, which `path` gives.
fn p50(
    report: &Report,
    (direction, from, to): Switch,
    path: fn(&Segment) -> Option<Latencies>,
) -> Option<u64> {
    let segment = report.direction(direction).segment(from, to).ok()?;
    Some(path(segment)?.latency_ns?.p50)
}

fn upcalls(report: &Report) -> Result<Upcalls> {
    report.upcalls.with_context(|| format!("no upcalls in {report}"))
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn each_packet_without_a_flow_is_slow_and_no_other() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = guest(&lab)?;
    ping(&lab, guest, 3)?;

    let before_all = lab.datapath_counts()?;
    let tracer = trace_pings(guest)?;
    ensure!(tracer.notes.iter().all(|note| !note.contains("slow path")), "{:?}", tracer.notes);
    let before = lab.datapath_counts()?;
    for _ in 0..SLOW_PINGS {
        lab.datapath_forget()?;
        ping(&lab, guest, 1)?;
    }
    let after = lab.datapath_counts()?;
    let slow = tracer.finish()?;
    let after_all = lab.datapath_counts()?;
    for switch in SWITCH {
        ensure!(counts(&slow, switch)? == (SLOW_PINGS, 0, SLOW_PINGS), "{slow}");
    }
    let told = upcalls(&slow)?;
    ensure!(told.traced == [SLOW_PINGS, SLOW_PINGS] && told.unmarked == 0, "{told}");
    let seen = told.misses;
    let at_least = after.missed - before.missed;
    ensure!(
        at_least >= 2 * SLOW_PINGS && (at_least..=after_all.missed - before_all.missed).contains(&seen),
        "{seen} misses seen; the datapath says {before_all:?} {before:?} {after:?} {after_all:?}"
    );

    let _lasting = teach(&lab, || ping(&lab, guest, 5))?;
    let tracer = trace_pings(guest)?;
    ping(&lab, guest, FAST_PINGS)?;
    let fast = tracer.finish()?;
    for switch in SWITCH {
        ensure!(counts(&fast, switch)? == (FAST_PINGS, FAST_PINGS, 0), "{fast}");
        let (slow, fast) = (p50(&slow, switch, |it| it.slow_path), p50(&fast, switch, |it| it.fast_path));
        ensure!(fast.is_some() && slow > fast, "{switch:?}: slow {slow:?}, fast {fast:?}");
    }
    let told = upcalls(&fast)?;
    ensure!(told.traced == [0, 0], "{told}");
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn packets_of_both_paths_are_all_accounted_for() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = guest(&lab)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
    for _ in 0..3 {
        lab.datapath_forget()?;
        lab.wire_udp_exact(guest, DATAGRAMS / 3, 64)?;
        lab.datapath_forget()?;
        lab.guest_udp_exact(guest, 5009, DATAGRAMS / 3, 64)?;
    }
    // The last ones with a flow, for certain.
    teach(&lab, || lab.wire_udp_exact(guest, 5, 64).map(drop))?.take_away()?;
    teach(&lab, || lab.guest_udp_exact(guest, 5009, 5, 64).map(drop))?.take_away()?;
    let report = tracer.finish()?;
    let told = upcalls(&report)?;
    for ((switch, upcalled), flows) in SWITCH.into_iter().zip(told.traced).zip([3, 3]) {
        let (all, fast, slow) = counts(&report, switch)?;
        let ledger = report.direction(switch.0).ledger;
        ledger.expect(&Ledger { completed: all, lost: 0, ..ledger })?;
        ensure!(all >= DATAGRAMS, "{ledger} {all}");
        ensure!(slow >= flows && fast > 0, "{switch:?}: {fast} fast, {slow} slow");
        ensure!(upcalled >= slow, "{told}: {slow} were slow");
    }
    Ok(())
}

/// User space answers upcalls after twice the time-out only.
#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn packets_that_wait_for_user_space_beyond_the_time_out_are_late_and_not_lost() -> Result<()> {
    const HELD: Duration = Duration::from_secs(2);
    const LATE: u64 = 20;
    const PORT: u16 = 5_010;
    let lab = Lab::from_env()?;
    let guest = guest(&lab)?;
    lab.introduce(guest)?;
    let sinks = [lab.wire_udp_sink(PORT)?, guest.udp_sink(PORT)?];
    let before = lab.datapath_counts()?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
    let stopped = Trap::set(
        "sh",
        // In this order: any packet would teach the datapath its flow again.
        &["-c", "kill -STOP $(pidof ovs-vswitchd); ovs-dpctl del-flows"],
        &["-c", "kill -CONT $(pidof ovs-vswitchd); ovs-appctl revalidator/wait"],
    )?;
    let began = Instant::now();
    guest.send_udp((lab.wire.ipv4.into(), PORT), LATE, 64, Duration::ZERO)?;
    lab.wire_udp_flood((guest.ipv4, PORT).into(), LATE, 64, Duration::ZERO)?;
    let sent = began.elapsed();
    // How long they wait is what is tested.
    std::thread::sleep(HELD);
    stopped.take_away()?;
    for sink in sinks {
        ensure!(sink.finish(LATE, Duration::from_secs(20))?.datagrams == LATE, "not all of them came");
    }
    let took = began.elapsed();
    let report = tracer.finish()?;
    ensure!(lab.datapath_counts()?.lost == before.lost, "the datapath could not ask about all of them");
    for (direction, from, to) in SWITCH {
        let found = report.direction(direction);
        let ledger = found.ledger;
        ledger.expect(&Ledger {
            entered: LATE,
            completed: LATE,
            late: LATE,
            joined_midway: 0,
            lost: 0,
            ..ledger
        })?;
        ledger.balances()?;
        ensure!(found.drops.is_empty(), "{found}");
        let segment = found.segment(from, to)?;
        ensure!(counts(&report, (direction, from, to))? == (LATE, 0, LATE), "{segment}");
        for of in [segment.latency_ns, found.total.latency_ns] {
            let of = of.with_context(|| format!("no latency of {segment}"))?;
            let least = HELD.saturating_sub(sent).as_nanos()..=took.as_nanos();
            ensure!(
                least.contains(&u128::from(of.min)) && least.contains(&u128::from(of.max)),
                "{of:?}: {least:?}"
            );
        }
    }
    let finding = report.finding("packets-late")?;
    ensure!(finding.text.contains("by way of ovs-vswitchd: late, not lost"), "{}", finding.text);
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn a_large_packet_is_slow_by_its_first_piece() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = guest(&lab)?;
    let echo = || lab.wire_tcp_echo((guest.ipv4, 7).into(), TCP_BYTES);
    // What is taken from it then are the flows of this connection, too.
    let _lasting = teach(&lab, || echo().map(drop))?;
    let before = lab.datapath_counts()?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "tcp", "--json"])?;
    // User space gets large packets in pieces, and sends pieces back.
    let echoed = lab.datapath_without_flows(echo)?;
    let report = tracer.finish()?;
    let lost_upcalls = lab.datapath_counts()?.lost - before.lost;
    ensure!(echoed == TCP_BYTES, "{echoed}");
    let mut pieces = 0;
    for switch in SWITCH {
        let (_, _, slow) = counts(&report, switch)?;
        let ledger = report.direction(switch.0).ledger;
        ensure!(slow > 0, "{switch:?}: none was slow");
        ensure!(ledger.lost <= lost_upcalls, "{ledger}: {lost_upcalls} lost upcalls");
        pieces += ledger.split;
    }
    ensure!(pieces > 0, "no large packet took the slow path: {report}");
    Ok(())
}
