//! A trace costs nobody a packet, and nobody's queueing discipline: on kernels with TCX, and before them.

use std::thread;

use anyhow::anyhow;
use hoptrace_tests::prelude::*;

const GUEST: &str = "yjwang-test-1";
/// Datagrams each way while traces begin and end.
const DATAGRAMS: u64 = 3_000;
const PACE: Duration = Duration::from_millis(6);
const TRACES: u32 = 8;
const ARRIVAL_LIMIT: Duration = Duration::from_secs(10);
const PORT: u16 = 4446;
const GUEST_SINK_PORT: u16 = 9;
/// Datagrams against a limit that lets a few of them through.
const LIMITED: u64 = 300;

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn traces_that_begin_and_end_cost_the_guest_no_packet() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest(GUEST)?;
    guest.sink_reset()?;
    let sink = lab.wire_udp_sink(PORT)?;
    thread::scope(|scope| {
        let out = scope.spawn(|| guest.send_udp((lab.wire.ipv4.into(), PORT), DATAGRAMS, 64, PACE));
        let to_guest = (guest.ipv4, GUEST_SINK_PORT).into();
        let inward = scope.spawn(move || lab_flood(to_guest));
        for _ in 0..TRACES {
            let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
            tracer.signal(Signal::INT)?;
            // 5: ended before a datagram came.
            let ended = tracer.wait()?;
            ensure!(matches!(ended.status.code(), Some(0 | 5)), "{}: {}", ended.status, ended.stderr);
        }
        let sent = out.join().map_err(|_| anyhow!("the guest's sender panicked"))??;
        ensure!(sent.sent == DATAGRAMS, "{sent:?}");
        let sent = inward.join().map_err(|_| anyhow!("the wire's sender panicked"))??;
        ensure!(sent == DATAGRAMS, "{sent} sent from the wire");
        Ok(())
    })?;
    let from_guest = sink.wait(DATAGRAMS, ARRIVAL_LIMIT)?;
    let to_guest = guest.sink_wait(DATAGRAMS, ARRIVAL_LIMIT)?.datagrams;
    ensure!((from_guest, to_guest) == (DATAGRAMS, DATAGRAMS), "{from_guest} out, {to_guest} in arrived");
    Ok(())
}

fn lab_flood(to: std::net::SocketAddr) -> Result<u64> {
    Ok(Lab::from_env()?.wire_udp_flood(to, DATAGRAMS, 64, PACE)?.sent)
}

/// How many of [`LIMITED`] datagrams of the guest arrive.
fn arriving(lab: &Lab, guest: &Guest) -> Result<u64> {
    let sink = lab.wire_udp_sink(PORT)?;
    guest.send_udp((lab.wire.ipv4.into(), PORT), LIMITED, 1_000, Duration::from_millis(2))?;
    sink.wait(LIMITED, Duration::from_secs(1))
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn a_limit_that_is_set_during_a_trace_works_and_lasts() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest(GUEST)?;
    let before = arriving(&lab, guest)?;
    ensure!(before == LIMITED, "{before} of {LIMITED} without a limit");
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "port", &PORT.to_string(), "--json"])?;
    let interface = ["interface", &guest.qvo];
    let set = |rate, burst| [&["set"], &interface[..], &[rate, burst]].concat();
    let _limit = Trap::set(
        "ovs-vsctl",
        &set("ingress_policing_rate=100", "ingress_policing_burst=100"),
        &set("ingress_policing_rate=0", "ingress_policing_burst=0"),
    )?;
    let during = arriving(&lab, guest)?;
    let report = tracer.finish()?;
    let after = arriving(&lab, guest)?;
    ensure!(during < LIMITED / 2 && after < LIMITED / 2, "{during} during the trace, {after} behind it");
    let ledger = report.egress().ledger;
    ledger.expect(&Ledger { entered: LIMITED, completed: during, ..ledger })
}

/// Takes the hooks away while packets come in, and gives the report.
fn taken_away(guest: &Guest, program: &str, words: &[&str]) -> Result<Report> {
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--attach", "clsact", "--json"])?;
    let to_guest = (guest.ipv4, GUEST_SINK_PORT).into();
    let ended = thread::scope(|scope| {
        let traffic = scope.spawn(move || lab_flood_of(to_guest, 500));
        run(program, words)?;
        let ended = tracer.wait()?;
        traffic.join().map_err(|_| anyhow!("the sender panicked"))??;
        anyhow::Ok(ended)
    })?;
    ensure!(ended.status.code() == Some(4), "{}: {}", ended.status, ended.stderr);
    ensure!(ended.stderr.contains("somebody removed the hooks"), "{}", ended.stderr);
    Report::read(&ended.stdout)
}

fn lab_flood_of(to: std::net::SocketAddr, count: u64) -> Result<u64> {
    Ok(Lab::from_env()?.wire_udp_flood(to, count, 64, Duration::from_millis(1))?.sent)
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn hooks_that_somebody_takes_away_end_the_trace_and_nothing_is_lost_by_that() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest(GUEST)?;
    let nic = lab.nic.as_str();
    for (words, place) in [
        (["qdisc", "del", "dev", &guest.tap, "clsact"], guest.tap.as_str()),
        (["filter", "del", "dev", nic, "ingress"], nic),
        (["filter", "del", "dev", &guest.qvo, "egress"], &guest.qvo),
    ] {
        let report = taken_away(guest, "tc", &words)?;
        let first = report.first()?;
        ensure!(first.code == "hooks-taken" && first.severity == "critical", "{place}: {first}");
        first.says("somebody removed the hooks").context(place.to_owned())?;
        first.says(place)?;
        for (_, found) in report.directions.both() {
            let ledger = found.ledger;
            ledger.expect(&Ledger { lost: 0, ..ledger }).context(place.to_owned())?;
            // Before 6.6 the kernel itself drops what an interface sends just while its clsact goes.
            ensure!(words[0] == "qdisc" || ledger.dropped == 0, "{place}: {ledger}");
        }
    }
    Ok(())
}
