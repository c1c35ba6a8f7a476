//! Hooks at tracepoints: what others do at the interfaces is behind them on the way in, and before them on the way out.

use hoptrace_tests::prelude::*;

const GUEST: &str = "yjwang-test-1";
const DOOMED: u64 = 137;
const DOOMED_PORT: u16 = 4447;
const INNOCENT: u64 = 64;
const INNOCENT_PORT: u16 = 4448;
const PINGS: u64 = 50;
const ECHO_PORT: u16 = 7;
/// Of TCP data, which comes in packets of many segments.
const ECHOED_BYTES: u64 = 2 << 20;

/// A filter of somebody else that drops the doomed: at traffic control, or netfilter's own at an interface.
fn dropping(interface: &str, what: &str) -> Result<Trap> {
    let (set, remove) = match what {
        "nft" => (
            format!(
                "nft 'table netdev doom {{ chain in {{ type filter hook ingress device {interface} priority 0; udp dport \
                 {DOOMED_PORT} drop; }}; }}'"
            ),
            "nft delete table netdev doom".to_owned(),
        ),
        side => (
            format!(
                "tc qdisc add dev {interface} clsact && tc filter add dev {interface} {side} pref 7 protocol ip u32 match ip \
                 dport {DOOMED_PORT} 0xffff action drop"
            ),
            format!("tc qdisc del dev {interface} clsact"),
        ),
    };
    Trap::set("sh", &["-c", &set], &["-c", &remove])
}

/// What the guest sends while somebody drops the doomed.
fn trace_doomed(lab: &Lab, guest: &Guest) -> Result<Report> {
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--attach", "tracepoints", "--json"])?;
    let sink = lab.wire_udp_sink(DOOMED_PORT)?;
    guest.send_udp((lab.wire.ipv4.into(), DOOMED_PORT), DOOMED, 64, Duration::from_millis(1))?;
    lab.guest_udp_exact(guest, INNOCENT_PORT, INNOCENT, 64)?;
    let arrived = sink.finish(0, Duration::ZERO)?;
    ensure!(arrived.datagrams == 0, "{} of the doomed arrived", arrived.datagrams);
    tracer.finish()
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn what_filters_of_others_drop_has_died_behind_the_hook_that_saw_it() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest(GUEST)?;
    let places = [
        (guest.tap.as_str(), "ingress", "tap", "TC_INGRESS"),
        (&guest.tap, "nft", "tap", "NETFILTER_DROP"),
        (&guest.qvb, "egress", "tap", "TC_EGRESS"),
        (&guest.qvo, "ingress", "qvo", "TC_INGRESS"),
        (&lab.nic, "egress", "qvo", "TC_EGRESS"),
    ];
    for (interface, what, after, reason) in places {
        let at = || format!("{what} at {interface}");
        let trap = dropping(interface, what).with_context(at)?;
        let report = trace_doomed(&lab, guest).with_context(at)?;
        drop(trap);
        let egress = report.egress();
        let drop = egress.only_drop().with_context(at)?;
        ensure!(drop.after == after && drop.count == DOOMED, "{}: {drop}", at());
        ensure!(drop.reason.as_deref() == Some(reason), "{}: {drop}", at());
        ensure!(egress.early_drops.is_empty(), "{}: {egress}", at());
        let ledger = egress.ledger;
        let expected = Ledger { completed: INNOCENT, dropped: DOOMED, lost: 0, ..ledger };
        ledger.expect(&expected).with_context(at)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn the_hooks_are_where_they_are_asked_for() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest(GUEST)?;
    for mechanism in ["clsact", "tracepoints"] {
        let tracer = Tracer::start(&["trace", &guest.port_id, "--attach", mechanism, "--json"])?;
        lab.wire_ping(guest, PINGS, Duration::from_millis(20))?;
        let echoed = lab.wire_tcp_echo((guest.ipv4, ECHO_PORT).into(), ECHOED_BYTES)?;
        ensure!(echoed == ECHOED_BYTES, "{echoed} bytes came back");
        let report = tracer.finish()?;
        let cost = &report.tracer;
        ensure!(cost.mechanism == mechanism && cost.missed_runs == 0, "{cost}");
        ensure!(cost.ns_per_sent.is_some() == (mechanism == "tracepoints"), "{cost}");
        for (direction, found) in report.directions.both() {
            let (ledger, what) = (found.ledger, || format!("{mechanism}: {direction}"));
            ensure!(ledger.completed > PINGS, "{}: {ledger}", what());
            let none = Ledger { dropped: 0, lost: 0, unparsed: 0, untracked: 0, ..ledger };
            ledger.expect(&none).with_context(what)?;
        }
    }
    Ok(())
}
