//! Starting fast, leaving nothing, and saying in one line what is wrong.

use std::process::{Command, Output};

use aya::programs::{SchedClassifier, TcAttachType};
use hoptrace_tests::prelude::*;

/// From starting the program to the first packet admitted. Loading and attaching is most of it, and of
/// that the verifier's work.
const START_LIMIT: Duration = Duration::from_millis(500);

/// Programs attached to the interfaces of the first guest's path, whoever attached them.
fn attached(lab: &Lab) -> Result<usize> {
    let guest = lab.guest("yjwang-test-1")?;
    let mut count = 0;
    for ifname in lab.path_interfaces(guest) {
        for side in [TcAttachType::Ingress, TcAttachType::Egress] {
            count += SchedClassifier::query_tcx(ifname, side)?.1.len();
        }
    }
    Ok(count)
}

/// Runs `hoptrace`, which must fail with this exit code and one line that has these words in it.
fn refused(args: &[&str], code: i32, words: &[&str]) -> Result<()> {
    refused_command(hoptrace(args)?, code, words)
}

fn refused_command(mut command: Command, code: i32, words: &[&str]) -> Result<()> {
    let Output { status, stdout, stderr } = command.output()?;
    let said = String::from_utf8_lossy(&stderr);
    ensure!(status.code() == Some(code), "{command:?}: {status}: {said}");
    ensure!(stdout.is_empty(), "{command:?} printed {}", String::from_utf8_lossy(&stdout));
    ensure!(said.lines().count() == 1, "{command:?} said more than one line: {said}");
    for word in words {
        ensure!(said.contains(word), "{command:?} does not say {word:?}: {said}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_first_packet_is_traced_at_once() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let mut fastest = Duration::MAX;
    // Whatever else the machine does just then makes a start slower, and none faster.
    for _ in 0..8 {
        let tracer = Tracer::start(&["trace", &guest.display_name, "--json", "icmp"])?;
        fastest = fastest.min(tracer.started_in);
        lab.wire_ping(guest, 1, Duration::from_millis(10))?;
        let report = tracer.finish()?;
        ensure!(report.ingress().ledger.entered == 1, "{report}");
    }
    ensure!(fastest < START_LIMIT, "the fastest of eight starts took {fastest:?}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn nothing_stays_attached_however_it_ends() -> Result<()> {
    let lab = Lab::from_env()?;
    ensure!(attached(&lab)? == 0, "something is attached before");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let tracer = Tracer::start(&["trace", "yjwang-test-1"])?;
        ensure!(attached(&lab)? == 8, "{} programs are attached", attached(&lab)?);
        tracer.signal(signal)?;
        let ended = tracer.wait()?;
        ensure!(
            ended.status.success() != (signal == Signal::KILL) || ended.status.code() == Some(5),
            "{ended:?}"
        );
        ensure!(attached(&lab)? == 0, "{} programs are left after {signal:?}", attached(&lab)?);
    }
    let tracer = Tracer::start(&["trace", "yjwang-test-1", "--duration", "200ms"])?;
    ensure!(tracer.wait()?.status.code() == Some(5), "an idle path is no traffic");
    ensure!(attached(&lab)? == 0, "programs are left after the end of the time");
    Ok(())
}

/// The kernel takes a program off a tracepoint with the last file descriptor of its link: nothing but the process may hold
/// one.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_wire_hook_is_a_link_of_the_process() -> Result<()> {
    for (options, expected) in [(&["--wire"][..], 1), (&[], 0)] {
        let tracer = Tracer::start(&[&["trace", "yjwang-test-1"], options].concat())?;
        let files = std::fs::read_dir(format!("/proc/{}/fdinfo", tracer.pid()))?;
        let links = files
            .filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok())
            .filter(|text| text.contains("link_type:\traw_tracepoint"))
            .filter(|text| text.contains("tp_name:\tnet_dev_start_xmit"));
        ensure!(links.count() == expected, "with {options:?}");
        tracer.signal(Signal::INT)?;
        tracer.wait()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn two_tracers_at_once_both_count_everything() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let first = Tracer::start(&["trace", &guest.display_name, "icmp", "--json"])?;
    let second = Tracer::start(&["trace", &guest.display_name, "icmp", "--json"])?;
    ensure!(first.notes.is_empty(), "{:?}", first.notes);
    ensure!(second.notes.iter().any(|note| note.contains("another hoptrace")), "{:?}", second.notes);
    lab.wire_ping(guest, 100, Duration::from_millis(5))?;
    for report in [first.finish()?, second.finish()?] {
        for (_, found) in report.directions.both() {
            found.ledger.expect(&Ledger { completed: 100, ..found.ledger })?;
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_count_ends_the_trace_exactly_there() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.display_name, "icmp", "--json", "--count", "50"])?;
    lab.wire_ping(guest, 60, Duration::from_millis(5))?;
    let ended = tracer.wait()?;
    let report = Report::read(&ended.stdout)?;
    let entered = report.egress().ledger.entered + report.ingress().ledger.entered;
    ensure!(entered == 50, "{report}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_command_is_traced_while_it_runs() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let command =
        format!("nsenter --net={} ping -q -c 20 -i 0.01 {}", lab.wire.netns_path().display(), guest.ipv4);
    let output = hoptrace(["trace", &guest.display_name, "icmp", "--json", "--cmd", &command])?.output()?;
    let report = Report::read(&output.stdout)?;
    ensure!(report.egress().ledger.completed == 20, "{report}");
    ensure!(
        String::from_utf8_lossy(&output.stderr).contains("20 received"),
        "the command's words are on stderr"
    );
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn bad_input_gets_one_clear_line() -> Result<()> {
    refused(&["trace", "yjwang-test-3"], 1, &["yjwang-test-3", "yjwang-test-1"])?;
    refused(&["trace", "yjwang-test-1", "port", "99999"], 2, &["99999"])?;
    refused(&["trace", "yjwang-test-1", "icmp", "or", "udp"], 2, &["or"])?;
    refused(&["trace", "yjwang-test-1", "arp", "and", "port", "53"], 2, &["arp"])
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn bad_hosts_get_one_clear_line() -> Result<()> {
    let program = hoptrace([""; 0])?.get_program().to_owned();
    let under = |wrapper: &str, words: &[&str], args: &[&str]| {
        let mut command = Command::new(wrapper);
        command.args(words).arg(&program).args(args);
        command
    };
    // An ordinary user may not load programs.
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let ordinary = under("setpriv", &user, &["--ovsdb", "tcp:127.0.0.1:6640", "trace", "yjwang-test-1"]);
    let said = { ordinary }.output()?;
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    ensure!(said.status.code() == Some(1) && words.contains("root"), "{words}");
    // A kernel that nobody tested with.
    refused_command(
        under("setarch", &["--uname-2.6"], &["trace", "yjwang-test-1"]),
        1,
        &["kernel", "too old", "6.1"],
    )?;
    // Nobody to ask.
    let nobody = ["--libvirt-uri", "qemu+unix:///system?socket=/nonexistent", "--ovsdb", "unix:/nonexistent"];
    refused(&[&nobody[..], &["trace", "yjwang-test-1"]].concat(), 1, &["cannot find any VM"])?;
    // No OVSDB: the path has one end only, and that is said.
    let output = hoptrace(["--ovsdb", "unix:/nonexistent", "path", "yjwang-test-1"])?.output()?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success() && words.contains("OVSDB") && words.lines().count() == 1, "{words}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn without_ovsdb_what_the_switch_takes_has_completed() -> Result<()> {
    const PINGS: u64 = 200;
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["--ovsdb", "unix:/nonexistent", "trace", &guest.tap, "icmp", "--json"])?;
    lab.wire_ping(guest, PINGS, Duration::from_millis(5))?;
    let report = tracer.finish()?;
    for (direction, found) in report.directions.both() {
        ensure!(found.drops.is_empty(), "{direction}: {:?}", found.drops);
        ensure!(found.ledger.completed == PINGS, "{direction}: {}", found.ledger);
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_kernel_without_btf_is_a_note_not_an_error() -> Result<()> {
    let program = hoptrace([""; 0])?.get_program().to_string_lossy().into_owned();
    let script = format!(
        "mount -t tmpfs none /sys/kernel/btf && exec {program} trace yjwang-test-1 --wire --json -d 100ms"
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(5) && words.contains("BTF"), "{words}");
    let notes = words.lines().filter(|line| line.contains("BTF")).count();
    ensure!(notes == 1 && words.contains("no wire hook"), "{words}");
    let report = Report::read(&output.stdout)?;
    let last = report.egress().segments.last();
    ensure!(last.is_some_and(|segment| segment.to == "nic"), "{report}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_vm_that_is_shut_off_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let xml = folder.path().join("off.xml");
    std::fs::write(
        &xml,
        "<domain type='qemu'><name>instance-000000ff</name><memory unit='MiB'>64</memory>\
         <os><type arch='x86_64'>hvm</type></os><devices><interface type='ethernet'>\
         <mac address='fa:16:3e:00:00:ff'/><target dev='tapffffffff-ff'/></interface></devices></domain>",
    )?;
    let virsh = |args: &[&str]| -> Result<()> {
        let output = Command::new("virsh").args(["-c", "qemu:///system"]).args(args).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    virsh(&["define", &xml.to_string_lossy()])?;
    let outcome = refused(&["trace", "instance-000000ff"], 1, &["shut off"]);
    virsh(&["undefine", "instance-000000ff"])?;
    outcome
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_interface_that_vanishes_ends_the_trace() -> Result<()> {
    let ip = |args: &str| -> Result<()> {
        let output = Command::new("ip").args(args.split(' ')).output()?;
        ensure!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    let ovs = |args: &str| -> Result<()> {
        let output = Command::new("ovs-vsctl").arg("--timeout=10").args(args.split(' ')).output()?;
        ensure!(output.status.success(), "ovs-vsctl {args}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    ip("link add qbrdeadbeef-00 type bridge")?;
    ip("link add qvbdeadbeef-00 type veth peer name qvodeadbeef-00")?;
    ip("tuntap add dev tapdeadbeef-00 mode tap")?;
    for name in ["tapdeadbeef-00", "qvbdeadbeef-00"] {
        ip(&format!("link set {name} master qbrdeadbeef-00"))?;
    }
    for name in ["tapdeadbeef-00", "qvbdeadbeef-00", "qvodeadbeef-00", "qbrdeadbeef-00"] {
        ip(&format!("link set {name} up"))?;
    }
    ovs("add-port br-int qvodeadbeef-00 tag=1 -- set interface qvodeadbeef-00 \
         external_ids:iface-id=deadbeef-0000-4000-8000-000000000000 external_ids:attached-mac=fa:16:3e:de:ad:00 \
         external_ids:vm-uuid=deadbeef-1111-4000-8000-000000000000 external_ids:iface-status=active"
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .as_str())?;
    let tracer = Tracer::start(&["trace", "fa:16:3e:de:ad:00"])?;
    ip("link del tapdeadbeef-00")?;
    let ended = tracer.wait()?;
    ovs("del-port br-int qvodeadbeef-00")?;
    ip("link del qvbdeadbeef-00")?;
    ip("link del qbrdeadbeef-00")?;
    ensure!(ended.status.code() == Some(1), "{ended:?}");
    ensure!(ended.stderr.contains("tapdeadbeef-00 vanished"), "{}", ended.stderr);
    ensure!(ended.stderr.lines().count() == 1, "{}", ended.stderr);
    ensure!(!ended.stdout.is_empty(), "there is a report of the time before");
    let _ = Lab::from_env().context("the lab is still there")?;
    Ok(())
}
