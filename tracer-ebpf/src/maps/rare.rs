//! The way to the programs that all hooks share, and what they need to know.

use aya_ebpf::{
    bindings::__sk_buff,
    macros::map,
    maps::{PerCpuArray, ProgramArray},
    programs::{RawTracePointContext, TcContext},
};
use hoptrace_common::inflight::Clock;

use crate::clock::Moment;

/// Place of the program that knows all rules.
pub(crate) const THOROUGH: u32 = 0;
/// Place of the program that follows packets that were merged into another one.
pub(crate) const MERGED: u32 = 1;
/// Place of the program that looks at checksums.
pub(crate) const CHECKSUM: u32 = 2;
/// Place of the program that follows questions that the switch may answer.
pub(crate) const ANSWERS: u32 = 3;
/// Place of the program that takes frames of other addresses of the VM.
pub(crate) const OTHERS: u32 = 4;

/// Holds the programs; the loader puts them there.
#[map]
static RARE: ProgramArray = ProgramArray::with_max_entries(5, 0);

/// Place of the program at tracepoints that looks at a packet's parts.
pub(crate) const PARTS: u32 = 0;
/// Place of the one that looks at checksums.
pub(crate) const SUMS: u32 = 1;

/// Place of the one that knows what the switch answers.
pub(crate) const EXCHANGES: u32 = 2;

/// Holds those that programs at tracepoints go on in; the loader puts them there.
#[map]
static SEEN: ProgramArray = ProgramArray::with_max_entries(3, 0);

#[map]
static NOTE: PerCpuArray<Note> = PerCpuArray::with_max_entries(1, 0);

/// What a hook's program leaves for the shared ones.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Note {
    /// The hook's number.
    pub(crate) hook: u32,
    /// Whether the packet may be admitted: [`Note::UNDECIDED`] or its siblings.
    admit: u32,
    /// When the hook saw the packet, if that was decided.
    now_ns: u64,
}

impl Note {
    const UNDECIDED: u32 = 0;
    const REFUSED: u32 = 1;
    const ADMITTED: u32 = 2;
    /// Beside them: by which clock the packet came.
    const COARSE: u32 = 4;

    /// Nothing but the hook is known.
    #[inline(always)]
    pub(crate) const fn undecided(hook: u32) -> Self {
        Self { hook, admit: Self::UNDECIDED, now_ns: 0 }
    }

    /// The frame's addresses tell this much of how it belongs to the VM: see [`crate::claim::claim`].
    #[inline(always)]
    pub(crate) const fn claimed(hook: u32, claim: u32) -> Self {
        Self { hook, admit: claim, now_ns: 0 }
    }

    /// What [`Note::claimed`] was given as `claim`.
    #[inline(always)]
    pub(crate) const fn claim(&self) -> u32 {
        self.admit
    }

    /// The packet came at this moment, and may be admitted or not.
    #[inline(always)]
    pub(crate) const fn decided(hook: u32, admit: bool, moment: Moment) -> Self {
        let admit = if admit { Self::ADMITTED } else { Self::REFUSED };
        let clock = if matches!(moment.clock, Clock::Coarse) { Self::COARSE } else { 0 };
        Self { hook, admit: admit | clock, now_ns: moment.ns }
    }

    /// What [`Note::decided`] was given as `moment`.
    #[inline(always)]
    pub(crate) const fn moment(&self) -> Moment {
        let clock = if self.admit & Self::COARSE != 0 { Clock::Coarse } else { Clock::Exact };
        Moment { ns: self.now_ns, clock }
    }

    /// The segments before number `next` of the packet at `hook` have been looked for.
    #[inline(always)]
    pub(crate) const fn merged(hook: u32, next: u32) -> Self {
        Self { hook, admit: next, now_ns: 0 }
    }

    /// What [`Note::merged`] was given as `next`.
    #[inline(always)]
    pub(crate) const fn next(&self) -> u32 {
        self.admit
    }

    /// The packet with this identity has a part in an exchange of the guest's.
    #[inline(always)]
    pub(crate) const fn exchange(hook: u32, part: u32, identity: u64) -> Self {
        Self { hook, admit: part, now_ns: identity }
    }

    /// What [`Note::exchange`] was given as `part`.
    #[inline(always)]
    pub(crate) const fn part(&self) -> u32 {
        self.admit
    }

    /// What [`Note::exchange`] was given as `identity`.
    #[inline(always)]
    pub(crate) const fn identity(&self) -> u64 {
        self.now_ns
    }

    /// Whether the hook's program came as far as that.
    #[inline(always)]
    pub(crate) const fn is_decided(&self) -> bool {
        self.admit != Self::UNDECIDED
    }

    /// Whether the packet may be admitted.
    #[inline(always)]
    pub(crate) const fn admit(&self) -> bool {
        self.admit & Self::ADMITTED != 0
    }
}

/// Leaves `note` for [`call`]. Gives 1, for the caller to return.
#[inline(always)]
pub(crate) fn leave(note: Note) -> u32 {
    if let Some(place) = NOTE.get_ptr_mut(0) {
        // SAFETY: a map value of this CPU.
        unsafe { place.write(note) };
    }
    1
}

/// The note that was left.
#[inline(always)]
pub(crate) fn note() -> Option<Note> {
    // SAFETY: a map value of this CPU, written by the program that called this one.
    NOTE.get_ptr(0).map(|place| unsafe { place.read_volatile() })
}

/// Goes on in the program at `place`. Returns only when it is not there.
#[inline(always)]
pub(crate) fn call(skb: *mut __sk_buff, place: u32) {
    // SAFETY: the context of the running program.
    unsafe { RARE.tail_call(&TcContext::new(skb), place) };
}

/// Goes on in the program at tracepoints at `place`. Returns only when it is not there.
#[inline(always)]
pub(crate) fn call_seen(ctx: &RawTracePointContext, place: u32) {
    // SAFETY: the context of the running program.
    unsafe { SEEN.tail_call(ctx, place) };
}
