//! What was asked by TCP data at the guest's tap, and not yet answered by data.

use aya_ebpf::{macros::map, maps::Array};
use hoptrace_common::{
    conversation::{CONVERSATIONS, Conversation, Said, Segment},
    exchange::kind,
};

use super::{
    MMAPABLE, config,
    counters::{self, Here},
    questions,
};
use crate::atomic;

/// One for each connection that asks the guest something.
#[map]
static TALKS: Array<Conversation> = Array::with_max_entries(CONVERSATIONS, MMAPABLE);

/// No answer, or not after a known time.
const NOTHING: u64 = u64::MAX;

/// A segment passes the tap: how long ago was asked what it answers, in nanoseconds.
#[inline(always)]
pub(crate) fn pass(segment: &Segment, now_ns: u64, here: Here) -> Option<u64> {
    let segment = &Segment { key: config::key(segment.key, here.port), ..*segment };
    if !Conversation::begins(segment) && !is_known(segment.key) {
        return None;
    }
    let numbers = u64::from(segment.seq) | (u64::from(segment.ack) << 32);
    let rest = u64::from(segment.len_bytes) | (u64::from(segment.flags) << 32);
    let answer_ns = hop_talk(segment.key, numbers, rest, now_ns);
    if answer_ns == NOTHING { None } else { Some(answer_ns) }
}

/// Whether there is a conversation `key`: most segments from the guest are of none, and no more is done about those.
#[inline(always)]
fn is_known(key: u64) -> bool {
    #[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    let conversation = TALKS.get_ptr(config::spread_key(key) & (CONVERSATIONS - 1));
    // SAFETY: a map value.
    conversation.is_some_and(|at| unsafe { atomic::load(&raw const (*at).key) } == key)
}

/// A global function: the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_talk(key: u64, numbers: u64, rest: u64, now_ns: u64) -> u64 {
    let segment = Segment {
        key,
        seq: numbers as u32,
        ack: (numbers >> 32) as u32,
        len_bytes: rest as u32,
        flags: (rest >> 32) as u32,
    };
    match talk(&segment, now_ns) {
        Some(Said::Answer(answer_ns)) => answer_ns,
        _ => NOTHING,
    }
}

#[inline(always)]
fn talk(segment: &Segment, now_ns: u64) -> Option<Said> {
    #[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    let here = Here { cpu: counters::cpu(), port: config::port_behind(segment.key) };
    let at = TALKS.get_ptr_mut(config::spread_key(segment.key) & (CONVERSATIONS - 1))?;
    let counted = questions::counted(here)?;
    // SAFETY: a map value throughout; it is changed between taking and publishing it only.
    unsafe {
        let state = atomic::load(&raw const (*at).state);
        let known = state > Conversation::BUSY && atomic::load(&raw const (*at).key) == segment.key;
        if !known {
            if !Conversation::begins(segment) {
                return None;
            }
            let old = atomic::load(&raw const (*at).heard_ns);
            let taken = state != Conversation::FREE && now_ns.wrapping_sub(old) < config::timeout_ns();
            if taken && state != Conversation::BUSY {
                questions::add(&mut counted.no_room, kind::ANSWER, 1);
                return None;
            }
        }
        // Another CPU has it: both ends speak at once.
        let is_busy = state == Conversation::BUSY;
        if is_busy || !atomic::compare_exchange(&raw mut (*at).state, state, Conversation::BUSY) {
            questions::add(&mut counted.unclear, kind::ANSWER, 1);
            return None;
        }
        let conversation = &mut *at;
        if !known {
            conversation.begin(segment.key, now_ns);
        }
        let said = conversation.pass(segment, now_ns);
        atomic::store(&raw mut (*at).state, Conversation::after(state));
        match said {
            Said::Question => questions::add(&mut counted.asked, kind::ANSWER, 1),
            Said::Answer(_) => questions::add(&mut counted.answered, kind::ANSWER, 1),
            Said::Unclear => questions::add(&mut counted.unclear, kind::ANSWER, 1),
            Said::Nothing => {}
        }
        Some(said)
    }
}
