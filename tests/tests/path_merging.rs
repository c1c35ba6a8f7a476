//! Datagrams that interfaces merge (GRO) on their way: what became part of a larger packet is
//! merged, not lost.

use hoptrace_tests::prelude::*;

use datagrams::{Bursts, cutting, ledger_of};

mod datagrams;

const GRO_WAITS_NS: u32 = 1_000_000;
/// Datagrams merged into one packet, and each of them with the headers kept in a list.
const WAYS: [&str; 2] = ["rx-udp-gro-forwarding", "rx-gro-list"];
/// The last one of each is shorter, shorter than what makes up an identity.
const BURSTS: Bursts = Bursts { count: 50, bytes: 29_007, datagram_bytes: 1_000 };
/// So small that the merged packet is no larger than a frame.
const SMALL: Bursts = Bursts { count: 50, bytes: 1_000, datagram_bytes: 100 };
/// So small that the merged packet's identity is not that of the first one.
const TINY: Bursts = Bursts { count: 50, bytes: 120, datagram_bytes: 12 };

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn datagrams_that_xdp_saw_are_merged_before_the_nic_hook() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("the lab has no guest")?;
    for way in WAYS {
        let _merges = merging(&lab.nic, way)?;
        for (bursts, v6) in [(BURSTS, false), (BURSTS, true), (SMALL, false), (SMALL, true)] {
            let ledger = ledger_of(&lab, guest, &["--xdp", "native"], Ingress, bursts, v6)?;
            let merged = ledger.merged;
            ensure!(ledger.entered == bursts.datagrams(), "{way}: {ledger}");
            ensure!(merged > bursts.datagrams() / 2, "{way}: {merged} merged: {ledger}");
            ensure!(ledger.completed + merged == bursts.datagrams(), "{way}: {ledger}");
            ensure!(ledger.joined_midway == 0 && ledger.split == 0, "{way}: {ledger}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn merged_datagrams_smaller_than_an_identity_are_another_packet() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("the lab has no guest")?;
    let _merges = merging(&lab.nic, WAYS[0])?;
    let ledger = ledger_of(&lab, guest, &["--xdp", "native"], Ingress, TINY, false)?;
    let (merged, joined) = (ledger.merged, ledger.joined_midway);
    ensure!(merged > TINY.datagrams() / 2, "{ledger}");
    // The rest came alone, or as pieces.
    ensure!(ledger.completed == TINY.datagrams() - merged + joined + ledger.split, "{ledger}");
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn merged_datagrams_are_cut_again() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("the lab has no guest")?;
    for way in WAYS {
        let (_merges, _cuts) = (merging(&lab.nic, way)?, cutting(&guest.qvo)?);
        for v6 in [false, true] {
            let ledger = ledger_of(&lab, guest, &["--xdp", "native"], Ingress, BURSTS, v6)?;
            let merged = ledger.merged;
            ensure!(merged > BURSTS.datagrams() / 2, "{way}: {merged} merged: {ledger}");
            ensure!(ledger.split == merged && ledger.joined_midway == 0, "{way}: {ledger}");
            ensure!(ledger.completed == BURSTS.datagrams(), "{way}: {ledger}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn datagrams_are_merged_between_the_veth_ends() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("the lab has no guest")?;
    // The senders cut by themselves; a veth end merges only what comes from one that does not segment TCP.
    let netns = guest.netns.as_deref().context("the guest is a VM")?;
    let _senders = [cuts_by_itself(netns, "eth0")?, cuts_by_itself(&lab.wire.netns, &lab.wire.interface)?];
    let _veth = [no_tso(&guest.qvb)?, no_tso(&guest.qvo)?];
    for way in WAYS {
        let _merges = [merging(&guest.qvb, way)?, merging(&guest.qvo, way)?];
        // An end that merges keeps its hook.
        for (direction, bursts, hooks) in [
            (Egress, BURSTS, "all"),
            (Ingress, BURSTS, "all"),
            (Egress, SMALL, "few"),
            (Ingress, SMALL, "few"),
        ] {
            let ledger = ledger_of(&lab, guest, &["--hooks", hooks], direction, bursts, false)?;
            let (merged, datagrams) = (ledger.merged, bursts.datagrams());
            ensure!(ledger.entered == datagrams, "{way}, {direction}, {hooks}: {ledger}");
            ensure!(merged > datagrams / 4, "{way}, {direction}, {hooks}: {merged} merged: {ledger}");
            ensure!(ledger.completed + merged == datagrams, "{way}, {direction}, {hooks}: {ledger}");
        }
    }
    Ok(())
}

/// Has an interface merge the datagrams that it receives, in the way of that name, and wait for more for a moment.
fn merging(ifname: &str, way: &str) -> Result<[Trap; 2]> {
    let wait = |nanoseconds: u32| format!("echo {nanoseconds} > /sys/class/net/{ifname}/gro_flush_timeout");
    let set = |state| ["-K", ifname, "gro", state, way, state];
    Ok([
        Trap::set("sh", &["-c", &wait(GRO_WAITS_NS)], &["-c", &wait(0)])?,
        Trap::set("ethtool", &set("on"), &set("off"))?,
    ])
}

/// What an interface in another network namespace sends is cut there.
fn cuts_by_itself(netns: &str, ifname: &str) -> Result<Trap> {
    let set =
        |state| ["netns", "exec", netns, "ethtool", "-K", ifname, "gso", state, "tx-udp-segmentation", state];
    Trap::set("ip", &set("off"), &set("on"))
}

fn no_tso(ifname: &str) -> Result<Trap> {
    let set = |state| ["-K", ifname, "tso", state];
    Trap::set("ethtool", &set("off"), &set("on"))
}
