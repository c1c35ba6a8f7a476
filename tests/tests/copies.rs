//! Copies are not the packet: what strangers take beside the path and lose is no drop. And what dies before the path's first
//! hook is told, though no hook has seen it.

mod strangers;

use hoptrace_tests::prelude::*;
use hoptrace_tests::report::DirectionDrops;
use strangers::{Dropper, Keeps, deaf_socket, drop_frames};

const DATAGRAMS: u64 = 1_000;
/// Captured by a socket that has room for a few: more are slow where the machine is emulated.
const CAPTURED: u64 = 300;
const PORT: u16 = 4446;

/// All of the direction's packets arrived, and no copy was taken for one.
fn assert_all_arrived(found: &DirectionDrops, packets: u64) -> Result<()> {
    ensure!(found.drops.is_empty() && found.early_drops.is_empty(), "{found}");
    let ledger = found.ledger;
    ledger.expect(&Ledger { entered: packets, completed: packets, dropped: 0, lost: 0, ..ledger })
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn a_capture_socket_that_is_full_loses_copies_only() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    for keeps in [Keeps::Buffer, Keeps::Ring] {
        for ifname in [&guest.tap, &guest.qvb, &guest.qvo, &lab.nic] {
            let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
            let socket = deaf_socket(ifname, keeps)?;
            lab.wire_udp_exact(guest, CAPTURED, 64)?;
            let arrived = lab.guest_udp_exact(guest, PORT, CAPTURED, 64)?;
            let report = tracer.finish()?;
            drop(socket);
            let at = || format!("{keeps:?} at {ifname}");
            ensure!(arrived.datagrams == CAPTURED, "{}: {arrived:?}", at());
            for (direction, found) in report.directions.both() {
                assert_all_arrived(found, CAPTURED).context(direction).with_context(at)?;
            }
        }
    }
    Ok(())
}

/// Of the VM's packets: all that are doomed die before the first hook, no other does. Hooks at tracepoints are before generic XDP:
/// these have seen them.
fn assert_died_early(report: &DropsReport, direction: Direction, hook: &str, reason: &str) -> Result<()> {
    let found = report.direction(direction);
    if report.tracer.mechanism == "tracepoints" {
        return assert_died_behind(found, hook, reason);
    }
    let [row] = found.early_drops.as_slice() else { bail!("{direction}: not one place: {found}") };
    ensure!(row.before == hook && row.count == DOOMED, "{direction}: {row}");
    let said = row.reason.as_deref();
    ensure!(said == Some(reason) || said == Some("NOT_SPECIFIED"), "{direction}: {row}");
    ensure!(row.location.contains("+0x"), "{direction}: {row}");
    let example = row.example.as_ref().with_context(|| format!("no example in {row}"))?;
    ensure!(example.destination_port == Some(DOOMED_PORT), "{direction}: {row}");
    ensure!(example.len_bytes == u64::from(DOOMED_LEN), "{direction}: {row}");
    let ledger = found.ledger;
    let expected = Ledger { entered: INNOCENT, completed: INNOCENT, dropped: 0, ..ledger };
    ledger.expect(&expected).context(direction)?;
    ensure!(found.drops.is_empty(), "{direction}: {found}");
    Ok(())
}

/// The same where the first hook has seen them.
fn assert_died_behind(found: &DirectionDrops, hook: &str, reason: &str) -> Result<()> {
    ensure!(found.early_drops.is_empty(), "{found}");
    let drop = found.only_drop()?;
    ensure!(drop.after == hook && drop.count == DOOMED, "{found}");
    let said = drop.reason.as_deref();
    ensure!(said == Some(reason) || said == Some("NOT_SPECIFIED"), "{found}");
    let (entered, ledger) = (DOOMED + INNOCENT, found.ledger);
    ledger.expect(&Ledger { entered, dropped: DOOMED, completed: INNOCENT, lost: 0, ..ledger })
}

const DOOMED: u64 = 137;
const INNOCENT: u64 = 64;
const DOOMED_PORT: u16 = 4447;
/// Payload of the doomed; the innocent have another one.
const DOOMED_BYTES: usize = 101;
const DOOMED_LEN: u32 = 101 + 8 + 20 + 14;

