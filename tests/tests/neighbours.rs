//! Traffic between two VMs of one host: it leaves the path at qvo and comes from beside it, and none of it is lost.

use hoptrace_tests::prelude::*;

/// Packets of each test, each way.
const PACKETS: u64 = 500;
/// Where the guests' sinks listen.
const SINK_PORT: u16 = 9;

fn guests(lab: &Lab) -> Result<(&Guest, &Guest)> {
    Ok((lab.guest("yjwang-test-1")?, lab.guest("yjwang-test-2")?))
}

/// Traces the first guest while both send the other datagrams.
fn trace_datagrams(ours: &Guest, neighbour: &Guest) -> Result<Report> {
    let tracer = Tracer::start(&["trace", &ours.display_name, "udp", "--json"])?;
    for (from, to) in [(ours, neighbour), (neighbour, ours)] {
        let sent = from.send_udp((to.ipv4.into(), SINK_PORT), PACKETS, 64, Duration::from_micros(500))?;
        ensure!(sent.sent == PACKETS, "{sent:?}");
        // Its last datagram has left the guest when the answer to what it sent after it is there.
        let ping = from.ping(to.ipv4.into(), 1, Duration::ZERO)?;
        ensure!(ping.received == 1, "{ping:?}");
    }
    tracer.finish()
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn datagrams_between_two_vms_complete_off_the_path() -> Result<()> {
    let lab = Lab::from_env()?;
    let (ours, neighbour) = guests(&lab)?;
    // Both switches know both addresses.
    let ping = ours.ping(neighbour.ipv4.into(), 3, Duration::from_millis(10))?;
    ensure!(ping.received > 0, "{ping:?}");
    let report = trace_datagrams(ours, neighbour)?;

    for (direction, elsewhere) in [(Egress, PACKETS), (Ingress, 0)] {
        let found = report.direction(direction);
        let ledger = found.ledger;
        let all = Ledger { entered: PACKETS, completed: PACKETS, elsewhere, ..ledger };
        let none = Ledger { lost: 0, joined_midway: 0, ambiguous: 0, untracked: 0, evicted: 0, ..all };
        ledger.expect(&Ledger { copies: 0, ..none }).context(direction)?;
        ensure!(found.neighbour_total.count == PACKETS && found.total.count == 0, "{direction}: {found}");
    }
    let out = report.egress().segment("qvo", "neighbour")?;
    let into = report.ingress().segment("neighbour", "qvo")?;
    ensure!(out.count == PACKETS && out.off_path, "{out}");
    ensure!(into.count == PACKETS && into.off_path, "{into}");
    ensure!(report.egress().segment("qvo", "nic")?.count == 0, "{report}");
    let found = report.neighbours.iter().find(|port| port.ifname == neighbour.qvo);
    let found = found.context("no neighbour")?;
    ensure!(found.received == PACKETS && found.sent == PACKETS && found.copies == 0, "{found}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn datagrams_that_die_between_two_vms_are_lost_where_they_died() -> Result<()> {
    let lab = Lab::from_env()?;
    let (ours, neighbour) = guests(&lab)?;
    let _trap =
        Trap::flow(&lab.integration_bridge, &format!("priority=1000,udp,tp_dst={SINK_PORT}"), "drop")?;
    let report = trace_datagrams(ours, neighbour)?;
    for (direction, after) in [(Egress, "qvo"), (Ingress, "neighbour")] {
        let found = report.direction(direction);
        let drop = found.only_drop().context(direction)?;
        ensure!(drop.after == after && drop.count == PACKETS, "{direction}: {drop}");
        ensure!(drop.reason.is_none() && drop.location.is_none(), "{direction}: {drop}");
        let ledger = found.ledger;
        let expected = Ledger { entered: PACKETS, lost: PACKETS, completed: 0, ..ledger };
        ledger.expect(&expected).context(direction)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn broadcasts_go_to_the_wire_and_copies_of_them_to_neighbours() -> Result<()> {
    let lab = Lab::from_env()?;
    let (ours, _) = guests(&lab)?;
    let tracer = Tracer::start(&["trace", &ours.display_name, "arp", "--json"])?;
    // Nobody has this address, so the guest asks everybody for it.
    let nobody = "10.99.99.77".parse()?;
    let ping = ours.ping(nobody, 5, Duration::from_millis(300))?;
    ensure!(ping.received == 0, "{ping:?}");
    let report = tracer.finish()?;
    let ledger = report.egress().ledger;
    ensure!(ledger.entered > 0, "{ledger}");
    ledger.expect(&Ledger { completed: ledger.entered, lost: 0, ambiguous: 0, ..ledger })?;
    // The guest may have answered a question of its neighbour's, too: that goes to the neighbour alone.
    ensure!(ledger.copies > 0 && ledger.elsewhere < ledger.entered, "{ledger}");
    let copies: u64 = report.neighbours.iter().map(|port| port.copies).sum();
    ensure!(copies == ledger.copies, "{report}");
    Ok(())
}
