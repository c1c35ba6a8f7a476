//! Attaching where other programs are, and leaving nothing: on kernels with TCX, and on those with clsact only.

use std::{collections::HashMap, fs};

use hoptrace_tests::prelude::*;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, kill_process, pidfd_open},
};
use serde::Deserialize;
use serde_json::Value;

const GUEST: &str = "yjwang-test-1";
const OTHER_GUEST: &str = "yjwang-test-2";
/// Filters of a trace: both sides of the path's four interfaces, of the other guest's port, and of three ports of the host's own.
const FILTERS: usize = 16;
/// From the tracer's death to the end of its guardian.
const REMOVAL_LIMIT: Duration = Duration::from_secs(1);

/// Whether programs are filters here, which somebody has to remove.
fn has_clsact_only() -> Result<bool> {
    Ok(kernel_version()? < (6, 6))
}

/// Every interface of the host's side. The file that the bonding driver puts beside them is none.
fn interfaces() -> Result<Vec<String>> {
    let entries = fs::read_dir("/sys/class/net")?.collect::<std::io::Result<Vec<_>>>()?;
    let interfaces = entries.iter().filter(|entry| entry.path().is_dir());
    Ok(interfaces.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// `tc`'s lines about filters that begin like `hop_`, on any interface.
fn filters() -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for interface in interfaces()? {
        for side in ["ingress", "egress"] {
            let text = run("tc", &["filter", "show", "dev", &interface, side])?;
            lines.extend(text.lines().filter(|line| line.contains(" hop_")).map(str::to_owned));
        }
    }
    Ok(lines)
}

/// Interfaces that have a `clsact`.
fn clsacts() -> Result<Vec<String>> {
    let text = run("tc", &["qdisc", "show"])?;
    let of = |line: &str| {
        line.strip_prefix("qdisc clsact ")?.split(" dev ").nth(1)?.split(' ').next().map(str::to_owned)
    };
    Ok(text.lines().filter_map(of).collect())
}

fn ensure_clean() -> Result<()> {
    let (filters, clsacts) = (filters()?, clsacts()?);
    ensure!(filters.is_empty() && clsacts.is_empty(), "left: {filters:?} {clsacts:?}");
    Ok(())
}

/// Running guardians.
fn guardians() -> Result<Vec<Pid>> {
    let processes = fs::read_dir("/proc")?.flatten();
    let guardians = processes.filter(|process| {
        fs::read_to_string(process.path().join("comm")).is_ok_and(|name| name.trim() == "hop-guardian")
    });
    Ok(guardians
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .collect())
}

fn the_guardian() -> Result<Pid> {
    match guardians()?.as_slice() {
        [guardian] => Ok(*guardian),
        others => bail!("guardians: {others:?}"),
    }
}

/// Kills the tracer so that it can do nothing any more, and its guardian before that.
fn kill_both(tracer: Tracer) -> Result<()> {
    kill_process(the_guardian()?, Signal::KILL)?;
    tracer.signal(Signal::KILL)?;
    tracer.wait().map(drop)
}

/// A trace with filters where the kernel has no better links.
fn start(guest: &Guest) -> Result<Tracer> {
    let words = ["trace", &guest.port_id, "icmp", "--json"];
    Tracer::start(&[&words[..], mechanism()?].concat())
}

/// Without TCX, filters have to be asked for.
fn mechanism() -> Result<&'static [&'static str]> {
    Ok(if has_clsact_only()? { &["--attach", "clsact"] } else { &[] })
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn nothing_is_at_any_interface_that_outlives_its_tracer() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest(GUEST)?;
    for mechanism in [&[][..], &["--attach", "tracepoints"]] {
        let words = ["trace", &guest.port_id, "icmp", "--json"];
        let start = || Tracer::start(&[&words[..], mechanism].concat());
        let tracer = start()?;
        ensure_clean()?;
        ensure!(guardians()?.is_empty(), "nobody has to be there");
        ensure_pinged(&lab, guest, tracer, 20)?;
        let tracer = start()?;
        tracer.signal(Signal::KILL)?;
        tracer.wait()?;
        ensure_clean()?;
    }
    Ok(())
}

fn ping(lab: &Lab, guest: &Guest, count: u64) -> Result<()> {
    lab.wire_ping(guest, count, Duration::from_millis(20))
}

fn ensure_complete(report: &Report, packets: u64) -> Result<()> {
    for (direction, found) in report.directions.both() {
        let ledger = found.ledger;
        let all = Ledger { entered: packets, completed: packets, ..ledger };
        ledger.expect(&all).with_context(|| format!("{direction}: {report}"))?;
    }
    Ok(())
}

/// Pings the guest so many times: all are answered, and the trace has all of them. Where a reply is missing, the report tells what it knows.
fn ensure_pinged(lab: &Lab, guest: &Guest, tracer: Tracer, packets: u64) -> Result<()> {
    let pinged = ping(lab, guest, packets);
    let report = tracer.finish()?;
    pinged.with_context(|| report.to_string())?;
    ensure_complete(&report, packets)
}

/// The `leftovers` of `hoptrace clean`.
fn clean(args: &[&str]) -> Result<Vec<Leftover>> {
    let output = hoptrace([&["clean", "--json"], args].concat())?.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let Cleaned { leftovers } = serde_json::from_slice(&output.stdout)?;
    Ok(leftovers)
}

#[derive(Deserialize)]
struct Cleaned {
    leftovers: Vec<Leftover>,
}

