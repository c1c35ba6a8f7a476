//! Sends packets round a course of hooks.
//!
//! `BPF_PROG_TEST_RUN` repeats a program on one packet. A hook has to see a packet once, after the hook before it, and
//! every packet another identity; so this program stands before the one under measure: it writes the packet's number
//! into a word of it that the identity covers, and goes on by tail call in the program of the next hook. The same
//! course with empty programs says what that costs.

use aya_ebpf::{
    bindings::{__sk_buff, tcx_action_base::TCX_NEXT, xdp_action::XDP_PASS},
    macros::{classifier, map, xdp},
    maps::{Array, ProgramArray},
    programs::{TcContext, XdpContext},
};

/// Hooks of a course, a power of two: the first of a way and the last.
const STATIONS_BITS: u32 = 1;

/// Which packets go where. As `Course` in `tracer/benches`.
#[repr(C)]
struct Course {
    /// Runs so far.
    run: u64,
    /// The word of the packet that holds its number, but for the number.
    template: u64,
    /// How far the number is shifted in that word.
    shift: u32,
    /// Where in the packet that word stands.
    offset: u32,
    /// `1 << window_bits` packets pass one hook before the first of them comes to the next hook.
    window_bits: u32,
    /// 1: the next round is one of new packets. 0: of the same ones.
    fresh: u32,
}

#[map]
static COURSE: Array<Course> = Array::with_max_entries(1, 0);

/// The programs of the hooks.
#[map]
static STATIONS: ProgramArray = ProgramArray::with_max_entries(1 << STATIONS_BITS, 0);

/// The XDP program, the first hook of its way: every packet is a new one.
#[map]
static XDP_STATION: ProgramArray = ProgramArray::with_max_entries(1, 0);

#[classifier]
#[inline(always)]
pub(crate) fn course(ctx: TcContext) -> i32 {
    let skb: *mut __sk_buff = ctx.skb.skb;
    // SAFETY: the context of the running program.
    let (start, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
    let Some(station) = next(start, end, STATIONS_BITS) else { return TCX_NEXT };
    // SAFETY: the context of the running program.
    unsafe { STATIONS.tail_call(&ctx, station) };
    TCX_NEXT
}

/// For frames in several buffers, as the program that it stands before: the kernel does not let the two kinds meet.
#[xdp(frags)]
#[inline(always)]
pub(crate) fn course_xdp(ctx: XdpContext) -> u32 {
    if next(ctx.data(), ctx.data_end(), 0).is_none() {
        return XDP_PASS;
    }
    // SAFETY: the context of the running program.
    unsafe { XDP_STATION.tail_call(&ctx, 0) };
    XDP_PASS
}

/// Writes the next packet's number into the packet at `start`, and tells which of `1 << stations_bits` stations it comes to.
#[inline(always)]
fn next(start: usize, end: usize, stations_bits: u32) -> Option<u32> {
    let course = COURSE.get_ptr_mut(0)?;
    // SAFETY: a map value of this program alone; the packet is checked before it is written to.
    unsafe {
        let run = (*course).run;
        (*course).run = run.wrapping_add(1);
        let bits = (*course).window_bits & 31;
        let in_window = run & ((1 << bits) - 1);
        let round = if (*course).fresh == 0 { 0 } else { run >> (bits + stations_bits) };
        let number = (round << bits) | in_window;
        let word = (*course).template | (number << ((*course).shift & 63));
        let at = start + ((*course).offset & 0xff) as usize;
        if at + 8 > end {
            return None;
        }
        *(at as *mut u64) = word;
        Some((run >> bits) as u32 & ((1 << stations_bits) - 1))
    }
}
