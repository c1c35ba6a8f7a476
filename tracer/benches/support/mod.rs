//! What the benchmarks share.

pub(crate) mod bar;
pub(crate) mod figures;
pub(crate) mod machine;
pub(crate) mod mitigations;
pub(crate) mod object;
pub(crate) mod output;
pub(crate) mod plan;
pub(crate) mod quantiles;
