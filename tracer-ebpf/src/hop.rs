//! What happens to a packet at a hook.
//!
//! The programs at TC are for usual packets ([`crate::quick`]). What is not as simple as that goes on, by a tail call, in one
//! program that all hooks share: it copies the head of the packet and knows all rules. So the verifier has the large part
//! to follow once, not once per program.

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_ktime_get_ns, programs::TcContext};
use aya_log_ebpf::debug;
use hoptrace_common::{
    config::{Control as GateState, HookConfig},
    counters::HookCounters,
    inflight::Kind,
    packet::{Frame, Packet, Reader as _, hashed_end},
};

use crate::{
    answers,
    claim::{
        self, CLAIM_GROUP, CLAIM_IF_TRACKED, CLAIM_LEARN, CLAIM_NONE, CLAIM_OWN, CLAIM_SIGHTED, claim,
        concerns_guest,
    },
    deep,
    emit::emit_if_wanted,
    guest,
    maps::{config, control, counters, heads, rare},
    merged,
    neighbour::{self, SIGHT_LAST, SIGHT_OF_NOTHING},
    pieces,
    quick::{self, CHECK, DONE, EXCHANGE, OTHERS, Of, PARTS, RARE},
    reader::{Copied, SkbReader as _},
    tally, thorough,
};

/// A packet on one side of an interface of the path.
#[inline(always)]
pub(crate) fn hop(skb: *mut __sk_buff, side: usize) {
    // SAFETY: the context of the running program.
    let Some(hook) = config::hook_on(side, unsafe { (*skb).ifindex }) else { return };
    at(skb, hook, hook.number(), Of::Own);
}

/// One that may be the VM's under another address than its own. A note says at which hook.
#[inline(always)]
pub(crate) fn others(skb: *mut __sk_buff) {
    let Some(note) = rare::note() else { return };
    let number = note.hook & 0xf;
    at(skb, config::hook(number).on_path(), number, Of::Others(note.claim()));
}

/// A packet on one side of a neighbour's port.
#[inline(always)]
pub(crate) fn hop_beside(skb: *mut __sk_buff, side: usize) {
    let number = u32::from(config::beside()[side] & 0xf);
    at(skb, config::hook(number), number, Of::Beside);
}

#[inline(always)]
fn at(skb: *mut __sk_buff, hook: config::HookFacts, number: u32, of: Of) {
    let left = quick::hop(skb, hook, number, of);
    if left == OTHERS {
        rare::call(skb, rare::OTHERS);
        // It is not there.
        rare::leave(rare::Note::undecided(number));
    }
    if left == CHECK {
        rare::call(skb, rare::CHECKSUM);
    }
    if left == PARTS {
        rare::call(skb, rare::MERGED);
    }
    if left == RARE || left == OTHERS {
        rare::call(skb, rare::THOROUGH);
        // The tail call failed: the packet must not go unsaid.
        if let Some(counted) = counters::of(counters::cpu(), number) {
            counted.seen += 1;
            counted.untracked += 1;
        }
    }
}

/// The program that all hooks share.
#[inline(always)]
pub(crate) fn rarely(skb: *mut __sk_buff) {
    let Some(note) = rare::note() else { return };
    let Some(counted) = counters::of(counters::cpu(), note.hook & 0xf) else { return };
    let Some(copy) = Copied::new(skb, counted.scratch.as_mut_ptr()) else { return };
    let left = handle(&copy, skb, note.hook & 0xf, counted);
    if left == PARTS {
        rare::call(skb, rare::MERGED);
    }
    if left == EXCHANGE {
        rare::call(skb, rare::ANSWERS);
    }
}

/// Length of the frame, in bytes.
#[inline(always)]
pub(crate) fn len_bytes(skb: *mut __sk_buff) -> u32 {
    // SAFETY: the context of the running program.
    unsafe { (*skb).len }
}

/// The time, in nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub(crate) fn clock() -> u64 {
    // SAFETY: takes nothing and always succeeds.
    unsafe { bpf_ktime_get_ns() }
}

