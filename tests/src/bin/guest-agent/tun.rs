//! Tap devices (Documentation/networking/tuntap.rst).

use std::ffi::c_int;
use std::fs::File;

use anyhow::{Context as _, Result, ensure};
use rustix::ioctl::{IntegerSetter, Opcode, Setter, ioctl, opcode};

/// `TUNSETIFF` and `TUNSETOFFLOAD` of `linux/if_tun.h`.
const SET_INTERFACE: Opcode = opcode::write::<c_int>(b'T', 202);
const SET_OFFLOAD: Opcode = opcode::write::<c_int>(b'T', 208);

const TAP: u16 = 0x0002;
const NO_PACKET_INFO: u16 = 0x1000;
/// Each frame with virtio's header: what of checksum and segmentation is left to do.
const VIRTIO_HEADER: u16 = 0x4000;
/// Checksums, TCP over IPv4 and IPv6, with ECN.
const OFFLOADS: usize = 0x1 | 0x2 | 0x4 | 0x8;

const NAME_BYTES: usize = 16;

/// `struct ifreq` with flags.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; NAME_BYTES],
    flags: u16,
    rest: [u8; 22],
}

/// Makes a tap device in the thread's network namespace; it lives as long as the file. With `offload` it takes frames as
/// a virtio NIC does: checksums unfinished, TCP unsegmented.
pub(crate) fn create(name: &str, offload: bool) -> Result<File> {
    ensure!(name.len() < NAME_BYTES, "the name {name} is too long for an interface");
    let file = File::options().read(true).write(true).open("/dev/net/tun").context("open /dev/net/tun")?;
    let mut request = InterfaceRequest {
        name: [0; NAME_BYTES],
        flags: TAP | NO_PACKET_INFO | VIRTIO_HEADER,
        rest: [0; 22],
    };
    for (to, from) in request.name.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    // SAFETY: the kernel reads a `struct ifreq`, which is what this type is laid out as.
    unsafe { ioctl(&file, Setter::<SET_INTERFACE, _>::new(request)) }
        .with_context(|| format!("make the tap device {name}"))?;
    if offload {
        // SAFETY: this request takes its argument by value.
        unsafe { ioctl(&file, IntegerSetter::<SET_OFFLOAD>::new_usize(OFFLOADS)) }
            .with_context(|| format!("switch on offloads of {name}"))?;
    }
    Ok(file)
}
