//! Which share of each port's packets is timed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::model::{PARTS_PER_MILLION, PortId, Timing};

/// Packets are counted over this time at least before the share moves: a burst is no rate.
const WINDOW: Duration = Duration::from_millis(200);
/// A share grows again only where there is so much room: it shall not go up and down with every packet.
const ROOM: f64 = 0.75;
/// And the cost must be below what is wanted by this, so that twice as many packets do not take too much.
const COST_ROOM: f64 = 0.4;

/// One of so many packets.
pub(super) type OneOf = u32;

/// Moves the shares so that what is wanted holds.
#[derive(Debug)]
pub(super) struct TimingPolicy {
    timing: Timing,
    since: Instant,
    ports: BTreeMap<PortId, Watched>,
    cost: Cost,
}

/// A port.
#[derive(Debug, Clone, Copy)]
struct Watched {
    packets: u64,
    one_of: OneOf,
}

/// What the programs take, as it was measured last.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// The share that it was measured with.
    applied: OneOf,
    /// The share that follows from it.
    one_of: OneOf,
    /// Whether it was more than wanted with the fewest packets timed.
    out_of_reach: bool,
}

impl TimingPolicy {
    pub(super) fn new(timing: Timing) -> Self {
        let cost = Cost { applied: 1, one_of: 1, out_of_reach: false };
        Self { timing, since: Instant::now(), ports: BTreeMap::new(), cost }
    }

    /// The share of a port that begins now.
    pub(super) fn first(&mut self, port: PortId) -> OneOf {
        let one_of = match self.timing {
            Timing::Exact | Timing::Auto => 1,
            Timing::OneOf(number) => number,
            Timing::Cost(_) => self.cost.applied,
            Timing::Nothing => u32::MAX,
        };
        self.ports.insert(port, Watched { packets: 0, one_of });
        one_of
    }

    pub(super) fn forget(&mut self, port: PortId) {
        self.ports.remove(&port);
    }

    /// The programs took this share of one CPU's time, measured just now: with the next look all shares follow.
    pub(super) fn measured(&mut self, cost: f64) {
        let Timing::Cost(wanted_ppm) = self.timing else { return };
        let wanted = f64::from(wanted_ppm) / f64::from(PARTS_PER_MILLION);
        // What was measured before the last move took effect says nothing of that.
        if self.cost.applied != self.cost.one_of {
            return;
        }
        self.cost.out_of_reach = self.cost.applied == Timing::FEWEST && cost > wanted;
        self.cost.one_of = next_by_cost(self.cost.applied, cost, wanted);
    }

    /// Whether counting alone takes more than is wanted.
    pub(super) const fn is_out_of_reach(&self) -> bool {
        self.cost.out_of_reach
    }

    /// The ports whose share moves now, given how many packets of each there were so far.
    pub(super) fn moves(&mut self, packets: impl Iterator<Item = (PortId, u64)>) -> Vec<(PortId, OneOf)> {
        let elapsed = self.since.elapsed();
        if elapsed < WINDOW || !matches!(self.timing, Timing::Auto | Timing::Cost(_)) {
            return Vec::new();
        }
        self.since = Instant::now();
        let mut rates = Vec::new();
        for (port, packets) in packets {
            let Some(watched) = self.ports.get_mut(&port) else { continue };
            #[allow(clippy::cast_precision_loss, reason = "a rate")]
            let rate = packets.saturating_sub(watched.packets) as f64 / elapsed.as_secs_f64();
            watched.packets = packets;
            rates.push((port, rate));
        }
        let wanted: Vec<(PortId, OneOf)> = match self.timing {
            Timing::Cost(_) => {
                self.cost.applied = self.cost.one_of;
                rates.iter().map(|(port, _)| (*port, self.cost.one_of)).collect()
            }
            _ => self.by_rate(&rates),
        };
        let mut moves = Vec::new();
        for (port, one_of) in wanted {
            if let Some(watched) = self.ports.get_mut(&port).filter(|watched| watched.one_of != one_of) {
                watched.one_of = one_of;
                moves.push((port, one_of));
            }
        }
        moves
    }

    /// So that no more than [`Timing::AUTO_PER_S`] packets a second are timed.
    fn by_rate(&self, rates: &[(PortId, f64)]) -> Vec<(PortId, OneOf)> {
        let budget = f64::from(Timing::AUTO_PER_S);
        let (least, most) = (shares(rates, budget * ROOM), shares(rates, budget));
        let of = |((port, _), (least, most)): (&(PortId, f64), (OneOf, OneOf))| {
            let now = self.ports.get(port).map_or(1, |watched| watched.one_of);
            // Fewer at once, more only where there is room.
            (*port, now.clamp(most, least))
        };
        rates.iter().zip(least.into_iter().zip(most)).map(of).collect()
    }
}

