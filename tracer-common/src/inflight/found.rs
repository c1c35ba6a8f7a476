//! The packet's identity is in the table already.

use super::{
    Aside, Control, DELTAS, Gone, Hook, Kind, Outcome, SlotCell, State, Table, Visit, group, place,
    slot::{age_ns, delta_of, is_over, last_seen_ns},
};

/// A hook can come later than those behind it by so long: longer than a CPU is taken away, and shorter than packets are repeated.
const LATE_NS: u64 = 50_000_000;

/// Whether `hook` has seen the packet of `control`.
#[inline(always)]
pub(super) const fn has_passed(control: Control, hook: &Hook) -> bool {
    control.passed() & (1 << (hook.id & 0xf)) != 0
}

/// One packet at one hook, its identity being that of `slot`. [`Kind::Retry`]: the slot changed meanwhile.
#[inline(always)]
pub(super) fn step<T: Table>(
    table: T,
    index: u32,
    slot: T::Slot,
    control: Control,
    visit: &Visit,
) -> Outcome {
    if !matches!(visit.aside, Aside::No) {
        return aside(slot, control, visit);
    }
    // One way to each of these, which the eBPF verifier follows once.
    match meaning(table, slot, control, visit) {
        Meaning::Pass => pass(slot, index, control, visit),
        Meaning::Again if place::is_after_the_end(control, visit) => {
            place::forget(table, slot, index, control, visit)
        }
        Meaning::Again => place::renew(slot, index, control, visit),
        Meaning::Alike | Meaning::Late => Outcome { index, ..Outcome::of(Kind::Deferred) },
        Meaning::Copy if slot.control() == control => Outcome::of(Kind::Copy),
        Meaning::Copy | Meaning::Unclear => Outcome::retry(),
    }
}

/// The rest of [`step`], for what happens seldom: the slot at `index` holds a packet that nothing tells from this one, or that was
/// seen by a later hook before. [`Kind::Retry`]: that has changed meanwhile.
#[inline(always)]
pub fn deferred<T: Table>(table: T, index: u32, visit: &Visit) -> Outcome {
    let Some(slot) = table.slot(index) else { return Outcome::of(Kind::Untracked) };
    let control = slot.control();
    if slot.key() != visit.key {
        return Outcome::retry();
    }
    match meaning(table, slot, control, visit) {
        Meaning::Alike if control.state() == State::Group => group::seen(slot, control, visit),
        Meaning::Alike => group::begin(slot, control, visit),
        Meaning::Late => late(slot, control, visit),
        _ => Outcome::retry(),
    }
}

/// What the sight of a packet means whose identity is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// It comes from the hook before.
    Pass,
    /// The one in the table has ended, or is given up: this is a new one.
    Again,
    /// Nothing tells it from the one in the table.
    Alike,
    /// A later hook has seen it before.
    Late,
    /// It is a further copy.
    Copy,
    /// The slot is being changed.
    Unclear,
}

#[inline(always)]
fn meaning<T: Table>(table: T, slot: T::Slot, control: Control, visit: &Visit) -> Meaning {
    let same_direction = control.direction() == visit.hook.direction;
    let passed_here = has_passed(control, &visit.hook);
    // A live packet's sights beside the path are those of copies; where one ended beside it, it is done.
    let done = matches!(control.state(), State::Done);
    let later = if done { visit.hook.later | visit.hook.beside } else { visit.hook.later };
    let overtaken = !passed_here && same_direction && control.passed() & later != 0;
    let age_ns = age_ns(slot, control, visit.now_ns);
    let is_old = is_over(age_ns, table.timeout_ns());
    // It was first seen behind here, just now: this is no repetition of it, but its own way in, seen late.
    let comes_late = overtaken && visit.hook.entry && control.joined() && !is_over(age_ns, LATE_NS);
    match control.state() {
        // It comes again from where it came before: the first one has died, or another one looks like it. At the end of a way
        // a live packet has passed only as a copy beside the path.
        State::Live if (passed_here && !visit.hook.terminal) || (overtaken && visit.hook.entry) => {
            if is_old || (!comes_late && slot.mark().site(control).is_some()) {
                Meaning::Again
            } else if passed_here {
                Meaning::Alike
            } else {
                Meaning::Late
            }
        }
        State::Live if overtaken => Meaning::Late,
        State::Live => Meaning::Pass,
        State::Done if control.dead() && comes_late => Meaning::Late,
        State::Done if control.dead() => dead(slot, control, visit, passed_here, overtaken),
        State::Done => {
            // With the userspace datapath a frame reaches `ovs-vswitchd` through `AF_PACKET` a moment before TC ingress
            // sees it, and the CPU may be taken away in that moment: a hook can come late by tens of milliseconds.
            if overtaken && !is_old && (control.joined() || !visit.hook.entry) {
                Meaning::Late
            } else if visit.hook.entry || is_old {
                Meaning::Again
            } else {
                Meaning::Copy
            }
        }
        State::Group => Meaning::Alike,
        State::Free | State::Busy => Meaning::Unclear,
    }
}

/// The same where the packet was counted as dropped. A later hook that sees it takes that back; but a mark that came late may have
/// taken away the one that says where it was counted: then it stays dead.
#[inline(always)]
fn dead<S: SlotCell>(
    slot: S,
    control: Control,
    visit: &Visit,
    passed_here: bool,
    overtaken: bool,
) -> Meaning {
    if passed_here || visit.hook.entry {
        Meaning::Again
    } else if !overtaken && slot.mark().site(control).is_some() {
        Meaning::Pass
    } else {
        Meaning::Copy
    }
}

