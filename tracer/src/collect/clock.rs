//! The kernel's clock, and the time of day.

use rustix::time::{ClockId, clock_gettime};

/// From `CLOCK_MONOTONIC` to the time since 1970, as it was when this was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock {
    offset_ns: i128,
}

impl WallClock {
    pub(crate) fn new() -> Self {
        Self { offset_ns: clock_ns(ClockId::Realtime) - clock_ns(ClockId::Monotonic) }
    }

    /// Nanoseconds since 1970 of a time of `CLOCK_MONOTONIC`.
    pub(crate) fn at(self, monotonic_ns: u64) -> u64 {
        u64::try_from(i128::from(monotonic_ns) + self.offset_ns).unwrap_or(0)
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn monotonic_ns() -> u64 {
    u64::try_from(clock_ns(ClockId::Monotonic)).unwrap_or(0)
}

fn clock_ns(clock: ClockId) -> i128 {
    let time = clock_gettime(clock);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}
