//! The fault matrix: one fault at a time in live traffic, and what must be reported of it.
//!
//! A [`Fault`] is data and three functions: where it can run, how it is injected, what traffic runs into it, and what of
//! that must be blamed on which hook, with which reason on which kernel. [`run`] brings fault, tracer and traffic together
//! and gives a [`Case`] per direction. `cargo xtask faults` prints them, and `tests/tests/faults.rs` asserts them.
//!
//! To add one: a `Fault` in the file of its group, and a line in [`GROUPS`] where the group is new.

mod case;
mod expectation;
mod fault;
mod filters;
mod hooks;
mod judge;
mod latency;
mod links;
mod queues;
mod raw;
mod runner;
mod scene;
mod spoofing;
mod survivors;
mod switch;
mod tracking;
mod witness;

pub use case::{Case, table};
pub use expectation::{Cause, Expected, Outcome, Platform, Why};
pub use fault::{Fault, Inject, Innocent, Moment, Place, Toll, Traffic};
pub use hooks::Hooks;
pub use latency::{Delayed, delay_all, delay_table};
pub use raw::{Ends, send_with_bad_checksum};
pub use runner::{run, run_all};
pub use scene::Scene;

pub use crate::report::Direction;

/// All faults, in groups with a name.
pub const GROUPS: [(&str, &[Fault]); 7] = [
    ("firewalls", filters::FAULTS),
    ("switch", switch::FAULTS),
    ("links", links::FAULTS),
    ("queues", queues::FAULTS),
    ("spoofing", spoofing::FAULTS),
    ("survivors", survivors::FAULTS),
    ("tracking", tracking::FAULTS),
];
