//! What a killed tracer left on interfaces.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Mechanism, Side};

/// A filter of a hoptrace that no longer runs, nor its guardian.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Leftover {
    /// The interface.
    pub ifname: String,
    /// Which side of it.
    #[serde(serialize_with = "side_name")]
    #[schemars(with = "String")]
    pub side: Side,
    /// The filter's name.
    pub name: String,
    /// Its priority.
    pub priority: u16,
    /// Its handle, as `tc` shows it.
    pub handle: String,
    /// Whether it was that hoptrace that made the interface's `clsact`. It goes, too, unless others use it.
    pub made_clsact: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn side_name<S: serde::Serializer>(side: &Side, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(side.name())
}

/// What was found of killed tracers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Cleaning {
    /// How programs get onto interfaces here.
    pub mechanism: Mechanism,
    /// Whether it was only looked at.
    pub dry_run: bool,
    /// What there was.
    pub leftovers: Vec<Leftover>,
}
