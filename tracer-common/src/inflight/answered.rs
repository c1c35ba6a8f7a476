//! A question's packet whose answer has come.

use super::{Kind, SlotCell, State, Table, Visit, find, place};

/// How a question was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// By a packet that came from nowhere else: the switch made it.
    BySwitch,
    /// By one that came from a port beside the path.
    Beside,
}

/// Attempts before the packet is left alone: another CPU sees it at the same time.
const ATTEMPTS: u32 = 2;

/// Settles the packet with identity `key`, if it is on its way out and one of the hooks `before`, a bit each, saw it last: those
/// before the switch. Answered by the switch it ends; answered from beside the path it went there, unless it goes on. Whether
/// it was there.
#[inline(always)]
pub fn answered<T: Table>(table: T, key: u64, before: u16, how: Answered) -> bool {
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        attempt += 1;
        let Some(tracked) = find(table, key) else { return false };
        let control = tracked.control;
        let waits = matches!(control.state(), State::Live)
            && control.direction() == 0
            && !control.crossed()
            && before & (1 << (control.last() & 0xf)) != 0;
        if !waits {
            return false;
        }
        let Some(slot) = table.slot(tracked.index) else { return false };
        let after = match how {
            Answered::BySwitch => control.done(),
            Answered::Beside => control.with_elsewhere(),
        };
        if slot.exchange(control, after) {
            return true;
        }
    }
    false
}

/// A packet that is equal to one which has ended, and no copy of that: it answers a question that was asked since. Takes over
/// that one's slot; whether it could.
#[inline(always)]
pub fn come_again<T: Table>(table: T, visit: &Visit) -> bool {
    let Some(tracked) = find(table, visit.key) else { return false };
    let Some(slot) = table.slot(tracked.index) else { return false };
    matches!(tracked.control.state(), State::Done)
        && matches!(place::renew(slot, tracked.index, tracked.control, visit).kind, Kind::New)
}
