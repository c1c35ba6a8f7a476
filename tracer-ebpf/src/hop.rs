//! What happens to a packet at a hook.

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_ktime_get_ns, programs::TcContext};
use aya_log_ebpf::debug;
use hoptrace_common::{
    config::{Control as GateState, HookConfig},
    counters::HookCounters,
    filter::addresses,
    inflight::{Control, Hook, Kind, Outcome, State, Table as _, Visit, Withdrawn, quickly},
    packet::{ETHERTYPE_ARP, Frame, Packet, ParseError, Reader, Window as _, parse},
    record::PacketRecord,
};

use crate::{
    guest,
    maps::{
        config::{self, HookFacts},
        control::{self, Gate},
        counters,
        inflight::{Cell, Inflight},
        latency, records,
    },
    reader::{Copied, Direct},
    thorough::{self, hop_thoroughly},
};

/// A packet at a hook.
#[inline(always)]
pub(crate) fn hop(skb: *mut __sk_buff, number: u32) {
    if in_place(skb, number) == AGAIN {
        copied(skb, number);
    }
}

/// Reads the headers where they are. One function for all hooks; the number is a constant to the verifier all the
/// same, and with it everything known about the hook.
#[inline(never)]
fn in_place(skb: *mut __sk_buff, number: u32) -> u32 {
    let Some(counted) = counters::of(counters::cpu(), number) else { return DONE };
    // SAFETY: the context of the running program, and a map value of this CPU.
    let direct = unsafe { Direct::new(skb, counted.scratch.as_mut_ptr()) };
    handle(&direct, skb, number, counted)
}

/// The rare case: the headers are not all in the linear part.
#[inline(never)]
fn copied(skb: *mut __sk_buff, number: u32) -> u32 {
    let Some(counted) = counters::of(counters::cpu(), number) else { return DONE };
    let Some(copy) = Copied::new(skb, counted.scratch.as_mut_ptr()) else { return DONE };
    handle(&copy, skb, number, counted)
}

/// Nothing more to do.
const DONE: u32 = 0;
/// The reader ended before the headers did, and the packet has more.
const AGAIN: u32 = 1;

#[inline(always)]
fn handle<R: SkbReader>(reader: &R, skb: *mut __sk_buff, number: u32, counted: &mut HookCounters) -> u32 {
    let Some(gate) = control::gate() else { return DONE };
    let gate_state = gate.state();
    if gate_state == GateState::CLOSED {
        return DONE;
    }
    let hook = config::hook(number);
    let Some(frame) = Frame::read(reader) else { return if reader.is_whole(skb) { DONE } else { AGAIN } };
    let claim = claim(hook, &frame, gate);
    if claim == CLAIM_NONE {
        return DONE;
    }
    // All ways so far meet here, for the verifier too: it follows what comes next once.
    let claim = reader.opaque(claim);
    let reader = &reader.renewed(skb);
    let packet = match parse(reader, &frame) {
        Ok(packet) => Packet {
            ether_type: reader.opaque(u32::from(packet.ether_type)) as u16,
            protocol: reader.opaque(u32::from(packet.protocol)) as u8,
            fragment_tail: reader.opaque(u32::from(packet.fragment_tail)) as u8,
            l3_end: reader.opaque(packet.l3_end),
            ..packet
        },
        Err(ParseError::Truncated) if !reader.is_whole(skb) => return AGAIN,
        Err(_) => {
            if claim == CLAIM_OWN {
                counted.unparsed += 1;
                debug!(
                    &TcContext::new(skb),
                    "hook {}: no identity, EtherType {:x}", number, frame.ether_type
                );
            }
            return DONE;
        }
    };
    let reader = &reader.renewed(skb);
    if claim == CLAIM_GROUP && !concerns_guest(reader, &packet) {
        return DONE;
    }
    if !config::filter().matches(reader, &packet) {
        return DONE;
    }
    let entry = hook.has(HookConfig::ENTRY);
    let mut admit = gate_state == GateState::OPEN && claim != CLAIM_IF_TRACKED;
    if entry && admit && config::budgeted() != 0 {
        admit = gate.take();
    }
    let cpu = counters::cpu();
    // SAFETY: takes nothing and always succeeds.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let this = hook.for_rules(number);
    let admit = reader.opaque(u32::from(admit)) != 0;
    let table = Inflight(counted.scratch.as_mut_ptr());
    let mut outcome = quickly(table, &Visit { hook: this, key: packet.identity, now_ns, admit });
    if matches!(outcome.kind, Kind::Retry) {
        let number_of_kind = hop_thoroughly(number, packet.identity, now_ns, u32::from(admit));
        outcome = thorough::outcome(number_of_kind, counted);
    }
    if matches!(outcome.kind, Kind::Missing) {
        return DONE;
    }
    counted.seen += 1;
    match outcome.kind {
        Kind::New => arrived(cpu, counted, &outcome, &this),
        Kind::Passed => {
            passed(cpu, counted, &outcome, &this, hook);
            if this.terminal && packet.identity < config::sample_below() {
                counted.ring_lost += u64::from(!emit(reader, &packet, skb, &outcome));
            }
        }
        Kind::Overtaken => {
            overtaken(cpu, counted, &outcome, &this, hook);
            return DONE;
        }
        _ => {
            strange(cpu, counted, &outcome);
            debug!(
                &TcContext::new(skb),
                "hook {}: identity {:x} {} at {}",
                number,
                packet.identity,
                name(outcome.kind),
                now_ns
            );
            return DONE;
        }
    }
    if hook.has(HookConfig::GUEST) {
        if this.direction == 0 {
            guest::left(reader, &packet, now_ns, cpu);
        } else {
            guest::arrived(reader, &packet, now_ns);
        }
    }
    DONE
}

