//! What strangers put beside the path: sockets that take what passes and are never read, and programs that drop.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, ensure};
use nix::libc;

fn index_of(ifname: &str) -> Result<i32> {
    let path = format!("/sys/class/net/{ifname}/ifindex");
    Ok(fs::read_to_string(&path).with_context(|| path)?.trim().parse()?)
}

/// How a capture socket keeps packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// In its receive buffer (`packet_rcv`), the smallest there is.
    Buffer,
    /// In a ring of two frames (`tpacket_rcv`).
    Ring,
}

/// A capture socket on `ifname` that nobody reads: it is full after a few packets.
pub(crate) fn deaf_socket(ifname: &str, keeps: Keeps) -> Result<OwnedFd> {
    let protocol = u16::try_from(libc::ETH_P_ALL)?.to_be();
    // SAFETY: plain numbers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, protocol.into()) };
    ensure!(fd >= 0, "a packet socket: {}", io::Error::last_os_error());
    // SAFETY: a new file descriptor that nobody else has.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    match keeps {
        Keeps::Buffer => set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &[1])?,
        // Blocks of a page, one of them, two frames in it.
        Keeps::Ring => set(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &[4096, 1, 2048, 2])?,
    }
    // SAFETY: all zero is a valid address.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET)?;
    address.sll_protocol = protocol;
    address.sll_ifindex = index_of(ifname)?;
    // SAFETY: the address is as long as is said.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>())?,
        )
    };
    ensure!(bound == 0, "bind to {ifname}: {}", io::Error::last_os_error());
    Ok(socket)
}

fn set(socket: &OwnedFd, level: i32, option: i32, value: &[u32]) -> Result<()> {
    // SAFETY: the value is as long as is said.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_ptr().cast(),
            libc::socklen_t::try_from(size_of_val(value))?,
        )
    };
    ensure!(done == 0, "socket option {option}: {}", io::Error::last_os_error());
    Ok(())
}

/// Where a program is that drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropper {
    /// At traffic control, on the way in, before all that is there (from kernel 6.6).
    Tcx,
    /// XDP in the network stack.
    Xdp,
}

/// Drops the frames of `len_bytes` that `ifname` receives, until the link is dropped.
pub(crate) fn drop_frames(ifname: &str, dropper: Dropper, len_bytes: u32) -> Result<OwnedFd> {
    const PROG_LOAD: i32 = 5;
    const LINK_CREATE: i32 = 28;
    let index = u64::try_from(index_of(ifname)?)?;
    let (kind, attach, flags, program) = match dropper {
        // r0 = skb->len; if r0 == LEN goto +2; r0 = TCX_NEXT; exit; r0 = TC_ACT_SHOT; exit
        Dropper::Tcx => (
            3_u64,
            46_u64,
            8_u64, // BPF_F_BEFORE
            vec![
                0x0000_0000_0000_1061_u64,
                u64::from(len_bytes) << 32 | 0x0002_0015,
                0xffff_ffff_0000_00b7,
                0x95,
                0x0000_0002_0000_00b7,
                0x95,
            ],
        ),
        // r2 = data_end; r3 = data; r2 -= r3; r0 = XDP_DROP; if r2 == LEN goto +1; r0 = XDP_PASS; exit
        Dropper::Xdp => (
            6,
            37,
            2, // XDP_FLAGS_SKB_MODE
            vec![
                0x0000_0000_0004_1261,
                0x0000_0000_0000_1361,
                0x0000_0000_0000_321f,
                0x0000_0001_0000_00b7,
                u64::from(len_bytes) << 32 | 0x0001_0215,
                0x0000_0002_0000_00b7,
                0x95,
            ],
        ),
    };
    let license = c"GPL";
    let mut attributes = [0; 16];
    attributes[..3].copy_from_slice(&[
        kind | (program.len() as u64) << 32,
        program.as_ptr() as u64,
        license.as_ptr() as u64,
    ]);
    let program = bpf(PROG_LOAD, attributes)?;
    let mut attributes = [0; 16];
    attributes[..2]
        .copy_from_slice(&[u64::try_from(program.as_raw_fd())? | index << 32, attach | flags << 32]);
    bpf(LINK_CREATE, attributes)
}

/// `bpf(2)`; the attributes are 128 bytes, zero behind what is used.
fn bpf(command: i32, attributes: [u64; 16]) -> Result<OwnedFd> {
    // SAFETY: the kernel reads the attributes, and through pointers in them what callers keep alive.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(&attributes)) };
    ensure!(fd >= 0, "bpf command {command}: {}", io::Error::last_os_error());
    // SAFETY: a new file descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) })
}
