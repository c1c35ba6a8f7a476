//! A report begins with what is to know, in words, and the exit code agrees with it.

use std::{process::Command, time::Instant};

use hoptrace_tests::prelude::*;

const PORT: u16 = 4444;
const PACE: Duration = Duration::from_millis(1);
const WAIT: Duration = Duration::from_secs(10);

/// The first line of a text report, the exit code, and the last words on stderr.
struct Said {
    first: String,
    text: String,
    code: Option<i32>,
    stderr: String,
}

fn end(tracer: Tracer) -> Result<Said> {
    tracer.signal(Signal::INT)?;
    let ended = tracer.wait()?;
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    let first = text.lines().next().context("an empty report")?.to_owned();
    Ok(Said { first, text, code: ended.status.code(), stderr: ended.stderr })
}

fn drop_udp(lab: &Lab) -> Result<Trap> {
    let bridge = lab.integration_bridge.as_str();
    let rule = Trap::flow(bridge, &format!("priority=1000,udp,tp_dst={PORT}"), "drop")?;
    // Flows that the datapath remembers from packets before do not know the rule.
    let purged = Command::new("ovs-appctl").arg("revalidator/purge").output()?;
    ensure!(purged.status.success(), "{}", String::from_utf8_lossy(&purged.stderr));
    Ok(rule)
}

fn ping(lab: &Lab, guest: &Guest, count: u64) -> Result<()> {
    lab.wire_ping(guest, count, Duration::from_millis(10))
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn when_nothing_is_wrong_the_first_line_says_so_with_counts() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    for command in ["trace", "drops"] {
        let tracer = Tracer::start(&[command, &guest.port_id, "icmp"])?;
        ping(&lab, guest, 20)?;
        let said = end(tracer)?;
        ensure!(said.code == Some(0), "{:?}: {}", said.code, said.stderr);
        ensure!(
            said.first == "✔ nothing died: 20 packets to the VM, 20 packets from the VM",
            "{command}: {}",
            said.text
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn a_part_that_dies_is_in_the_first_line_and_all_of_it_in_the_exit_code_too() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _rule = drop_udp(&lab)?;
    let after = format!("after nic {}", lab.nic);

    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--timeout", "2s"])?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), 30, 64, PACE)?;
    lab.wire_udp_flood((guest.ipv4, PORT).into(), 50, 64, PACE)?;
    let said = end(tracer)?;
    ensure!(said.code == Some(0), "{:?}: {}", said.code, said.stderr);
    ensure!(said.first.starts_with("✘ 50 of 80 packets to the VM died"), "{}", said.text);
    ensure!(said.text.replace("\n  ", " ").contains(&after), "{}", said.text);

    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--timeout", "2s"])?;
    lab.wire_udp_flood((guest.ipv4, PORT).into(), 50, 64, PACE)?;
    let said = end(tracer)?;
    ensure!(said.code == Some(3), "{:?}: {}", said.code, said.stderr);
    ensure!(said.first.starts_with("✘ all 50 packets to the VM died"), "{}", said.text);
    ensure!(said.stderr.contains("all 50 packets to the VM died"), "{}", said.stderr);
    Ok(())
}

/// What `packets` prints came through; the others are said behind it.
#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn packets_says_what_it_can_not_print() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _rule = drop_udp(&lab)?;
    let tracer = Tracer::start(&["packets", &guest.port_id, "udp", "--timeout", "2s"])?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), 30, 64, PACE).context("those that pass")?;
    lab.wire_udp_flood((guest.ipv4, PORT).into(), 50, 64, PACE).context("those that are dropped")?;
    let said = end(tracer)?;
    ensure!(said.code == Some(0), "{:?}: {}", said.code, said.stderr);
    ensure!(said.text.lines().count() == 30, "{}", said.text);
    // The first ones may die on their way to user space, as packets of an unknown flow.
    let (what, place) = ("✘ 50 of 80 packets to the VM died", format!("after nic {}", lab.nic));
    ensure!(said.stderr.contains(what) && said.stderr.contains(&place), "{}", said.stderr);
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn an_interface_that_goes_down_meanwhile_is_why_packets_are_lost() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let qvo = guest.qvo.as_str();
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
    guest.sink_reset()?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), 20, 64, PACE)?;
    guest.sink_wait(20, WAIT)?;
    let down = Trap::set("ip", &["link", "set", qvo, "down"], &["link", "set", qvo, "up"])?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), 40, 64, PACE)?;
    let report = tracer.finish()?;
    drop(down);
    let first = report.first()?;
    first.says("40 of 60 packets to the VM died after").with_context(|| report.to_string())?;
    first.says(&format!("{qvo} is DOWN (IFF_UP is not set), since "))?;
    first.suggests(&format!("ip link set {qvo} up"))?;
    let down = report.finding("link-down")?;
    ensure!(down.place.as_deref() == Some(qvo) && down.severity == "critical", "{down}");
    back(&lab, guest)
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn an_interface_that_was_down_for_a_moment_is_told_with_both_times() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let qvo = guest.qvo.as_str();
    let down = Trap::set("ip", &["link", "set", qvo, "down"], &["link", "set", qvo, "up"])?;
    // `path` knew it before.
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--json"])?;
    comes_back(&lab, guest, tracer, down, &format!("{qvo} was DOWN (IFF_UP is not set), until "))
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn a_bridge_that_goes_down_and_comes_back_is_told_with_both_times() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    lab.introduce(guest)?;
    let qbr = guest.qbr.as_str();
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--json"])?;
    let down = Trap::set("ip", &["link", "set", qbr, "down"], &["link", "set", qbr, "up"])?;
    comes_back(&lab, guest, tracer, down, &format!("{qbr} was DOWN (IFF_UP is not set), from "))
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn an_interface_that_was_down_before_is_not_why_packets_die() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let qvo = guest.qvo.as_str();
    lab.introduce(guest)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
    Trap::set("ip", &["link", "set", qvo, "down"], &["link", "set", qvo, "up"])?.take_away()?;
    back(&lab, guest)?;
    // Long enough that what dies next is no longer about it.
    lab.wire_udp_flood((guest.ipv4, 9).into(), 20, 64, Duration::from_millis(30))?;
    let rule = drop_udp(&lab)?;
    lab.wire_udp_flood((guest.ipv4, PORT).into(), 30, 64, PACE)?;
    let report = tracer.finish()?;
    drop(rule);
    let first = report.first()?;
    // Those that died as upcalls are told by themselves.
    first.says("30 of 50 packets to the VM died").with_context(|| report.to_string())?;
    ensure!(!first.text.contains("DOWN"), "{first}");
    report.finding("link-down")?.says(&format!("{qvo} was DOWN"))
}

