//! Instances as libvirt knows them, and the identity of a port in all output.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MacAddr;

/// What a domain is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Running, or blocked on a resource.
    Running,
    /// Its CPUs are stopped, its interfaces remain.
    Paused,
    /// Defined but without a process: it has no tap.
    ShutOff,
    /// On the way down, crashed, suspended by the guest, or unknown to us.
    Other,
}

impl InstanceState {
    /// The state in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::ShutOff => "shut off",
            Self::Other => "not running",
        }
    }
}

/// A libvirt domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The domain's name, `instance-00000025`.
    pub name: String,
    /// The domain's UUID, which is Nova's instance UUID, in lower case.
    pub uuid: String,
    /// Nova's display name, from the domain's metadata.
    pub display_name: Option<String>,
    /// What it is doing.
    pub state: InstanceState,
    /// Its interfaces, in the order of the domain XML.
    pub interfaces: Vec<InstanceInterface>,
}

/// How a guest's interface is connected to the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Attachment {
    /// By a tap, which is a port of some bridge.
    #[default]
    Tap,
    /// The guest has a device of the host's: SR-IOV, vDPA. In words, with its address: `PCI 0000:01:00.5`.
    Device(String),
    /// By memory that it shares with a switch in user space.
    VhostUser,
    /// By a macvtap on this interface of the host's.
    Macvtap(String),
    /// By sockets of QEMU's own, of this type.
    Sockets(String),
}

/// What libvirt lets through of a guest's interface at most, in bits per second; `None`: all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// To the guest (`<inbound>`).
    pub to_guest: Option<u64>,
    /// From the guest (`<outbound>`).
    pub from_guest: Option<u64>,
}

/// One interface of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceInterface {
    /// How it is connected.
    pub attachment: Attachment,
    /// The address the guest has.
    pub mac: MacAddr,
    /// The tap device; only a running domain has one for sure.
    pub tap: Option<String>,
    /// Its link is set down: the guest's network card has no carrier, and QEMU drops what comes to it.
    pub unplugged: bool,
    /// The bridge the tap is plugged into.
    pub source_bridge: Option<String>,
    /// libvirt's network that it belongs to.
    pub network: Option<String>,
    /// What libvirt lets through at most (`<bandwidth>`).
    pub bandwidth: Bandwidth,
    /// The MTU asked for, in bytes.
    pub mtu_bytes: Option<u32>,
    /// The Neutron port, from Nova's metadata or the virtual port's `interfaceid`.
    pub port_id: Option<String>,
    /// The port's fixed addresses, from Nova's metadata.
    pub fixed_ips: Vec<IpAddr>,
}

/// Which VM and which of its ports: the `instance` object of all machine-readable output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceId {
    /// The libvirt domain's name; `None` when libvirt could not be asked.
    pub name: Option<String>,
    /// The instance's UUID.
    pub uuid: Option<String>,
    /// Nova's display name.
    pub display_name: Option<String>,
    /// The port's MAC address.
    pub mac: MacAddr,
    /// The port's fixed addresses.
    pub ips: Vec<IpAddr>,
    /// The Neutron port.
    pub port_id: Option<String>,
}

impl InstanceId {
    /// What people call it: display name, else domain, else UUID, else MAC. Text from outside, not yet escaped.
    #[must_use]
    pub fn title(&self) -> String {
        let names = [&self.display_name, &self.name, &self.uuid];
        let known = names.into_iter().flatten().find(|name| !name.is_empty());
        known.map_or_else(|| self.mac.to_string(), Clone::clone)
    }
}
