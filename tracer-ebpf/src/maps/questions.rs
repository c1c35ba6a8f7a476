//! Open questions, to the guest and of the guest, and what came of those before.

use aya_ebpf::{macros::map, maps::Array};
use hoptrace_common::exchange::{ExchangeCounters, OPEN_QUESTIONS, Part, Question, kind};

use super::{
    MMAPABLE, config,
    counters::{self, Here},
};
use crate::atomic;

/// User space looks for the unanswered ones.
#[map]
static QUESTIONS: Array<Question> = Array::with_max_entries(OPEN_QUESTIONS, MMAPABLE);

/// One per possible CPU and port; the loader sets the size.
#[map]
static EXCHANGES: Array<ExchangeCounters> = Array::with_max_entries(1, MMAPABLE);

/// The same question is another one at another port.
#[inline(always)]
fn of_port(part: &Part, here: Here) -> Part {
    Part { key: config::key(part.key, here.port), ..*part }
}

#[inline(always)]
fn of(part: &Part) -> Option<*mut Question> {
    #[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    QUESTIONS.get_ptr_mut(config::spread_key(part.key) & (OPEN_QUESTIONS - 1))
}

/// What came of questions. No other program on the running CPU counts at the same time.
#[inline(always)]
pub(super) fn counted(here: Here) -> Option<&'static mut ExchangeCounters> {
    // SAFETY: a map value of its own for each CPU; programs at TC run with bottom halves off.
    EXCHANGES.get_ptr_mut(counters::block(here.cpu, here.port)).map(|counters| unsafe { &mut *counters })
}

/// The counter of a kind.
#[inline(always)]
pub(super) fn add(counters: &mut [u64; kind::PLACES], kind: u32, times: u64) {
    // SAFETY: the place is below eight.
    unsafe { *counters.as_mut_ptr().add((kind & (kind::PLACES as u32 - 1)) as usize) += times };
}

/// Remembers a question, unless another one waits in its place. One that is repeated counts once more.
#[inline(always)]
pub(crate) fn ask(part: &Part, now_ns: u64, here: Here) {
    let part = &of_port(part, here);
    let Some(question) = of(part) else { return };
    let Some(counted) = counted(here) else { return };
    // SAFETY: a map value throughout; fields are written between taking and publishing it only.
    unsafe {
        let state = atomic::load(&raw const (*question).state);
        if state == Question::BUSY {
            add(&mut counted.no_room, part.kind, 1);
            return;
        }
        if state != Question::FREE {
            let waiting =
                now_ns.wrapping_sub(atomic::load(&raw const (*question).asked_ns)) < config::timeout_ns();
            if waiting {
                let same = atomic::load(&raw const (*question).key) == part.key;
                if !same {
                    add(&mut counted.no_room, part.kind, 1);
                } else if part.repeats(atomic::load(&raw const (*question).expected))
                    && Question::counts_on(state)
                    && atomic::compare_exchange(
                        &raw mut (*question).state,
                        state,
                        state + Question::ONCE_MORE,
                    )
                {
                    add(&mut counted.asked, part.kind, 1);
                }
                return;
            }
        }
        if atomic::compare_exchange(&raw mut (*question).state, state, Question::BUSY) {
            if state != Question::FREE {
                let kind = atomic::load(&raw const (*question).kind);
                add(&mut counted.unanswered, kind, Question::times(state));
            }
            add(&mut counted.asked, part.kind, 1);
            atomic::store(&raw mut (*question).key, part.key);
            atomic::store(&raw mut (*question).asked_ns, now_ns);
            atomic::store(&raw mut (*question).expected, part.number);
            atomic::store(&raw mut (*question).kind, part.kind);
            atomic::store(&raw mut (*question).state, Question::open(now_ns));
        }
    }
}

/// The kind of the question that `part` answers, and how long ago it was asked, in nanoseconds. It is closed by that. `None`
/// as well where it was asked several times, because the answer could be to any of them (Karn's rule).
#[inline(always)]
pub(crate) fn answered(part: &Part, now_ns: u64, here: Here) -> Option<(u32, u64)> {
    let part = &of_port(part, here);
    let question = of(part)?;
    // SAFETY: a map value throughout; the exchange at the end fails if the question changed meanwhile.
    unsafe {
        let state = atomic::load(&raw const (*question).state);
        if Question::times(state) == 0 || atomic::load(&raw const (*question).key) != part.key {
            return None;
        }
        let asked_ns = atomic::load(&raw const (*question).asked_ns);
        let kind = atomic::load(&raw const (*question).kind);
        if !part.answers(atomic::load(&raw const (*question).expected)) {
            return None;
        }
        if !atomic::compare_exchange(&raw mut (*question).state, state, Question::FREE) {
            return None;
        }
        let times = Question::times(state);
        if let Some(counted) = counted(here) {
            add(&mut counted.answered, kind, times);
        }
        let response_ns = now_ns.wrapping_sub(asked_ns);
        if times > 1 || response_ns > u64::MAX / 2 { None } else { Some((kind, response_ns)) }
    }
}
