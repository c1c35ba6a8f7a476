//! For how long a packet can wait in a queue behind its last hook, as far as that matters. Pure.

use std::{collections::VecDeque, time::Duration};

/// So many packets can wait there: more than the queues of interfaces hold by default.
const QUEUED: f64 = 4_096.0;
/// For no longer than this.
const LONGEST: Duration = Duration::from_secs(1);
/// The fastest of so many looks counts: bursts come again.
const LOOKS: usize = 10;

/// How fast packets come.
#[derive(Debug, Default)]
pub(super) struct Pace {
    packets: u64,
    /// Packets per second at each of the last looks.
    rates: VecDeque<f64>,
}

impl Pace {
    /// So many packets had come until now, `elapsed` after the last look. Gives how long as many as can wait take to leave, at the pace at which
    /// packets come.
    pub(super) fn look(&mut self, packets: u64, elapsed: Duration) -> Duration {
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let rate = packets.saturating_sub(self.packets) as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
        self.packets = packets;
        if self.rates.len() == LOOKS {
            self.rates.pop_front();
        }
        self.rates.push_back(rate);
        let fastest = self.rates.iter().copied().fold(0.0, f64::max);
        LONGEST.min(Duration::try_from_secs_f64(QUEUED / fastest).unwrap_or(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(100);

    #[test]
    fn a_packet_waits_for_as_long_as_a_full_queue_takes_to_empty() {
        let mut pace = Pace::default();
        assert_eq!(pace.look(0, LOOK), LONGEST);
        assert_eq!(pace.look(100, LOOK), LONGEST, "1,000 a second");
        assert_eq!(pace.look(100 + 40_960, LOOK), Duration::from_millis(10));
        assert_eq!(pace.look(100 + 40_960 + 4_096, LOOK), Duration::from_millis(10), "for a while");
        let after = (0..LOOKS).map(|_| pace.look(100 + 40_960 + 4_096, LOOK)).last();
        assert_eq!(after, Some(LONGEST));
    }
}
