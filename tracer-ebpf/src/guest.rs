//! Questions and answers at the guest's tap: the guest's own response time, and who is silent.

use hoptrace_common::{
    exchange,
    inflight::Hook,
    packet::{Packet, Reader},
};

use crate::maps::{config, latency, questions};

/// A packet at the guest's tap, one hook of which is `hook`. Only what is `followed` asks and is measured; an answer is one
/// however its packet fares.
#[inline(always)]
pub(crate) fn passes<R: Reader>(
    reader: &R,
    packet: &Packet,
    hook: &Hook,
    now_ns: u64,
    cpu: u32,
    followed: bool,
) {
    if hook.direction == 0 {
        left(reader, packet, now_ns, cpu, followed);
    } else {
        arrived(reader, packet, now_ns, cpu, followed);
    }
}

/// A packet to the guest: remembers what it asks.
#[inline(always)]
fn arrived<R: Reader>(reader: &R, packet: &Packet, now_ns: u64, cpu: u32, followed: bool) {
    if followed && let Some(part) = exchange::question(reader, packet) {
        questions::ask(&part, now_ns, cpu);
    } else if let Some(part) = exchange::answer_to_guest(reader, packet) {
        questions::answered(&part, now_ns, cpu);
    }
}

/// A packet from the guest: records how long ago was asked what it answers.
#[inline(always)]
fn left<R: Reader>(reader: &R, packet: &Packet, now_ns: u64, cpu: u32, followed: bool) {
    if let Some(part) = exchange::answer(reader, packet) {
        if let Some(response_ns) = questions::answered(&part, now_ns, cpu)
            && followed
        {
            latency::record(cpu, u32::from(config::guest_segment()), response_ns);
        }
    } else if followed && let Some(part) = exchange::question_of_guest(reader, packet) {
        questions::ask(&part, now_ns, cpu);
    }
}
