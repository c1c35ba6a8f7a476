//! Hooks that another program took away.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hooks that are gone, though their interfaces are not: nothing that passes there is seen any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Taken {
    /// Their names, as reports use them, and their interfaces: plain text.
    pub hooks: String,
    /// When that was noticed, local time: `17:04:59`.
    pub at: String,
}
