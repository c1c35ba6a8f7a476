//! The ring buffer of packet records.

use aya_ebpf::{macros::map, maps::RingBuf};
use hoptrace_common::record::PacketRecord;

/// The loader sets the size.
#[map]
static RECORDS: RingBuf = RingBuf::with_byte_size(4096, 0);

/// `BPF_RB_NO_WAKEUP`: user space looks by itself; a wake-up per record costs more than everything else.
const NO_WAKEUP: u64 = 1;

/// Room for a record that `fill` writes; `fill` says whether it may go. `false`: there was no room, or it may not.
#[inline(always)]
pub(crate) fn emit(fill: impl FnOnce(*mut PacketRecord) -> bool) -> bool {
    let Some(mut entry) = RECORDS.reserve::<PacketRecord>(0) else { return false };
    if fill(entry.as_mut_ptr()) {
        entry.submit(NO_WAKEUP);
        true
    } else {
        entry.discard(NO_WAKEUP);
        false
    }
}
