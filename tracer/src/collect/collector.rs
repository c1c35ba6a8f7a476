//! One trace's figures, from opening the gate to the last packet.

use std::time::{Duration, Instant};

use hoptrace_common::{
    config::{HookConfig, OFF_PATH_SEGMENT},
    counters::HookCounters,
};

use super::{
    CollectError, Records,
    addresses::Sightings,
    answers::AnswerCounts,
    checksums::Checksums,
    clock::{WallClock, monotonic_ns},
    counters::Counters,
    drops::Drops,
    exchanges::Exchanges,
    gate::Gate,
    heads::{Heads, packet_head},
    latency::LatencyMaps,
    ledger::{Swept, ledger},
    members::Members,
    neighbours::Neighbours,
    table::SharedTable,
    thresholds::Thresholds,
    top::Top,
    upcalls::UpcallCounts,
};
use crate::model::{
    Application, Direction, DirectionReport, Directions, GuestTimes, HookPlan, HookReport, Interface,
    KernelMaps, Latencies, MacAddr, PacketHead, Plan, Segment, SegmentPlan, Snapshot, SwitchPaths, Tail,
    TracerCost,
};

/// Reads the maps of one trace.
#[derive(Debug)]
pub struct Collector {
    plan: Plan,
    gate: Gate,
    members: Members,
    table: SharedTable,
    counters: Counters,
    latencies: LatencyMaps,
    thresholds: Thresholds,
    top: Top,
    drops: Drops,
    exchanges: Exchanges,
    checksums: Checksums,
    sightings: Sightings,
    in_flight: [u64; 2],
    elsewhere: [u64; 2],
    astray: [u64; 2],
    /// The switch knew where the VM is when the trace began: see [`Collector::is_known_to_switch`].
    switch_knows_vm: bool,
    neighbours: Neighbours,
    upcalls: UpcallCounts,
    answers: AnswerCounts,
    heads: Heads,
    began_ns: u64,
    opened: Option<Instant>,
    admitted: Duration,
}

/// How far a trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Packets on their way.
    pub in_flight: u64,
    /// Whether the programs have stopped admitting packets because the budget is used up.
    pub used_up: bool,
}

impl Collector {
    /// Maps everything into memory; the records go elsewhere. `timeout` is how long a packet may stay away, `tail` which
    /// packets are to be sent because they are slow (if the programs were loaded for that), `seed` what decides where in the table
    /// packets have their home.
    ///
    /// # Errors
    /// When a map can not be mapped.
    pub fn new(
        plan: Plan,
        maps: KernelMaps,
        timeout: Duration,
        tail: Tail,
        seed: u64,
    ) -> Result<(Self, Records), CollectError> {
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let gate = Gate::new(&maps.control)?;
        let tap = tap(&plan);
        let collector = Self {
            thresholds: Thresholds::new(tail, &gate),
            top: Top::new(if let Tail::Top(size) = tail { size } else { 0 }),
            table: SharedTable::new(&maps.slots, &maps.spilled, timeout_ns, seed | 1)?,
            counters: Counters::new(&maps.counters)?,
            latencies: LatencyMaps::new(&maps.segments, &maps.latencies, plan.segment_count)?,
            drops: Drops::new(&maps.sites, &maps.frees, timeout_ns)?,
            exchanges: Exchanges::new(&maps.questions, &maps.exchanges, timeout_ns, tap.clone())?,
            sightings: Sightings::new(&maps.sightings, tap.clone())?,
            checksums: Checksums::new(&maps.checksums, &gate, tap)?,
            in_flight: [0; 2],
            elsewhere: [0; 2],
            astray: [0; 2],
            switch_knows_vm: false,
            neighbours: Neighbours::new(&plan.neighbours, maps.neighbours, maps.macs_behind)?,
            upcalls: UpcallCounts::new(&maps.upcalls)?,
            answers: AnswerCounts::new(&maps.answers)?,
            heads: Heads::new(&maps.heads)?,
            began_ns: 0,
            opened: None,
            admitted: Duration::ZERO,
            members: Members::default(),
            gate,
            plan,
        };
        Ok((collector, Records::new(maps.records)?))
    }

    /// Looks from now on which of these members of bonds are inactive: nothing is seen there.
    pub fn watch_members(&mut self, members: Vec<Interface>) {
        self.members = Members(members);
        self.gate.set_inactive(self.members.inactive());
    }

    /// The switch has the VM in its table of addresses.
    pub const fn switch_knows_vm(&mut self) {
        self.switch_knows_vm = true;
    }

    /// Whether the switch knows where the VM is: then it floods nothing that is for it.
    fn is_known_to_switch(&self) -> bool {
        let is_before_switch = |hook: &HookPlan| hook.config.traits & HookConfig::LEARNS != 0;
        let sent = self.plan.hooks.iter().position(is_before_switch);
        self.switch_knows_vm || sent.is_some_and(|number| self.counters.of(number).seen > 0)
    }

    /// Lets packets in: `budget` of them at most, if it is given.
    pub fn open(&mut self, budget: Option<u64>) {
        self.opened = Some(Instant::now());
        self.began_ns = WallClock::new().at(monotonic_ns());
        self.gate.open(budget);
    }

