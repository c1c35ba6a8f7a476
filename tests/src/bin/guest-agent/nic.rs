//! A guest's NIC where the guest is a network namespace: a tap device on the host side, as QEMU would hold it, another one
//! in the guest, and this process between them. While it is stopped, the guest takes nothing from its tap.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::tun;

/// The largest frame: a virtio header, an Ethernet header with a tag, and the largest IP packet.
const FRAME_BYTES: usize = 10 + 18 + 65_535;

/// What the process is told: the host's device, the guest's namespace and device, and whether there are offloads.
pub(crate) fn serve(args: &[String]) -> Result<()> {
    let [tap, netns, interface, offload] = args else { bail!("usage: nic TAP NETNS INTERFACE true|false") };
    let offload = offload.parse().with_context(|| format!("{offload:?} is neither true nor false"))?;
    let host = tun::create(tap, offload)?;
    let namespace = File::open(netns).with_context(|| format!("open {netns}"))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("enter {netns}"))?;
    let guest = tun::create(interface, offload)?;
    super::ready()?;
    std::thread::scope(|scope| {
        scope.spawn(|| pump(&guest, &host));
        pump(&host, &guest);
    });
    bail!("the devices are gone")
}

/// Carries frames for as long as there is a device to read from.
fn pump(mut from: &File, mut to: &File) {
    let mut frame = vec![0; FRAME_BYTES];
    while let Ok(length) = from.read(&mut frame) {
        // A device that is down takes no frames: they are gone, as on a cable that is unplugged.
        drop(to.write_all(frame.get(..length).unwrap_or_default()));
    }
}
