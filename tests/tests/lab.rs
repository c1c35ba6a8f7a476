//! The lab itself: what later tests stand on.

use std::net::{IpAddr, SocketAddr};

use hoptrace_tests::prelude::*;

const ECHO_PORT: u16 = 7;

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn both_guests_answer_ping() -> Result<()> {
    let lab = Lab::from_env()?;
    lab.guests.iter().try_for_each(|guest| lab.wire_ping_to(guest.ipv4.into(), 50, &["-i", "0.01"]))
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn both_guests_answer_ping_over_ipv6() -> Result<()> {
    let lab = Lab::from_env()?;
    lab.guests.iter().try_for_each(|guest| lab.wire_ping_to(guest.ipv6.into(), 50, &["-i", "0.01"]))
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn guests_ping_the_wire_and_each_other() -> Result<()> {
    let lab = Lab::from_env()?;
    let [first, second] = &lab.guests[..] else { panic!("the lab has two guests") };
    for to in [lab.wire.ipv4.into(), lab.wire.ipv6.into(), IpAddr::from(second.ipv4)] {
        let report = first.ping(to, 50, Duration::from_millis(5))?;
        ensure!((report.sent, report.received) == (50, 50), "ping {to}: {report:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn every_datagram_is_echoed_once() -> Result<()> {
    let lab = Lab::from_env()?;
    for guest in &lab.guests {
        let to = SocketAddr::from((guest.ipv4, ECHO_PORT));
        let report = lab.wire_udp_echo(to, 2_000, 200, Duration::ZERO)?;
        ensure!((report.sent, report.echoed, report.unexpected) == (2_000, 2_000, 0), "{report:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_guest_receives_every_datagram_of_the_wire() -> Result<()> {
    let lab = Lab::from_env()?;
    for guest in &lab.guests {
        lab.wire_udp_exact(guest, 5_000, 100)?;
        let counts = guest.sink_count()?;
        ensure!((counts.datagrams, counts.bytes) == (5_000, 500_000), "{counts:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_wire_receives_every_datagram_of_a_guest() -> Result<()> {
    let lab = Lab::from_env()?;
    for guest in &lab.guests {
        let report = lab.guest_udp_exact(guest, 5009, 5_000, 64)?;
        let seen = (report.datagrams, report.distinct, report.bytes);
        ensure!(seen == (5_000, 5_000, 320_000), "{report:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_guest_sends_over_ipv6() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let sink = lab.wire_udp_sink(5011)?;
    guest.send_udp((lab.wire.ipv6.into(), 5011), 50, 64, Duration::from_millis(1))?;
    let report = sink.finish(50, Duration::from_secs(10))?;
    ensure!((report.datagrams, report.distinct) == (50, 50), "{report:?}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn tcp_comes_back_unchanged() -> Result<()> {
    let lab = Lab::from_env()?;
    for guest in &lab.guests {
        for address in [IpAddr::from(guest.ipv4), IpAddr::from(guest.ipv6)] {
            let echoed = lab.wire_tcp_echo(SocketAddr::new(address, ECHO_PORT), 3_000_000)?;
            ensure!(echoed == 3_000_000, "{address}: {echoed} of 3000000 bytes came back");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_guest_sends_tcp_to_the_wire() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let sink = lab.wire_tcp_sink(5010)?;
    let report = guest.send_tcp((lab.wire.ipv4.into(), 5010), 3_000_000)?;
    ensure!((report.sent, report.received) == (3_000_000, 0), "{report:?}");
    ensure!(sink.finish()? == 3_000_000, "bytes are missing on the wire");
    Ok(())
}

/// Receive and transmit counters of an interface.
fn packets(interface: &str) -> Result<(u64, u64)> {
    let read = |name: &str| -> Result<u64> {
        let path = format!("/sys/class/net/{interface}/statistics/{name}");
        Ok(std::fs::read_to_string(&path).with_context(|| path.clone())?.trim().parse()?)
    };
    Ok((read("rx_packets")?, read("tx_packets")?))
}

/// Nothing crosses the path that no test has sent: later tests count exactly.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_idle_path_is_silent() -> Result<()> {
    let lab = Lab::from_env()?;
    // Silence has no event to wait for.
    let window = Duration::from_secs(3);
    let interfaces: Vec<&str> = lab.guests.iter().flat_map(|guest| lab.path_interfaces(guest)).collect();
    lab.forget_neighbours()?;
    let before = interfaces.iter().map(|name| packets(name)).collect::<Result<Vec<_>>>()?;
    std::thread::sleep(window);
    for (name, before) in interfaces.iter().zip(before) {
        let after = packets(name)?;
        ensure!(after == before, "{name}: (received, sent) went from {before:?} to {after:?}");
    }
    Ok(())
}
