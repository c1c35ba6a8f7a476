//! The kernel's OVS datapath, with all offloads: every packet at every hook, both ways.

use hoptrace_tests::prelude::*;

const PINGS: u64 = 200;
const DATAGRAMS: u64 = 5_000;
const TCP_BYTES: u64 = 8_000_000;

fn guest(lab: &Lab) -> Result<&Guest> {
    ensure!(lab.datapath == "system", "the datapath is {}, not the kernel's", lab.datapath);
    lab.guest("yjwang-test-1")
}

/// The packets of a direction: each entered, each completed, each in every segment, none of any other kind.
fn complete(report: &Report, direction: Direction) -> Result<u64> {
    let found = report.direction(direction);
    let ledger = found.ledger;
    let entered = ledger.entered;
    let none = Ledger { joined_midway: 0, dropped: 0, lost: 0, in_flight: 0, evicted: 0, ..ledger };
    let none = Ledger { ambiguous: 0, untracked: 0, unparsed: 0, ..none };
    ledger.expect(&Ledger { completed: entered, ..none }).context(direction)?;
    for segment in &found.segments {
        ensure!(segment.count == entered, "{direction}: {entered} entered, but {segment}");
    }
    Ok(entered)
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn pings_of_both_sides_are_all_complete() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = guest(&lab)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--json"])?;
    lab.wire_ping(guest, PINGS, Duration::from_millis(10))?;
    let sent = guest.ping(lab.wire.ipv4.into(), PINGS, Duration::from_millis(10))?;
    let report = tracer.finish()?;
    ensure!(sent.received == PINGS, "{sent:?}");
    for direction in Direction::ALL {
        let packets = complete(&report, direction)?;
        ensure!(packets == 2 * PINGS, "{direction}: {packets}");
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn every_datagram_of_both_sides_is_complete() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = guest(&lab)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
    lab.wire_udp_exact(guest, DATAGRAMS, 64)?;
    lab.guest_udp_exact(guest, 5009, DATAGRAMS, 64)?;
    let report = tracer.finish()?;
    for direction in Direction::ALL {
        let packets = complete(&report, direction)?;
        ensure!(packets == DATAGRAMS, "{direction}: {packets}");
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn unsegmented_tcp_of_both_sides_is_complete() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = guest(&lab)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "tcp", "--json"])?;
    let echoed = lab.wire_tcp_echo((guest.ipv4, 7).into(), TCP_BYTES)?;
    let sink = lab.wire_tcp_sink(5010)?;
    guest.send_tcp((lab.wire.ipv4.into(), 5010), TCP_BYTES)?;
    let arrived = sink.finish()?;
    let report = tracer.finish()?;
    ensure!((echoed, arrived) == (TCP_BYTES, TCP_BYTES), "{echoed} {arrived}");
    // In segments of the path's MTU it would be more than this.
    let segmented = TCP_BYTES * 2 / 1448;
    for direction in Direction::ALL {
        let packets = complete(&report, direction)?;
        ensure!(packets > 0 && packets < segmented, "{direction}: {packets} packets: nothing is unsegmented");
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn tcp_that_is_cut_on_its_way_is_split_and_none_of_it_lost() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = guest(&lab)?;
    // Behind qvb on the way out, and behind qvo on the way in, what is too large for the wire is cut.
    let offloads = |ifname| {
        let set = |state| ["-K", ifname, "tso", state, "gso", state];
        Trap::set("ethtool", &set("off"), &set("on"))
    };
    let _cut = [offloads(&guest.qvb)?, offloads(&guest.qvo)?];
    let tracer = Tracer::start(&["trace", &guest.port_id, "tcp", "--json"])?;
    let echoed = lab.wire_tcp_echo((guest.ipv4, 7).into(), TCP_BYTES)?;
    let sink = lab.wire_tcp_sink(5010)?;
    guest.send_tcp((lab.wire.ipv4.into(), 5010), TCP_BYTES)?;
    let arrived = sink.finish()?;
    let report = tracer.finish()?;
    ensure!((echoed, arrived) == (TCP_BYTES, TCP_BYTES), "{echoed} {arrived}");
    for (direction, found) in report.directions.both() {
        let ledger = found.ledger;
        let none = Ledger { joined_midway: 0, lost: 0, merged: 0, evicted: 0, ..ledger };
        let none = Ledger { ambiguous: 0, untracked: 0, ..none };
        let completed = ledger.entered + ledger.split;
        ledger.expect(&Ledger { completed, ..none }).context(direction)?;
        ensure!(ledger.split > TCP_BYTES / 1448 / 2, "{direction}: {ledger}");
    }
    Ok(())
}
