//! What else went wrong while packets were traced: counters of the host that rose, and unanswered questions.
//! Evidence beside the ledger, and never part of it: a counter does not say whose packets it counted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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

impl EvidenceSource {
    /// What stands before the name of what it is at: `driver of `.
    #[must_use]
    pub const fn place(self) -> &'static str {
        match self {
            Self::Interface | Self::Vswitchd | Self::Tap | Self::Conntrack => "",
            Self::Socket => "ovs-vswitchd's socket at ",
            Self::Driver => "driver of ",
            Self::Datapath => "datapath ",
            Self::DatapathPort => "port ",
        }
    }

    /// Whether it counts what a switch as a whole does.
    #[must_use]
    pub const fn is_switch(self) -> bool {
        matches!(self, Self::Vswitchd | Self::Datapath)
    }

    /// Whether it counts at one interface, whose name it is at.
    #[must_use]
    pub const fn is_at_interface(self) -> bool {
        matches!(self, Self::Interface | Self::Driver | Self::DatapathPort | Self::Socket)
    }
}

/// A counter that rose between the first packet admitted and the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Who counted it.
    pub source: EvidenceSource,
    /// The interface, datapath or daemon.
    pub at: String,
    /// The counter, by the name that its source gives it.
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
    /// What that means, in words; empty while that is not known yet.
    pub meaning: String,
}

impl Evidence {
    /// Frames to the guest for another MAC address than the port's, which were not followed.
    pub const OTHER_ADDRESS_PASSED: &'static str = "other_address_passed";
    /// Frames to the guest for all, or for a group, which were not followed: switches drop such frames for good reasons, too.
    pub const GROUP_PASSED: &'static str = "group_passed";
    /// Frames for another address that were followed, because the address was given or the guest uses it.
    pub const OTHER_ADDRESS_FOLLOWED: &'static str = "other_address_followed";
    /// Frames of the guest from another MAC address than the port's.
    pub const OTHER_ADDRESS_SENT: &'static str = "other_address_sent";
    /// Such frames whose way could not be followed to its end.
    pub const OTHER_ADDRESS_UNLEARNED: &'static str = "other_address_unlearned";

    /// Whether it says that packets for another address came to the guest that were not followed.
    #[must_use]
    pub fn is_of_other_address(&self) -> bool {
        self.source == EvidenceSource::Tap && self.counter == Self::OTHER_ADDRESS_PASSED
    }

    /// Whether it says that packets for groups came to the guest.
    #[must_use]
    pub fn is_of_group(&self) -> bool {
        self.source == EvidenceSource::Tap && self.counter == Self::GROUP_PASSED
    }
}
