//! The two directions, from the VM's point of view.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// VM → wire.
    Egress,
    /// Wire → VM.
    Ingress,
}

impl Direction {
    /// Both, in the order of [`Direction::index`].
    pub const ALL: [Self; 2] = [Self::Egress, Self::Ingress];

    /// 0 egress, 1 ingress: how the kernel side knows them.
    #[must_use]
    pub const fn index(self) -> u8 {
        match self {
            Self::Egress => 0,
            Self::Ingress => 1,
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Egress => Self::Ingress,
            Self::Ingress => Self::Egress,
        }
    }

    /// Where its packets go, from the VM's point of view.
    #[must_use]
    pub const fn course(self) -> &'static str {
        match self {
            Self::Egress => "from the VM",
            Self::Ingress => "to the VM",
        }
    }

    /// The direction that the kernel side knows by this number.
    #[must_use]
    pub const fn of_index(index: u8) -> Self {
        if index == 0 { Self::Egress } else { Self::Ingress }
    }

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}
