//! The program at Open vSwitch's tracepoint `ovs_dp_upcall`: the kernel's datapath gives a packet to user space.
//!
//! What comes back from there looks the same to the hooks, only later. So the packet is marked in the in-flight table, and the
//! next hook counts its latency as one of the slow path. Runs with bottom halves off, as programs at TC do, so it never
//! interrupts one. A large packet is here as a whole; the datapath cuts it into pieces behind this, of which the first has
//! its identity.

use core::ffi::c_void;

use aya_ebpf::programs::RawTracePointContext;
use hoptrace_common::{
    config::Control as GateState,
    inflight::{self, Upcalled},
    upcalls::UpcallConfig,
};

use crate::{
    device,
    maps::{
        config, control,
        inflight::Inflight,
        room::{self, Owner, Room},
        upcalls,
    },
    probe::probe,
    raw::RawSkb,
    reader::SkbReader as _,
    several::{NO_PORT, receiver, sender},
};

/// A packet is given to user space.
#[inline(always)]
pub(crate) fn upcall(context: &RawTracePointContext) {
    // Of several ports each has its own gate.
    let gate_state = if config::is_of_several() { GateState::OPEN } else { control::state_of(0) };
    if gate_state == GateState::CLOSED {
        return;
    }
    let Some(room) = room::of(Owner::Upcalls) else { return };
    let (skb, info) = arguments(context, room);
    let Some(dev) = device::of(skb) else { return };
    // Of another network namespace's switch.
    if !dev.is_null() && !device::is_here(dev) {
        return;
    }
    let missed = probe::<u8>(info, upcalls::kind_offset()) == UpcallConfig::MISS;
    if gate_state == GateState::OPEN {
        let Some(counted) = upcalls::counters(0) else { return };
        if missed {
            counted.misses += 1;
        } else {
            counted.actions += 1;
        }
    }
    // The packet that an action sends goes on: what user space gets is a copy.
    if !missed {
        return;
    }
    let Some(raw) = RawSkb::read(skb, room, Owner::Upcalls as u32) else { return };
    let Some(frame) = raw.head.frame() else { return };
    // SAFETY: a map value of this program and CPU.
    let word = unsafe { &raw mut (*room).word };
    let Ok(packet) = raw.head.packet(&frame, word) else { return };
    if !config::is_of_several() {
        upcall_identified(packet.identity);
        return;
    }
    let (sender, receiver) = (sender(&frame), receiver(&raw.head, &frame));
    if sender != NO_PORT {
        upcall_identified(config::key(packet.identity, sender));
    }
    if receiver != NO_PORT && receiver != sender {
        upcall_identified(config::key(packet.identity, receiver));
    }
}

/// The packet with this identity is given to user space. A global function: the verifier looks at it once, not for each shape
/// a packet can have.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn upcall_identified(identity: u64) -> u32 {
    let Some(room) = room::of(Owner::Upcalls) else { return 0 };
    // SAFETY: a map value of this program and CPU.
    let word: *mut u64 = unsafe { &raw mut (*room).word };
    let port = config::port_behind(identity);
    let upcalled = inflight::upcalled(Inflight::through(word), identity, upcalls::after(port) as u16);
    let (control, is_marked) = match upcalled {
        Upcalled::Marked(control) => (control, true),
        Upcalled::Missed(control) => (control, false),
        Upcalled::Unknown => return 0,
    };
    let Some(counted) = upcalls::counters(port) else { return 0 };
    if control.direction() == 0 {
        counted.traced[0] += 1;
    } else {
        counted.traced[1] += 1;
    }
    if !is_marked {
        counted.missed += 1;
    }
    1
}

/// The packet, and what kind of upcall it is. All arguments go through memory, because the verifier allows reads at constant
/// places of the context only, and which these are is known to it but not to the compiler.
#[inline(always)]
fn arguments(context: &RawTracePointContext, room: *mut Room) -> (*const c_void, *const c_void) {
    // SAFETY: a map value of this program and CPU with room for more than four words; the indices are below four.
    unsafe {
        let words: *mut u64 = (&raw mut (*room).block).cast();
        words.write_volatile(context.arg(0));
        words.add(1).write_volatile(context.arg(1));
        words.add(2).write_volatile(context.arg(2));
        words.add(3).write_volatile(context.arg(3));
        let at = |place: u32| words.add((place & 3) as usize).read_volatile() as *const c_void;
        (at(upcalls::packet_argument()), at(upcalls::info_argument()))
    }
}

const _: () = assert!(UpcallConfig::ARGUMENTS == 4);
