//! Questions and answers at the guest's tap: how long the guest's kernel takes and how long its programs, and who is silent.

use hoptrace_common::{
    conversation::Segment,
    counters::HookCounters,
    exchange::{self, Part, kind},
    packet::{PROTOCOL_UDP, Packet, Reader},
    ports::NUMBER_MASK,
};

use crate::{
    clock::{Moment, now_ns},
    maps::{
        config, conversations,
        counters::{self, Here},
        hooks::{self, HookFacts},
        latency, questions,
    },
    place,
    reader::Copied,
};

/// A packet at the guest's tap, which `hook` is at, at `now_ns` by the exact clock ([`exact_ns`]). Only what is `followed` asks and is
/// measured; an answer is one however its packet fares.
#[inline(always)]
pub(crate) fn passes<R: Reader>(
    reader: &R,
    packet: &Packet,
    hook: HookFacts,
    now_ns: u64,
    cpu: u32,
    followed: bool,
) {
    let here = Here { cpu, port: hook.port() };
    if hook.direction() == 0 {
        left(reader, packet, now_ns, here, followed);
    } else {
        arrived(reader, packet, now_ns, here, followed);
    }
}

/// Whether the packet can ask or answer something that is measured: a datagram can not.
#[inline(always)]
pub(crate) const fn may_speak(packet: &Packet) -> bool {
    packet.protocol != PROTOCOL_UDP
}

/// Which of the guest's figures a time belongs to, behind the first of them.
const OF_STACK: u32 = 0;
const OF_ACKNOWLEDGEMENTS: u32 = 1;
const OF_APPLICATIONS: u32 = 2;

/// A packet to the guest: remembers what it asks.
#[inline(always)]
fn arrived<R: Reader>(reader: &R, packet: &Packet, now_ns: u64, here: Here, followed: bool) {
    if let Some(segment) = exchange::segment(reader, packet, false) {
        if segment.speaks() {
            talk(segment, now_ns, here, followed);
        }
        if followed && let Some(part) = exchange::tcp_question(&segment) {
            questions::ask(&part, now_ns, here);
        }
    } else if followed && let Some(part) = exchange::question(reader, packet) {
        questions::ask(&part, now_ns, here);
    } else if let Some(part) = exchange::answer_to_guest(reader, packet) {
        questions::answered(&part, now_ns, here);
    }
}

/// A packet from the guest: records how long ago was asked what it answers.
#[inline(always)]
fn left<R: Reader>(reader: &R, packet: &Packet, now_ns: u64, here: Here, followed: bool) {
    if let Some(segment) = exchange::segment(reader, packet, true) {
        if segment.speaks()
            && let Some(answer_ns) = talk(segment, now_ns, here, followed)
        {
            record(here, OF_APPLICATIONS, answer_ns);
        }
        if let Some(part) = exchange::tcp_answer(&segment) {
            answered(&part, now_ns, here, followed);
        }
    } else if let Some(part) = exchange::answer(reader, packet) {
        answered(&part, now_ns, here, followed);
    } else if followed && let Some(part) = exchange::question_of_guest(reader, packet) {
        questions::ask(&part, now_ns, here);
    }
}

#[inline(always)]
fn talk(segment: Segment, now_ns: u64, here: Here, followed: bool) -> Option<u64> {
    let flags = segment.flags | if followed { Segment::FOLLOWED } else { 0 };
    conversations::pass(&Segment { flags, ..segment }, now_ns, here)
}

/// What the guest's kernel answers by itself.
#[inline(always)]
fn answered(part: &Part, now_ns: u64, here: Here, followed: bool) {
    if let Some((kind, response_ns)) = questions::answered(part, now_ns, here)
        && followed
    {
        let figures = if kind == kind::DATA { OF_ACKNOWLEDGEMENTS } else { OF_STACK };
        record(here, figures, response_ns);
    }
}

#[inline(always)]
fn record(here: Here, figures: u32, time_ns: u64) {
    let first = config::first_segment(here.port) + u32::from(config::guest_segment(here.port));
    latency::record(here.cpu, first + figures, time_ns);
}

/// When the packet came, by the exact clock: how long the guest takes is measured whether or not the packet is timed on its way.
#[inline(always)]
pub(crate) fn exact_ns(moment: Moment) -> u64 {
    let exact_ns = moment.exact_ns();
    if exact_ns == 0 { now_ns() } else { exact_ns }
}

/// The same for [`hop_at_guest`], of a packet that can speak, where [`leave_time`] has left a time.
#[inline(always)]
pub(crate) fn make_exact(counted: &mut HookCounters) {
    let [.., kept_ns] = &mut counted.scratch;
    if *kept_ns == 0 {
        *kept_ns = now_ns();
    }
}

/// Leaves when the packet came for [`hop_at_guest`]: in the scratch memory, not on the stack. 0: the exact clock was not asked.
#[inline(always)]
pub(crate) fn leave_time(counted: &mut HookCounters, moment: Moment) {
    let [.., kept_ns] = &mut counted.scratch;
    *kept_ns = moment.exact_ns();
}

/// A packet's offsets and protocols in one number. Headers end within 64 KiB.
#[inline(always)]
pub(crate) const fn packed(packet: &Packet) -> u64 {
    (packet.l3_offset as u64 & 0xffff)
        | (packet.l4_offset as u64 & 0xffff) << 16
        | (packet.ether_type as u64) << 32
        | (packet.protocol as u64) << 48
        | (packet.fragment_tail as u64) << 56
}

/// [`passes`] as a global function: the verifier looks at it once, and what it needs is not on the stack of its caller. It takes numbers
/// instead of a packet, which would have to be there for that. `ends` is where the packet ends, then the hook's number, whether the packet is followed, and the
/// [place](crate::place) of its head. When it came is in the scratch memory.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_at_guest(len: u32, packed: u64, ends: u64) -> u32 {
    let number = (ends >> 32) as u32 & NUMBER_MASK;
    let packet = Packet {
        identity: 0,
        ether_type: (packed >> 32) as u16,
        protocol: (packed >> 48) as u8,
        fragment_tail: (packed >> 56) as u8,
        l3_offset: packed as u32 & 0xffff,
        l4_offset: (packed >> 16) as u32 & 0xffff,
        l3_end: ends as u32,
    };
    let cpu = counters::cpu();
    let Some(counted) = counters::of(cpu, number) else { return 0 };
    let Some((copy, word)) = place::copy((ends >> 56) as u32) else { return 0 };
    let [.., now_ns] = counted.scratch;
    // SAFETY: the buffer that the packet's head was copied to, and a word of this CPU.
    let reader = unsafe { Copied::of(copy, len, word) };
    let followed = ends >> 48 & 1 != 0;
    passes(&reader, &packet, hooks::hook(number), now_ns, cpu, followed);
    0
}
