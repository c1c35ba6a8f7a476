//! What the sweeper in user space does with one slot.

use super::{Control, SlotCell, State, Table, home_of, set_of, slot::last_seen_ns};

/// What became of a slot that was swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Nothing to do.
    Idle,
    /// A packet on its way; nothing to do yet.
    InFlight(Control),
    /// A packet that was not seen again in time: lost after its last hook.
    Lost(Control),
    /// A packet of which only copies beside the path were seen again.
    Elsewhere(Control),
    /// Reused later: a packet that ended well, or ambiguous ones.
    Freed,
}

/// Settles the slot at `index`: frees it when its packet was not seen for longer than the table's time-out.
pub fn settle<T: Table>(table: T, index: u32, now_ns: u64) -> Settled {
    let Some(slot) = table.slot(index) else { return Settled::Idle };
    let control = slot.control();
    let seen_ns = match control.state() {
        State::Free | State::Busy => return Settled::Idle,
        State::Live | State::Done => last_seen_ns(slot, control),
        State::Ambiguous => slot.first_ns().wrapping_add(u64::from(slot.delta_ns(0))),
    };
    let age_ns = now_ns.wrapping_sub(seen_ns);
    let timed_out = age_ns > table.timeout_ns() && age_ns < u64::MAX / 2;
    let key = slot.key();
    if !timed_out || !slot.exchange(control, control.free()) {
        return if control.state() == State::Live { Settled::InFlight(control) } else { Settled::Idle };
    }
    if home_of(key, table.set_mask()) != index {
        table.add_spilled(set_of(key, table.set_mask()), u32::MAX);
    }
    match control.state() {
        State::Live if control.elsewhere() => Settled::Elsewhere(control),
        State::Live => Settled::Lost(control),
        _ => Settled::Freed,
    }
}
