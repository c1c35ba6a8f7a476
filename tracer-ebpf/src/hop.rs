//! What happens to a packet at a hook.
//!
//! The programs at TC are for usual packets ([`crate::quick`]). What is not as simple as that goes on, by a tail call, in one
//! program that all hooks share: it copies the head of the packet and knows all rules. So the verifier has the large part
//! to follow once, not once per program.

use aya_ebpf::bindings::__sk_buff;
use hoptrace_common::{
    config::{Control as GateState, HookConfig},
    packet::{Packet, ParseError, Reader as _, hashed_end},
    ports::NUMBER_MASK,
};

use crate::{
    admit, clock, guest,
    left::{CHECK, DONE, EXCHANGE, OTHERS, PARTS, RARE},
    maps::{
        config, control, counters, heads,
        hooks::{self, HookFacts, Scope},
        neighbours, rare, scratch,
    },
    merged, pieces,
    place::At,
    quick::{self, Of},
    reader::Copied,
    rules::{self, Identified, Seen},
    several, skb, thorough,
};

/// A packet on one side of an interface of the path, in a trace of one port.
#[inline(always)]
pub(crate) fn hop(skb: *mut __sk_buff, side: usize) {
    // SAFETY: the context of the running program.
    let Some(hook) = hooks::hook_on(side, unsafe { (*skb).ifindex }) else { return };
    at(skb, hook, hook.number(), Of::Own);
}

/// The same in a trace of several.
#[inline(always)]
pub(crate) fn hop_of_several(skb: *mut __sk_buff, side: usize) {
    let Some(number) = several::own_number(skb, side) else { return };
    at(skb, hooks::hook(number).on_path().within(Scope::Several), number, Of::Own);
}

/// One that may be the VM's under another address than its own. A note says at which hook.
#[inline(always)]
pub(crate) fn others(skb: *mut __sk_buff) {
    let Some(note) = rare::note() else { return };
    let number = note.hook & NUMBER_MASK;
    at(skb, hooks::hook(number).on_path(), number, Of::Others(note.claim()));
}

/// A packet on one side of a neighbour's port, in a trace of one port.
#[inline(always)]
pub(crate) fn hop_beside(skb: *mut __sk_buff, side: usize) {
    let number = u32::from(config::beside(0)[side] & 0xf);
    at(skb, hooks::hook(number).within(Scope::One), number, Of::Beside);
}

/// The same in a trace of several.
#[inline(always)]
pub(crate) fn hop_beside_of_several(skb: *mut __sk_buff, side: usize) {
    let Some(number) = several::number_beside(skb, side) else { return };
    at(skb, hooks::hook(number).within(Scope::Several), number, Of::Beside);
}

#[inline(always)]
fn at(skb: *mut __sk_buff, hook: HookFacts, number: u32, of: Of) {
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
            counted.untracked += 1;
        }
    }
}

/// The program that all hooks share.
#[inline(always)]
pub(crate) fn rarely(skb: *mut __sk_buff) {
    let Some(note) = rare::note() else { return };
    let number = note.hook & NUMBER_MASK;
    let Some(counted) = counters::of(counters::cpu(), number) else { return };
    let Some(copy) = Copied::new(skb, counted.scratch.as_mut_ptr()) else { return };
    let left = handle(&Tc { skb, copy }, At::new(number, scratch::PLACE));
    if left == PARTS {
        rare::call(skb, rare::MERGED);
    }
    if left == EXCHANGE {
        rare::call(skb, rare::ANSWERS);
    }
}

/// The note says what was decided about the packet already. Gives what [`rules::settle`] does.
#[inline(always)]
fn handle(seen: &Tc, at: At) -> u32 {
    let Some(gate) = control::gate(config::port(at.number())) else { return DONE };
    let gate_state = gate.state();
    if gate_state == GateState::CLOSED {
        return DONE;
    }
    let Some(Identified { packet, sight, is_admissible }) = rules::identify(seen, at) else { return DONE };
    // Read here, not kept on the stack.
    let Some(note) = rare::note() else { return DONE };
    let number = at.number();
    let (admit, moment) = if note.is_decided() {
        (note.admit(), note.moment())
    } else {
        let admit = admit::admits(gate, gate_state, hooks::hook(number), is_admissible);
        (admit, clock::moment(gate, packet.identity))
    };
    let Some(counted) = counters::of(counters::cpu(), number) else { return DONE };
    guest::leave_time(counted, moment);
    let admit = seen.copy.opaque(u32::from(admit)) != 0;
    let large = merged::is_large(packet.protocol, seen.len_bytes());
    let terms = thorough::terms(admit, large, moment.clock, sight);
    let kind = thorough::thoroughly(number, packet.identity, moment.ns, terms);
    rules::settle(seen, at, &packet, sight, kind)
}

/// A packet that a TC program sees.
struct Tc {
    skb: *mut __sk_buff,
    copy: Copied,
}

impl Seen for Tc {
    #[inline(always)]
    fn head(&self) -> Copied {
        self.copy
    }

    #[inline(always)]
    fn len_bytes(&self) -> u32 {
        skb::len_bytes(self.skb)
    }

    #[inline(always)]
    fn port(&self) -> u64 {
        neighbours::key(self.skb)
    }

    #[inline(always)]
    fn is_told(&self, _: ParseError) -> bool {
        false
    }

    #[inline(always)]
    fn is_decided(&self) -> bool {
        rare::note().is_some_and(|note| note.is_decided())
    }

    /// Programs at tracepoints read linear memory only.
    #[inline(always)]
    fn is_hidden(&self, hook: HookFacts, packet: &Packet) -> bool {
        hook.has(HookConfig::BEFORE_TRACEPOINT)
            && hashed_end(&self.copy, packet) > skb::linear_bytes(self.skb)
    }

    #[inline(always)]
    fn has_parts(&self, number: u32, protocol: u8, outcome: u32) -> bool {
        let part_bytes = skb::part_bytes(self.skb);
        part_bytes != 0 && merged::has_parts(number, protocol, part_bytes, outcome)
    }

    #[inline(always)]
    fn is_piece(&self, packet: &Packet, number: u32) -> bool {
        pieces::is_expected(self.skb, packet, number)
    }

    #[inline(always)]
    fn expect_pieces(&self, packet: &Packet, number: u32) {
        pieces::expect(self.skb, packet, number);
    }

    #[inline(always)]
    fn keep_head(&self, key: u64, number: u32) {
        heads::keep(self.skb, key, number);
    }
}
