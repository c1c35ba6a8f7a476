//! What the switch's rules do with a packet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The head of a packet on its way into a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketHead {
    /// The hook that saw it.
    pub hook: String,
    /// The VLAN tag that the kernel keeps beside the frame.
    pub vlan_tci: Option<u16>,
    /// The frame from its Ethernet header on, as far as it was kept.
    pub bytes: Vec<u8>,
}

/// A flow of OVN's logical network, of which its controller made a rule (table `Logical_Flow` of the southbound database).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogicalFlow {
    /// The stage of the logical switch or router where it is: `ls_out_acl`.
    pub stage: Option<String>,
    /// What it matches.
    pub matches: String,
    /// Its actions.
    pub actions: String,
    /// The start of the UUID of what it was made of in the northbound database: of an ACL, for example.
    pub hint: Option<String>,
}

/// A rule that a packet hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenFlowRule {
    /// Whose rule it is.
    pub bridge: String,
    /// The number of its table.
    pub table: u32,
    /// Its priority; `None`: no rule matched there.
    pub priority: Option<u32>,
    /// Its cookie, in hexadecimal; `None` for 0.
    pub cookie: Option<String>,
    /// What it matches; empty: everything.
    pub matches: String,
    /// Its actions, with what the switch says about them.
    pub actions: Vec<String>,
    /// What OVN made it of; `None`: not asked, which is so but of a rule that dropped a packet, or not OVN's.
    #[serde(default)]
    pub logical: Option<LogicalFlow>,
}

/// What `ofproto/trace` says about a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The bridge that the packet comes to.
    pub bridge: String,
    /// The packet as it was given to the switch: a flow.
    pub packet: String,
    /// The rules it hits, in order.
    pub rules: Vec<OpenFlowRule>,
    /// What had to be assumed about connection tracking, and what speaks for it: one line; `None`: nothing was assumed.
    pub assumed: Option<String>,
    /// What the datapath is told to do with such packets, in order: one for each pass through it.
    pub datapath_actions: Vec<String>,
    /// The ports by which it leaves the switch, those of mirrors included; empty: it is dropped; `None`: not asked, or there is more to it than
    /// ports.
    #[serde(default)]
    pub leaves_by: Option<Vec<String>>,
    /// Packets that the last of the rules was hit by while packets were traced, others' included; `None`: not known, or not asked.
    pub hits: Option<u64>,
    /// Whether there was more than is told here.
    pub is_cut: bool,
}
