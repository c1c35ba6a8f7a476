//! What is known of upcalls, and how many there were.

use aya_ebpf::{Global, macros::map, maps::Array};
use hoptrace_common::upcalls::{UpcallConfig, UpcallCounters};

use super::{MMAPABLE, counters};

/// Patched in by the loader.
#[unsafe(no_mangle)]
static UPCALLS: Global<UpcallConfig> =
    Global::new(UpcallConfig { after: 0, packet_argument: 0, info_argument: 0, kind_offset: 0 });

macro_rules! facts {
    ($($name:ident)*) => {$(
        /// As in [`UpcallConfig`].
        #[inline(always)]
        pub(crate) fn $name() -> u32 {
            let upcalls: *const UpcallConfig = (&raw const UPCALLS).cast();
            // SAFETY: a static; volatile because the loader patches it after compilation.
            unsafe { (&raw const (*upcalls).$name).read_volatile() }
        }
    )*};
}

facts! { after packet_argument info_argument kind_offset }

/// One entry per possible CPU; the loader sets the size.
#[map]
static UPCALL_COUNTS: Array<UpcallCounters> = Array::with_max_entries(1, MMAPABLE);

/// This CPU's counters.
#[inline(always)]
pub(crate) fn counters() -> Option<&'static mut UpcallCounters> {
    let counters = UPCALL_COUNTS.get_ptr_mut(counters::cpu())?;
    // SAFETY: a map value of its own for each CPU. One program writes it, which the kernel does not run again on a CPU
    // that is in the middle of it.
    Some(unsafe { &mut *counters })
}
