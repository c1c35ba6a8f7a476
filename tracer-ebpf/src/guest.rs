//! The guest's own response time, measured at its tap.

use hoptrace_common::{
    exchange,
    packet::{Packet, Reader},
};

use crate::maps::{config, latency, questions};

/// A packet to the guest: remembers what it asks.
#[inline(always)]
pub(crate) fn arrived<R: Reader>(reader: &R, packet: &Packet, now_ns: u64) {
    if let Some(part) = exchange::question(reader, packet) {
        questions::ask(&part, now_ns);
    }
}

/// A packet from the guest: records how long ago was asked what it answers.
#[inline(always)]
pub(crate) fn left<R: Reader>(reader: &R, packet: &Packet, now_ns: u64, cpu: u32) {
    if let Some(part) = exchange::answer(reader, packet)
        && let Some(response_ns) = questions::answered(&part, now_ns)
    {
        latency::record(cpu, u32::from(config::guest_segment()), response_ns);
    }
}
