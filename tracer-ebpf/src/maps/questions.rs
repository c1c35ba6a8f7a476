//! Open questions to the guest.

use aya_ebpf::{macros::map, maps::Array};
use hoptrace_common::exchange::{OPEN_QUESTIONS, Part, Question};

use super::config;
use crate::atomic;

#[map]
static QUESTIONS: Array<Question> = Array::with_max_entries(OPEN_QUESTIONS, 0);

const FREE: u64 = 0;
const BUSY: u64 = 1;

#[inline(always)]
fn of(part: &Part) -> Option<*mut Question> {
    #[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    QUESTIONS.get_ptr_mut(part.key as u32 & (OPEN_QUESTIONS - 1))
}

/// Takes a question for oneself if it is in `state`.
///
/// # Safety
/// `question` is a map value.
#[inline(always)]
unsafe fn own(question: *mut Question, state: u64) -> bool {
    // SAFETY: by the caller's promise; the field is aligned to eight bytes.
    unsafe { atomic::compare_exchange(&raw mut (*question).state, state, BUSY) }
}

/// Remembers a question, unless an earlier one of the flow waits still. A repeated one closes it: its answer could
/// be to either.
#[inline(always)]
pub(crate) fn ask(part: &Part, now_ns: u64) {
    let Some(question) = of(part) else { return };
    // SAFETY: a map value throughout; fields are written between taking and publishing it only.
    unsafe {
        let state = atomic::load(&raw const (*question).state);
        if state == BUSY {
            return;
        }
        if state != FREE {
            let waiting =
                now_ns.wrapping_sub(atomic::load(&raw const (*question).asked_ns)) < config::timeout_ns();
            if atomic::load(&raw const (*question).key) == part.key {
                let repeated = part.repeats(atomic::load(&raw const (*question).expected));
                if waiting && !repeated {
                    return;
                }
                if waiting && repeated {
                    atomic::compare_exchange(&raw mut (*question).state, state, FREE);
                    return;
                }
            } else if waiting {
                return;
            }
        }
        if own(question, state) {
            atomic::store(&raw mut (*question).key, part.key);
            atomic::store(&raw mut (*question).asked_ns, now_ns);
            atomic::store(&raw mut (*question).expected, part.number);
            // A state of its own for each question, so that an old one can not be mistaken for it.
            atomic::store(&raw mut (*question).state, now_ns | 2);
        }
    }
}

/// How long ago the question was asked that `part` answers, in nanoseconds. It is closed by that.
#[inline(always)]
pub(crate) fn answered(part: &Part, now_ns: u64) -> Option<u64> {
    let question = of(part)?;
    // SAFETY: a map value throughout; the exchange at the end fails if the question changed meanwhile.
    unsafe {
        let state = atomic::load(&raw const (*question).state);
        if state == FREE || state == BUSY || atomic::load(&raw const (*question).key) != part.key {
            return None;
        }
        let asked_ns = atomic::load(&raw const (*question).asked_ns);
        if !part.answers(atomic::load(&raw const (*question).expected)) {
            return None;
        }
        if !atomic::compare_exchange(&raw mut (*question).state, state, FREE) {
            return None;
        }
        let response_ns = now_ns.wrapping_sub(asked_ns);
        if response_ns > u64::MAX / 2 { None } else { Some(response_ns) }
    }
}
