//! At real interfaces, in a network namespace of the test's own: where programs are, and where they are not any more.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aya::programs::{SchedClassifier, tc::TcAttachType};
use hoptrace::{
    attach::{self, Attached, LoadOptions, PlanOptions, Plans, PortPlan},
    collect::Share,
    kernel::{KERNEL_BTF, kernel_btf, skb_layout},
    model::{IfIndex, MacAddr, Mechanism, OtherPort, PortId, Role},
    path::hybrid_hop,
    probes::{Host, Probes},
};
use rustix::thread::UnshareFlags;

use super::{mac, options, planned, trace};

pub(super) fn ip(words: &str) -> Result<()> {
    let outcome = Command::new("ip").args(words.split(' ')).output().context("run ip")?;
    ensure!(outcome.status.success(), "ip {words}: {}", String::from_utf8_lossy(&outcome.stderr));
    Ok(())
}

/// In a network namespace of its own; whoever runs the tests keeps his.
pub(super) fn in_namespace(test: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    let there = move || {
        // SAFETY: only this thread's network namespace and mounts become others.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }?;
        // `/sys` shows the namespace of who mounted it.
        for words in [&["--make-rprivate", "/"][..], &["-t", "sysfs", "none", "/sys"]] {
            ensure!(Command::new("mount").args(words).status()?.success(), "no /sys of its own");
        }
        test()
    };
    thread::spawn(there).join().map_err(|_| anyhow::anyhow!("the test panicked"))?
}

fn index(ifname: &str) -> Result<IfIndex> {
    let text = fs::read_to_string(format!("/sys/class/net/{ifname}/ifindex")).context("no such interface")?;
    Ok(IfIndex(text.trim().parse()?))
}

/// A port beside paths, with the MAC address of this number behind it.
fn beside(ifname: &str, number: u8) -> Result<OtherPort> {
    let (ifname, ifindex) = (ifname.to_owned(), index(ifname)?);
    Ok(OtherPort { ifname, ifindex, macs: vec![MacAddr(mac(number))], ..OtherPort::default() })
}

/// A port whose tap and NIC are there, and beside whose path this other port is.
fn at(tap: &str, number: u8, beside: &OtherPort) -> Result<PortPlan> {
    let hops = [hybrid_hop(Role::Tap, tap, index(tap)?), hybrid_hop(Role::Nic, "nic0", index("nic0")?)];
    let options = PlanOptions { neighbours: std::slice::from_ref(beside), ..PlanOptions::default() };
    Ok(PortPlan { plan: attach::plan(&hops.each_ref(), options)?, ..planned(number) })
}

/// The names of the programs on both sides of an interface.
fn programs(ifname: &str) -> Result<[Vec<String>; 2]> {
    let on = |side| -> Result<Vec<String>> {
        let (_, programs) = SchedClassifier::query_tcx(ifname, side)?;
        Ok(programs.iter().map(|program| program.name_as_str().unwrap_or_default().to_owned()).collect())
    };
    Ok([on(TcAttachType::Ingress)?, on(TcAttachType::Egress)?])
}

fn ensure_is(ifname: &str, expected: [&[&str]; 2]) -> Result<()> {
    let found = programs(ifname)?;
    ensure!(found == expected, "{ifname}: {found:?} instead of {expected:?}");
    Ok(())
}

/// The kernel keeps fifteen bytes of a name.
const ON_PATH: [&[&str]; 2] = [&["several_in"], &["several_out"]];
const BESIDE: [&[&str]; 2] = [&["several_in_besi"], &["several_out_bes"]];
/// The path's program is next to the interface.
const BOTH: [&[&str]; 2] = [&["several_in", "several_in_besi"], &["several_out_bes", "several_out"]];
const NOTHING: [&[&str]; 2] = [&[], &[]];

