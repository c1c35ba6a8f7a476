//! The guest's own response time, measured at its tap.

use hoptrace_common::{
    exchange,
    inflight::Hook,
    packet::{Packet, Reader},
};

use crate::maps::{config, latency, questions};

/// A packet at the guest's tap, one hook of which is `hook`.
#[inline(always)]
pub(crate) fn passes<R: Reader>(reader: &R, packet: &Packet, hook: &Hook, now_ns: u64, cpu: u32) {
    if hook.direction == 0 {
        left(reader, packet, now_ns, cpu);
    } else {
        arrived(reader, packet, now_ns);
    }
}

/// A packet to the guest: remembers what it asks.
#[inline(always)]
fn arrived<R: Reader>(reader: &R, packet: &Packet, now_ns: u64) {
    if let Some(part) = exchange::question(reader, packet) {
        questions::ask(&part, now_ns);
    }
}

/// A packet from the guest: records how long ago was asked what it answers.
#[inline(always)]
fn left<R: Reader>(reader: &R, packet: &Packet, now_ns: u64, cpu: u32) {
    if let Some(part) = exchange::answer(reader, packet)
        && let Some(response_ns) = questions::answered(&part, now_ns)
    {
        latency::record(cpu, u32::from(config::guest_segment()), response_ns);
    }
}
