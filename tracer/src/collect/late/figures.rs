//! How many packets of one port came late, by the hooks before and behind. Pure.

use std::collections::BTreeMap;

use super::Late;
use crate::model::{Direction, LatePackets};

/// What came late so far.
#[derive(Debug, Default)]
pub(in crate::collect) struct LateFigures {
    /// By direction, the hook that saw them last before they were given up, and the one where they came.
    between: BTreeMap<(u8, u8, u8), Counted>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    packets: u64,
    by_upcall: u64,
    timed: u64,
    max_ns: Option<u64>,
    /// When the hook before saw the first of them, and the last, in nanoseconds of `CLOCK_MONOTONIC`.
    seen_ns: [u64; 2],
}

impl LateFigures {
    /// Counts one more.
    pub(in crate::collect) fn add(&mut self, late: &Late) {
        let word = late.lost.control;
        let seen_ns = late.lost.seen_ns;
        let between = (word.direction(), word.last(), late.came.first);
        let counted =
            self.between.entry(between).or_insert(Counted { seen_ns: [seen_ns; 2], ..Counted::default() });
        let [first, last] = counted.seen_ns;
        counted.seen_ns = [first.min(seen_ns), last.max(seen_ns)];
        counted.packets += 1;
        counted.by_upcall += u64::from(word.upcalled());
        counted.timed += u64::from(late.latency_ns().is_some());
        counted.max_ns = counted.max_ns.max(late.latency_ns());
    }

    /// Of one direction.
    pub(in crate::collect) fn of(&self, direction: Direction) -> u64 {
        self.own(direction).map(|(_, counted)| counted.packets).sum()
    }

    fn own(&self, direction: Direction) -> impl Iterator<Item = (&(u8, u8, u8), &Counted)> {
        self.between.iter().filter(move |((of, ..), _)| *of == direction.index())
    }

    /// Those that came at the hook with this number.
    pub(in crate::collect) fn at(&self, hook: usize) -> u64 {
        let there = self.between.iter().filter(|((.., to), _)| usize::from(*to) == hook);
        there.map(|(_, counted)| counted.packets).sum()
    }

    /// Those of one direction, in path order. `label` names the hooks, `at` is when a time was, in nanoseconds since 1970.
    pub(in crate::collect) fn told(
        &self,
        direction: Direction,
        label: impl Fn(usize) -> String,
        at: impl Fn(u64) -> u64,
    ) -> Vec<LatePackets> {
        self.own(direction)
            .map(|((_, from, to), counted)| LatePackets {
                from: label(usize::from(*from)),
                to: label(usize::from(*to)),
                packets: counted.packets,
                by_upcall: counted.by_upcall,
                timed: counted.timed,
                max_ns: counted.max_ns,
                first_ns: at(counted.seen_ns[0]),
                last_ns: at(counted.seen_ns[1]),
            })
            .collect()
    }
}
