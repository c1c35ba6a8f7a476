//! Ports beside the path: where packets leave it without going to the wire, or come from.

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{IfIndex, Interface, MacAddr, Printable};

/// Whose port it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PortKind {
    /// Another VM's.
    #[default]
    Vm,
    /// An Open vSwitch bridge's own: the host's stack, under the bridge's name.
    Local,
    /// An internal port of Open vSwitch: the stack of this host or of a network namespace, as for DHCP, routers and metadata.
    Internal,
    /// The Linux bridge's own interface: the host's stack.
    Bridge,
    /// Any other interface that is a port of the switch.
    Other,
}

impl PortKind {
    /// Whether the kernel receives from this interface what the switch sends to the port, and the other way round: the
    /// switch is not behind it, but before it.
    #[must_use]
    pub const fn is_inward(self) -> bool {
        matches!(self, Self::Local | Self::Internal | Self::Bridge)
    }
}

/// Another network namespace of this host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Namespace {
    /// As `ip netns` names it, else by one of its processes.
    pub name: String,
    /// The file that it is entered by.
    #[serde(skip)]
    pub file: PathBuf,
    /// Its number, that of the file's inode.
    pub inum: u32,
}

/// An interface beside the path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherPort {
    /// Its name.
    pub ifname: String,
    /// Its index, in its own network namespace.
    pub ifindex: IfIndex,
    /// Whose it is.
    pub kind: PortKind,
    /// The MAC addresses known to be behind it, whose it is first.
    pub macs: Vec<MacAddr>,
    /// The bridge it is a port of.
    pub bridge: Option<String>,
    /// Its number on that bridge.
    pub ofport: Option<i64>,
    /// The network namespace it is in, if that is another one.
    pub namespace: Option<Namespace>,
    /// Whether the switch mirrors others' packets to it.
    #[serde(rename = "mirror")]
    pub is_mirror: bool,
}

impl OtherPort {
    /// What it is to the kernel, in its network namespace.
    #[must_use]
    pub fn interface(&self) -> Interface {
        Interface { ifname: self.ifname.clone(), ifindex: self.ifindex }
    }

    /// Where that is, in words: `br-ex (local port of bridge br-ex)`, `tap1 in netns qdhcp-2 (internal port of bridge br-int)`.
    #[must_use]
    pub fn place(&self) -> String {
        let mut text = Printable(&self.ifname).to_string();
        if let Some(namespace) = &self.namespace {
            text = format!("{text} in {namespace}");
        }
        let of_bridge = |what: &str| match &self.bridge {
            Some(bridge) => format!(" ({what} of bridge {})", Printable(bridge)),
            None => format!(" ({what})"),
        };
        text += &match (self.is_mirror, self.kind) {
            (true, _) => of_bridge("output port of a mirror"),
            (false, PortKind::Vm) => String::new(),
            (false, PortKind::Local) => of_bridge("local port"),
            (false, PortKind::Internal) => of_bridge("internal port"),
            (false, PortKind::Bridge) => " (this host)".to_owned(),
            (false, PortKind::Other) => of_bridge("port"),
        };
        text
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "netns {}", Printable(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_says_where_it_is() {
        let port = |kind, bridge: &str| OtherPort {
            ifname: "x0".to_owned(),
            kind,
            bridge: Some(bridge.to_owned()),
            ..OtherPort::default()
        };
        assert_eq!(port(PortKind::Local, "br-ex").place(), "x0 (local port of bridge br-ex)");
        assert_eq!(port(PortKind::Bridge, "x0").place(), "x0 (this host)");
        assert_eq!(port(PortKind::Vm, "br-int").place(), "x0");
        let namespace = Namespace { name: "qdhcp-1\n".to_owned(), file: PathBuf::new(), inum: 1 };
        let away = OtherPort { namespace: Some(namespace), ..port(PortKind::Internal, "br-int") };
        assert_eq!(away.place(), "x0 in netns qdhcp-1\\n (internal port of bridge br-int)");
        let mirror = OtherPort { is_mirror: true, ..port(PortKind::Internal, "br-int") };
        assert_eq!(mirror.place(), "x0 (output port of a mirror of bridge br-int)");
    }
}
