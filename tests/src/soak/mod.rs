//! Much traffic over the kernel path ([`Runner::kernel_path`](crate::lab::Runner::kernel_path)), for whose every packet the
//! tracer must account. Short as tests, long by hand: `cargo xtask soak`.

mod account;
mod flood;
mod mixed;
mod process;
mod traffic;
mod waterfalls;

pub use account::{Account, Ends, followed};
pub use flood::{LedgerFlood, ledger_flood};
pub use mixed::{MixedSoak, mixed};
pub use process::{ProcessUse, own_peak_bytes, time_on_cpu};
pub use waterfalls::{Waterfalls, waterfalls};
