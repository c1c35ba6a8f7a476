//! Packets in millions over a path that is all in the kernel. Longer ones by hand: `cargo xtask soak`.

use hoptrace_tests::prelude::*;
use hoptrace_tests::soak::{ledger_flood, mixed, waterfalls};

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