/// How a frame belongs to the traced VM, as far as its MAC addresses tell: not at all.
const CLAIM_NONE: u32 = 0;
/// It does.
const CLAIM_OWN: u32 = 1;
/// It goes to a group the VM may be in.
const CLAIM_GROUP: u32 = 2;
/// It does if it is in the table already.
const CLAIM_IF_TRACKED: u32 = 3;

#[inline(always)]
fn claim(hook: HookFacts, frame: &Frame, gate: Gate) -> u32 {
    let mac = config::mac();
    if hook.direction() == 1 {
        return if frame.destination == mac {
            CLAIM_OWN
        } else if frame.is_group() && frame.source != mac {
            CLAIM_GROUP
        } else {
            CLAIM_NONE
        };
    }
    if frame.source == mac {
        return CLAIM_OWN;
    }
    // Whatever comes in at the tap comes from the VM, under whatever name.
    if hook.has(HookConfig::GUEST) {
        gate.set_foreign_source();
        return CLAIM_OWN;
    }
    if gate.foreign_source() { CLAIM_IF_TRACKED } else { CLAIM_NONE }
}

/// Of the frames for everybody, only ARP about the VM's own addresses is followed: most others end at their first
/// switch for good reasons, and would look lost.
#[inline(always)]
fn concerns_guest<R: Reader>(reader: &R, packet: &Packet) -> bool {
    if packet.ether_type != ETHERTYPE_ARP {
        return false;
    }
    let Some((_, target)) = addresses(reader, packet) else { return false };
    let [a, b, c, d] = config::ipv4();
    let target = target[0] as u32;
    target != 0 && (target == a || target == b || target == c || target == d)
}

/// Whether the packet was seen from the first hook of this hook's direction on.
#[inline(always)]
fn whole_way(control: Control, hook: &Hook) -> bool {
    !control.joined() && !control.crossed() && control.direction() == hook.direction
}

/// A packet seen for the first time.
#[inline(always)]
fn arrived(cpu: u32, counted: &mut HookCounters, outcome: &Outcome, hook: &Hook) {
    if hook.entry {
        counted.entered += 1;
    } else {
        counted.joined += 1;
    }
    if hook.terminal {
        counted.completed += 1;
    }
    evicted(cpu, outcome);
}

/// Counts the packet whose slot was taken for this one, at its last hook.
#[inline(always)]
fn evicted(cpu: u32, outcome: &Outcome) {
    if outcome.hook != 0
        && let Some(of_evicted) = counters::of(cpu, u32::from((outcome.hook - 1) & 0xf))
    {
        of_evicted.evicted += 1;
    }
}

/// A packet on its way from one hook to this one.
#[inline(always)]
fn passed(cpu: u32, counted: &mut HookCounters, outcome: &Outcome, hook: &Hook, facts: HookFacts) {
    counted.passed += 1;
    let skewed = outcome.latency_ns == Outcome::SKEWED;
    let segment = facts.segment_from(outcome.hook);
    if skewed {
        counted.clock_skew += 1;
        latency::record_untimed(cpu, segment);
    } else {
        latency::record(cpu, segment, outcome.latency_ns);
    }
    if hook.terminal {
        if outcome.control.direction() == hook.direction {
            counted.completed += 1;
        } else {
            counted.completed_crossed += 1;
        }
        if whole_way(outcome.control, hook) {
            // Overtaken at its first hook, its first time is that of a later one.
            if skewed || outcome.control.overtaken() {
                latency::record_untimed(cpu, facts.total_segment());
            } else {
                latency::record(cpu, facts.total_segment(), outcome.total_ns);
            }
        }
    }
}