/// The note says what was decided about the packet already. [`PARTS`]: others may have been merged into it; [`EXCHANGE`]: it may
/// be part of an exchange with the switch. Then a note is left for the program that follows those.
#[inline(always)]
fn handle(reader: &Copied, skb: *mut __sk_buff, number: u32, counted: &mut HookCounters) -> u32 {
    let Some(gate) = control::gate() else { return DONE };
    let gate_state = gate.state();
    if gate_state == GateState::CLOSED {
        return DONE;
    }
    let hook = config::hook(number);
    let Some(frame) = reader.frame() else { return DONE };
    let claim =
        if claim::is_to_or_from_vm(hook, &frame) { CLAIM_OWN } else { hop_address(number, ADDRESS_CLAIM) };
    if claim == CLAIM_NONE {
        return DONE;
    }
    neighbour::learn_copied(hook, number, skb);
    let Ok(packet) = reader.packet(&frame, counted.scratch.as_mut_ptr()) else {
        if claim == CLAIM_OWN || claim == CLAIM_LEARN {
            counted.unparsed += 1;
            debug!(&TcContext::new(skb), "hook {}: no identity, EtherType {:x}", number, frame.ether_type);
        }
        return DONE;
    };
    // The verifier follows what comes next once for all ways to it.
    let claim = reader.opaque(claim);
    if claim == CLAIM_GROUP && !concerns_guest(reader, &packet) {
        return DONE;
    }
    if config::is_filtering() && !config::filter().matches(reader, &packet) {
        return DONE;
    }
    // Read here, not kept on the stack.
    let Some(note) = rare::note() else { return DONE };
    if hook.has(HookConfig::GUEST) && !note.is_decided() {
        hop_address(number, if claim == CLAIM_SIGHTED { ADDRESS_SIGHTED } else { ADDRESS_FOLLOWED });
    }
    if claim == CLAIM_SIGHTED {
        return DONE;
    }
    let hidden = (hook.has(HookConfig::BEFORE_TRACEPOINT) && is_hidden(reader, &packet, skb))
        || (claim != CLAIM_OWN
            && hook.has_trait(HookConfig::LEARNS)
            && hop_address(number, ADDRESS_HAS_NO_ROOM) != 0);
    let sight = if hidden { SIGHT_LAST } else { neighbour::sight_copied(hook, number, skb) };
    // The verifier follows what comes next once for all of them.
    let sight = reader.opaque(sight);
    if sight == SIGHT_OF_NOTHING {
        return DONE;
    }
    // What leaves by a neighbour's port came by the path: a packet unknown there is none of ours.
    let mut admit =
        gate_state == GateState::OPEN && claim != CLAIM_IF_TRACKED && !neighbour::leaves_beside(hook);
    let mut now_ns = note.now_ns;
    if note.is_decided() {
        admit = note.admit();
    } else {
        if hook.has(HookConfig::ENTRY) && admit && config::budgeted() != 0 {
            admit = gate.take();
        }
        now_ns = clock();
    }
    // Not on the stack: for `hop_at_guest`.
    let [.., kept_ns] = &mut counted.scratch;
    *kept_ns = now_ns;
    let admit = reader.opaque(u32::from(admit)) != 0;
    let large = pieces::is_large(len_bytes(skb)) && merged::can_be(packet.protocol);
    let kind = thorough::thoroughly(number, packet.identity, now_ns, thorough::terms(admit, large, sight));
    if neighbour::is_way_in(sight) {
        neighbour::count_copied(config::hook(number), number, Kind::Copy, sight, skb);
        return DONE;
    }
    // Read again rather than kept on the stack.
    let hook = config::hook(number);
    let cpu = counters::cpu();
    let Some(counted) = counters::of(cpu, number) else { return DONE };
    let outcome = thorough::outcome(kind, counted);
    if hook.has(HookConfig::GUEST) && guest::may_speak(&packet) {
        // What comes next is there once, for the compiler and for the verifier.
        let followed = reader.opaque(u32::from(matches!(outcome.kind, Kind::New | Kind::Passed))) != 0;
        let ends = u64::from(packet.l3_end) | u64::from(number | u32::from(followed) << 8) << 32;
        hop_at_guest(reader.len(), packed(&packet), ends);
    }
    if hook.has_trait(HookConfig::LEARNS) && matches!(outcome.kind, Kind::New | Kind::Passed) {
        hop_address(number, ADDRESS_LEARN);
    }
    if matches!(outcome.kind, Kind::Missing) {
        return DONE;
    }
    let grown = matches!(outcome.kind, Kind::Passed) && outcome.grown;
    let terms = outcome.kind as u32 | u32::from(grown) << 8;
    let mut left = DONE;
    let part_bytes = merged::part_bytes(skb);
    if part_bytes != 0 && merged::has_parts(number, packet.protocol, part_bytes, terms) {
        rare::leave(rare::Note::merged(number, 0));
        left = PARTS;
    } else if let Some(note) = answers::note(hook, number, outcome.kind, &packet) {
        rare::leave(note);
        left = EXCHANGE;
    }
    counted.seen += 1;
    neighbour::count_copied(hook, number, outcome.kind, sight, skb);
    if heads::are_kept(hook) && matches!(outcome.kind, Kind::New | Kind::Passed) {
        heads::keep(skb, packet.identity, number);
    }
    // So are these.
    let this = hook.for_rules(number, neighbour::ends_here(sight));
    let outcome = thorough::outcome(kind, counted);
    match outcome.kind {
        Kind::New => {
            tally::arrived(cpu, counted, &outcome, &this);
            if !this.entry && pieces::is_expected(skb, &packet, number) {
                counted.split += 1;
            }
        }
        Kind::Passed => {
            if outcome.control.large() {
                pieces::expect(skb, &packet, number);
            }
            let total_ns = tally::passed(cpu, counted, &outcome, &this, hook);
            // The gate as well is asked for again.
            if this.terminal
                && let Some(gate) = control::gate()
            {
                let what = (gate, this.direction, total_ns);
                emit_if_wanted(reader, &packet, len_bytes(skb), what, &outcome, counted);
            }
        }
        _ => {
            strange(outcome.kind as u32, counted, skb, number, packet.identity);
            return left;
        }
    }
    left
}

