//! Sources in the kernel beside the hooks at the interfaces: what user space does for each stands in one file.
//!
//! A probe knows whether this host has what it needs ([`Probe::why_not`]), what it wants of the plan, what is configured before
//! its programs are loaded and where they are attached ([`Attachable`](crate::attach::Attachable)), and how what it counts
//! becomes part of a report ([`Reading`](crate::collect::Reading)). All of them stand in one list, [`Probes`]; `trace` takes that to the
//! stages.
//!
//! This is no stage. The stages `attach` and `collect` say what they ask of a probe and walk over whatever they are given: neither
//! imports this module nor the other stage. The probes import both. The other way round (a stage that imports the probes) would make
//! each probe a matter of two stages again, which is what they were before.
//!
//! What the programs themselves do stands in `tracer-ebpf`, where each map has a module that owns it. A program's hooks that are not TC's
//! ([`wire`], [`xdp`]) are probes, too: they need a place, a program and a way to attach it, and nothing else of the loader.

mod answers;
mod checksums;
mod devices;
mod frees;
mod heads;
mod list;
mod places;
mod probe;
mod questions;
mod sightings;
mod upcalls;
mod wire;
mod xdp;

pub use list::Probes;
pub use probe::{Host, Probe, Trace};
