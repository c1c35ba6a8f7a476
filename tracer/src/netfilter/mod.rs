//! The host's packet filters: which of their rules can drop packets of the path, and whose counters rose meanwhile.
//!
//! No stage: asked when a trace begins, and again when packets have died in netfilter. The filters' own programs are run to
//! list the rules; nothing is changed, no table and no module comes to be by it, and all of it is bounded in time.

mod legacy;
mod nft;
mod programs;
mod reach;
mod rules;

pub use programs::{Filters, look};
pub use reach::{Course, can_drop};
