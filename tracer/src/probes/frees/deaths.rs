//! Packets that died: counted by direction, by the hook that saw them last, and by cause.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use aya::Ebpf;
use hoptrace_common::{
    drops::Example,
    heads::Head,
    inflight::{Ended, EndedGroup},
};

use super::{
    super::heads::{self, KeptHeads},
    bursts::Times,
    names::Names,
    sites::{Cause, Sites, on_cpus},
};
use crate::{
    collect::{
        Account, CollectError, FlowFields, Maps, Reading, Share, Sight, Sweep, WallClock, monotonic_ns,
    },
    model::{Direction, Drop, DropExample, HookSet, Plan, Snapshot},
};

/// Which packets: direction, the hook that saw them last, and why they died; no cause: lost.
type Kind = (u8, u8, Option<Cause>);

/// Heads that are kept of one kind: the packets of some may come after all.
const HEADS: usize = 4;
/// Lost packets of one kind whose times are kept.
const LOST: usize = 1_024;

/// The packets of one kind.
#[derive(Debug)]
struct Row {
    /// Those that sweeps found lost; drop sites count their own.
    count: u64,
    /// Those that hooks had to give up.
    given_up: u64,
    first_ns: u64,
    last_ns: u64,
    times: Times,
    /// When those that look lost were seen last, of so many at most.
    seen_ns: Vec<u64>,
    example: Option<Example>,
    /// Some that died behind the hook which kept their heads, with their identities.
    heads: Vec<(u64, Head)>,
}

impl Row {
    fn new(first_ns: u64, last_ns: u64) -> Self {
        Self {
            count: 0,
            given_up: 0,
            first_ns,
            last_ns,
            times: Times::default(),
            seen_ns: Vec::new(),
            example: None,
            heads: Vec::new(),
        }
    }

    const fn lost(&self) -> u64 {
        self.count + self.given_up
    }

    /// What was kept of a packet that died behind `hook`: a few are enough.
    fn offer(&mut self, key: u64, head: Option<Head>, hook: u8) {
        let fitting = head.filter(|head| head.hook == hook && self.heads.len() < HEADS);
        self.heads.extend(fitting.map(|head| (key, head)));
    }

    /// One more looks lost, seen last at `seen_ns`.
    fn lose(&mut self, seen_ns: u64) {
        self.count += 1;
        if self.seen_ns.len() < LOST {
            self.seen_ns.push(seen_ns);
        }
    }

    /// One of those, with this identity, has come: it is no example, nor the first or the last of those that did not.
    fn come(&mut self, key: u64, seen_ns: u64) {
        self.count = self.count.saturating_sub(1);
        self.heads.retain(|(of, _)| *of != key);
        if let Some(place) = self.seen_ns.iter().position(|it| *it == seen_ns) {
            self.seen_ns.swap_remove(place);
        }
        if self.seen_ns.len() as u64 == self.lost() {
            self.first_ns = self.seen_ns.iter().copied().min().unwrap_or(self.first_ns);
            self.last_ns = self.seen_ns.iter().copied().max().unwrap_or(self.last_ns);
        }
    }
}

/// Everything of one port that died so far. What is lost is known without the probe, and told beside what that has seen.
#[derive(Debug)]
pub(super) struct Deaths {
    pub(super) sites: Sites,
    /// Those that packets were kept of, where they are.
    heads: KeptHeads,
    /// What causes are called, which all ports learn together: looking that up takes a while.
    pub(super) names: Rc<RefCell<Names>>,
    pub(super) clock: WallClock,
    timeout_ns: u64,
    /// When it was looked last, in nanoseconds of `CLOCK_MONOTONIC`; at first: when nothing had died yet.
    looked_ns: u64,
    /// Those with a cause are counted where drop sites are.
    rows: BTreeMap<Kind, Row>,
    /// Packets on their way out that looked lost, and were not.
    unseen: u64,
}

impl Reading for Deaths {
    fn follow(&mut self, sight: &Sight<'_>) {
        self.take(sight.sweep(), sight.now_ns());
        self.given_up(sight.given_up(), sight.now_ns());
        self.look_at_times(sight.now_ns());
    }

    fn limit_losses(&mut self, hooks: HookSet, most: u64) {
        self.unseen += limited(&mut self.rows, hooks, most);
    }

    fn account(&self, direction: Direction, account: &mut Account) {
        let own = self.rows.iter().filter(|((of, ..), _)| *of == direction.index());
        account.lost = own.map(|(_, row)| row.lost()).sum();
        account.dropped_done = self.sites.all_done(direction.index());
        account.dropped = self.sites.all_settled(direction.index()) + account.dropped_done;
        account.copy_dropped = self.sites.copies(usize::from(direction.index()));
        account.unseen = if direction == Direction::Egress { self.unseen } else { 0 };
    }