/// A packet that a later hook saw before this one: puts right what was recorded between the hooks on both sides.
#[inline(always)]
fn overtaken(cpu: u32, counted: &mut HookCounters, outcome: &Outcome, hook: &Hook, facts: HookFacts) {
    counted.overtaken += 1;
    if outcome.hook == Outcome::NO_HOOK {
        return;
    }
    let after = config::hook(u32::from(outcome.hook));
    latency::record_untimed(cpu, after.segment_from(hook.id));
    if outcome.before != Outcome::NO_HOOK {
        latency::take_back(cpu, after.segment_from(outcome.before), outcome.latency_ns);
        latency::record_untimed(cpu, facts.segment_from(outcome.before));
    } else if matches!(outcome.control.state(), State::Done) && !outcome.control.crossed() {
        latency::record_untimed(cpu, facts.total_segment());
    }
}

/// Everything that must not be averaged.
#[inline(always)]
fn strange(cpu: u32, counted: &mut HookCounters, outcome: &Outcome) {
    match outcome.kind {
        Kind::Ambiguous => {
            counted.ambiguous += 1;
            withdraw(cpu, outcome.withdrawn);
            evicted(cpu, outcome);
        }
        Kind::Copy => counted.copies += 1,
        _ => counted.untracked += 1,
    }
}

/// For the diagnostics.
const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Ambiguous => "is ambiguous",
        Kind::Copy => "is a copy",
        _ => "found no slot",
    }
}

/// Takes back what was counted for a packet that turned out to be ambiguous, in the direction it was counted in.
#[inline(always)]
fn withdraw(cpu: u32, withdrawn: Withdrawn) {
    if !withdrawn.any() {
        return;
    }
    let [egress, ingress] = config::entries();
    let first = if withdrawn.direction() == 0 { egress } else { ingress };
    if let Some(counted) = counters::of(cpu, u32::from(first & 0xf)) {
        if withdrawn.joined() {
            counted.withdrawn_joined += 1;
        } else {
            counted.withdrawn_entered += 1;
        }
    }
}

/// Sends the packet's slot and flow to user space.
#[inline(always)]
fn emit<R: Reader>(reader: &R, packet: &Packet, skb: *mut __sk_buff, outcome: &Outcome) -> bool {
    let Some(slot): Option<Cell> = Inflight(core::ptr::null_mut()).slot(outcome.index) else { return false };
    let (source, destination) = addresses(reader, packet).unwrap_or(([0; 2], [0; 2]));
    let ports = if packet.fragment_tail == 0 && packet.ether_type != ETHERTYPE_ARP {
        reader.window(packet.l4_offset, 4).map_or((0, 0), |window| (window.u16_be(0), window.u16_be(2)))
    } else {
        (0, 0)
    };
    records::emit(|record: *mut PacketRecord| {
        // SAFETY: `record` is room reserved for a whole record; every field is written.
        unsafe {
            (*record).source = source;
            (*record).destination = destination;
            (*record).source_port = ports.0;
            (*record).destination_port = ports.1;
            (*record).ether_type = packet.ether_type;
            (*record).protocol = packet.protocol;
            (*record).reserved = 0;
            (*record).len_bytes = (*skb).len;
            (*record).padding = [0; 5];
            slot.copy_to(&raw mut (*record).slot, outcome.control)
        }
    })
}

/// A reader of an skb.
trait SkbReader: Reader {
    /// Whether the reader shows the packet to its end.
    fn is_whole(&self, skb: *const __sk_buff) -> bool;
    /// The same reader, but the verifier forgets which bytes were checked already.
    fn renewed(&self, skb: *const __sk_buff) -> Self;
}

impl SkbReader for Direct {
    #[inline(always)]
    fn is_whole(&self, skb: *const __sk_buff) -> bool {
        // SAFETY: the context of the running program.
        self.len() >= unsafe { (*skb).len }
    }

    #[inline(always)]
    fn renewed(&self, skb: *const __sk_buff) -> Self {
        // SAFETY: the context of the running program, and our own scratch word.
        unsafe { Self::new(skb, self.scratch()) }
    }
}

impl SkbReader for Copied {
    #[inline(always)]
    fn is_whole(&self, _skb: *const __sk_buff) -> bool {
        true
    }

    #[inline(always)]
    fn renewed(&self, _skb: *const __sk_buff) -> Self {
        *self
    }
}
