//! The eBPF programs: one TC classifier per hook, all the same code with another number; and programs at tracepoints.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(internal_features, reason = "compare-exchange is not in core::sync::atomic on this target")]

mod address;
mod admit;
mod answers;
mod atomic;
mod buffered;
mod checksum;
mod claim;
mod classifier;
mod clock;
mod deep;
mod device;
mod emit;
mod follow;
mod freed;
mod guest;
mod hop;
mod kept;
mod left;
mod maps;
mod merged;
mod neighbour;
mod pieces;
mod place;
mod probe;
mod quick;
mod raw;
mod reader;
mod rules;
mod several;
mod skb;
mod stack;
mod tally;
mod thorough;
mod tracepoint;
mod upcall;
mod window;
mod wire;
mod xdp;

/// Without it the kernel would not let the programs use GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
