//! Has a program at the tracepoint `kfree_skb` run on packets that the kernel really frees, and takes the time.
//!
//! `BPF_PROG_TEST_RUN` repeats no program at a tracepoint. So this one is attached there, and has the program under measure run
//! several times on each packet that the benchmark's own thread frees: by tail call from a function, to which what was called
//! comes back. The same with an empty program says what that costs.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_ktime_get_ns},
    macros::{map, raw_tracepoint},
    maps::{Array, ProgramArray},
    programs::RawTracePointContext,
};

/// Runs for each packet. The kernel allows 33 tail calls; `tracer/benches` has this number, too.
const RUNS: u32 = 32;

/// As `Frees` in `tracer/benches`.
#[repr(C)]
struct Frees {
    /// Whose packets count: the process's number above the thread's.
    thread: u64,
    /// Packets so far.
    packets: u64,
    /// What all runs took.
    ns: u64,
}

#[map]
static FREES: Array<Frees> = Array::with_max_entries(1, 0);

/// The program under measure.
#[map]
static FREES_STATION: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Does nothing.
#[raw_tracepoint]
#[inline(always)]
pub(crate) fn empty_freed(_ctx: RawTracePointContext) -> i32 {
    0
}

#[raw_tracepoint]
#[inline(always)]
pub(crate) fn course_freed(ctx: RawTracePointContext) -> i32 {
    let Some(frees) = FREES.get_ptr_mut(0) else { return 0 };
    // SAFETY: a map value; one thread's packets are freed one after the other.
    unsafe {
        if (*frees).thread != bpf_get_current_pid_tgid() {
            return 0;
        }
        let before_ns = bpf_ktime_get_ns();
        let mut run = 0;
        while run < RUNS {
            once(ctx.as_ptr());
            run += 1;
        }
        (*frees).ns += bpf_ktime_get_ns() - before_ns;
        (*frees).packets += 1;
    }
    0
}

/// One run. A function of its own: what it calls returns to who called it.
#[inline(never)]
fn once(ctx: *mut c_void) -> i32 {
    // SAFETY: the context of the running program.
    unsafe { FREES_STATION.tail_call(&RawTracePointContext::new(ctx), 0) };
    0
}
