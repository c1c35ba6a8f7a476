//! What a switch gave to user space.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Packets that a switch's kernel datapath gave to user space while packets were admitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Upcalls {
    /// Packets of all ports for which no flow was known.
    pub misses: u64,
    /// The same per second.
    pub misses_per_s: f64,
    /// Packets, or copies of them, that a flow sent there by an action.
    pub actions: u64,
    /// Upcalls of traced packets, per direction (see [`Direction::index`]).
    pub traced: [u64; 2],
    /// Of those: upcalls after which a packet counts as one of the fast path.
    pub unmarked: u64,
}

impl Upcalls {
    /// What was seen of this port and another one: each has its own traced packets, and the switch's packets are those of all: as this one,
    /// which was traced for longer, tells them.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let [egress, ingress] = self.traced;
        let [more_egress, more_ingress] = other.traced;
        Self {
            traced: [egress + more_egress, ingress + more_ingress],
            unmarked: self.unmarked + other.unmarked,
            ..self
        }
    }
}
