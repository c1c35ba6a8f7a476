//! Datagrams that the guest leaves to be cut (USO, `UDP_SEGMENT`), cut on their way.

use hoptrace_tests::prelude::*;

use datagrams::{Bursts, cutting, ledger_of};

mod datagrams;

const EACH: u64 = 20;

/// Sends datagrams of `bytes` in segments of `datagram_bytes`, which are cut behind qvb, and gives the ledger.
fn cut(datagram_bytes: u16, bytes: usize, v6: bool) -> Result<Ledger> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("the lab has no guest")?;
    let _cuts = cutting(&guest.qvb)?;
    let bursts = Bursts { count: EACH, bytes, datagram_bytes };
    let ledger = ledger_of(&lab, guest, &[], Egress, bursts, v6)?;
    ensure!(ledger.entered == EACH, "the kernel cut before the tap: {ledger}");
    ensure!(ledger.completed == bursts.datagrams(), "{ledger}");
    Ok(ledger)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_pieces_of_a_datagram_are_split() -> Result<()> {
    // The last one is shorter, in some cases shorter than what makes up an identity.
    let large = [(14_000, false), (13_300, true), (12_607, false), (12_601, true), (65_000, false)];
    // No larger than a frame.
    let small = [(1_200, false), (1_001, true)];
    let cases = large.map(|case| (1_400, case)).into_iter().chain(small.map(|case| (500, case)));
    for (datagram_bytes, (bytes, v6)) in cases {
        let ledger = cut(datagram_bytes, bytes, v6)?;
        let pieces = EACH * (bytes.div_ceil(datagram_bytes.into()) as u64 - 1);
        ensure!(ledger.split == pieces, "{bytes}: {ledger}");
        ensure!(ledger.joined_midway == 0, "{bytes}: {ledger}");
    }
    Ok(())
}