    /// Makes `mac` one of the port's addresses. `false`: there is no room for it.
    #[must_use]
    pub fn give_address(&self, mac: MacAddr) -> bool {
        self.gate.give_address(mac)
    }

    /// Lets nothing new in. Call [`Collector::sweep`] until nothing is on its way any more.
    pub fn drain(&mut self) {
        self.gate.drain();
        if let Some(opened) = self.opened.take() {
            self.admitted = opened.elapsed();
        }
    }

    /// Lets everything by unseen.
    pub fn close(&self) {
        self.gate.close();
    }

    /// Lets everything by unseen because hooks are missing: what does not come any more is not lost, but in flight.
    pub fn abandon(&mut self) {
        self.drain();
        self.close();
        self.table.wait_for_ever();
    }

    /// Settles packets that were not seen again in time. Call it several times per time-out.
    pub fn sweep(&mut self) -> Progress {
        let now_ns = monotonic_ns();
        self.gate.age_addresses(now_ns);
        self.gate.set_inactive(self.members.inactive());
        let sweep = self.table.sweep(now_ns, self.is_known_to_switch());
        self.drops.take(&sweep, &self.heads, now_ns);
        self.drops.given_up(self.lost_at_hooks(), now_ns);
        for (sum, more) in self.elsewhere.iter_mut().zip(sweep.elsewhere) {
            *sum += more;
        }
        for (sum, more) in self.astray.iter_mut().zip(sweep.astray) {
            *sum += more;
        }
        self.in_flight = sweep.in_flight;
        self.thresholds.follow(&self.gate, &self.latencies, self.plan.totals);
        self.checksums.follow(&self.gate, self.passed_to_guest());
        Progress { in_flight: self.in_flight.iter().sum(), used_up: self.gate.used_up() }
    }

    /// Tells packets that were lost behind the NIC's hook from those that the wire hook was not shown, once the last sweep is
    /// over: `nic_drops` is how many died there at most, whosesoever. Kernels have been met that do not run a program at a
    /// tracepoint for every packet, without counting that.
    pub fn acquit(&mut self, nic_drops: u64) {
        let at_wire = self.plan.wire_hooks().map(|(number, _)| self.counters.of(number));
        // A packet that waited for longer than the time-out came to the wire hook as a new one.
        let late: u64 = at_wire.map(|counted| counted.joined.saturating_sub(counted.split)).sum();
        self.drops.acquit(self.plan.before_wire(), nic_drops.saturating_add(late));
    }

    /// Keeps the slowest of the packets that were sent, and asks for slower ones only from now on.
    pub fn keep_slowest(&mut self, records: &mut Records) {
        while let Some(way) = records.next(&self.plan) {
            self.top.offer(way);
        }
        for direction in Direction::ALL {
            self.gate.set_slower_than(direction, self.top.threshold_ns(direction));
        }
    }

    /// The figures as of the last sweep. `tracer` is what tracing cost.
    #[must_use]
    pub fn snapshot(&self, tracer: TracerCost) -> Snapshot {
        let hooks: Vec<(&HookPlan, HookCounters)> = self
            .plan
            .hooks
            .iter()
            .enumerate()
            .map(|(number, hook)| (hook, self.counters.of(number)))
            .collect();
        let report = |direction| self.direction(direction, &hooks);
        let duration = self.opened.map_or(self.admitted, |opened| opened.elapsed());
        Snapshot {
            began_ns: self.began_ns,
            duration,
            directions: Directions { egress: report(Direction::Egress), ingress: report(Direction::Ingress) },
            off_path: self.latencies.of(OFF_PATH_SEGMENT),
            guest: self.guest(),
            neighbours: self.plan.neighbours.iter().map(|port| self.neighbours.of(port)).collect(),
            upcalls: (self.plan.upcalled_after != 0).then(|| self.upcalls.so_far(duration)),
            notes: Vec::new(),
            evidence: self
                .exchanges
                .evidence(monotonic_ns())
                .into_iter()
                .chain(self.checksums.evidence())
                .chain(self.sightings.evidence())
                .collect(),
            drops_without_site: self.drops.without_site(),
            taken: None,
            tracer: TracerCost { hooks: self.plan.hooks.len(), ..tracer },
        }
    }

    /// Packets that hooks had to give up, because their slots were needed before a sweep: direction, last hook, how many.
    fn lost_at_hooks(&self) -> Vec<(u8, u8, u64)> {
        let of_hook = |(number, hook): (u8, &HookPlan)| {
            let counted = self.counters.of(number.into());
            let direction = hook.direction.index();
            [(direction, number, counted.lost), (1 - direction, number, counted.lost_crossed)]
        };
        let all = (0_u8..).zip(&self.plan.hooks).flat_map(of_hook);
        all.filter(|(.., count)| *count > 0).collect()
    }

    /// The guest's own times: their segments stand one behind the other.
    fn guest(&self) -> GuestTimes {
        let of = |place: u8| self.latencies.of(self.plan.guest.saturating_add(place));
        GuestTimes {
            kernel: of(0),
            acknowledgements: of(1),
            application: Application { answers: of(2), unclear: self.exchanges.unclear() },
        }
    }

