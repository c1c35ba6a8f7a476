//! The figures of one port, from opening its gate to its last packet.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use aya::Ebpf;
use hoptrace_common::{
    config::{HookConfig, OFF_PATH_SEGMENT},
    counters::HookCounters,
};

use super::{
    CollectError, Maps, Reading, Records, Share, Sight,
    clock::{WallClock, monotonic_ns},
    counters::Counters,
    gate::Gate,
    late::LateFigures,
    latency::LatencyMaps,
    ledger::{Account, ledger},
    neighbours::Neighbours,
    sweep::Sweep,
    thresholds::Thresholds,
    timing::OneOf,
    top::Top,
};
use crate::model::{
    Application, Direction, DirectionReport, Directions, GuestTimes, HookPlan, HookReport, Latencies,
    MacAddr, Neighbour, PerDirection, Plan, Segment, SegmentId, SegmentPlan, Snapshot, SwitchPaths, Tail,
    TracerCost,
};

/// Reads what the programs count of one port.
#[derive(Debug)]
pub(super) struct PortCollector {
    plan: Plan,
    gate: Gate,
    counters: Counters,
    latencies: LatencyMaps,
    thresholds: Thresholds,
    top: Top,
    /// What probes have counted.
    readings: Vec<Box<dyn Reading>>,
    late: LateFigures,
    in_flight: PerDirection<u64>,
    elsewhere: PerDirection<u64>,
    astray: PerDirection<u64>,
    /// The switch knew where the VM is when the trace began: see [`PortCollector::is_known_to_switch`].
    switch_knows_vm: bool,
    /// `None` where there are several ports: what went to neighbours is not counted for each of them.
    neighbours: Option<Neighbours>,
    began_ns: u64,
    opened: Option<Instant>,
    admitted: Duration,
}

impl PortCollector {
    /// Reads `share` of the maps of `object`. `readings` are those of the probes, `tail` which packets are to be sent because they are slow.
    ///
    /// # Errors
    /// When a map can not be mapped.
    pub(super) fn new(
        plan: Plan,
        (object, maps): (&mut Ebpf, &Maps),
        share: Share,
        readings: Vec<Box<dyn Reading>>,
        tail: Tail,
    ) -> Result<Self, CollectError> {
        let gate = Gate::of(object, maps, share.port)?;
        let neighbours =
            if share.room.is_for_one() { Some(Neighbours::new(&plan.neighbours, object)?) } else { None };
        Ok(Self {
            thresholds: Thresholds::new(tail, &gate),
            top: Top::new(if let Tail::Top(size) = tail { size } else { 0 }),
            counters: Counters::new(object, maps, share)?,
            latencies: LatencyMaps::new(object, maps, share)?,
            readings,
            late: LateFigures::default(),
            in_flight: PerDirection::default(),
            elsewhere: PerDirection::default(),
            astray: PerDirection::default(),
            switch_knows_vm: false,
            neighbours,
            began_ns: 0,
            opened: None,
            admitted: Duration::ZERO,
            gate,
            plan,
        })
    }

    /// What the programs and this share.
    pub(super) const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Whether the programs have stopped admitting its packets because the budget is used up.
    pub(super) fn has_used_up(&self) -> bool {
        self.opened.is_some() && self.gate.used_up()
    }

