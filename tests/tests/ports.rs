//! Several ports in one trace: each has the figures that a trace of it alone has.

use hoptrace_tests::prelude::*;
use hoptrace_tests::report::DirectionReport;

/// Packets of each kind.
const PACKETS: u64 = 300;
/// Where the guests' sinks listen.
const SINK_PORT: u16 = 9;
/// Where packets die, in tests that let them.
const DOOMED_PORT: u16 = 4_242;
const DOOMED: u64 = 40;
const PACE: Duration = Duration::from_micros(500);

fn guests(lab: &Lab) -> Result<[&Guest; 2]> {
    Ok([lab.guest("yjwang-test-1")?, lab.guest("yjwang-test-2")?])
}

/// Sends datagrams from each guest to the other one and to the wire, and from there to both. Some to the wire die.
fn talk(lab: &Lab, guests: [&Guest; 2]) -> Result<()> {
    let [one, two] = guests;
    // Without these, who sends there is told that nothing listens.
    let _sinks = [lab.wire_udp_sink(SINK_PORT)?, lab.wire_udp_sink(DOOMED_PORT)?];
    for (from, to) in [(one, two), (two, one)] {
        let others = [
            (to.ipv4, SINK_PORT, PACKETS),
            (lab.wire.ipv4, SINK_PORT, PACKETS),
            (lab.wire.ipv4, DOOMED_PORT, DOOMED),
        ];
        for (address, port, count) in others {
            let sent = from.send_udp((address.into(), port), count, 64, PACE)?;
            ensure!(sent.sent == count, "{sent:?}");
        }
        lab.wire_udp_flood((from.ipv4, SINK_PORT).into(), PACKETS, 64, PACE)?;
        // The last datagrams have arrived when the answer to what was sent after them is there.
        let ping = from.ping(lab.wire.ipv4.into(), 1, Duration::ZERO)?;
        ensure!(ping.received == 1, "{ping:?}");
        let ping = from.ping(to.ipv4.into(), 1, Duration::ZERO)?;
        ensure!(ping.received == 1, "{ping:?}");
    }
    Ok(())
}

/// What must be the same whoever else is traced: the ledger, what passed each hook and each segment, and what died where.
fn told(report: &DirectionReport) -> String {
    let hooks: Vec<_> = report.hooks.iter().map(|hook| format!("{} {}", hook.hook, hook.seen)).collect();
    let segments: Vec<_> =
        report.segments.iter().map(|it| format!("{}→{} {}", it.from, it.to, it.count)).collect();
    let drops: Vec<_> = report
        .drops
        .iter()
        .map(|it| format!("{} after {} {:?} {:?}", it.count, it.after, it.reason, it.location))
        .collect();
    let (total, beside) = (report.total.count, report.neighbour_total.count);
    format!("{}\n{hooks:?}\n{segments:?}\n{total} {beside}\n{drops:?}", report.ledger)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn two_ports_traced_together_give_what_each_gives_alone() -> Result<()> {
    let lab = Lab::from_env()?;
    let guests = guests(&lab)?;
    let [one, two] = guests;
    for (from, to) in [(one, two), (two, one)] {
        let ping = from.ping(to.ipv4.into(), 3, Duration::from_millis(10))?;
        ensure!(ping.received > 0, "{ping:?}");
    }
    let _trap =
        Trap::flow(&lab.integration_bridge, &format!("priority=1000,udp,tp_dst={DOOMED_PORT}"), "drop")?;
    let together = Tracer::start(&["trace", &one.port_id, &two.port_id, "udp", "--json"])?;
    let alone = guests.map(|guest| Tracer::start(&["trace", &guest.port_id, "udp", "--json"]));
    talk(&lab, guests)?;
    let together = together.finish_each()?;
    ensure!(together.len() == 2, "{} ports", together.len());
    for ((alone, guest), (_, report)) in alone.into_iter().zip(guests).zip(&together) {
        let alone = alone?.finish()?;
        for direction in Direction::ALL {
            let (ours, its) = (report.direction(direction), alone.direction(direction));
            ours.ledger.balances().context(direction)?;
            let (ours, its) = (told(ours), told(its));
            ensure!(ours == its, "{} {direction}, together:\n{ours}\nalone:\n{its}", guest.display_name);
        }
        let ledger = report.egress().ledger;
        ensure!(ledger.entered == 2 * PACKETS + DOOMED && ledger.died() == DOOMED, "{ledger}");
        ensure!(ledger.elsewhere == PACKETS, "{ledger}");
        let ledger = report.ingress().ledger;
        ensure!(ledger.entered == 2 * PACKETS && ledger.died() == 0, "{ledger}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn all_ports_are_traced_without_being_named() -> Result<()> {
    let lab = Lab::from_env()?;
    let guests = guests(&lab)?;
    let drops = Tracer::start(&["drops", "udp", "--json"])?;
    let tracer = Tracer::start(&["trace", "--all", "udp", "--json"])?;
    talk(&lab, guests)?;
    let each = tracer.finish_each()?;
    let busy = each.iter().filter(|(_, report)| report.egress().ledger.entered >= 2 * PACKETS);
    ensure!(busy.count() == guests.len(), "{each:?}");
    drops.signal(Signal::INT)?;
    let ended = drops.wait()?;
    let drops: serde_json::Value = serde_json::from_slice(&ended.stdout).context(ended.stderr)?;
    let ports = drops["ports"].as_array().map_or(0, Vec::len);
    ensure!(ports == each.len(), "{} ports, and {ports} by drops", each.len());
    Ok(())
}
