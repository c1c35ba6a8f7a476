//! How programs get onto interfaces.

use serde::Serialize;

/// What the kernel offers for programs at traffic control.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// TCX links, from kernel 6.6 on: the kernel removes them with the process.
    #[default]
    Tcx,
    /// Filters at a `clsact` queueing discipline: they stay until somebody removes them.
    Clsact,
}

impl Mechanism {
    /// As `tc` and the kernel's documentation name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "TCX",
            Self::Clsact => "clsact",
        }
    }
}