/// 40 packets while something on the path is `down`, 20 when it is back: the report's first line says so in these words, and nothing is
/// left to do.
fn comes_back(lab: &Lab, guest: &Guest, tracer: Tracer, down: Trap, words: &str) -> Result<()> {
    lab.wire_udp_flood((guest.ipv4, 9).into(), 40, 64, PACE)?;
    // Behind them, by the same NIC and switch: when it has come to another guest, they have died.
    lab.wire_ping(lab.guest("yjwang-test-2")?, 1, PACE)?;
    down.take_away()?;
    back(lab, guest)?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), 20, 64, PACE)?;
    let report = tracer.finish_drops()?;
    let first = report.first()?;
    first.says("40 of 60 packets to the VM died after").with_context(|| report.to_string())?;
    first.says(words)?;
    ensure!(first.next.is_none(), "{first}");
    Ok(())
}

/// Waits until packets pass again.
fn back(lab: &Lab, guest: &Guest) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while ping(lab, guest, 1).is_err() {
        ensure!(Instant::now() < deadline, "{} does not come back", guest.domain);
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_vm_that_is_paused_meanwhile_is_told_before_that_nothing_died() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    if guest.nic_pid.is_some() {
        // There is no libvirt in a test VM.
        return Ok(());
    }
    lab.introduce(guest)?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--json"])?;
    let paused = guest.freeze()?;
    let before = InterfaceCounts::of(&guest.qvb)?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), 100, 64, PACE)?;
    before.wait_for_received(&guest.qvb, 100)?;
    let report = tracer.finish_drops()?;
    drop(paused);
    let first = report.first()?;
    ensure!(first.code == "vm-paused" && first.severity == "critical", "{:?}", report.findings);
    first.says(&format!("libvirt: {} is PAUSED", guest.domain))?;
    first.says("may have been read by nobody")?;
    first.suggests(&format!("virsh resume {}", guest.domain))?;
    report.finding("nothing-died")?;
    // And where it was so from the start on.
    let paused = guest.freeze()?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "and", "port", "9"])?;
    let said = end(tracer)?;
    drop(paused);
    ensure!(said.first.starts_with(&format!("✘ libvirt: {} is PAUSED", guest.domain)), "{}", said.text);
    ensure!(said.code == Some(5) && said.stderr.contains("is PAUSED"), "{:?}: {}", said.code, said.stderr);
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_guest_whose_link_is_set_down_gets_nothing() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    if guest.nic_pid.is_some() {
        // There is no libvirt in a test VM.
        return Ok(());
    }
    lab.introduce(guest)?;
    guest.sink_reset()?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--json"])?;
    let link = |state| ["-q", "domif-setlink", &guest.domain, &guest.tap, state];
    let unplugged = Trap::set("virsh", &link("down"), &link("up"))?;
    let before = InterfaceCounts::of(&guest.qvb)?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), 30, 64, PACE)?;
    before.wait_for_received(&guest.qvb, 30)?;
    let report = tracer.finish_drops()?;
    unplugged.take_away()?;
    let first = report.first()?;
    ensure!(first.code == "vm-unplugged" && first.severity == "critical", "{:?}", report.findings);
    first.says(&format!("libvirt: the link of {} is set DOWN", guest.tap))?;
    first.says("may have been read by nobody")?;
    first.suggests(&format!("virsh domif-setlink {} {} up", guest.domain, guest.tap))?;
    ensure!(guest.sink_count()?.datagrams == 0, "QEMU takes nothing for such a guest");
    back(&lab, guest)
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn without_traffic_that_is_said_first() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let said = end(Tracer::start(&["trace", &guest.port_id, "udp", "and", "port", "4711"])?)?;
    ensure!(said.code == Some(5), "{:?}: {}", said.code, said.stderr);
    ensure!(said.first.starts_with("! no packet that matches `udp and port 4711` was seen"), "{}", said.text);
    Ok(())
}
