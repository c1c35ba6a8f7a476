//! What happens to a packet at a hook.
//!
//! The programs at TC are for usual packets ([`crate::quick`]). What is not as simple as that goes on, by a tail call, in one
//! program that all hooks share: it copies the head of the packet and knows all rules. So the verifier has the large part
//! to follow once, not once per program.

use aya_ebpf::{bindings::__sk_buff, programs::TcContext};
use aya_log_ebpf::debug;
use hoptrace_common::{
    config::{Control as GateState, HookConfig},
    counters::HookCounters,
    inflight::Kind,
    packet::{Packet, Reader as _, hashed_end},
};

use crate::{
    address::{
        ADDRESS_CLAIM, ADDRESS_FOLLOWED, ADDRESS_HAS_NO_ROOM, ADDRESS_LEARN, ADDRESS_SIGHTED, hop_address,
    },
    answers,
    claim::{
        self, CLAIM_GROUP, CLAIM_IF_TRACKED, CLAIM_LEARN, CLAIM_NONE, CLAIM_OWN, CLAIM_SIGHTED,
        concerns_guest,
    },
    clock,
    emit::emit_if_wanted,
    guest::{self, hop_at_guest, packed},
    maps::{config, control, counters, heads, rare},
    merged,
    neighbour::{self, SIGHT_LAST, SIGHT_OF_NOTHING},
    pieces,
    quick::{self, CHECK, DONE, EXCHANGE, OTHERS, Of, PARTS, RARE},
    reader::{Copied, SkbReader as _},
    skb, tally, thorough,
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
        now_ns = clock::now_ns();
    }
    // Not on the stack: for `hop_at_guest`.
    let [.., kept_ns] = &mut counted.scratch;
    *kept_ns = now_ns;
    let admit = reader.opaque(u32::from(admit)) != 0;
    let large = pieces::is_large(skb::len_bytes(skb)) && merged::can_be(packet.protocol);
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
    let part_bytes = skb::part_bytes(skb);
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
                emit_if_wanted(reader, &packet, skb::len_bytes(skb), what, &outcome, counted);
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
    hashed_end(reader, packet) > skb::linear_bytes(skb)
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
