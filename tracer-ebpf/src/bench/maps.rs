//! Memory that the readers share with the hooks' programs.

#[path = "../maps/scratch.rs"]
pub(crate) mod scratch;
