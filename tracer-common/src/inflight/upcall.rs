//! The switch gives a packet to user space, because it knows no flow for it.
//!
//! What user space sends back is another packet of the kernel's with the same headers, and so with the same identity. The
//! slot is told by a bit of its control word: it is set without owning the slot, as a mark is, and makes the next hook look
//! at the slot by all rules; that hook's program finds out that way that the latency is one of the slow path.

use super::{Control, SlotCell, State, Table, find};

/// Tries before it is given up: other CPUs change the slot, too, where copies of the packet are on their way.
const ATTEMPTS: u32 = 3;

/// What an upcall meant for the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upcalled {
    /// The packet is on its way through the switch, by user space from here on; its control word before.
    Marked(Control),
    /// Likewise, but the slot changed too often meanwhile: it will count as fast.
    Missed(Control),
    /// It is none of the table's packets, or not on its way through the switch.
    Unknown,
}

/// The packet `key` is given to user space. The hooks `after`, a bit each, are those behind which packets come to the switch.
#[inline(always)]
pub fn upcalled<T: Table>(table: T, key: u64, after: u16) -> Upcalled {
    let mut tried = Upcalled::Unknown;
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        attempt += 1;
        let Some(found) = find(table, key) else { return Upcalled::Unknown };
        let control = found.control;
        if !matches!(control.state(), State::Live) || after & (1 << (control.last() & 0xf)) == 0 {
            return Upcalled::Unknown;
        }
        let Some(slot) = table.slot(found.index) else { return Upcalled::Unknown };
        if slot.exchange(control, control.with_upcalled()) {
            return Upcalled::Marked(control);
        }
        tried = Upcalled::Missed(control);
    }
    tried
}
