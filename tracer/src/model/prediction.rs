//! What the switch's rules would do with a packet that nobody has sent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Direction, Explanation};

/// Where a packet would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Out of the host: by an uplink of the path, or a tunnel.
    ToWire,
    /// To the VM.
    ToVm,
    /// Back to who sent it: the switch answers it itself.
    Answered,
    /// To a port beside the path.
    Beside,
    /// By a veth pair to another bridge of the path, which is not asked.
    Onward,
    /// To several ports.
    Flooded,
    /// Nowhere.
    Dropped,
    /// To user space: a controller, or `ovs-vswitchd` itself.
    UserSpace,
    /// The datapath's actions are not understood.
    Unclear,
}

/// A port by which a packet would leave the switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PredictedPort {
    /// Its name; its number in the datapath where no name is known.
    pub ifname: String,
    /// What is there, in words: `nic`, `VM web-1 on this host`.
    pub what: String,
}

/// What would become of one packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    /// The packet, in words.
    pub packet: String,
    /// Which way it goes.
    pub direction: Direction,
    /// Where it would go.
    pub fate: Fate,
    /// The same, and why, in one line.
    pub verdict: String,
    /// The ports by which it would leave the switch, those of mirrors included.
    pub outputs: Vec<PredictedPort>,
    /// What was not said of the packet and had to be filled in, a line each.
    pub assumptions: Vec<String>,
    /// What on its way is not predicted, a line each.
    pub not_predicted: Vec<String>,
    /// The rules it would hit.
    pub explain: Explanation,
}
