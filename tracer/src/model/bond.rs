//! Bonds: several interfaces in the place of one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::IfIndex;

/// The bond that an interface is, stands on, or is a member of: the kernel's, or one of Open vSwitch's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bond {
    /// Its name.
    pub name: String,
    /// `active-backup`, `balance-slb`, `802.3ad` …
    pub mode: Option<String>,
    /// Its members.
    pub members: Vec<String>,
    /// The one that is used, where only one is.
    pub active: Option<String>,
}

/// How the kernel's bond is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BondOptions {
    /// `active-backup`, `balance-xor` …
    pub mode: Option<String>,
    /// The one member that is used.
    pub active: Option<IfIndex>,
}
