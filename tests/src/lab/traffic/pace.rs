//! Sending at a steady rate.

use std::time::{Duration, Instant};

/// A schedule of equally spaced moments. A late one is not made up for by a burst.
pub(crate) struct Pace {
    next: Instant,
    step: Duration,
}

impl Pace {
    pub(crate) fn new(step: Duration) -> Self {
        Self { next: Instant::now(), step }
    }

    /// Returns when the next moment has come; at once where the step is zero.
    pub(crate) fn wait(&mut self) {
        if self.step.is_zero() {
            return;
        }
        let now = Instant::now();
        if let Some(early) = self.next.checked_duration_since(now) {
            std::thread::sleep(early);
        } else {
            self.next = now;
        }
        self.next += self.step;
    }
}
