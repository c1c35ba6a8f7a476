//! What happens to a usual packet at a hook.
//!
//! The programs at TC are made of this: they read the headers in place, and know the shapes that almost every packet has and
//! the cases that almost every packet is. What is not as simple as that goes on in [`crate::hop`].
//!
//! The order of things is that of `hoptrace_common::inflight::Pass`: the CPU waits for the clock, which does not begin before
//! everything earlier is done, and for the compare-exchange, which lets nothing later begin before it is done. So the packet
//! is identified, its slot's address known, and what the slot's word must look like, before the clock; and the slot, which is often in no near
//! cache, comes while the CPU waits for the clock.

use aya_ebpf::bindings::__sk_buff;
use hoptrace_common::{
    config::{Control as GateState, HookConfig},
    counters::HookCounters,
    inflight::{
        Aside, Clock, Control, Hook, InTurn, Kind, Pass, SlotCell as _, Table as _, Visit, arrive, set_of,
    },
    packet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Frame, Reader as _, Window as _},
};

use crate::{
    admit,
    claim::{self, CLAIM_GROUP, CLAIM_IF_TRACKED, CLAIM_NONE, CLAIM_OWN, CLAIM_SIGHTED},
    clock::{self, Moment},
    emit::emit_if_wanted,
    guest,
    left::{CHECK, DONE, OTHERS, PARTS},
    maps::{
        config,
        control::{self, Gate},
        counters, heads,
        hooks::HookFacts,
        inflight::{Cell, Inflight},
        latency,
        rare::{self, Note},
    },
    merged,
    neighbour::{self, SIGHT_OF_NOTHING},
    pieces,
    reader::{Direct, SkbReader as _, Usual},
    several::ARP_TARGET,
    skb::len_bytes,
    tally,
};

/// Which program this is.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    /// That of hooks on the path: frames with the VM's own address.
    Own,
    /// That of frames with other addresses at the same hooks, and what these tell: see [`claim::claim`].
    Others(u32),
    /// That of hooks at neighbours' ports, none of which is the guest's tap.
    Beside,
}

/// A packet at hook `number`, whose facts are `hook`: [`DONE`] or one of its siblings.
#[inline(always)]
pub(crate) fn hop(skb: *mut __sk_buff, hook: HookFacts, number: u32, of: Of) -> u32 {
    let Some(gate) = control::gate(hook.port()) else { return DONE };
    let gate_state = gate.state();
    if gate_state == GateState::CLOSED {
        return DONE;
    }
    // SAFETY: the context of the running program.
    let reader = unsafe { Direct::new(skb, core::ptr::null_mut()) };
    let Some(frame) = reader.frame() else { return rare::leave(Note::undecided(number)) };
    let claim = match of {
        Of::Own if claim::is_to_or_from_vm(hook, &frame) => CLAIM_OWN,
        // A way of its own: what comes next, the verifier follows for one claim.
        Of::Own => return other(hook, &reader, &frame, claim::claim(hook, &frame, gate), number, of),
        Of::Others(claim) => claim,
        Of::Beside => claim::claim(hook, &frame, gate),
    };
    if matches!(of, Of::Beside) && claim != CLAIM_OWN {
        return other(hook, &reader, &frame, claim, number, of);
    }
    // Elsewhere such packets are rare: at neighbours' ports, and where addresses are learned.
    let is_tracked_only = claim == CLAIM_IF_TRACKED;
    neighbour::learn(hook, &frame, skb);
    let cpu = counters::cpu();
    let Some(counted) = counters::of_hook(cpu, hook, number) else { return DONE };
    let Some(headers) = reader.usual(&frame, &raw mut counted.word) else {
        return rare::leave(Note::undecided(number));
    };
    if config::is_filtering() && !config::filter().matches(&bounds_again(skb), &headers.packet()) {
        return DONE;
    }
    let Some(packet) = headers.identified(|| bounds_again(skb), matches!(of, Of::Own)) else {
        return rare::leave(Note::undecided(number));
    };
    let packet = packet.called(hook.key(packet.identity));
    if matches!(of, Of::Others(_)) && hook.has(HookConfig::GUEST) {
        claim::count(hook, &frame, claim);
        if claim == CLAIM_SIGHTED || claim == CLAIM_GROUP {
            return DONE;
        }
    }
    let table = Inflight::at(hook, gate);
    let home = table.home(packet.identity);
    let Some(slot) = table.slot(home) else { return DONE };
    // Of another host, under an address that the VM has used: it came from the tap long ago, or never.
    if is_tracked_only && slot.key() != packet.identity && table.spilled(set_of(home)) == 0 {
        return DONE;
    }
    let hook = hook.again();
    let sight = neighbour::sight(hook, &frame, skb);
    if sight == SIGHT_OF_NOTHING {
        return DONE;
    }
    // Usual packets are TCP or UDP.
    let large = pieces::is_large(len_bytes(skb));
    let rules = hook.for_rules(number, neighbour::ends_here(sight));
    let turn = InTurn::at(rules.id, rules.direction, rules.later, large);
    let at = At { skb, number, cpu, gate, hook, packet, home, slot, turn, large, claim, sight, of };
    // The same text twice, of which the verifier keeps one: where all packets are timed, nobody asks by which clock.
    if config::sharing() == 0 {
        at.seen(counted, rules, gate_state, Moment { ns: clock::now_ns(), clock: Clock::Exact })
    } else {
        at.seen(counted, rules, gate_state, clock::moment(gate, packet.identity))
    }
}

