//! Compiles the eBPF programs and hands the object to the crate.

fn main() {}