    fn tell(&self, plan: &Plan, snapshot: &mut Snapshot) {
        let label = |place: usize| plan.hooks.get(place).map_or_else(String::new, |hook| hook.label.clone());
        for direction in Direction::ALL {
            let report = snapshot.directions.get_mut(direction);
            report.drops = self.drops(direction, label);
            report.early_drops = self.early(direction, label);
        }
        snapshot.drops_without_site = self.sites.without_site();
    }
}

impl Deaths {
    pub(super) fn of(
        object: &Ebpf,
        maps: &Maps,
        share: Share,
        timeout_ns: u64,
    ) -> Result<Self, CollectError> {
        Ok(Self {
            sites: Sites::of(object, maps, share)?,
            heads: KeptHeads::of(object, maps, share)?,
            names: maps.common("names of causes"),
            clock: WallClock::new(),
            timeout_ns,
            looked_ns: monotonic_ns(),
            rows: BTreeMap::new(),
            unseen: 0,
        })
    }

    /// Takes what a sweep at `now_ns` found.
    fn take(&mut self, sweep: &Sweep, now_ns: u64) {
        self.sites.look(now_ns);
        for packet in &sweep.ended {
            self.ended(packet, None, self.heads.take(packet.key));
        }
        for late in &sweep.late {
            self.came(&late.lost);
        }
        for (packet, site) in &sweep.dropped {
            self.sites.add_settled(*site, packet);
            self.ended(packet, Some(*site), self.heads.take(packet.key));
        }
        for group in &sweep.groups {
            self.ended_group(group, self.heads.take(group.key));
        }
        for done in self.sites.counted() {
            let row = Row::new(done.first_ns, done.last_ns);
            let row = self.rows.entry((done.direction, done.hook, Some(done.cause))).or_insert(row);
            row.first_ns = row.first_ns.min(done.first_ns);
            row.last_ns = row.last_ns.max(done.last_ns);
        }
        self.sites.take_examples(now_ns, self.timeout_ns, |direction, cause, example| {
            if let Some(row) = self.rows.get_mut(&(direction, example.after, Some(cause))) {
                row.example.get_or_insert(*example);
            }
        });
    }

    /// A packet that was not seen again: lost, or dropped at a site, which counts it.
    fn ended(&mut self, packet: &Ended, site: Option<u32>, head: Option<Head>) {
        let cause = site.and_then(|site| self.sites.cause(site));
        let hook = packet.control.last();
        let row = self.row((packet.control.direction(), hook, cause), packet.seen_ns);
        row.offer(packet.key, head, hook);
        let wants_example = row.example.is_none();
        if cause.is_none() {
            row.lose(packet.seen_ns);
        }
        if let Some(site) = site.filter(|_| wants_example) {
            let example = self.sites.confirm(site, packet);
            self.row((packet.control.direction(), hook, cause), packet.seen_ns).example = example;
        }
    }

    /// A packet that counts as lost has come.
    fn came(&mut self, packet: &Ended) {
        let kind = (packet.control.direction(), packet.control.last(), None);
        let Some(row) = self.rows.get_mut(&kind) else { return };
        row.come(packet.key, packet.seen_ns);
        if row.lost() == 0 {
            self.rows.remove(&kind);
        }
    }

    /// Packets that look the same and were not seen again.
    fn ended_group(&mut self, group: &EndedGroup, head: Option<Head>) {
        for (hook, count) in (0..).zip(group.behind).filter(|(_, count)| *count > 0) {
            let row = self.row((group.control.direction(), hook, None), group.seen_ns);
            row.count += u64::from(count);
            row.offer(group.key, head, hook);
        }
    }

    /// The row of a kind, widened to `seen_ns`.
    fn row(&mut self, kind: Kind, seen_ns: u64) -> &mut Row {
        let row = self.rows.entry(kind).or_insert(Row::new(seen_ns, seen_ns));
        row.first_ns = row.first_ns.min(seen_ns);
        row.last_ns = row.last_ns.max(seen_ns);
        row
    }

    /// Packets that hooks gave up so far, as of `now_ns`: direction, last hook, how many. They were seen at least a time-out ago.
    fn given_up(&mut self, lost: Vec<(u8, u8, u64)>, now_ns: u64) {
        let seen_ns = now_ns.saturating_sub(self.timeout_ns);
        for (direction, hook, count) in lost {
            let kind = (direction, hook, None);
            if self.rows.get(&kind).is_none_or(|row| row.given_up < count) {
                self.row(kind, seen_ns).given_up = count;
            }
        }
    }

