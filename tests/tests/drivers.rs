//! What drivers count themselves: packets that an XDP program takes away in the driver of `qvb`.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use hoptrace_tests::prelude::*;
use nix::libc;

const DATAGRAMS: u64 = 200;

/// `bpf(2)` with one of the commands below; the attributes are 128 bytes, zero behind what is used.
fn bpf(command: i32, attributes: [u64; 16]) -> Result<OwnedFd> {
    // SAFETY: the kernel reads the attributes, and through pointers in them what callers keep alive.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(&attributes)) };
    ensure!(fd >= 0, "bpf command {command}: {}", io::Error::last_os_error());
    // SAFETY: a new file descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) })
}

/// Has the driver of `ifname` drop whatever it receives, until the link is dropped.
fn drop_everything(ifname: &str) -> Result<OwnedFd> {
    const BPF_PROG_LOAD: i32 = 5;
    const BPF_LINK_CREATE: i32 = 28;
    const PROG_TYPE_XDP: u64 = 6;
    const ATTACH_TYPE_XDP: u64 = 37;
    const XDP_FLAGS_DRV_MODE: u64 = 4;
    // r0 = XDP_DROP; exit
    let program: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];
    let license = c"GPL";
    let mut attributes = [0; 16];
    attributes[..3].copy_from_slice(&[
        PROG_TYPE_XDP | (program.len() as u64) << 32,
        program.as_ptr() as u64,
        license.as_ptr() as u64,
    ]);
    let program = bpf(BPF_PROG_LOAD, attributes)?;
    let index: u64 = fs::read_to_string(format!("/sys/class/net/{ifname}/ifindex"))?.trim().parse()?;
    let mut attributes = [0; 16];
    attributes[..2].copy_from_slice(&[
        u64::try_from(program.as_raw_fd())? | index << 32,
        ATTACH_TYPE_XDP | XDP_FLAGS_DRV_MODE << 32,
    ]);
    bpf(BPF_LINK_CREATE, attributes)
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn what_a_driver_drops_is_told_under_its_own_name() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "port", "9", "--json"])?;
    lab.introduce(guest)?;
    let dropping = drop_everything(&guest.qvb)?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), DATAGRAMS, 64, Duration::from_micros(500))?;
    let report = tracer.finish_drops()?;
    drop(dropping);
    let of_driver = report.evidence.iter().filter(|it| it.source == "driver" && it.at == guest.qvb);
    let told: Vec<_> = of_driver.collect();
    ensure!(told.iter().all(|it| it.counter.ends_with("xdp_drops")), "{told:?}");
    // An ARP request may be among them.
    let counted: u64 = told.iter().map(|it| it.count).sum();
    ensure!((DATAGRAMS..DATAGRAMS + 10).contains(&counted), "{:?}", report.evidence);
    ensure!(told.iter().all(|it| !it.shared), "{told:?}");
    told.first().context("nothing told")?.means(&format!("ethtool -S {}", guest.qvb))?;
    let ingress = report.ingress();
    let ledger = ingress.ledger;
    ledger.expect(&Ledger { entered: DATAGRAMS, completed: 0, ..ledger })?;
    ensure!(ingress.drops.iter().all(|drop| drop.after == "qvo"), "{ingress}");
    Ok(())
}
