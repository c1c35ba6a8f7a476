//! A packet became part of another one.

use super::{Control, Hook, SlotCell, State, Table, find, table::left};

/// Tries before it is given up: others change the slot, too.
const ATTEMPTS: u32 = 3;

/// The packet `key` became part of a packet that `hook` sees: frees its slot. Gives the control word it had; `None`: it is not
/// on its way to `hook`. A packet that comes with this identity from here on is a new one, such as when the larger packet is
/// cut into pieces again.
#[inline(always)]
pub fn merge<T: Table>(table: T, key: u64, hook: &Hook) -> Option<Control> {
    let not_yet = hook.later | (1 << (hook.id & 0xf));
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        attempt += 1;
        let tracked = find(table, key)?;
        let control = tracked.control;
        if !matches!(control.state(), State::Live) || control.passed() & not_yet != 0 {
            return None;
        }
        let slot = table.slot(tracked.index)?;
        if slot.exchange(control, control.free()) {
            left(table, key, tracked.index);
            return Some(control);
        }
    }
    None
}