/// Reads the packet's bounds again, for who needs bytes behind the parser: what the verifier has learned of them there differs from shape to shape.
#[inline(always)]
fn bounds_again(skb: *mut __sk_buff) -> Direct {
    // SAFETY: the context of the running program.
    unsafe { Direct::new(skb, core::ptr::null_mut()) }
}

/// What is done with a frame that is not one for this program.
#[inline(always)]
fn other(hook: HookFacts, reader: &Direct, frame: &Frame, claim: u32, number: u32, of: Of) -> u32 {
    let is_ip_for_group = claim == CLAIM_GROUP && is_ip(frame.ether_type) && !config::counts_groups();
    if claim == CLAIM_NONE || (is_ip_for_group && !hook.has(HookConfig::GUEST)) {
        return DONE;
    }
    if claim == CLAIM_GROUP && hook.has(HookConfig::SHARED) && asks_others(hook, reader, frame) {
        return DONE;
    }
    if matches!(of, Of::Own) && (is_ip_for_group || is_of_others(hook, claim)) {
        rare::leave(Note::claimed(number, claim));
        OTHERS
    } else {
        rare::leave(Note::undecided(number))
    }
}

/// Whether a frame with this claim is for the program that takes those with other addresses. Where they are learned they are for the one
/// that knows all rules.
#[inline(always)]
fn is_of_others(hook: HookFacts, claim: u32) -> bool {
    claim == CLAIM_OWN
        || claim == CLAIM_SIGHTED
        || (claim == CLAIM_IF_TRACKED && !hook.has_trait(HookConfig::LEARNS))
}

/// Whether the frame is certainly an ARP packet that is not about the VM: [`claim::concerns_guest`] says the same.
#[inline(always)]
fn asks_others(hook: HookFacts, reader: &Direct, frame: &Frame) -> bool {
    if frame.ether_type != ETHERTYPE_ARP {
        return false;
    }
    let Some(target) = reader.window(frame.l3_offset + ARP_TARGET, 4) else { return false };
    let (target, [a, b, c, d]) = (target.u32(0), config::ipv4(hook.port()));
    target != a && target != b && target != c && target != d
}

/// The EtherType of packets that are not followed where they go to a group.
#[inline(always)]
const fn is_ip(ether_type: u16) -> bool {
    matches!(ether_type, ETHERTYPE_IPV4 | ETHERTYPE_IPV6)
}

/// A packet of a usual shape at a hook, and its home in the table.
struct At {
    skb: *mut __sk_buff,
    number: u32,
    cpu: u32,
    gate: Gate,
    hook: HookFacts,
    packet: Usual,
    home: u32,
    slot: Cell,
    /// What the slot's word must look like where the packet comes from another hook.
    turn: InTurn,
    large: bool,
    claim: u32,
    /// What the sight means: a constant of [`neighbour`].
    sight: u32,
    of: Of,
}

