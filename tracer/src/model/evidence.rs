//! What else went wrong while packets were traced: counters of the host that rose, and questions that nobody answered.
//! Evidence beside the ledger, and never part of it: a counter does not say whose packets it counted.

use serde::Serialize;

/// Who counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceSource {
    /// The kernel, for an interface of the path.
    Interface,
    /// The driver of such an interface.
    Driver,
    /// A datapath of Open vSwitch.
    Datapath,
    /// A port of such a datapath.
    DatapathPort,
    /// The sockets that `ovs-vswitchd` takes packets of an interface from.
    Socket,
    /// `ovs-vswitchd`: its coverage counters.
    Vswitchd,
    /// The kernel's connection tracking.
    Conntrack,
    /// The programs at the guest's tap: questions without an answer, wrong checksums.
    Tap,
}

/// A counter that rose between the first packet admitted and the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Who counted it.
    pub source: EvidenceSource,
    /// The interface, datapath or daemon.
    pub at: String,
    /// The counter, as whoever counts calls it.
    pub counter: String,
    /// By how much it rose.
    pub count: u64,
    /// Out of so many, where that is known.
    pub of: Option<u64>,
    /// What it was about, where that is known: the addresses that ARP asked for, the protocols whose checksums are
    /// wrong.
    pub about: Option<String>,
    /// Whether packets of others than the traced VM count, too.
    pub shared: bool,
}