/// Seen at a hook behind one of whose later hooks it was seen before. At the first hook of the direction the packet
/// has thereby entered after all. Tells between which two hooks it should have been seen here, so that what was
/// recorded between those two can be put right; for the first such hook of a packet only.
#[inline(always)]
fn late<S: SlotCell>(slot: S, control: Control, visit: &Visit) -> Outcome {
    let hooks = slot.hooks();
    let mut outcome =
        Outcome { before: Outcome::NO_HOOK, hook: Outcome::NO_HOOK, ..Outcome::of(Kind::Overtaken) };
    let mut before_ns = 0;
    let mut position = 0;
    while position < DELTAS && position < control.count() {
        #[allow(clippy::cast_possible_truncation, reason = "four bits")]
        let hook = ((hooks >> (position * 4)) & 0xf) as u8;
        let delta_ns = slot.delta_ns(position);
        position += 1;
        if (visit.hook.later | visit.hook.beside) & (1 << hook) != 0 {
            outcome.hook = hook;
            outcome.latency_ns = u64::from(delta_ns.wrapping_sub(before_ns));
            break;
        }
        outcome.before = hook;
        before_ns = delta_ns;
    }
    let mut marked = control.with_passed(visit.hook.id).with_overtaken();
    if visit.hook.entry {
        marked = marked.without_joined();
    }
    if !slot.exchange(control, marked) {
        return Outcome::retry();
    }
    outcome.control = marked;
    if control.overtaken() {
        outcome.hook = Outcome::NO_HOOK;
    }
    outcome
}

/// A copy beside the path. The packet may go on along it, so its slot stays as it is, but for a mark.
#[inline(always)]
fn aside<S: SlotCell>(slot: S, control: Control, visit: &Visit) -> Outcome {
    let passed_here = has_passed(control, &visit.hook);
    let mut marked = control.with_passed(visit.hook.id).timed_by(visit.clock);
    marked = match visit.aside {
        Aside::Copy => marked.with_elsewhere(),
        // At two ports: no packet goes wrong twice.
        Aside::Astray if control.astray() => marked.with_flooded(),
        Aside::Astray => marked.with_astray(),
        Aside::Flooded => marked.with_flooded(),
        Aside::No | Aside::Broadcast => marked,
    };
    if !matches!(control.state(), State::Live) || marked.0 == control.0 {
        return if slot.control() == control { Outcome::of(Kind::Copy) } else { Outcome::retry() };
    }
    let since_ns = visit.now_ns.wrapping_sub(last_seen_ns(slot, control));
    if !slot.exchange(control, marked) {
        return Outcome::retry();
    }
    if passed_here {
        return Outcome::of(Kind::Copy);
    }
    Outcome {
        hook: control.last(),
        control: marked,
        latency_ns: if since_ns > u64::MAX / 2 { Outcome::SKEWED } else { since_ns },
        ..Outcome::of(Kind::Aside)
    }
}

/// The normal case: from the hook before to this one.
///
/// Everything is read and computed before the slot is taken: no load passes a compare-exchange, and what was read is
/// valid if the control word has not changed until then, because it changes with everything else in the slot.
#[inline(always)]
pub(super) fn pass<S: SlotCell>(slot: S, index: u32, control: Control, visit: &Visit) -> Outcome {
    let count = control.count();
    let before_ns = slot.delta_ns(count.wrapping_sub(1) & (DELTAS - 1));
    let total_ns = visit.now_ns.wrapping_sub(slot.first_ns());
    let hooks_before = slot.hooks();
    // Earlier than the hook before, by however little: the CPUs' clocks disagree.
    let skewed = total_ns < u64::from(before_ns) || total_ns > u64::MAX / 2;
    let delta_ns = delta_of(total_ns, before_ns);

    let position = (if count < DELTAS { count } else { DELTAS - 1 }) & (DELTAS - 1);
    let shift = position * 4;
    let hooks = (hooks_before & !(0xf << shift)) | (u32::from(visit.hook.id) << shift);
    let mut gone = Gone::NONE;
    let mut before = control;
    if control.dead() {
        gone = Gone::revived(slot, control);
        before = control.revived();
        if gone.is_none() {
            return Outcome::retry();
        }
    }
    let mut after = before.with_last(visit.hook.id).with_passed(visit.hook.id).with_count(position + 1);
    after = after.back_from_upcall().timed_by(visit.clock);
    if control.direction() != visit.hook.direction {
        after = after.with_crossed();
    }
    if visit.hook.terminal {
        after = after.done();
    }
    // It became larger: others were merged into it.
    let grown = visit.large && !control.large();
    after = after.with_large(visit.large);

    if !slot.exchange(control, control.busy()) {
        return Outcome::retry();
    }
    slot.set_delta_ns(position, delta_ns);
    slot.set_hooks(hooks);
    slot.publish(after);
    Outcome {
        hook: control.last(),
        index,
        control: after,
        latency_ns: if skewed { Outcome::SKEWED } else { u64::from(delta_ns - before_ns) },
        total_ns,
        grown,
        gone,
        ..Outcome::of(Kind::Passed)
    }
}
