//! What the eBPF programs and user space share. `no_std`, no allocation.
#![no_std]
