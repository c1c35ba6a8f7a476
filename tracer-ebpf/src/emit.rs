//! Sends a packet's way to user space.

use hoptrace_common::{
    counters::HookCounters,
    filter::addresses,
    inflight::{Outcome, Table as _},
    packet::{Packet, Reader, Window as _},
    record::PacketRecord,
};

use crate::maps::{
    config,
    control::Gate,
    inflight::{Cell, Inflight},
    records,
};

/// Sends a packet at its last hook to user space if it is wanted there, and counts that. `len_bytes` is the frame's length; `(gate, direction, total_ns)`: see
/// [`causes`].
#[inline(always)]
pub(crate) fn emit_if_wanted<R: Reader>(
    reader: &R,
    packet: &Packet,
    len_bytes: u32,
    (gate, direction, total_ns): (Gate, u8, u64),
    outcome: &Outcome,
    counted: &mut HookCounters,
) {
    if !config::sends() {
        return;
    }
    let causes = causes(gate, direction, packet.identity, total_ns);
    if causes == 0 {
        return;
    }
    if emit(reader, packet, len_bytes, outcome, causes) {
        counted.emitted += 1;
    } else {
        counted.ring_lost += 1;
    }
}

/// Why a packet at its last hook is to be sent; 0: it is not. `total_ns` is how long its whole way took, 0 where that is
/// not known.
#[inline(always)]
fn causes(gate: Gate, direction: u8, identity: u64, total_ns: u64) -> u8 {
    let mut causes = 0;
    if identity < config::sample_below() {
        causes |= PacketRecord::SAMPLED;
    }
    if config::tail() != 0 && total_ns > gate.slower_than_ns(direction) {
        causes |= PacketRecord::SLOW;
    }
    causes
}

/// Sends the packet's slot and flow to user space, and why.
#[inline(always)]
fn emit<R: Reader>(reader: &R, packet: &Packet, len_bytes: u32, outcome: &Outcome, causes: u8) -> bool {
    let Some(slot): Option<Cell> = Inflight::through(core::ptr::null_mut()).slot(outcome.index) else {
        return false;
    };
    let (source, destination) = addresses(reader, packet).unwrap_or(([0; 2], [0; 2]));
    let ports = if packet.has_transport() {
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
            (*record).causes = causes;
            (*record).len_bytes = len_bytes;
            (*record).padding = [0; 5];
            slot.copy_to(&raw mut (*record).slot, outcome.control)
        }
    })
}
