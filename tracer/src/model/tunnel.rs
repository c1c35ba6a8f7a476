//! Tunnels: what leaves the host inside of other packets.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A tunnel on a path. Packets of other networks, and to other hosts, go by the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tunnel {
    /// `vxlan`, `geneve` or `gre`.
    pub kind: String,
    /// The network's number on the wire: a VNI, or the key of GRE.
    pub key: Option<String>,
    /// Its ends on this host: ports of the switch, one for each other host in most clouds.
    pub ends: Vec<String>,
    /// The address it sends from.
    pub local: Option<IpAddr>,
    /// The other hosts' addresses, as far as they are set and not chosen for each packet.
    pub remotes: Vec<IpAddr>,
    /// The interfaces by which this host sends to them, from its routes.
    pub underlay: Vec<String>,
}

/// How an interface that is a tunnel's end is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TunnelOptions {
    /// `vxlan`, `geneve` or `gre`, of a device of the kernel's.
    pub kind: Option<String>,
    /// The network's number on the wire; absent where each packet has its own.
    pub key: Option<String>,
    /// The address it sends from.
    pub local: Option<IpAddr>,
    /// The other end's address; absent where each packet has its own.
    pub remote: Option<IpAddr>,
    /// The UDP port of the other end.
    pub port: Option<u16>,
}