/// Whether what makes up the packet's identity is not all in linear memory, where programs at tracepoints can read it.
#[inline(always)]
fn is_hidden(reader: &Copied, packet: &Packet, skb: *mut __sk_buff) -> bool {
    // SAFETY: the context of the running program.
    let linear = unsafe { (*skb).data_end.wrapping_sub((*skb).data) };
    hashed_end(reader, packet) > linear
}

/// What [`hop_address`] is to do: count a frame for another address that is not followed, or one that is, say whether the address
/// of a packet of the VM can not be learned, or learn it, or tell how the frame belongs to the VM ([`claim()`]).
pub(crate) const ADDRESS_SIGHTED: u32 = 0;
pub(crate) const ADDRESS_FOLLOWED: u32 = 1;
pub(crate) const ADDRESS_HAS_NO_ROOM: u32 = 2;
pub(crate) const ADDRESS_LEARN: u32 = 3;
pub(crate) const ADDRESS_CLAIM: u32 = 4;
/// Above the hook's number in a number of two: a place.
pub(crate) const PLACE_SHIFT: u32 = 4;
/// The bytes of an address among eight.
const MAC: u64 = 0xffff_ffff_ffff;

/// What is done about addresses that are not the VM's own, with the frame whose head was copied last: `hook` is the hook's number,
/// and above it, from [`PLACE_SHIFT`] on, the place that it was copied to ([`Copied::SCRATCH`], or the number of a room and one). A
/// global function: the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_address(hook: u32, what: u32) -> u32 {
    let number = hook & ((1 << PLACE_SHIFT) - 1);
    let Some(frame) = copied_frame(hook >> PLACE_SHIFT) else { return 0 };
    let hook = config::hook(number);
    match what {
        ADDRESS_SIGHTED => claim::count(hook, &frame, CLAIM_SIGHTED),
        ADDRESS_FOLLOWED => claim::count(hook, &frame, CLAIM_OWN),
        ADDRESS_HAS_NO_ROOM => return u32::from(claim::ends_unlearned(hook, &frame)),
        ADDRESS_CLAIM => return control::gate().map_or(CLAIM_NONE, |gate| claim(hook, &frame, gate)),
        _ => claim::learn(hook, &frame),
    }
    0
}

/// The frame whose head was copied last to `place`, with its addresses alone.
#[inline(always)]
pub(crate) fn copied_frame(place: u32) -> Option<Frame> {
    let (head, _) = deep::place_of(place)?;
    // SAFETY: the buffer has room for more than an Ethernet header.
    let (destination, source) =
        unsafe { (head.cast::<u64>().read_unaligned(), head.add(6).cast::<u64>().read_unaligned()) };
    Some(Frame { destination: destination & MAC, source: source & MAC, ether_type: 0, l3_offset: 0 })
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

/// [`guest::passes`], as a function for the same reason as [`strange`], and with numbers instead of a packet, which would have to
/// be on the stack for that. `ends` is where the packet ends, then the hook's number, whether the packet is followed, and the place of
/// its head ([`hop_address`]). When it came is in the scratch memory.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_at_guest(len: u32, packed: u64, ends: u64) -> u32 {
    let number = (ends >> 32) as u32 & 0xf;
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
    let Some((copy, word)) = deep::place_of((ends >> 48) as u32) else { return 0 };
    let [.., now_ns] = counted.scratch;
    // SAFETY: the buffer that the packet's head was copied to, and a word of this CPU.
    let reader = unsafe { Copied::of(copy, len, word) };
    let followed = ends >> 40 & 1 != 0;
    guest::passes(&reader, &packet, config::hook(number).direction(), now_ns, cpu, followed);
    0
}

/// What must not be averaged, or not as it came. A function, so that what it needs is not on the stack of its caller:
/// with the rules of the table all frames together may not be more than 512 bytes, each rounded up to 32.
#[inline(never)]
fn strange(kind: u32, counted: &mut HookCounters, skb: *mut __sk_buff, number: u32, identity: u64) {
    let cpu = counters::cpu();
    let outcome = &thorough::outcome(kind, counted);
    let hook = config::hook(number);
    if matches!(outcome.kind, Kind::Overtaken) {
        tally::overtaken(cpu, counted, outcome, &hook.for_rules(number, false), hook);
    } else if matches!(outcome.kind, Kind::Grouped) {
        tally::grouped(cpu, counted, outcome, &hook.for_rules(number, false), hook);
    } else if matches!(outcome.kind, Kind::Aside) {
        tally::aside(cpu, counted, outcome, hook);
    } else {
        tally::strange(counted, outcome);
    }
    debug!(&TcContext::new(skb), "hook {}: identity {:x} {}", number, identity, tally::name(outcome.kind));
}
