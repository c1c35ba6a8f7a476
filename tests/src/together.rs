//! Two guests that talk with each other and with the wire, and what is to be the same whoever else is traced.

use crate::prelude::*;
use crate::report::DirectionReport;

/// Packets of each kind.
pub const PACKETS: u64 = 300;
/// Where the guests' sinks listen.
const SINK_PORT: u16 = 9;
/// Where packets die, in tests that let them.
const DOOMED_PORT: u16 = 4_242;
const DOOMED: u64 = 40;
const PACE: Duration = Duration::from_micros(500);

/// Two guests on one switch.
///
/// # Errors
/// Where the lab has no such guests.
pub fn guests(lab: &Lab) -> Result<[&Guest; 2]> {
    Ok([lab.guest("yjwang-test-1")?, lab.guest("yjwang-test-2")?])
}

/// Sends datagrams from each guest to the other one and to the wire, and from there to both. Some to the wire die.
///
/// # Errors
/// When something can not be sent, or does not arrive that should.
pub fn talk(lab: &Lab, guests: [&Guest; 2]) -> Result<()> {
    let [one, two] = guests;
    // Without these, who sends there is told that nothing listens.
    let _sinks = [lab.wire_udp_sink(SINK_PORT)?, lab.wire_udp_sink(DOOMED_PORT)?];
    // While an address is asked for, the kernel keeps some of what is sent to it, and not all.
    for (from, to) in [(one, two), (two, one)] {
        for address in [lab.wire.ipv4, to.ipv4] {
            let ping = from.ping(address.into(), 1, Duration::ZERO)?;
            ensure!(ping.received == 1, "{ping:?}");
        }
    }
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

/// What must be the same whoever else is traced: the ledger, what passed each hook and each segment, and what died where. Each tracer looks at
/// the clock for itself: in which order the looks of two CPUs are may differ.
#[must_use]
pub fn told(report: &DirectionReport) -> String {
    let hooks: Vec<_> = report.hooks.iter().map(|hook| format!("{} {}", hook.hook, hook.seen)).collect();
    let segments: Vec<_> =
        report.segments.iter().map(|it| format!("{}→{} {}", it.from, it.to, it.count)).collect();
    let drops: Vec<_> = report
        .drops
        .iter()
        .map(|it| format!("{} after {} {:?} {:?}", it.count, it.after, it.reason, it.location))
        .collect();
    let (total, beside) = (report.total.count, report.neighbour_total.count);
    let ledger = Ledger { clock_skew: 0, overtaken: 0, ..report.ledger };
    format!("{ledger}\n{hooks:?}\n{segments:?}\n{total} {beside}\n{drops:?}")
}

/// Guests that know each other's addresses, and a rule that lets packets to the doomed port die.
///
/// # Errors
/// When they do not reach each other, or the switch refuses the rule.
pub fn prepare(lab: &Lab, [one, two]: [&Guest; 2]) -> Result<Trap> {
    for (from, to) in [(one, two), (two, one)] {
        let ping = from.ping(to.ipv4.into(), 3, Duration::from_millis(10))?;
        ensure!(ping.received > 0, "{ping:?}");
    }
    Trap::flow(&lab.integration_bridge, &format!("priority=1000,udp,tp_dst={DOOMED_PORT}"), "drop")
}

/// A trace of each guest alone.
///
/// # Errors
/// When one does not start.
pub fn trace_each(guests: [&Guest; 2], more: &[&str]) -> Result<Vec<Tracer>> {
    let trace = |guest: &Guest| Tracer::start(&[&["trace", &guest.port_id, "udp", "--json"], more].concat());
    guests.into_iter().map(trace).collect()
}

/// What was traced together is what was traced alone, and every packet of [`talk`].
///
/// # Errors
/// When it is not.
pub fn compare(together: &[(String, Report)], alone: Vec<Tracer>, guests: [&Guest; 2]) -> Result<()> {
    ensure!(together.len() == 2, "{} ports", together.len());
    for ((alone, guest), (_, report)) in alone.into_iter().zip(guests).zip(together) {
        let alone = alone.finish()?;
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
