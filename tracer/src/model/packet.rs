//! One packet's way from hook to hook.

use std::{borrow::Cow, net::IpAddr};

use serde::Serialize;

use super::Direction;

/// What a packet belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// `icmp`, `tcp`, `udp`, `arp`, or the number of the IP protocol.
    pub protocol: Cow<'static, str>,
    /// Who sent it (of ARP: the sender's protocol address).
    pub source: IpAddr,
    /// Whom it is for (of ARP: the target's protocol address).
    pub destination: IpAddr,
    /// Source port of TCP and UDP.
    pub source_port: Option<u16>,
    /// Destination port of TCP and UDP.
    pub destination_port: Option<u16>,
}

/// A hook on a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WayPoint<'p> {
    /// The hook's name, as in the report's segments.
    pub hook: &'p str,
    /// Nanoseconds since the first hook.
    pub at_ns: u32,
}

/// One packet that reached the end of its way. The names are those of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PacketWay<'p> {
    /// The direction it entered in.
    pub direction: Direction,
    /// Its identity, equal at every hook and on every host.
    #[serde(skip)]
    pub identity: u64,
    /// When the first hook saw it, in nanoseconds since 1970.
    pub time_ns: u64,
    /// Length of the frame at the last hook, in bytes.
    pub len_bytes: u32,
    /// What it belongs to.
    #[serde(flatten)]
    pub flow: Flow,
    /// The hooks it passed, in order.
    pub hops: Vec<WayPoint<'p>>,
    /// Whether it is part of the sample.
    pub sampled: bool,
    /// Whether its whole way took longer than asked for.
    pub slow: bool,
}