/// What a killed tracer left; all that is said of it.
#[derive(Debug, PartialEq, Deserialize)]
struct Leftover {
    ifname: String,
    #[serde(flatten)]
    more: HashMap<String, Value>,
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn a_killed_tracer_leaves_nothing_within_a_second() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest(GUEST)?;
    ensure_clean()?;
    for signal in [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP] {
        let tracer = start(guest)?;
        if !has_clsact_only()? {
            ensure!(filters()?.is_empty() && guardians()?.is_empty(), "TCX needs neither");
            tracer.signal(signal)?;
            tracer.wait()?;
            continue;
        }
        ensure!(filters()?.len() == FILTERS, "{:?}", filters()?);
        let guardian = pidfd_open(the_guardian()?, PidfdFlags::empty())?;
        tracer.signal(signal)?;
        if signal != Signal::KILL {
            tracer.wait()?;
        }
        let limit = Timespec { tv_sec: REMOVAL_LIMIT.as_secs().try_into()?, tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(&guardian, PollFlags::IN)], Some(&limit))?;
        ensure!(ended == 1, "the guardian still runs");
        ensure_clean().with_context(|| format!("after {signal:?}"))?;
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn filters_and_clsact_of_others_stay_and_ours_are_around_them() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest(GUEST)?;
    let device = guest.qvb.as_str();
    let _clsact = Trap::set(
        "tc",
        &["qdisc", "add", "dev", device, "clsact"],
        &["qdisc", "del", "dev", device, "clsact"],
    )?;
    // The places that ours would take, in use for another kind; and a filter for one protocol.
    for (side, priority) in [("ingress", "1"), ("egress", "65535")] {
        run(
            "tc",
            &["filter", "add", "dev", device, side, "prio", priority, "matchall", "action", "continue"],
        )?;
    }
    let tracer = start(guest)?;
    if has_clsact_only()? {
        let of = |side| run("tc", &["filter", "show", "dev", device, side]);
        ensure!(of("ingress")?.contains("pref 2 bpf") && of("egress")?.contains("pref 65534 bpf"));
        ensure!(filters()?.len() == FILTERS, "{:?}", filters()?);
    }
    ensure_pinged(&lab, guest, tracer, 20)?;
    ensure!(filters()?.is_empty() && clsacts()? == [device], "{:?} {:?}", filters()?, clsacts()?);
    for side in ["ingress", "egress"] {
        ensure!(run("tc", &["filter", "show", "dev", device, side])?.contains("matchall"), "{side}");
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn two_tracers_share_a_clsact_and_the_last_one_removes_it() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest(GUEST)?;
    let first = start(guest)?;
    let second = start(guest)?;
    ensure!(second.notes.iter().any(|note| note.contains("another hoptrace")), "{:?}", second.notes);
    ensure_pinged(&lab, guest, first, 20)?;
    if has_clsact_only()? {
        ensure!(filters()?.len() == FILTERS && !clsacts()?.is_empty(), "{:?}", filters()?);
    }
    ensure_complete(&second.finish()?, 20)?;
    ensure_clean()
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn clean_removes_leftovers_and_nothing_of_a_running_tracer() -> Result<()> {
    let lab = Lab::from_env()?;
    let killed = start(lab.guest(GUEST)?)?;
    if !has_clsact_only()? {
        ensure!(clean(&[])?.is_empty());
        killed.signal(Signal::KILL)?;
        return killed.wait().map(drop);
    }
    kill_both(killed)?;
    ensure!(filters()?.len() == FILTERS, "{:?}", filters()?);
    let running_guest = lab.guest(OTHER_GUEST)?;
    let other = |interface: &str| [running_guest.tap.as_str(), &running_guest.qvb].contains(&interface);
    // On interfaces of its own path it removes them by itself.
    let running = start(running_guest)?;
    ensure!(
        running.notes.iter().filter(|note| note.contains("killed hoptrace")).count() == 1,
        "{:?}",
        running.notes
    );
    let leftovers = clean(&["--dry-run"])?;
    ensure!(leftovers.len() == 6, "tap, qvb and bridge of the other path: {leftovers:?}");
    ensure!(leftovers.iter().all(|it| !other(&it.ifname)), "{leftovers:?}");
    ensure!(filters()?.len() == FILTERS + 6, "looking removes nothing: {:?}", filters()?);
    ensure!(clean(&[])? == leftovers);
    ensure!(filters()?.len() == FILTERS, "{:?}", filters()?);
    ensure_pinged(&lab, running_guest, running, 20)?;
    ensure!(clean(&[])?.is_empty());
    ensure_clean()
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn an_ingress_qdisc_in_the_way_gets_one_clear_line() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest(GUEST)?;
    let device = guest.qvo.as_str();
    let _qdisc = Trap::set(
        "tc",
        &["qdisc", "add", "dev", device, "ingress"],
        &["qdisc", "del", "dev", device, "ingress"],
    )?;
    if !has_clsact_only()? {
        // It is in nobody's way.
        let tracer = start(guest)?;
        return ensure_pinged(&lab, guest, tracer, 5);
    }
    let output = hoptrace([&["trace", &guest.port_id], mechanism()?].concat())?.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().last().unwrap_or_default();
    ensure!(output.status.code() == Some(1) && last.contains(device) && last.contains("ingress"), "{said}");
    ensure!(filters()?.is_empty() && clsacts()?.is_empty(), "{:?} {:?}", filters()?, clsacts()?);
    Ok(())
}
