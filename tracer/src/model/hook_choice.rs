//! How many of a path's interfaces get hooks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HookChoice {
    /// All.
    #[default]
    All,
    /// Of a veth pair the end that is nearer to the wire: what dies in the pair is told by its reason and place, and a packet costs a hook less.
    Few,
}
