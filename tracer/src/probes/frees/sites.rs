//! The drop sites' memory.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::atomic::Ordering,
};

use aya::Ebpf;
use hoptrace_common::{
    config::MAX_HOOKS,
    drops::{DropSite, Example, FreeCounters},
    inflight::Ended,
};

use super::{COUNTS, SITES, early::Early};
use crate::{
    collect::{ACQUIRE, CollectError, Mapped, Maps, PerCpu, Share, atomic_u32, atomic_u64},
    model::{OnCpu, PortId},
};

/// Why packets died: where the kernel freed them, and its reason as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Cause {
    pub(super) location: u64,
    pub(super) reason: u32,
}

/// How many packets of one kind each CPU freed; `None`: of those it is not known.
pub(super) type ByCpu = BTreeMap<Option<u32>, u64>;

/// Those of which it is known, as reports have them.
pub(super) fn on_cpus(by_cpu: &ByCpu) -> Vec<OnCpu> {
    let known = by_cpu.iter().filter(|(_, count)| **count > 0);
    known.filter_map(|(cpu, count)| Some(OnCpu { cpu: (*cpu)?, count: *count })).collect()
}

/// Packets of one kind that a drop site counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) direction: u8,
    pub(super) hook: u8,
    pub(super) cause: Cause,
    pub(super) first_ns: u64,
    pub(super) last_ns: u64,
}

/// Sites that are in use, by their ports, as of the last look.
#[derive(Debug, Default)]
struct Index {
    as_of_ns: Cell<u64>,
    of_port: RefCell<BTreeMap<PortId, Vec<u32>>>,
}

/// The sites of one port, and the counters beside them.
#[derive(Debug)]
pub(super) struct Sites {
    /// Of all ports.
    all: Rc<Mapped<DropSite>>,
    /// Which of them are whose.
    index: Rc<Index>,
    port: PortId,
    frees: PerCpu<FreeCounters>,
}

impl Sites {
    pub(super) fn of(object: &Ebpf, maps: &Maps, share: Share) -> Result<Self, CollectError> {
        let frees = PerCpu::of(object, maps, COUNTS, share)?;
        Ok(Self { all: maps.array(object, SITES)?, index: maps.common(SITES), port: share.port, frees })
    }

    /// Looks for new sites: once for all ports that are swept at `now_ns`. What a site stands for stays.
    pub(super) fn look(&self, now_ns: u64) {
        if self.index.as_of_ns.replace(now_ns) == now_ns {
            return;
        }
        let mut of_port = self.index.of_port.borrow_mut();
        of_port.clear();
        for (place, site) in (0..self.all.len()).filter_map(|place| Some((place, self.ready(place)?))) {
            of_port.entry(PortId(site.before >> BEFORE_BITS)).or_default().push(place);
        }
    }

    /// The sites of packets that hooks have seen: index, and a copy.
    fn used(&self) -> impl Iterator<Item = (u32, DropSite)> {
        self.all().filter(|(_, site)| entry_of(site).is_none())
    }

    fn all(&self) -> impl Iterator<Item = (u32, DropSite)> {
        let own = self.index.of_port.borrow().get(&self.port).cloned().unwrap_or_default();
        own.into_iter().filter_map(|place| Some((place, self.ready(place)?)))
    }

    /// What died before the first hook of a direction. Several sites are one cause's: one for each CPU.
    pub(super) fn early(&self, direction: u8) -> Vec<Early> {
        let mut found: Vec<Early> = Vec::new();
        for (_, site) in self.all() {
            let Some(hook) = entry_of(&site) else { continue };
            let place = usize::from(direction);
            let count: u64 = site.dropped.get(place).map_or(0, |counts| counts.iter().sum());
            let times = site.first_ns.get(place).zip(site.last_ns.get(place));
            let Some((first_ns, last_ns)) = times.filter(|_| count > 0) else { continue };
            let example = site.examples.get(place).filter(|example| example.state == Example::CERTAIN);
            let (cause, cpu) = (cause_of(&site), site.cpu.checked_sub(1));
            match found.iter_mut().find(|early| early.cause == cause && early.hook == hook) {
                Some(early) => {
                    *early.by_cpu.entry(cpu).or_default() += count;
                    early.first_ns = early.first_ns.min(*first_ns);
                    early.last_ns = early.last_ns.max(*last_ns);
                }
                None => found.push(Early {
                    hook,
                    cause,
                    by_cpu: ByCpu::from([(cpu, count)]),
                    first_ns: *first_ns,
                    last_ns: *last_ns,
                    example: example.copied(),
                }),
            }
        }
        found
    }

    /// The site at `index`, if it is in use. Most are not: of those nothing else is read.
    fn ready(&self, index: u32) -> Option<DropSite> {
        let site = self.all.at(index)?;
        // SAFETY: inside the mapping and aligned.
        let state = unsafe { (&raw const (*site).state).read_volatile() };
        if state == DropSite::READY { self.all.read(index) } else { None }
    }

