//! What the host's sources said about the path while it was traced, beside what the hooks saw.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Firewall, Problem, SourceName};

/// The state of an interface of the path, as the kernel told it when it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkChange {
    /// The interface.
    pub ifname: String,
    /// `IFF_UP`.
    pub admin_up: bool,
    /// `IFF_LOWER_UP`.
    pub carrier: bool,
    /// When, in nanoseconds since 1970.
    pub at_ns: u64,
}

/// What is known beside the hooks. What was wrong at the start is in [`Path::problems`](super::Path).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostReport {
    /// Changes of the path's interfaces while packets were admitted, in their order.
    pub changes: Vec<LinkChange>,
    /// What was wrong with the path at the end; `None`: it was not looked at, or could not be.
    pub problems_at_end: Option<Vec<Problem>>,
    /// Who had answered at the start, and did not at the end.
    pub silent_at_end: Vec<SourceName>,
    /// The host's packet filters, where packets died in one.
    pub firewall: Option<Firewall>,
}
