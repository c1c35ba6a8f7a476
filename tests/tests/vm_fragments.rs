//! IP fragments through a bridge whose firewall tracks connections: it puts them together to look at them, and takes them
//! apart again at its other end. To every hook they are the same fragments.

use std::{net::IpAddr, ops::RangeInclusive, process::Command};

use hoptrace_tests::prelude::*;

const PINGS: u64 = 50;
/// Bytes of each, which take three frames.
const SIZE: &str = "4000";
const FRAGMENTS: u64 = 3 * PINGS;

/// The hybrid firewall's part that matters here: connection tracking on the bridge, for both versions of IP.
fn firewall() -> Result<Vec<Trap>> {
    let loaded = Command::new("modprobe").arg("br_netfilter").status()?;
    ensure!(loaded.success(), "br_netfilter: {loaded}");
    let mut traps = Vec::new();
    for program in ["iptables", "ip6tables"] {
        let rule = |action: &'static str| {
            [action, "FORWARD", "-m", "conntrack", "--ctstate", "NEW,RELATED,ESTABLISHED", "-j", "ACCEPT"]
        };
        traps.push(Trap::set(program, &rule("-A"), &rule("-D"))?);
        let call = |state: u8| format!("net.bridge.bridge-nf-call-{program}={state}");
        traps.push(Trap::set("sysctl", &["-qw", &call(1)], &["-qw", &call(0)])?);
    }
    Ok(traps)
}

/// Packets that this host has put together from fragments.
fn put_together() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/net/snmp")?;
    let mut lines = text.lines().filter(|line| line.starts_with("Ip:"));
    let (names, values) = lines.next().zip(lines.next()).context("no counters of IP")?;
    let column = names.split(' ').position(|name| name == "ReasmOKs").context("no ReasmOKs")?;
    Ok(values.split(' ').nth(column).context("no value")?.parse()?)
}

/// Pings of both IP versions are complete.
fn ping_and_assert_complete(lab: &Lab, guest: &Guest) -> Result<()> {
    for (filter, to) in [("icmp", IpAddr::from(guest.ipv4)), ("icmp6", guest.ipv6.into())] {
        let tracer = Tracer::start(&["trace", &guest.port_id, filter, "--json"])?;
        // The next one when the last one is answered: tails of IPv6 fragments with the same content look the same.
        lab.wire_ping_to(to, PINGS, &["-A", "-s", SIZE])?;
        // Neighbour discovery comes on top.
        let more = if to.is_ipv6() { 10 } else { 0 };
        assert_complete(&tracer.finish()?, &(FRAGMENTS..=FRAGMENTS + more)).context(filter)?;
    }
    Ok(())
}

fn assert_complete(report: &Report, packets: &RangeInclusive<u64>) -> Result<()> {
    for (direction, found) in report.directions.both() {
        let ledger = found.ledger;
        ensure!(packets.contains(&ledger.entered), "{direction}: {ledger}");
        ledger.expect_all(ledger.entered).context(direction)?;
        ledger.expect(&Ledger { ambiguous: 0, untracked: 0, ..ledger }).context(direction)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn fragments_are_followed_one_by_one() -> Result<()> {
    let lab = Lab::from_env()?;
    ping_and_assert_complete(&lab, lab.guest("yjwang-test-1")?)
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn fragments_that_a_firewall_puts_together_and_takes_apart_are_the_same() -> Result<()> {
    let lab = Lab::from_env()?;
    let _firewall = firewall()?;
    let before = put_together()?;
    ping_and_assert_complete(&lab, lab.guest("yjwang-test-1")?)?;
    // Requests and replies.
    ensure!(put_together()? - before == 2 * PINGS, "the firewall does not put fragments together");
    Ok(())
}
