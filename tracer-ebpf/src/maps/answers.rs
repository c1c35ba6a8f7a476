//! Questions of the guest that may be answered before the wire.

use aya_ebpf::{
    Global,
    macros::map,
    maps::{Array, LruHashMap},
};
use hoptrace_common::answer::{AnswerCounters, Asked, REMEMBERED};

use super::{MMAPABLE, config, counters, several};

/// Questions by their keys; the loader sets the size.
#[map]
static ASKED: LruHashMap<u64, Asked> = LruHashMap::with_max_entries(REMEMBERED, 0);

/// One entry per possible CPU and port; the loader sets the size.
#[map]
static ANSWER_COUNTS: Array<AnswerCounters> = Array::with_max_entries(1, MMAPABLE);

/// The hooks of the way out that are before the switch, a bit each; 0: there is none. In the upper half those of the way in that
/// are next behind it. Patched in by the loader.
#[unsafe(no_mangle)]
static AT_SWITCH: Global<u32> = Global::new(0);

/// As [`AT_SWITCH`], of `port`.
#[inline(always)]
fn at_switch(port: u32) -> u32 {
    if config::is_of_several() { several::at_switch(port) } else { AT_SWITCH.load() }
}

/// The hooks of `port` before the switch, a bit each.
#[inline(always)]
pub(crate) fn before_switch(port: u32) -> u16 {
    at_switch(port) as u16
}

/// Whether hook `number` is the next one behind the switch.
#[inline(always)]
pub(crate) fn is_behind_switch(number: u32) -> bool {
    at_switch(config::port(number)) & (1 << (16 + (number & 0xf))) != 0
}

/// Remembers a question.
#[inline(always)]
pub(crate) fn ask(key: u64, asked: &Asked) {
    // The oldest one makes room.
    let _ = ASKED.insert(&key, asked, 0);
}

/// The question with this key.
#[inline(always)]
pub(crate) fn asked(key: u64) -> Option<Asked> {
    // SAFETY: a map value, copied at once; should it be another question's meanwhile, its packet is not where it has to be.
    ASKED.get_ptr(&key).map(|asked| unsafe { asked.read() })
}

/// Counts a question of `port` that the switch has answered, with its answer.
#[inline(always)]
pub(crate) fn count_by_switch(port: u32) {
    if let Some(counted) = ANSWER_COUNTS.get_ptr_mut(counters::block(counters::cpu(), port)) {
        // SAFETY: a map value of its own for each CPU; programs at TC run with bottom halves off.
        unsafe { (*counted).by_switch += 1 };
    }
}
