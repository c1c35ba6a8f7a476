//! A packet socket.

use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result, ensure};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrLike as _, bind, send as send_to, socket,
};

/// Sends `frames` by `interface` of the thread's network namespace, at once.
///
/// # Errors
/// Where there is no such interface, or the kernel refuses a frame.
pub fn send(interface: &str, frames: &[Vec<u8>]) -> Result<()> {
    let mut interfaces = getifaddrs().context("list interfaces")?;
    let is_link =
        |address: &nix::sys::socket::SockaddrStorage| address.family() == Some(AddressFamily::Packet);
    let address = interfaces
        .find_map(|it| it.address.filter(|address| it.interface_name == interface && is_link(address)))
        .with_context(|| format!("there is no interface {interface}"))?;
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
        .context("make a packet socket")?;
    bind(socket.as_raw_fd(), &address).with_context(|| format!("bind to {interface}"))?;
    for frame in frames {
        let sent = send_to(socket.as_raw_fd(), frame, MsgFlags::empty()).context("send a frame")?;
        ensure!(sent == frame.len(), "{sent} of {} bytes were sent", frame.len());
    }
    Ok(())
}
