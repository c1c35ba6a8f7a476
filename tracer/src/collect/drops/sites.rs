//! The drop sites' memory.

use std::sync::atomic::Ordering;

use aya::maps::MapData;
use hoptrace_common::{
    drops::{DropSite, Example, FreeCounters},
    inflight::Ended,
};

use crate::collect::{
    CollectError,
    mapped::{ACQUIRE, Mapped, atomic_u32},
};

/// Why packets died: where the kernel freed them, and its reason as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Cause {
    pub(super) location: u64,
    pub(super) reason: u32,
}

/// Packets dropped behind their last hook.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) direction: u8,
    pub(super) hook: u8,
    pub(super) cause: Cause,
    pub(super) first_ns: u64,
    pub(super) last_ns: u64,
}

/// The sites, and the counters beside them.
#[derive(Debug)]
pub(super) struct Sites {
    sites: Mapped<DropSite>,
    frees: Mapped<FreeCounters>,
}

impl Sites {
    pub(super) fn new(sites: &MapData, frees: &MapData) -> Result<Self, CollectError> {
        Ok(Self { sites: Mapped::new(sites, "SITES")?, frees: Mapped::new(frees, "FREES")? })
    }

    /// The sites in use: index, and a copy.
    fn used(&self) -> impl Iterator<Item = (u32, DropSite)> {
        (0..self.sites.len()).filter_map(|index| Some((index, self.ready(index)?)))
    }

    /// The site at `index`, if it is in use. Most are not: of those nothing else is read.
    fn ready(&self, index: u32) -> Option<DropSite> {
        let site = self.sites.at(index)?;
        // SAFETY: inside the mapping and aligned.
        let state = unsafe { (&raw const (*site).state).read_volatile() };
        if state == DropSite::READY { self.sites.read(index) } else { None }
    }

    /// What the site at `index` stands for.
    pub(super) fn cause(&self, index: u32) -> Option<Cause> {
        self.ready(index).map(|site| cause_of(&site))
    }

    /// What was dropped behind a last hook so far.
    pub(super) fn done(&self) -> Vec<Done> {
        let of_site = |(_, site): (u32, DropSite)| {
            let cause = cause_of(&site);
            let times = site.first_ns.into_iter().zip(site.last_ns);
            let directions = (0..).zip(site.dropped.into_iter().zip(times));
            directions.flat_map(move |(direction, (counts, (first_ns, last_ns)))| {
                let hooks = (0..).zip(counts).filter(|(_, count)| *count > 0);
                hooks.map(move |(hook, _)| Done { direction, hook, cause, first_ns, last_ns })
            })
        };
        self.used().flat_map(of_site).collect()
    }

    /// How many of one kind.
    pub(super) fn done_of(&self, direction: u8, hook: u8, cause: Cause) -> u64 {
        let same = self.used().filter(|(_, site)| cause_of(site) == cause);
        same.filter_map(|(_, site)| site.dropped.get(usize::from(direction))?.get(usize::from(hook)).copied())
            .sum()
    }

    /// How many of a direction.
    pub(super) fn all_done(&self, direction: u8) -> u64 {
        let counts = self.used().filter_map(|(_, site)| site.dropped.get(usize::from(direction)).copied());
        counts.flatten().sum()
    }

    /// Packets and copies of packets in the table that were freed, by direction.
    pub(super) fn freed(&self, direction: usize) -> u64 {
        self.counters().filter_map(|counters| counters.freed.get(direction).copied()).sum()
    }

    /// Frees that found no site.
    pub(super) fn without_site(&self) -> u64 {
        self.counters().map(|counters| counters.no_site).sum()
    }

    fn counters(&self) -> impl Iterator<Item = FreeCounters> {
        (0..self.frees.len()).filter_map(|cpu| self.frees.read(cpu))
    }

    /// The example of a site, if it is this packet: so the packet did die there.
    pub(super) fn confirm(&self, index: u32, packet: &Ended) -> Option<Example> {
        let site = self.ready(index)?;
        let example = site.examples.get(usize::from(packet.control.direction()))?;
        (example.state == Example::PROVISIONAL && example.key == packet.key).then_some(*example)
    }

    /// Gives examples of packets that are dropped for certain to `take`, and makes room for the next ones: also where an
    /// example has lived on.
    pub(super) fn take_examples(
        &self,
        now_ns: u64,
        timeout_ns: u64,
        mut take: impl FnMut(u8, Cause, &Example),
    ) {
        for (index, site) in self.used() {
            for (direction, example) in (0_u8..).zip(&site.examples) {
                let settled = now_ns.saturating_sub(example.time_ns) > timeout_ns.saturating_mul(2);
                match example.state {
                    Example::CERTAIN => take(direction, cause_of(&site), example),
                    Example::PROVISIONAL if settled => {}
                    _ => continue,
                }
                self.clear(index, direction, example.state);
            }
        }
    }

    fn clear(&self, index: u32, direction: u8, state: u32) {
        let Some(site) = self.sites.at(index) else { return };
        // SAFETY: inside the mapping, the field aligned to four bytes; the direction is 0 or 1.
        let field = unsafe {
            let examples: *mut Example = (&raw mut (*site).examples).cast();
            atomic_u32(&raw mut (*examples.add(usize::from(direction & 1))).state)
        };
        // If it is another one by now, it stays.
        let _ = field.compare_exchange(state, Example::NONE, Ordering::SeqCst, ACQUIRE);
    }
}

const fn cause_of(site: &DropSite) -> Cause {
    Cause { location: site.location, reason: site.reason }
}
