//! `hoptrace`: live per-hop latency and drops on the packet path of a virtual machine.
//!
//! Data flows one way through the stages `discover → path → attach → collect → report`. A stage uses [`model`]
//! and `hoptrace-common`, never another stage; [`trace`] wires them together. [`probes`] are the sources in the kernel beside the hooks,
//! which `attach` and `collect` walk as a list. [`kernel`] is what the running kernel says about
//! itself, and [`ovs`] how to ask Open vSwitch's daemons, for whichever stage asks; [`explain`] and [`predict`] ask what its rules do with
//! packets; [`diagnose`] says in words what a trace found, for every format of a report.

pub mod attach;
pub mod cli;
pub mod collect;
pub mod diagnose;
pub mod discover;
pub mod explain;
pub mod kernel;
pub mod model;
pub mod netfilter;
pub mod ovs;
pub mod path;
pub mod predict;
pub mod probes;
pub mod report;
pub mod trace;
