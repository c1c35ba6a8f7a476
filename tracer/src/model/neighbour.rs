//! What was seen at the ports beside a path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MacAddr, PortKind};

/// A port beside the path: another VM's or the host's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Neighbour {
    /// The interface.
    pub ifname: String,
    /// Whose it is.
    pub kind: PortKind,
    /// Where it is, in words.
    pub place: String,
    /// The network namespace it is in, if that is another one.
    pub netns: Option<String>,
    /// The MAC address of who is behind it.
    pub mac: Option<MacAddr>,
    /// Packets of the traced VM for who is behind it.
    pub received: u64,
    /// Packets of the traced VM that came by, but were for others: flooded, mirrored or forwarded on.
    pub copies: u64,
    /// Of those: for one other address only, of which nothing shows that it is behind this port.
    pub strays: u64,
    /// Packets for the traced VM from there.
    pub sent: u64,
    /// Packets for the traced VM that came there.
    pub strays_in: u64,
    /// Whether there are hooks at it.
    pub hooked: bool,
}