/// Sends the doomed and the innocent in one direction, and gives the report of a tracer with these words before `--json`.
fn trace_doomed(
    lab: &Lab,
    guest: &Guest,
    direction: Direction,
    words: &[&str],
    dropper: Dropper,
) -> Result<DropsReport> {
    let tracer = Tracer::start(&[words, &["--json"]].concat())?;
    let ifname = if direction == Egress { &guest.tap } else { &lab.nic };
    let dropping = drop_frames(ifname, dropper, DOOMED_LEN)?;
    let pace = Duration::from_micros(200);
    if direction == Egress {
        let sent = guest.send_udp((lab.wire.ipv4.into(), DOOMED_PORT), DOOMED, DOOMED_BYTES, pace)?;
        ensure!(sent.sent == DOOMED, "{sent:?}");
        lab.guest_udp_exact(guest, DOOMED_PORT, INNOCENT, 64)?;
    } else {
        lab.wire_udp_flood((guest.ipv4, DOOMED_PORT).into(), DOOMED, DOOMED_BYTES, pace)?;
        lab.wire_udp_exact(guest, INNOCENT, 64)?;
    }
    let report = tracer.finish_drops()?;
    drop(dropping);
    Ok(report)
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn what_dies_before_the_first_hook_is_told() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let own = ["trace", guest.port_id.as_str(), "udp"];
    // From then on programs can be put before others at traffic control.
    let has_tcx = kernel_version()? >= (6, 6);
    for (dropper, reason) in [(Dropper::Tcx, "TC_INGRESS"), (Dropper::Xdp, "XDP")] {
        if dropper == Dropper::Tcx && !has_tcx {
            continue;
        }
        let report = trace_doomed(&lab, guest, Egress, &own, dropper)?;
        assert_died_early(&report, Egress, "tap", reason)?;
        // A userspace datapath takes packets before traffic control: what that drops is a copy.
        if dropper == Dropper::Xdp || lab.datapath == "system" {
            let report = trace_doomed(&lab, guest, Ingress, &own, dropper)?;
            assert_died_early(&report, Ingress, "nic", reason)?;
        }
    }
    // The same on kernels that have traffic control's hooks, too.
    let at_tracepoints = [&own[..], &["--attach", "tracepoints"]].concat();
    for (direction, hook) in [(Egress, "tap"), (Ingress, "nic")] {
        let report = trace_doomed(&lab, guest, direction, &at_tracepoints, Dropper::Xdp)?;
        assert_died_early(&report, direction, hook, "XDP")?;
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn what_dies_before_the_first_hook_and_is_not_asked_for_or_another_vm_s_is_not_told() -> Result<()> {
    let lab = Lab::from_env()?;
    let (guest, other) = (lab.guest("yjwang-test-1")?, lab.guest("yjwang-test-2")?);
    let none = |report: &DropsReport| -> Result<()> {
        ensure!(report.ingress().early_drops.is_empty(), "{}", report.ingress());
        Ok(())
    };
    // The filter words are about these, too.
    let filtered = ["drops", guest.port_id.as_str(), "udp", "port", "9"];
    none(&trace_doomed(&lab, guest, Ingress, &filtered, Dropper::Xdp)?)?;
    // The other VM's packets come by the same NIC.
    let own = ["drops", guest.port_id.as_str(), "udp"];
    let tracer = Tracer::start(&[&own[..], &["--json"]].concat())?;
    let dropping = drop_frames(&lab.nic, Dropper::Xdp, DOOMED_LEN)?;
    lab.wire_udp_flood((other.ipv4, DOOMED_PORT).into(), DOOMED, DOOMED_BYTES, Duration::from_micros(200))?;
    lab.wire_udp_exact(guest, INNOCENT, 64)?;
    let report = tracer.finish_drops()?;
    drop(dropping);
    none(&report)
}

/// The process of the switch.
fn vswitchd() -> Result<String> {
    let path = "/run/openvswitch/ovs-vswitchd.pid";
    Ok(std::fs::read_to_string(path).context(path)?.trim().to_owned())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn what_a_userspace_datapath_has_no_room_for_is_told_and_counted() -> Result<()> {
    let lab = Lab::from_env()?;
    // In the kernel there is no socket before the switch.
    if lab.datapath != "netdev" {
        return Ok(());
    }
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--timeout", "4s", "--json"])?;
    lab.introduce(guest)?;
    let pid = vswitchd()?;
    let stopped = Trap::set("kill", &["-STOP", &pid], &["-CONT", &pid])?;
    let at_nic = InterfaceCounts::of(&lab.nic)?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), DATAGRAMS, 64, Duration::ZERO)?;
    at_nic.wait_for_received(&lab.nic, DATAGRAMS)?;
    drop(stopped);
    lab.introduce(guest)?;
    let report = tracer.finish()?;
    let told: Vec<_> = report.evidence.iter().filter(|it| it.source == "socket").collect();
    let [told] = told.as_slice() else { bail!("not one socket: {:?}", report.evidence) };
    let full = told.count;
    ensure!(told.at == lab.nic && full > 0 && full < DATAGRAMS, "{told} of {DATAGRAMS}");
    let found = report.ingress();
    let drop = found.only_drop()?;
    ensure!(drop.after == "nic" && drop.count == full, "{full}: {found}");
    let (completed, ledger) = (DATAGRAMS - full, found.ledger);
    ledger.expect(&Ledger { lost: full, completed, dropped: 0, ..ledger })?;
    Ok(())
}
