//! Ports beside the path.

use serde::{Deserialize, Serialize};

use super::json::prints_as_json;

/// What was seen at a port beside the path.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its interface.
    pub ifname: String,
    /// What and where it is, in words.
    pub place: String,
    /// Its network namespace, if it has another one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub netns: Option<String>,
    /// Packets for it.
    pub received: u64,
    /// Copies.
    pub copies: u64,
    /// Packets that are not for it.
    pub strays: u64,
    /// Packets from it.
    pub sent: u64,
    /// Whether a hook is there.
    pub hooked: bool,
}

prints_as_json!(Neighbour);
