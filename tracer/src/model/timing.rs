//! Which packets are timed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which packets are timed: all are counted and followed. Those that are not cost less. They are chosen by their identity, so that a
/// packet is timed at every hook or at none, and the same ones in every trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// All.
    Exact,
    /// All up to [`Timing::AUTO_PER_S`] packets a second, of all ports together; of more so many: ports that send few keep all theirs.
    #[default]
    Auto,
    /// One of so many.
    OneOf(u32),
    /// So many that the programs take this share of one CPU's time, in parts per million; where counting alone takes more, the fewest there
    /// can be.
    Cost(u32),
    /// None.
    Nothing,
}

impl Timing {
    /// Packets that [`Timing::Auto`] times in a second.
    pub const AUTO_PER_S: u32 = 50_000;
    /// The fewest of a port's packets that are timed by choice: one of so many.
    pub const FEWEST: u32 = 1 << 16;

    /// What reports mean that do not say.
    pub(super) const fn exact() -> Self {
        Self::Exact
    }
}