    /// Looks how many of each kind have died until `now_ns`.
    fn look_at_times(&mut self, now_ns: u64) {
        let before_ns = std::mem::replace(&mut self.looked_ns, now_ns);
        for ((direction, hook, cause), row) in &mut self.rows {
            let by_cpu = cause.map(|cause| self.sites.counted_of(*direction, *hook, cause));
            let at_sites: u64 = by_cpu.into_iter().flat_map(BTreeMap::into_values).sum();
            row.times.look(row.lost() + at_sites, before_ns, now_ns);
        }
    }

    /// The packets of `direction` that died, in path order, those without a reason last. `label` names the hooks. New
    /// causes are looked up here and not while packets are followed: on a slow machine that takes seconds.
    fn drops(&self, direction: Direction, label: impl Fn(usize) -> String) -> Vec<Drop> {
        let mut names = self.names.borrow_mut();
        names.learn(self.rows.keys().filter_map(|(_, _, cause)| *cause));
        let own = self.rows.iter().filter(|((of, ..), _)| *of == direction.index());
        let mut drops: Vec<_> = own
            .map(|((of, hook, cause), row)| {
                let by_cpu = cause.map(|cause| self.sites.counted_of(*of, *hook, cause)).unwrap_or_default();
                let at_sites: u64 = by_cpu.values().sum();
                let name = cause.map(|cause| names.of(cause));
                let drop = Drop {
                    after: label(usize::from(*hook)),
                    reason: name.as_ref().and_then(|name| name.reason.clone()),
                    subsystem: name.as_ref().and_then(|name| name.subsystem.clone()),
                    location: name.map(|name| name.location),
                    count: row.lost() + at_sites,
                    cpus: on_cpus(&by_cpu),
                    first_ns: self.clock.at(row.first_ns),
                    last_ns: self.clock.at(row.last_ns),
                    bursts: row.times.told(),
                    example: self.example_of(row),
                    head: row
                        .heads
                        .first()
                        .map(|(_, head)| heads::packet_head(head, label(usize::from(*hook)))),
                    explain: None,
                    advice: None,
                };
                (*hook, drop)
            })
            .filter(|(_, drop)| drop.count > 0)
            .collect();
        drops.sort_by_key(|(hook, drop)| (*hook, drop.is_lost(), std::cmp::Reverse(drop.count)));
        drops.into_iter().map(|(_, drop)| drop).collect()
    }

    /// Without one of the drop program's the packet whose head was kept.
    fn example_of(&self, row: &Row) -> Option<DropExample> {
        let from_head = || {
            let (_, head) = row.heads.first()?;
            let flow = heads::flow(head)?;
            Some(DropExample { time_ns: self.clock.at(row.last_ns), len_bytes: head.len_bytes, flow })
        };
        row.example.map(|example| self.example(&example)).or_else(from_head)
    }

    pub(super) fn example(&self, example: &Example) -> DropExample {
        DropExample {
            time_ns: self.clock.at(example.time_ns),
            len_bytes: example.len_bytes,
            flow: FlowFields {
                ether_type: example.ether_type,
                protocol: example.protocol,
                source: example.source,
                destination: example.destination,
                source_port: example.source_port,
                destination_port: example.destination_port,
            }
            .flow(),
        }
    }
}

/// Takes out of `rows` what was not lost, and gives its number; see [`Reading::limit_losses`].
fn limited(rows: &mut BTreeMap<Kind, Row>, hooks: HookSet, most: u64) -> u64 {
    let lost = rows.iter_mut().filter(|((direction, hook, cause), _)| {
        *direction == Direction::Egress.index() && hooks.has(usize::from(*hook)) && cause.is_none()
    });
    let (mut left, mut unseen) = (most, 0);
    for (_, row) in lost {
        let dead = row.lost().min(left);
        left -= dead;
        unseen += row.lost() - dead;
        if dead < row.lost() {
            row.times.forget();
        }
        (row.count, row.given_up) = (dead, 0);
    }
    unseen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_lost_behind_the_nic_s_hook_and_counted_by_nobody_has_not_died() {
        let row = |count| Row { count, ..Row::new(0, 0) };
        let cause = Some(Cause { location: 1, reason: 2 });
        let kinds = [(0, 2, None), (0, 3, None), (0, 3, cause), (1, 3, None), (0, 5, None)];
        let after = |most| {
            let mut rows: BTreeMap<Kind, Row> = kinds.into_iter().map(|kind| (kind, row(7))).collect();
            let unseen = limited(&mut rows, HookSet::from_iter([3, 5]), most);
            (unseen, kinds.map(|kind| rows.get(&kind).map_or(0, |row| row.count)))
        };
        assert_eq!(after(0), (14, [7, 0, 7, 7, 0]));
        assert_eq!(after(9), (5, [7, 7, 7, 7, 2]));
        assert_eq!(after(14), (0, [7; 5]));
        assert_eq!(after(u64::MAX), (0, [7; 5]));
    }
}
