//! What the sweeper in user space does with one slot.

use super::{Control, SlotCell, State, Table, home_of, set_of, slot::last_seen_ns};

/// What became of a slot that was swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Nothing to do.
    Idle,
    /// A packet on its way; nothing to do yet. It may have changed while it was read.
    InFlight(Ended),
    /// A packet that was not seen again in time.
    Ended(Ended),
    /// Reused later: a packet that ended well, or ambiguous ones.
    Freed,
}

/// A live packet, or what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The slot's control word: direction, last hook.
    pub control: Control,
    /// Its identity.
    pub key: u64,
    /// When it was seen last, in nanoseconds of `CLOCK_MONOTONIC`.
    pub seen_ns: u64,
    /// The drop site of its last copy, if the kernel freed one since.
    pub site: Option<u32>,
}

/// How a packet ended that no hook saw again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Freed by the kernel, at this drop site.
    Dropped(u32),
    /// Copies beside the path were seen, and the kernel freed nothing on it.
    Elsewhere,
    /// Nothing was seen.
    Lost,
}

impl Ended {
    /// How it ended, if it does not go on.
    #[must_use]
    pub const fn end(&self) -> End {
        match self.site {
            Some(site) => End::Dropped(site),
            None if self.control.elsewhere() => End::Elsewhere,
            None => End::Lost,
        }
    }
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
    let packet = Ended { control, key, seen_ns, site: slot.mark().site(control) };
    if !timed_out || !slot.exchange(control, control.free()) {
        return if control.state() == State::Live { Settled::InFlight(packet) } else { Settled::Idle };
    }
    if home_of(key, table.set_mask()) != index {
        table.add_spilled(set_of(key, table.set_mask()), u32::MAX);
    }
    if control.state() == State::Live { Settled::Ended(packet) } else { Settled::Freed }
}
