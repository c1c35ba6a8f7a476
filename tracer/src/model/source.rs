//! What became of asking one source.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A source of facts about this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceName {
    /// The kernel's interfaces, over rtnetlink.
    Netlink,
    /// Open vSwitch's configuration database.
    Ovsdb,
    /// The hypervisor's instances.
    Libvirt,
    /// OVN's southbound database. It is asked only where OVN's controller is told its place, and a port may be OVN's.
    Southbound,
}

impl SourceName {
    /// The name as people write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Netlink => "netlink",
            Self::Ovsdb => "OVSDB",
            Self::Libvirt => "libvirt",
            Self::Southbound => "OVN's southbound database",
        }
    }
}

/// One source: where it was asked, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// Which source.
    pub name: SourceName,
    /// Where it was asked: a URI, a remote, a socket. Text from the command line or the host.
    pub asked: String,
    /// Why nothing came of it; `None` when it answered.
    pub missing: Option<String>,
    /// What was odd in an answer that was used all the same, one line each.
    pub notes: Vec<String>,
    /// How long it took.
    pub took: Duration,
}
