//! What flows between the stages: the words of the design as types, without any I/O.

mod ids;
mod path;

pub use ids::{IfIndex, MacAddr, ParseMacError};
pub use path::{Hop, Path, PathKind, Problem, Role};
