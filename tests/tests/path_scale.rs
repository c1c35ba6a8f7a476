//! Packets in millions over a path that is all in the kernel. Longer ones by hand: `cargo xtask soak`.

use std::{net::UdpSocket, time::Duration};

use anyhow::{Result, ensure};
use hoptrace_tests::soak::{ledger_flood, mixed, waterfalls};
use hoptrace_tests::{
    Tracer,
    lab::{InterfaceCounts, Lab, Trap},
};

const FLOOD: u64 = 1_500_000;
const WATERFALLS: u64 = 200_000;
const SOAK: Duration = Duration::from_secs(40);
const SHORT_SOAK: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn every_packet_of_a_flood_is_in_the_ledger() -> Result<()> {
    let flood = ledger_flood(&Lab::from_env()?, FLOOD)?;
    ensure!(flood.not_in_ledger == 0, "{flood:?}");
    ensure!(flood.account.lost == flood.account.veth_dropped, "{flood:?}");
    ensure!(flood.cpu_pct <= 2.0, "{flood:?}");
    Ok(())
}

/// More than the table keeps each in its own slot: most of them have passed their last hook long before they die.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_waits_behind_the_last_hook_dies_with_its_queue_to_the_last_packet() -> Result<()> {
    const SENT: u64 = 12_000;
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--json"])?;
    let tap = guest.tap.as_str();
    let slow = ["root", "tbf", "rate", "200kbit", "burst", "2k", "limit", "8m"];
    let root = ["qdisc", "del", "dev", tap, "root"];
    let queue = Trap::set("tc", &[&["qdisc", "replace", "dev", tap], &slow[..]].concat(), &root)?;
    let before = InterfaceCounts::of(tap)?;
    // Nobody there would refuse them to the sender.
    let _sink = guest.in_netns(|| Ok(UdpSocket::bind((guest.ipv4, 9))?))?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), SENT, 64, Duration::from_micros(50))?;
    queue.take_away()?;
    let left = InterfaceCounts::of(tap)?.since(&before).tx_packets;
    let report = tracer.finish()?;
    let ingress = &report["directions"]["ingress"];
    let count = |name: &str| ingress["ledger"][name].as_u64();
    ensure!(left < SENT / 2, "the queue was not slow: {left} left it");
    ensure!(
        (count("entered"), count("completed"), count("dropped"))
            == (Some(SENT), Some(left), Some(SENT - left)),
        "{left} left: {ingress}"
    );
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn every_packet_of_a_flood_is_printed_or_counted_as_missing() -> Result<()> {
    let lab = Lab::from_env()?;
    // The ring has room for more than these.
    let slow = waterfalls(&lab, WATERFALLS / 2, Some(20_000))?;
    ensure!(slow.ring_lost == 0, "{slow:?}");
    waterfalls(&lab, WATERFALLS, None).map(drop)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn traffic_of_all_sorts_leaves_a_balanced_ledger_and_no_false_loss() -> Result<()> {
    let soak = mixed(&Lab::from_env()?, SOAK, &[])?;
    ensure!(soak.packets > 100_000, "{soak:?}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn traffic_of_all_sorts_past_xdp_leaves_a_balanced_ledger_and_no_false_loss() -> Result<()> {
    let soak = mixed(&Lab::from_env()?, SHORT_SOAK, &["--xdp", "native"])?;
    ensure!(soak.packets > 20_000, "{soak:?}");
    Ok(())
}