impl At {
    /// What becomes of it, seen at this moment, while the gate is in that state.
    #[inline(always)]
    fn seen(&self, counted: &mut HookCounters, rules: Hook, gate_state: u32, moment: Moment) -> u32 {
        let Self { skb, number, gate, hook, packet, sight, .. } = *self;
        let mut visit = Visit {
            hook: rules,
            key: packet.identity,
            now_ns: moment.ns,
            clock: moment.clock,
            admit: false,
            aside: neighbour::aside(sight),
            large: self.large,
        };
        let control = self.slot.control();
        let is_simple = matches!(visit.aside, Aside::No) && !merged::is_possible(hook, skb);
        let mut kind = Kind::Passed;
        if !is_simple || !self.comes(counted, control, &visit) {
            let is_admissible = admit::is_admissible(hook, self.claim, sight);
            visit.admit = admit::admits(gate, gate_state, hook, is_admissible);
            kind = if is_simple { self.is_new(counted, control, &visit) } else { Kind::Retry };
            if matches!(kind, Kind::Retry) {
                return rare::leave(Note::decided(number, visit.admit, moment));
            }
        }
        neighbour::count(hook, kind, sight, skb);
        if heads::are_kept(hook) {
            heads::keep(skb, packet.identity, number);
        }
        if !matches!(self.of, Of::Beside) && hook.has(HookConfig::GUEST) {
            let packet = packet.packet();
            if guest::may_speak(&packet) {
                guest::passes(&bounds_again(skb), &packet, hook, guest::exact_ns(moment), self.cpu, true);
            }
            if hook.direction() == 1 && packet.identity < gate.checksum_below() {
                rare::leave(Note::undecided(number));
                return CHECK;
            }
        }
        if matches!(kind, Kind::New) && pieces::is_of_datagrams(skb, packet.protocol()) {
            rare::leave(Note::merged(number, 0));
            return PARTS;
        }
        DONE
    }

    /// The packet if it comes from another hook. `false`: it does not, or it is not as simple as that; nothing was done.
    #[inline(always)]
    fn comes(&self, counted: &mut HookCounters, control: Control, visit: &Visit) -> bool {
        let Some(pass) = Pass::carry_out(self.slot, control, self.turn, visit) else { return false };
        counted.passed += 1;
        if visit.hook.terminal {
            counted.completed += 1;
        }
        let segment = self.hook.segment_from(pass.from);
        let whole_way = visit.hook.terminal && !pass.after.joined();
        if pass.after.untimed() {
            latency::record_unasked(self.cpu, segment);
            if whole_way {
                latency::record_unasked(self.cpu, self.hook.total_segment(pass.after.passed()));
            }
        } else {
            let scope = self.hook.scope();
            latency::record_of(self.cpu, segment, u64::from(pass.latency_ns), scope);
            if whole_way {
                let segment = self.hook.total_segment(pass.after.passed());
                latency::record_of(self.cpu, segment, u64::from(pass.total_ns), scope);
            }
        }
        if pass.after.large() {
            pieces::expect(self.skb, &self.packet.packet(), self.number);
        }
        if config::sends() && visit.hook.terminal && !pass.after.untimed() {
            let total_ns = if whole_way { u64::from(pass.total_ns) } else { 0 };
            self.emit(counted, &visit.hook, &pass, total_ns);
        }
        true
    }

    /// The packet if it is new: what it turned out to be. [`Kind::Retry`]: it is not new, or it is not as simple as that;
    /// nothing was done.
    #[inline(always)]
    fn is_new(&self, counted: &mut HookCounters, control: Control, visit: &Visit) -> Kind {
        let table = Inflight::at(self.hook, self.gate);
        let outcome = arrive(table, self.home, self.slot, control, visit);
        if !matches!(outcome.kind, Kind::New) {
            return Kind::Retry;
        }
        tally::arrived(self.cpu, counted, &outcome, &visit.hook);
        if !visit.hook.entry && pieces::is_expected(self.skb, &self.packet.packet(), self.number) {
            counted.split += 1;
        }
        outcome.kind
    }

    #[inline(always)]
    fn emit(&self, counted: &mut HookCounters, hook: &Hook, pass: &Pass, total_ns: u64) {
        let outcome = pass.outcome(self.home);
        emit_if_wanted(
            &bounds_again(self.skb),
            &self.packet.packet(),
            len_bytes(self.skb),
            (self.gate, hook.direction, total_ns),
            &outcome,
            counted,
        );
    }
}