#[test]
#[ignore = "needs root: cargo xtask test"]
fn programs_are_where_a_traced_port_needs_them_and_once() -> Result<()> {
    in_namespace(|| {
        for ifname in ["tap1", "tap2", "nic0", "other0"] {
            ip(&format!("link add {ifname} type veth peer name {ifname}p"))?;
        }
        let [neighbour, other_path] = [beside("other0", 9)?, beside("tap2", 2)?];
        let [one, other] = [at("tap1", 1, &neighbour)?, at("tap2", 2, &neighbour)?];
        let neighbours = vec![neighbour, other_path];
        let (plans, mut probes) =
            (Plans::several(vec![one.clone()], neighbours, Some(2)), Probes::of(&Host::default()));
        let room = plans.room();
        probes.planned(&trace(&one, Share { room, port: PortId::FIRST }));
        let mut attached = Attached::new(&plans, &options()?, &mut probes.attachable())?;
        for (ifname, expected) in [("tap1", ON_PATH), ("nic0", ON_PATH), ("other0", BESIDE), ("tap2", BESIDE)]
        {
            ensure_is(ifname, expected)?;
        }
        let port = PortId(1);
        probes.planned(&trace(&other, Share { room, port }));
        attached.add(port, &other, &mut probes.attachable())?;
        for (ifname, expected) in [("tap1", ON_PATH), ("nic0", ON_PATH), ("other0", BESIDE), ("tap2", BOTH)] {
            ensure_is(ifname, expected)?;
        }
        attached.remove(PortId::FIRST, &mut probes.attachable());
        for (ifname, expected) in [("tap1", NOTHING), ("nic0", ON_PATH), ("tap2", BOTH)] {
            ensure_is(ifname, expected)?;
        }
        // With its tap gone a port can still be taken off.
        ip("link delete tap2")?;
        attached.remove(port, &mut probes.attachable());
        ensure_is("nic0", NOTHING)?;
        drop(attached);
        ensure_is("other0", NOTHING)
    })
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn where_a_path_is_beside_another_one_from_the_start_both_programs_are_there() -> Result<()> {
    in_namespace(|| {
        for ifname in ["tap1", "tap2", "nic0"] {
            ip(&format!("link add {ifname} type veth peer name {ifname}p"))?;
        }
        let both = [beside("tap1", 1)?, beside("tap2", 2)?];
        let ports = vec![at("tap1", 1, &both[1])?, at("tap2", 2, &both[0])?];
        let (plans, mut probes) =
            (Plans::several(ports.clone(), both.to_vec(), Some(2)), Probes::of(&Host::default()));
        for (port, planned) in (0..).map(PortId).zip(&ports) {
            probes.planned(&trace(planned, Share { room: plans.room(), port }));
        }
        let attached = Attached::new(&plans, &options()?, &mut probes.attachable())?;
        for (ifname, expected) in [("tap1", BOTH), ("tap2", BOTH), ("nic0", ON_PATH)] {
            ensure_is(ifname, expected)?;
        }
        drop(attached);
        ensure_is("tap1", NOTHING)
    })
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn what_is_plugged_anew_before_programs_are_attached_is_another_interface() -> Result<()> {
    in_namespace(|| {
        let plug = |ifname: &str| ip(&format!("link add {ifname} type veth peer name {ifname}p"));
        ["tap1", "nic0", "other0"].into_iter().try_for_each(plug)?;
        let other = beside("other0", 9)?;
        let port = at("tap1", 1, &other)?;
        let attach = || -> Result<Attached> {
            let (plans, mut probes) =
                (Plans::several(vec![port.clone()], vec![other.clone()], None), Probes::of(&Host::default()));
            probes.planned(&trace(&port, Share { room: plans.room(), port: PortId::FIRST }));
            Ok(Attached::new(&plans, &options()?, &mut probes.attachable())?)
        };
        // Beside the path it is left out.
        ip("link delete other0")?;
        plug("other0")?;
        let attached = attach()?;
        ensure_is("other0", NOTHING)?;
        ensure_is("tap1", ON_PATH)?;
        drop(attached);
        ip("link delete tap1")?;
        plug("tap1")?;
        let Err(error) = attach() else { anyhow::bail!("it was attached") };
        ensure!(error.to_string().contains("tap1 vanished"), "{error}");
        ensure_is("tap1", NOTHING)?;
        ensure_is("nic0", NOTHING)
    })
}

/// Ports of a large host.
const MANY: u32 = 500;
/// How long it may take until all their hooks are attached, programs loaded among it; and the kernel's memory for all maps.
const ATTACHED_WITHIN: Duration = Duration::from_secs(5);
const MOST_BYTES: u64 = 300 << 20;

/// All commands at once.
pub(super) fn ip_batch(commands: &str) -> Result<()> {
    let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn()?;
    ip.stdin.take().context("no input")?.write_all(commands.as_bytes())?;
    ensure!(ip.wait()?.success(), "ip -batch failed");
    Ok(())
}

/// The port with this number among many, with a tap, a veth pair's ends and the NIC.
fn one_of_many(number: u32, nic: IfIndex) -> Result<PortPlan> {
    let own = [(Role::Tap, "tap"), (Role::Qvb, "qvb"), (Role::Qvo, "qvo")];
    let mut hops = Vec::new();
    for (role, kind) in own {
        let ifname = format!("{kind}{number}");
        hops.push(hybrid_hop(role, &ifname, index(&ifname)?));
    }
    hops.push(hybrid_hop(Role::Nic, "nic0", nic));
    let plan = attach::plan(&hops.iter().collect::<Vec<_>>(), PlanOptions::default())?;
    let [.., a, b] = number.to_be_bytes();
    let mac = MacAddr([0xfa, 0x16, 0x3e, 1, a, b]).as_number();
    Ok(PortPlan { plan, mac, ipv4: [u32::from_le_bytes([10, 1, a, b]), 0, 0, 0] })
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn many_ports_are_attached_in_a_moment_and_need_bounded_memory() -> Result<()> {
    in_namespace(|| {
        let own = (0..MANY).flat_map(|number| {
            [("tap", "vm"), ("qvb", "qvo")]
                .map(|(one, other)| (format!("{one}{number}"), format!("{other}{number}")))
        });
        let pairs = own.chain([("nic0".to_owned(), "wire0".to_owned())]);
        let commands = pairs.map(|(one, other)| format!("link add {one} type veth peer name {other}\n"));
        ip_batch(&commands.collect::<String>())?;
        let nic = index("nic0")?;
        let ports = (0..MANY).map(|number| one_of_many(number, nic)).collect::<Result<Vec<_>>>()?;
        let (plans, mut probes) =
            (Plans::several(ports.clone(), Vec::new(), None), Probes::of(&Host::default()));
        let room = plans.room();
        let began = Instant::now();
        for (port, planned) in (0..).map(PortId).zip(&ports) {
            probes.planned(&trace(planned, Share { room, port }));
        }
        // At interfaces the kernel takes ten milliseconds for each.
        let mechanism = Mechanism::Tracepoints;
        let skb = skb_layout(&kernel_btf(KERNEL_BTF)?)?;
        let options = LoadOptions { inflight_slots: 65_536, skb, mechanism, ..options()? };
        let attached = Attached::new(&plans, &options, &mut probes.attachable())?;
        let (took, bytes) = (began.elapsed(), attached.locked_bytes());
        println!("{MANY} ports: {} ms, {} MiB of maps", took.as_millis(), bytes >> 20);
        ensure!(took <= ATTACHED_WITHIN && bytes <= MOST_BYTES, "{took:?}, {bytes} bytes");
        Ok(())
    })
}