    /// A packet that went through the switch; `None` where no heads are kept.
    fn carried(&self, direction: Direction) -> Option<PacketHead> {
        let mut hooks = (0_u8..).zip(&self.plan.hooks).filter(|(_, hook)| hook.direction == direction);
        hooks.find_map(|(number, hook)| Some(packet_head(&self.heads.any(number)?, hook.label.clone())))
    }

    /// The packets of a segment through a switch by the path they took in it.
    fn paths(&self, segment: &SegmentPlan) -> SwitchPaths {
        let Some(slow) = segment.slow else { return SwitchPaths::default() };
        let of = |segment| Some(self.latencies.of(segment));
        SwitchPaths { fast_path: of(segment.index), slow_path: of(slow) }
    }

    /// Packets that have passed the guest's tap.
    fn passed_to_guest(&self) -> u64 {
        let at_tap = |hook: &HookPlan| is_at_guest(hook) && hook.direction == Direction::Ingress;
        self.plan.hooks.iter().position(at_tap).map_or(0, |number| self.counters.of(number).seen)
    }

    /// Whether packets were seen at wrong ports only, as far as is known.
    pub fn has_gone_astray(&self) -> bool {
        self.astray.iter().any(|count| *count > 0)
    }

    /// It turned out that an address is behind the port beside the path with this place in the plan.
    pub fn found_behind(&mut self, place: usize, mac: MacAddr) {
        self.neighbours.found_behind(place, mac);
    }

    /// Packets that were seen at ports beside the path and nowhere else: at one that may be the right one, and at wrong ones only.
    fn beside(&self, direction: usize) -> (u64, u64) {
        let of = |counts: &[u64; 2]| counts.get(direction).copied().unwrap_or(0);
        let astray = of(&self.astray);
        // Who turns up behind a port later is one to whom the VM sends.
        let sends = direction == usize::from(Direction::Egress.index());
        let right = if astray == 0 || !sends { 0 } else { self.neighbours.found_later().min(astray) };
        (of(&self.elsewhere) + right, astray - right)
    }

    fn direction(&self, direction: Direction, hooks: &[(&HookPlan, HookCounters)]) -> DirectionReport {
        let label =
            |place: usize| self.plan.hooks.get(place).map_or_else(String::new, |hook| hook.label.clone());
        let segments = self
            .plan
            .segments
            .iter()
            .filter(|segment| segment.direction == direction)
            .map(|segment| Segment {
                from: label(segment.from),
                to: label(segment.to),
                off_path: segment.off_path,
                latencies: self.latencies.of_all(&segments_of(segment)),
                paths: self.paths(segment),
            })
            // Beside the path only what was observed is a segment.
            .filter(|segment| !segment.off_path || segment.latencies.count > 0)
            .collect();
        let index = usize::from(direction.index());
        let sums = self.drops.sums(direction);
        let (elsewhere, misdelivered) = self.beside(index);
        let swept = Swept {
            lost: sums.lost,
            dropped: sums.dropped,
            dropped_done: sums.dropped_done,
            copy_dropped: sums.copy_dropped,
            unseen: self.drops.unseen(direction),
            elsewhere,
            misdelivered,
            by_switch: self.answers.by_switch(),
            in_flight: self.in_flight.get(index).copied().unwrap_or(0),
        };
        let total = |totals: [u8; 2]| match totals.get(index) {
            Some(segment) if *segment != OFF_PATH_SEGMENT => self.latencies.of(*segment),
            _ => Latencies { count: 0, latency_ns: None },
        };
        let ledger = ledger(direction, hooks, swept);
        DirectionReport {
            segments,
            total: total(self.plan.totals),
            neighbour_total: total(self.plan.neighbour_totals),
            drops: self.drops.of(direction, label),
            early_drops: self.drops.early(direction, label),
            hooks: hooks
                .iter()
                .filter(|(hook, _)| hook.direction == direction)
                .map(|(hook, counted)| HookReport {
                    hook: hook.label.clone(),
                    seen: counted.seen,
                    ambiguous: counted.grouped,
                    evicted: 0,
                    untracked: counted.untracked,
                    emitted: counted.emitted,
                    ring_lost: counted.ring_lost,
                })
                .collect(),
            slowest: self.top.of(direction).to_vec(),
            carried: if ledger.completed > 0 { self.carried(direction) } else { None },
            explain: None,
            ledger,
        }
    }
}

/// Where the figures of a segment's packets are.
fn segments_of(segment: &SegmentPlan) -> Vec<u8> {
    [segment.index].into_iter().chain(segment.slow).collect()
}

fn is_at_guest(hook: &HookPlan) -> bool {
    hook.config.flags & HookConfig::GUEST != 0
}

/// The name of the guest's tap.
fn tap(plan: &Plan) -> String {
    let hook = plan.hooks.iter().find(|hook| is_at_guest(hook));
    hook.and_then(|hook| hook.interfaces.first()).map_or_else(String::new, |tap| tap.ifname.clone())
}