    /// What the site at `index` stands for.
    pub(super) fn cause(&self, index: u32) -> Option<Cause> {
        self.ready(index).map(|site| cause_of(&site))
    }

    /// What was dropped so far.
    pub(super) fn counted(&self) -> Vec<Counted> {
        let of_site = |(_, site): (u32, DropSite)| {
            let cause = cause_of(&site);
            let times = site.first_ns.into_iter().zip(site.last_ns);
            let directions = (0..).zip(site.dropped.into_iter().zip(site.settled).zip(times));
            directions.flat_map(move |(direction, ((done, settled), (first_ns, last_ns)))| {
                let hooks = (0..).zip(done.into_iter().zip(settled)).filter(|(_, counts)| *counts != (0, 0));
                hooks.map(move |(hook, _)| Counted { direction, hook, cause, first_ns, last_ns })
            })
        };
        self.used().flat_map(of_site).collect()
    }

    /// How many of one kind.
    pub(super) fn counted_of(&self, direction: u8, hook: u8, cause: Cause) -> ByCpu {
        let of = |counts: &[[u64; MAX_HOOKS]; 2]| {
            counts.get(usize::from(direction)).and_then(|counts| counts.get(usize::from(hook))).copied()
        };
        let mut by_cpu = ByCpu::new();
        for (_, site) in self.used().filter(|(_, site)| cause_of(site) == cause) {
            let count =
                of(&site.dropped).zip(of(&site.settled)).map_or(0, |(done, way)| done.wrapping_add(way));
            let sum = by_cpu.entry(site.cpu.checked_sub(1)).or_default();
            *sum = sum.wrapping_add(count);
        }
        by_cpu
    }

    /// Counts a packet that died on its way, as the hooks' programs do.
    pub(super) fn add_settled(&self, index: u32, packet: &Ended) {
        let Some(site) = self.all.at(index) else { return };
        let direction = usize::from(packet.control.direction() & 1);
        let hook = usize::from(packet.control.last()) & (MAX_HOOKS - 1);
        // SAFETY: inside the mapping and aligned to eight bytes; the indices are below 2 and 16.
        let (count, first, last) = unsafe {
            let settled: *mut u64 = (&raw mut (*site).settled).cast();
            let first: *mut u64 = (&raw mut (*site).first_ns).cast();
            let last: *mut u64 = (&raw mut (*site).last_ns).cast();
            (
                atomic_u64(settled.add(direction * MAX_HOOKS + hook)),
                atomic_u64(first.add(direction)),
                atomic_u64(last.add(direction)),
            )
        };
        count.fetch_add(1, Ordering::SeqCst);
        let _ = first.compare_exchange(0, packet.seen_ns, Ordering::SeqCst, ACQUIRE);
        last.fetch_max(packet.seen_ns, Ordering::SeqCst);
    }

    /// How many of a direction that died on their way.
    pub(super) fn all_settled(&self, direction: u8) -> u64 {
        let counts = self.used().filter_map(|(_, site)| site.settled.get(usize::from(direction)).copied());
        counts.flatten().fold(0, u64::wrapping_add)
    }

    /// How many of a direction that had completed before.
    pub(super) fn all_done(&self, direction: u8) -> u64 {
        let counts = self.used().filter_map(|(_, site)| site.dropped.get(usize::from(direction)).copied());
        counts.flatten().sum()
    }

    /// Copies of packets in the table that were freed, by direction.
    pub(super) fn copies(&self, direction: usize) -> u64 {
        self.frees.iter().filter_map(|counters| counters.copies.get(direction).copied()).sum()
    }

    /// Frees that found no site.
    pub(super) fn without_site(&self) -> u64 {
        self.frees.iter().map(|counters| counters.no_site).sum()
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
        let Some(site) = self.all.at(index) else { return };
        // SAFETY: inside the mapping, the field aligned to four bytes; the direction is 0 or 1.
        let field = unsafe {
            let examples: *mut Example = (&raw mut (*site).examples).cast();
            atomic_u32(&raw mut (*examples.add(usize::from(direction & 1))).state)
        };
        // If it is another one by now, it stays.
        let _ = field.compare_exchange(state, Example::NONE, Ordering::SeqCst, ACQUIRE);
    }
}

/// Bits of [`DropSite::before`] that are the hook; above them is the port.
const BEFORE_BITS: u32 = 8;

/// The hook that would have been the first to see the packets of a site; `None`: they were seen.
fn entry_of(site: &DropSite) -> Option<u8> {
    let before = u8::try_from(site.before & ((1 << BEFORE_BITS) - 1)).unwrap_or_default();
    before.checked_sub(1)
}

const fn cause_of(site: &DropSite) -> Cause {
    Cause { location: site.location, reason: site.reason }
}
