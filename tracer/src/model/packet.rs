//! One packet's way from hook to hook.

use std::{borrow::Cow, net::IpAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Direction;

/// What a packet belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// `icmp`, `icmpv6`, `tcp`, `udp`, `sctp`, `igmp`, `vrrp`, `gre`, `esp`, `ah`, `ospf`, `ip-in-ip`, `ipv6-in-ip`, `arp`, `rarp`, or the number of
    /// another IP protocol.
    pub protocol: Cow<'static, str>,
    /// Who sent it (of ARP and RARP: the sender's protocol address).
    pub source: IpAddr,
    /// Whom it is for (of ARP and RARP: the target's protocol address).
    pub destination: IpAddr,
    /// Source port of TCP, UDP and SCTP.
    pub source_port: Option<u16>,
    /// Destination port of TCP, UDP and SCTP.
    pub destination_port: Option<u16>,
}

/// A hook on a packet's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WayPoint<'p> {
    /// The hook's name, as in the report's segments.
    pub hook: Cow<'p, str>,
    /// Nanoseconds since the first hook.
    pub at_ns: u32,
}

/// One packet that reached the end of its way. The names are those of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PacketWay<'p> {
    /// The direction it entered in.
    pub direction: Direction,
    /// Its identity, equal at every hook and on every host. Written in hexadecimal: JSON's numbers do not hold 64 bits
    /// everywhere.
    #[serde(serialize_with = "hexadecimal", deserialize_with = "from_hexadecimal")]
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{16}$"))]
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
    /// Whether a switch gave it to user space on its way (upcall).
    pub upcall: bool,
}

impl PacketWay<'_> {
    /// How long its whole way took, in nanoseconds.
    #[must_use]
    pub fn total_ns(&self) -> u32 {
        self.hops.last().map_or(0, |point| point.at_ns)
    }

    /// The same packet, with names of its own.
    #[must_use]
    pub fn into_owned(self) -> PacketWay<'static> {
        let own =
            |point: WayPoint<'_>| WayPoint { hook: Cow::Owned(point.hook.into_owned()), at_ns: point.at_ns };
        PacketWay {
            direction: self.direction,
            identity: self.identity,
            time_ns: self.time_ns,
            len_bytes: self.len_bytes,
            flow: self.flow,
            hops: self.hops.into_iter().map(own).collect(),
            sampled: self.sampled,
            slow: self.slow,
            upcall: self.upcall,
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn hexadecimal<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:016x}"))
}

fn from_hexadecimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
    u64::from_str_radix(&text, 16).map_err(de::Error::custom)
}
