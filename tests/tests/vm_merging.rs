//! TCP that interfaces merge (GRO) on its way, on the kernel's OVS datapath: what became part of a larger packet is merged,
//! not lost.

use hoptrace_tests::prelude::*;

const TCP_BYTES: u64 = 8_000_000;
const GRO_WAITS_NS: u32 = 1_000_000;
/// In segments of the path's MTU.
const SEGMENTS: u64 = TCP_BYTES / 1448;

/// Sends both ways and gives the report; every byte arrives.
fn trace_tcp(lab: &Lab, guest: &Guest, args: &[&str]) -> Result<Report> {
    let tracer = Tracer::start(&[&["trace", &guest.port_id, "tcp", "--json"], args].concat())?;
    let echoed = lab.wire_tcp_echo((guest.ipv4, 7).into(), TCP_BYTES)?;
    let sink = lab.wire_tcp_sink(5010)?;
    guest.send_tcp((lab.wire.ipv4.into(), 5010), TCP_BYTES)?;
    let arrived = sink.finish()?;
    let report = tracer.finish()?;
    ensure!((echoed, arrived) == (TCP_BYTES, TCP_BYTES), "{echoed} {arrived}");
    Ok(report)
}

/// A direction's ledger, in which nothing is lost, evicted or unclear.
fn clean(report: &Report, direction: Direction) -> Result<Ledger> {
    let ledger = report.direction(direction).ledger;
    let none = Ledger { dropped: 0, lost: 0, in_flight: 0, evicted: 0, ..ledger };
    ledger.expect(&Ledger { ambiguous: 0, untracked: 0, ..none }).context(direction)?;
    Ok(ledger)
}

/// Switches offloads of an interface off.
fn offloads(ifname: &str, words: &[&str]) -> Result<Trap> {
    let set = |state: &'static str| {
        let states = words.iter().flat_map(|word| [*word, state]);
        ["-K", ifname].into_iter().chain(states).collect::<Vec<_>>()
    };
    Trap::set("ethtool", &set("off"), &set("on"))
}

/// As [`offloads`], in another network namespace: what it sends is cut there.
fn cuts_by_itself(netns: &str, ifname: &str) -> Result<Trap> {
    let set = |state| ["netns", "exec", netns, "ethtool", "-K", ifname, "tso", state, "gso", state];
    Trap::set("ip", &set("off"), &set("on"))
}

/// Has an interface merge what it receives, also what comes packet by packet: it waits for more for a moment.
fn gro(ifname: &str) -> Result<[Trap; 2]> {
    let wait = |nanoseconds: u32| format!("echo {nanoseconds} > /sys/class/net/{ifname}/gro_flush_timeout");
    Ok([
        Trap::set("sh", &["-c", &wait(GRO_WAITS_NS)], &["-c", &wait(0)])?,
        Trap::set("ethtool", &["-K", ifname, "gro", "on"], &["-K", ifname, "gro", "off"])?,
    ])
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn frames_that_xdp_saw_are_merged_before_the_nic_hook() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _gro = gro(&lab.nic)?;
    let report = trace_tcp(&lab, guest, &["--xdp", "native"])?;
    let ingress = clean(&report, Ingress)?;
    ensure!(ingress.entered > SEGMENTS, "{} frames: the peer does not cut them", ingress.entered);
    ensure!(ingress.merged > SEGMENTS / 2, "{} of {} merged", ingress.merged, ingress.entered);
    ensure!(ingress.completed + ingress.merged == ingress.entered && ingress.joined_midway == 0, "{report}");
    for segment in &report.ingress().segments {
        ensure!(segment.count == ingress.completed, "{} completed, but {segment}", ingress.completed);
    }
    let egress = clean(&report, Egress)?;
    ensure!(egress.completed == egress.entered && egress.merged == 0, "{report}");
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn generic_xdp_sees_what_the_nic_hook_sees() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let report = trace_tcp(&lab, guest, &["--xdp", "generic"])?;
    for direction in Direction::ALL {
        let found = clean(&report, direction)?;
        ensure!(
            found.completed == found.entered && found.merged == 0 && found.joined_midway == 0,
            "{report}"
        );
        ensure!(found.entered < SEGMENTS, "{direction}: {} packets: nothing is unsegmented", found.entered);
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn frames_are_merged_between_the_veth_ends() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    // Both senders cut by themselves; a veth end merges only what comes from one that does not segment.
    let netns = format!("guest-{}", guest.domain);
    let _senders = [cuts_by_itself(&netns, "eth0")?, cuts_by_itself(&lab.wire.netns, &lab.wire.interface)?];
    let _veth = [offloads(&guest.qvb, &["tso"])?, offloads(&guest.qvo, &["tso"])?];
    let _gro = [gro(&guest.qvb)?, gro(&guest.qvo)?];
    let report = trace_tcp(&lab, guest, &[])?;
    for direction in Direction::ALL {
        let found = clean(&report, direction)?;
        ensure!(found.entered > SEGMENTS && found.merged > SEGMENTS / 4, "{direction}: {report}");
        ensure!(
            found.completed + found.merged == found.entered && found.joined_midway == 0,
            "{direction}: {report}"
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn packets_cut_and_merged_anew_are_none_of_them_lost() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _veth = [offloads(&guest.qvb, &["tso", "gso"])?, offloads(&guest.qvo, &["tso", "gso"])?];
    let _gro = [gro(&guest.qvb)?, gro(&guest.qvo)?];
    let _nic = gro(&lab.nic)?;
    let report = trace_tcp(&lab, guest, &["--xdp", "native"])?;
    for direction in Direction::ALL {
        let found = clean(&report, direction)?;
        // An interface that waits for more lets pieces overtake the first one; those have joined, as far as can be known.
        let into = found.entered + found.split + found.joined_midway;
        ensure!(found.completed + found.merged == into, "{direction}: {report}");
    }
    Ok(())
}