/// The shares with which no more than `budget` packets are timed in a second, powers of two: every port may have as many as any other, and
/// what one does not need the others have.
fn shares(rates: &[(PortId, f64)], budget: f64) -> Vec<OneOf> {
    let mut sorted: Vec<f64> = rates.iter().map(|(_, rate)| *rate).collect();
    sorted.sort_by(f64::total_cmp);
    let (mut left, mut most) = (budget, f64::INFINITY);
    for (place, rate) in sorted.iter().enumerate() {
        #[allow(clippy::cast_precision_loss, reason = "ports")]
        let fair = left / (sorted.len() - place) as f64;
        if *rate > fair {
            most = fair;
            break;
        }
        left -= rate;
    }
    rates.iter().map(|(_, rate)| one_of(rate / most)).collect()
}

/// The least power of two that is no less than `times`.
fn one_of(times: f64) -> OneOf {
    let mut number = 1;
    while f64::from(number) < times && number < Timing::FEWEST {
        number *= 2;
    }
    number
}

/// The share that follows `now`, with which the programs took `cost` where `wanted` was wanted.
fn next_by_cost(now: OneOf, cost: f64, wanted: f64) -> OneOf {
    if cost > wanted {
        (now * one_of((cost / wanted).min(16.0))).min(Timing::FEWEST)
    } else if cost < wanted * COST_ROOM {
        (now / 2).max(1)
    } else {
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(rates: &[f64]) -> Vec<(PortId, f64)> {
        (0..).map(PortId).zip(rates.iter().copied()).collect()
    }

    #[test]
    fn below_the_budget_all_are_timed() {
        assert_eq!(shares(&ports(&[50_000.0]), 50_000.0), [1]);
        assert_eq!(shares(&ports(&[20_000.0, 30_000.0, 0.0]), 50_000.0), [1, 1, 1]);
        assert!(shares(&[], 50_000.0).is_empty());
    }

    #[test]
    fn who_sends_much_is_timed_less_and_who_sends_little_as_ever() {
        assert_eq!(shares(&ports(&[800_000.0]), 50_000.0), [16]);
        // 10,000 are left for the third by the others.
        assert_eq!(shares(&ports(&[15_000.0, 25_000.0, 90_000.0]), 50_000.0), [1, 2, 8]);
        assert_eq!(shares(&ports(&[100.0, 1_000_000.0]), 50_000.0), [1, 32]);
        for budget in [50_000.0, 37_500.0] {
            let rates = ports(&[12_345.0, 600_000.0, 70_000.0, 3.0]);
            let timed: f64 = rates
                .iter()
                .zip(shares(&rates, budget))
                .map(|((_, rate), one_of)| rate / f64::from(one_of))
                .sum();
            assert!(timed <= budget, "{timed}");
        }
    }

    #[test]
    fn a_share_stays_where_it_is_while_the_rate_wavers() {
        let mut policy = TimingPolicy::new(Timing::Auto);
        assert_eq!(policy.first(PortId(0)), 1);
        let mut at = |rate: f64| {
            let [(_, one_of)] = policy.by_rate(&ports(&[rate]))[..] else { panic!() };
            policy.ports.get_mut(&PortId(0)).unwrap().one_of = one_of;
            one_of
        };
        assert_eq!([49_000.0, 51_000.0, 49_000.0, 39_000.0].map(&mut at), [1, 2, 2, 2]);
        assert_eq!([37_000.0, 5_000_000.0, 30.0].map(&mut at), [1, 128, 1]);
    }

    #[test]
    fn the_cost_is_held() {
        // Counting takes 100 ns a packet and timing 50 more; there are a million packets a second.
        let cost = |one_of: OneOf| 0.1 + 0.05 / f64::from(one_of);
        for (wanted, held) in [(0.2, 1), (0.11, 8), (0.104, 16)] {
            let mut one_of = 1;
            for _ in 0..30 {
                one_of = next_by_cost(one_of, cost(one_of), wanted);
            }
            assert_eq!(one_of, held, "{wanted}");
        }
        let mut one_of = 1;
        for _ in 0..30 {
            one_of = next_by_cost(one_of, cost(one_of), 0.01);
        }
        assert_eq!(one_of, Timing::FEWEST, "counting alone takes more");
        assert_eq!(next_by_cost(Timing::FEWEST, 0.0001, 0.01), Timing::FEWEST / 2);
    }
}
