//! What is known of upcalls, and how many there were.

use aya_ebpf::{Global, macros::map, maps::Array};
use hoptrace_common::upcalls::{UpcallConfig, UpcallCounters};

use super::{MMAPABLE, config, counters, several};

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

facts! { packet_argument info_argument kind_offset }

/// The hooks of `port` behind which packets come to the switch, a bit each.
#[inline(always)]
pub(crate) fn after(port: u32) -> u32 {
    if config::is_of_several() {
        return several::upcalled_after(port);
    }
    let upcalls: *const UpcallConfig = (&raw const UPCALLS).cast();
    // SAFETY: as above.
    unsafe { (&raw const (*upcalls).after).read_volatile() }
}

/// One entry per possible CPU and port; the loader sets the size.
#[map]
static UPCALL_COUNTS: Array<UpcallCounters> = Array::with_max_entries(1, MMAPABLE);

/// This CPU's counters of `port`.
#[inline(always)]
pub(crate) fn counters(port: u32) -> Option<&'static mut UpcallCounters> {
    let counters = UPCALL_COUNTS.get_ptr_mut(counters::block(counters::cpu(), port))?;
    // SAFETY: a map value of its own for each CPU. One program writes it, which the kernel does not run again on a CPU
    // that is in the middle of it.
    Some(unsafe { &mut *counters })
}
