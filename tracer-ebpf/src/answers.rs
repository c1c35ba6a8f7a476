//! Packets that the switch answers by itself, and its answers: neither is lost, nor joins midway.
//!
//! How it is known: the answer to a question of the guest is seen behind the switch, and no hook saw it enter; and of its
//! question no hook saw that it left the switch. A program of its own, behind the one that knows all rules.

use core::ffi::c_void;

use aya_ebpf::bindings::__sk_buff;
use hoptrace_common::{
    answer::{self, Asked},
    config::HookConfig,
    inflight::{Answered, Aside, Clock, Kind, Visit, answered, come_again},
    packet::Packet,
    ports::NUMBER_MASK,
};

use crate::{
    clock::now_ns,
    maps::{
        answers, config, counters,
        hooks::{self, HookFacts},
        inflight::Inflight,
        rare::Note,
        room,
    },
    raw::RawSkb,
    reader::{Copied, SkbReader as _},
};

/// It asks.
const ASKS: u32 = 0;
/// It answers, and came from nowhere else.
const ANSWERS: u32 = 1;
/// It answers, and came from a port beside the path.
const ANSWERS_BESIDE: u32 = 2;
/// It is equal to one that has ended. If it answers a question that was asked since, it is no copy of that.
const ANSWERS_AGAIN: u32 = 3;

/// What the program is to do with a packet, which is `kind` to the rules at `hook`: a note for it.
#[inline(always)]
pub(crate) fn note(hook: HookFacts, number: u32, kind: Kind, packet: &Packet) -> Option<Note> {
    if answers::before_switch(hook.port()) == 0 || !answer::is_possible(packet) {
        return None;
    }
    let is_new = matches!(kind, Kind::New);
    let part = if hook.direction() == 0 {
        if !hook.has(HookConfig::GUEST) || !(is_new || matches!(kind, Kind::Passed)) {
            return None;
        }
        ASKS
    } else if matches!(kind, Kind::Copy) && answers::is_behind_switch(number) {
        ANSWERS_AGAIN
    } else if !is_new {
        return None;
    } else if hook.has(HookConfig::NEIGHBOUR) {
        ANSWERS_BESIDE
    } else if hook.has(HookConfig::ENTRY) {
        return None;
    } else {
        ANSWERS
    };
    Some(Note::exchange(number, part, packet.identity))
}

/// The packet that the note is about.
#[inline(always)]
pub(crate) fn exchange(skb: *mut __sk_buff, note: Note) {
    let Some(counted) = counters::of(counters::cpu(), note.hook & NUMBER_MASK) else { return };
    if let Some(copy) = Copied::new(skb, counted.scratch.as_mut_ptr()) {
        settle(&copy, note);
    }
}

/// The same at a tracepoint.
#[inline(always)]
pub(crate) fn exchange_at_tracepoint(skb: *const c_void, note: Note) {
    let owner = room::Owner::Hooks;
    let Some(room) = room::of(owner) else { return };
    if let Some(raw) = RawSkb::read(skb, room, owner as u32) {
        settle(&raw.head, note);
    }
}

#[inline(always)]
fn settle(copy: &Copied, note: Note) {
    let Some(counted) = counters::of(counters::cpu(), note.hook & NUMBER_MASK) else { return };
    let word = counted.scratch.as_mut_ptr();
    let Some(frame) = copy.frame() else { return };
    let Ok(packet) = copy.packet(&frame, word) else { return };
    let port = config::port(note.hook);
    let packet = config::keyed(packet, port);
    let part = note.part();
    let Some(key) = answer::exchange(copy, &packet, part != ASKS) else { return };
    let key = config::key(key, port);
    let now_ns = now_ns();
    if part == ASKS {
        answers::ask(key, &Asked { identity: note.identity(), asked_ns: now_ns });
        return;
    }
    let Some(asked) = answers::asked(key) else { return };
    let age_ns = now_ns.wrapping_sub(asked.asked_ns);
    if age_ns >= config::timeout_ns() {
        return;
    }
    let how = if part == ANSWERS_BESIDE { Answered::Beside } else { Answered::BySwitch };
    let settled = answered(Inflight::through(word), asked.identity, answers::before_switch(port), how);
    if !settled || part == ANSWERS_BESIDE {
        return;
    }
    answers::count_by_switch(port);
    if part == ANSWERS_AGAIN {
        let hook = hooks::hook(note.hook).for_rules(note.hook, false);
        let visit = Visit {
            hook,
            key: packet.identity,
            now_ns,
            clock: Clock::Exact,
            admit: true,
            aside: Aside::No,
            large: false,
        };
        if come_again(Inflight::through(word), &visit) {
            counted.copies -= 1;
            counted.joined += 1;
        }
    }
}
