//! What it means that the kernel frees a packet: the packet's end, or that of a copy. Pure.
//!
//! The kernel frees packets for many reasons, and most of them say nothing about the packet itself: a capture socket that is
//! full frees its clone, the host's stack the copy that a userspace datapath left it, a driver what it has sent. Where the
//! packet stands tells what can happen to it there; the reason, the place and the socket tell whether it did.

use super::Device;

/// What a reason of the kernel can mean; a bit each, none for reasons that mean something else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meaning(pub u8);

impl Meaning {
    /// A packet that was to be sent: a queue, traffic control, the device itself.
    pub const SENDING: u8 = 1;
    /// A packet that was received, before the first program of traffic control.
    pub const RECEIVING: u8 = 1 << 1;
    /// Likewise, but behind the sockets that take whatever an interface receives.
    pub const TAPPED: u8 = 1 << 2;
    /// A verdict of the firewall.
    pub const FIREWALL: u8 = 1 << 3;
    /// A clone: a socket that takes what passes had no room for it, or did not want it.
    pub const COPY: u8 = 1 << 4;
    /// What waits in a queue goes with it: a device's queue, or that of a socket, where packets have no interface.
    pub const PURGE: u8 = 1 << 5;
    /// Nothing: the kernel gives no reason, or says that it has none. Then the place tells.
    pub const UNTOLD: u8 = 1 << 7;

    /// Whether it can mean one of `meanings`.
    #[inline(always)]
    #[must_use]
    pub const fn is(self, meanings: u8) -> bool {
        self.0 & meanings != 0
    }
}

/// Reasons of the kernel's core that are told apart; numbers above are none of them.
pub const MEANINGS: usize = 256;

/// What is known of a packet that is freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// What the reason can mean, and where it is [`Meaning::UNTOLD`] the place in the kernel.
    pub meaning: Meaning,
    /// Whether a receiving socket frees it.
    pub socket: bool,
}

/// Where the packet stands according to the in-flight table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// It is not there.
    Unknown,
    /// It is on its way, and may be at the interface where it is freed.
    Here,
    /// It is on its way, somewhere else.
    Away,
    /// It has passed its last hook, at the interface where it is freed.
    Done,
    /// It has passed its last hook somewhere else.
    DoneAway,
    /// It is one of several that look the same; some of them can be here on their way, others after their last hook.
    Several,
}

/// What that means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The packet ends here, unless another copy of it lives on.
    Drop,
    /// A copy of a packet of the trace ends. The packet has nothing to do with it.
    Copy,
    /// The packet was sent, and the driver gives it back.
    Completion,
    /// A packet ends before the path's first hook could see it, if it is one of the VM's.
    Early,
    /// Nothing of the trace.
    NotOurs,
}

/// What it means that a packet is freed at `device`.
#[inline(always)]
#[must_use]
pub const fn verdict(free: Free, device: &Device, stands: Stands) -> Verdict {
    let meaning = free.meaning;
    // Queues of sockets hold packets without an interface.
    let of_socket = free.socket
        || meaning.is(Meaning::COPY)
        || (meaning.is(Meaning::PURGE) && device.has(Device::NOWHERE));
    if !of_socket {
        let can_end = !device.has(Device::FILTER_ONLY) || meaning.is(Meaning::FIREWALL);
        let was_to_be_sent = device.has(Device::RECEIVED) || meaning.is(Meaning::SENDING | Meaning::PURGE);
        match stands {
            Stands::Here if can_end => return Verdict::Drop,
            Stands::Done | Stands::Several if was_to_be_sent => return Verdict::Drop,
            // Drivers give no reason: where there is one, or a firewall's function, it is that of a packet on its way.
            Stands::Several if can_end && (!meaning.is(Meaning::UNTOLD) || meaning.is(Meaning::FIREWALL)) => {
                return Verdict::Drop;
            }
            Stands::Done | Stands::Several => return Verdict::Completion,
            // Another one with the same content may be in the table, further on.
            Stands::Unknown | Stands::Away | Stands::DoneAway if device.is_before(meaning) => {
                return Verdict::Early;
            }
            Stands::Here | Stands::Away | Stands::DoneAway | Stands::Unknown => {}
        }
    }
    if matches!(stands, Stands::Unknown) { Verdict::NotOurs } else { Verdict::Copy }
}

#[cfg(test)]
#[path = "free_tests.rs"]
mod tests;