    /// Packets on their way, as of the last sweep.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.sum()
    }

    /// The switch has the VM in its table of addresses.
    pub(super) const fn switch_knows_vm(&mut self) {
        self.switch_knows_vm = true;
    }

    /// Whether the switch knows where the VM is: then it floods nothing that is for it.
    pub(super) fn is_known_to_switch(&self) -> bool {
        let is_before_switch = |hook: &HookPlan| hook.config.traits & HookConfig::LEARNS != 0;
        let sent = self.plan.hooks.iter().position(is_before_switch);
        self.switch_knows_vm || sent.is_some_and(|number| self.counters.of(number).seen() > 0)
    }

    /// Lets packets in: `budget` of them at most, if it is given.
    pub(super) fn open(&mut self, budget: Option<u64>) {
        self.opened = Some(Instant::now());
        self.began_ns = WallClock::new().at(monotonic_ns());
        self.gate.open(budget);
    }

    /// Makes `mac` one of the port's addresses. `false`: there is no room for it.
    pub(super) fn give_address(&self, mac: MacAddr) -> bool {
        self.gate.give_address(mac)
    }

    /// One of so many of its packets is timed, from the first one on.
    pub(super) fn begin_timing(&self, one_of: OneOf) {
        self.gate.time_one_of(one_of);
    }

    /// From now on one of so many of its packets is timed.
    pub(super) fn time_one_of(&mut self, one_of: OneOf) {
        let paths = self.plan.segments.iter().flat_map(segments_of);
        let others = [SegmentId(OFF_PATH_SEGMENT)].into_iter();
        let totals = self.plan.totals.array().into_iter().chain(self.plan.neighbour_totals.array());
        let all: BTreeSet<SegmentId> = paths.chain(others).chain(totals).collect();
        self.latencies.begin_stratum(all.into_iter());
        self.gate.time_one_of(one_of);
    }

    /// Packets that have come so far.
    pub(super) fn packets(&self) -> u64 {
        let come = |place| {
            let counted = self.counters.of(place);
            counted.entered + counted.joined
        };
        (0..self.plan.hooks.len()).map(come).sum()
    }

    /// Lets nothing new in.
    pub(super) fn drain(&mut self) {
        self.gate.drain();
        if let Some(opened) = self.opened.take() {
            self.admitted = opened.elapsed();
        }
    }

    /// Lets everything by unseen.
    pub(super) fn close(&self) {
        self.gate.close();
    }

    /// Takes what a sweep at `now_ns` found of its packets.
    pub(super) fn take(&mut self, sweep: &Sweep, now_ns: u64) {
        self.gate.age_addresses(now_ns);
        let sight = Sight { plan: &self.plan, counters: &self.counters, sweep, now_ns };
        for reading in &mut self.readings {
            reading.follow(&sight);
        }
        for late in &sweep.late {
            self.late.add(late);
            self.latencies.add_late(late.segment(&self.plan), late.is_timed(), late.latency_ns());
            if let Some((segment, took_ns)) = late.whole_way(&self.plan) {
                self.latencies.add_late(segment, late.is_timed(), took_ns);
            }
        }
        self.elsewhere += sweep.elsewhere;
        self.astray += sweep.astray;
        self.in_flight = sweep.in_flight;
        self.thresholds.follow(&self.gate, &self.latencies, self.plan.totals);
    }

    /// Tells packets that were lost behind the NIC's hook from those that the wire hook was not shown, once the last sweep is
    /// over: `nic_drops` is how many packets of all VMs died there at most. Kernels have been met that do not run a program at a
    /// tracepoint for every packet, without counting that.
    pub(super) fn limit_losses_at_nics(&mut self, nic_drops: u64) {
        // A packet that waited for longer than the time-out came to the wire hook as a new one, where it was not known again.
        let unknown = |(number, _)| {
            let counted = self.counters.of(number);
            // Some may be both: late, and where a large one had ended. Rather too many than that losses are not told.
            counted.joined.saturating_sub(counted.split.max(self.late.at(number)))
        };
        let late: u64 = self.plan.wire_hooks().map(unknown).sum();
        for reading in &mut self.readings {
            reading.limit_losses(self.plan.before_wire(), nic_drops.saturating_add(late));
        }
    }

    /// Keeps the slowest of the packets that were sent, and asks for slower ones only from now on.
    pub(super) fn keep_slowest(&mut self, records: &mut Records) {
        while let Some(way) = records.next(&self.plan) {
            self.top.offer(way);
        }
        for direction in Direction::ALL {
            self.gate.set_slower_than(direction, self.top.threshold_ns(direction));
        }
    }

    /// The figures as of the last sweep. `tracer` is what tracing cost.
    pub(super) fn snapshot(&self, tracer: TracerCost) -> Snapshot {
        let hooks: Vec<(&HookPlan, HookCounters)> = self
            .plan
            .hooks
            .iter()
            .enumerate()
            .map(|(number, hook)| (hook, self.counters.of(number)))
            .collect();
        let report = |direction| self.direction(direction, &hooks);
        let duration = self.opened.map_or(self.admitted, |opened| opened.elapsed());
        let mut snapshot = Snapshot {
            began_ns: self.began_ns,
            duration,
            directions: Directions { egress: report(Direction::Egress), ingress: report(Direction::Ingress) },
            off_path: self.latencies.of(SegmentId(OFF_PATH_SEGMENT)),
            guest: self.guest(),
            neighbours: self.beside_ports(),
            upcalls: None,
            notes: Vec::new(),
            evidence: Vec::new(),
            drops_without_site: 0,
            taken: None,
            tracer,
        };
        for reading in &self.readings {
            reading.tell(&self.plan, &mut snapshot);
        }
        snapshot
    }

    /// What went to each port beside the path.
    fn beside_ports(&self) -> Vec<Neighbour> {
        let Some(known) = &self.neighbours else { return Vec::new() };
        self.plan.neighbours.iter().map(|port| known.of(port)).collect()
    }

    /// The guest's own times: their segments stand one behind the other.
    fn guest(&self) -> GuestTimes {
        let of = |place: u8| self.latencies.of(self.plan.guest.behind(place));
        GuestTimes {
            kernel: of(0),
            acknowledgements: of(1),
            application: Application { answers: of(2), unclear: 0 },
        }
    }

    /// The packets of a segment through a switch by the path they took in it.
    fn paths(&self, segment: &SegmentPlan) -> SwitchPaths {
        let Some(slow) = segment.slow else { return SwitchPaths::default() };
        let of = |segment| Some(self.latencies.of(segment));
        SwitchPaths { fast_path: of(segment.index), slow_path: of(slow) }
    }

    /// Whether packets were seen at wrong ports only, as far as is known.
    pub(super) fn has_gone_astray(&self) -> bool {
        self.astray.sum() > 0
    }

    /// It turned out that an address is behind the port beside the path with this place in the plan.
    pub(super) fn found_behind(&mut self, place: usize, mac: MacAddr) {
        if let Some(known) = &mut self.neighbours {
            known.found_behind(place, mac);
        }
    }

    /// Packets that were seen at ports beside the path and nowhere else: at one that may be the right one, and at wrong ones only.
    fn beside(&self, direction: Direction) -> (u64, u64) {
        let astray = *self.astray.of(direction);
        // Who turns up behind a port later is one to whom the VM sends.
        let sends = direction == Direction::Egress;
        let later = self.neighbours.as_ref().filter(|_| astray > 0 && sends);
        let right = later.map_or(0, |known| known.found_later().min(astray));
        (self.elsewhere.of(direction) + right, astray - right)
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
                from: label(segment.from.place()),
                to: label(segment.to.place()),
                off_path: segment.off_path,
                latencies: self.latencies.of_all(&segments_of(segment)),
                paths: self.paths(segment),
            })
            // Beside the path only what was observed is a segment.
            .filter(|segment| !segment.off_path || segment.latencies.count > 0)
            .collect();
        let (elsewhere, misdelivered) = self.beside(direction);
        let in_flight = *self.in_flight.of(direction);
        let (late, clock) = (self.late.of(direction), WallClock::new());
        let mut account = Account { elsewhere, misdelivered, in_flight, late, ..Account::default() };
        for reading in &self.readings {
            reading.account(direction, &mut account);
        }
        let total = |totals: PerDirection<SegmentId>| match *totals.of(direction) {
            SegmentId(OFF_PATH_SEGMENT) => Latencies::NONE,
            segment => self.latencies.of(segment),
        };

        DirectionReport {
            segments,
            total: total(self.plan.totals),
            neighbour_total: total(self.plan.neighbour_totals),
            late: self.late.told(direction, label, |monotonic_ns| clock.at(monotonic_ns)),
            drops: Vec::new(),
            early_drops: Vec::new(),
            hooks: hooks
                .iter()
                .filter(|(hook, _)| hook.direction == direction)
                .map(|(hook, counted)| HookReport {
                    hook: hook.label.clone(),
                    seen: counted.seen(),
                    ambiguous: counted.grouped,
                    evicted: 0,
                    untracked: counted.untracked,
                    groups: counted.groups,
                    emitted: counted.emitted,
                    ring_lost: counted.ring_lost,
                })
                .collect(),
            slowest: self.top.of(direction).to_vec(),
            carried: None,
            explain: None,
            ledger: ledger(direction, hooks, account),
        }
    }
}

/// Where the figures of a segment's packets are.
fn segments_of(segment: &SegmentPlan) -> Vec<SegmentId> {
    [segment.index].into_iter().chain(segment.slow).collect()
}
