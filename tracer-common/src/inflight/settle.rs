//! What the sweeper in user space does with one slot.

use super::{
    Control, SlotCell, State, Table, group,
    slot::{age_ns, age_of, is_over, last_seen_ns},
    table::left,
};

/// What became of a slot that was swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Nothing to do.
    Idle,
    /// A packet on its way; nothing to do yet. It may have changed while it was read.
    InFlight(Ended),
    /// Packets of one group on their way, likewise.
    InFlightGroup(InFlightGroup),
    /// A packet that the kernel freed; its slot is free for the next one.
    Dropped(Ended, u32),
    /// A packet that was not seen again in time.
    Ended(Ended),
    /// Packets of one group that were not seen again in time.
    EndedGroup(EndedGroup),
    /// A packet that has ended, and that no first hook of its direction saw: told at each sweep until its slot is needed or free.
    Joined(Ended),
    /// Reused later: a packet that ended well, or whose end was told before.
    Freed,
}

/// A group on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlightGroup {
    /// The slot's control word: direction.
    pub control: Control,
    /// The packets' identity.
    pub key: u64,
    /// How many there are.
    pub packets: u32,
}

/// What is left of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedGroup {
    /// The slot's control word: direction.
    pub control: Control,
    /// The packets' identity.
    pub key: u64,
    /// When any of them was seen last, in nanoseconds of `CLOCK_MONOTONIC`.
    pub seen_ns: u64,
    /// How many of them each hook saw last.
    pub behind: [u32; 16],
}

/// A live packet, or what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The slot's control word: direction, last hook.
    pub control: Control,
    /// Its identity.
    pub key: u64,
    /// The hook that saw it first.
    pub first: u8,
    /// When that was, in nanoseconds of `CLOCK_MONOTONIC`.
    pub first_ns: u64,
    /// When it was seen last, likewise.
    pub seen_ns: u64,
    /// The drop site of its last copy, if the kernel freed one since.
    pub site: Option<u32>,
}

/// How a packet ended that no hook saw again, and that the kernel is not known to have freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Copies beside the path were seen, and the kernel freed nothing on it.
    Elsewhere,
    /// It was sent to a wrong port, and seen nowhere else; not because the switch floods.
    Astray,
    /// Nothing was seen.
    Lost,
}

impl Ended {
    /// How it ended, if it does not go on.
    #[must_use]
    pub const fn end(&self) -> End {
        if self.control.elsewhere() {
            End::Elsewhere
        } else if self.control.astray() && !self.control.flooded() {
            End::Astray
        } else {
            End::Lost
        }
    }
}

/// Settles the slot at `index`: tells whether its packet is dead, and frees it when that was not seen for longer than the
/// table's time-out.
pub fn settle<T: Table>(table: T, index: u32, now_ns: u64) -> Settled {
    let Some(slot) = table.slot(index) else { return Settled::Idle };
    let control = slot.control();
    match control.state() {
        State::Free | State::Busy => Settled::Idle,
        State::Live => live(table, slot, index, control, now_ns),
        State::Done => {
            let age_ns = age_ns(slot, control, now_ns);
            let key = slot.key();
            if !is_over(age_ns, table.done_ns()) || !slot.exchange(control, control.free()) {
                return if control.joined() { joined(slot, control) } else { Settled::Idle };
            }
            left(table, key, index);
            Settled::Freed
        }
        State::Group => of_group(table, slot, index, control, now_ns),
    }
}

fn live<T: Table>(table: T, slot: T::Slot, index: u32, control: Control, now_ns: u64) -> Settled {
    let packet = packet(slot, control);
    let Ended { key, seen_ns, .. } = packet;
    let age_ns = age_of(control, seen_ns, now_ns);
    if let Some(site) = packet.site {
        // The slot stays what it is, so that a hook that sees the packet after all knows it.
        let is_dead = is_over(age_ns, table.settled_ns()) && slot.exchange(control, control.died());
        return if is_dead { Settled::Dropped(packet, site) } else { Settled::InFlight(packet) };
    }
    if !is_over(age_ns, table.timeout_ns()) || !slot.exchange(control, control.free()) {
        return Settled::InFlight(packet);
    }
    left(table, key, index);
    Settled::Ended(packet)
}

/// What the slot says of its packet; it may change meanwhile.
fn packet<S: SlotCell>(slot: S, control: Control) -> Ended {
    Ended {
        control,
        key: slot.key(),
        first: (slot.hooks() & 0xf) as u8,
        first_ns: slot.first_ns(),
        seen_ns: last_seen_ns(slot, control),
        site: slot.mark().site(control),
    }
}

/// A packet that joined midway and has ended, if its slot did not change meanwhile.
fn joined<S: SlotCell>(slot: S, control: Control) -> Settled {
    let packet = packet(slot, control);
    if slot.control() == control { Settled::Joined(packet) } else { Settled::Idle }
}

fn of_group<T: Table>(table: T, slot: T::Slot, index: u32, control: Control, now_ns: u64) -> Settled {
    let seen_ns = slot.first_ns();
    let age_ns = age_of(control, seen_ns, now_ns);
    let key = slot.key();
    let mut behind = [0; 16];
    for (hook, count) in (0..).zip(&mut behind) {
        *count = group::behind(slot, hook);
    }
    if !is_over(age_ns, table.timeout_ns()) || !slot.exchange(control, control.free()) {
        return Settled::InFlightGroup(InFlightGroup { control, key, packets: behind.iter().sum() });
    }
    left(table, key, index);
    Settled::EndedGroup(EndedGroup { control, key, seen_ns, behind })
}
