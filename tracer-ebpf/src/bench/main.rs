//! Programs to compare the hooks' programs with, and to look at what they compute. Only benchmarks and tests load
//! them; they are no part of `hoptrace`.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(internal_features, reason = "compare-exchange is not in core::sync::atomic on this target")]

#[path = "../atomic.rs"]
#[allow(dead_code, reason = "a program here needs less of it than a hook's")]
mod atomic;
#[path = "../buffered.rs"]
#[allow(dead_code, reason = "a program here needs less of it than a hook's")]
mod buffered;
mod counted;
mod course;
mod deep;
mod figures;
mod floor;
mod frees;
mod identity;
mod maps;
mod plain;
#[path = "../reader.rs"]
#[allow(dead_code, reason = "a program here needs less of it than a hook's")]
mod reader;
mod reference;
#[path = "../skb.rs"]
#[allow(dead_code, reason = "a program here needs less of it than a hook's")]
mod skb;
mod told;
#[path = "../window.rs"]
mod window;

/// Without it the kernel would not let the programs use GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
