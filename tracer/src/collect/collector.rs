//! One trace's figures: the in-flight table, which all ports share, and what is counted of each port.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, Instant},
};

use aya::Ebpf;

use super::{
    CollectError, Gate, Maps, Reading, Records, Share, clock::monotonic_ns, late::GivenUp, members::Members,
    port::PortCollector, table::SharedTable, timing::TimingPolicy, waiting::Pace,
};
use crate::model::{Interface, MacAddr, Plan, PortId, Room, Snapshot, Tail, Timing, TracerCost};

/// Reads the maps of one trace.
#[derive(Debug)]
pub struct Collector {
    room: Room,
    maps: Rc<Maps>,
    table: SharedTable,
    /// Of each port that there is room for.
    given_up: Vec<GivenUp>,
    members: Members,
    timing: TimingPolicy,
    pace: Pace,
    looked: Instant,
    /// The page of the programs that says what holds for all ports.
    page: Gate,
    ports: BTreeMap<PortId, PortCollector>,
}

/// What holds for all ports.
#[derive(Debug, Clone, Copy)]
pub struct CollectOptions {
    /// How many ports there is room for.
    pub room: Room,
    /// How long a packet may stay away.
    pub timeout: Duration,
    /// What decides where in the table packets have their home.
    pub seed: u64,
    /// Which packets are timed. The programs must be loaded for that.
    pub timing: Timing,
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
    /// Maps the maps of `object` into memory; the records go elsewhere. `maps` are those that probes have mapped, too. No port is read yet.
    ///
    /// # Errors
    /// When a map can not be mapped.
    pub fn new(
        object: &mut Ebpf,
        maps: &Rc<Maps>,
        options: CollectOptions,
    ) -> Result<(Self, Records), CollectError> {
        let timeout_ns = u64::try_from(options.timeout.as_nanos()).unwrap_or(u64::MAX);
        let mut collector = Self {
            room: options.room,
            maps: Rc::clone(maps),
            table: SharedTable::new(object, maps, options.room, timeout_ns, options.seed | 1)?,
            given_up: (0..options.room.ports()).map(|_| GivenUp::of_one_of(options.room.ports())).collect(),
            members: Members::default(),
            timing: TimingPolicy::new(options.timing),
            pace: Pace::default(),
            looked: Instant::now(),
            page: Gate::of(object, maps, PortId::FIRST)?,
            ports: BTreeMap::new(),
        };
        collector.follow_pace(0);
        Ok((collector, Records::new(object)?))
    }

    /// Reads what is counted of a port, too. `readings` are those of the probes, `tail` which packets are to be sent because they are slow (if
    /// the programs were loaded for that).
    ///
    /// # Errors
    /// When a map can not be mapped.
    pub fn add(
        &mut self,
        port: PortId,
        plan: Plan,
        object: &mut Ebpf,
        readings: Vec<Box<dyn Reading>>,
        tail: Tail,
    ) -> Result<(), CollectError> {
        let share = Share { room: self.room, port };
        let reader = PortCollector::new(plan, (object, &self.maps), share, readings, tail)?;
        reader.gate().set_inactive(self.members.inactive());
        reader.begin_timing(self.timing.first(port));
        self.ports.insert(port, reader);
        Ok(())
    }

    /// Forgets a port. What comes of its packets from now on is nobody's.
    pub fn remove(&mut self, port: PortId) {
        self.timing.forget(port);
        self.ports.remove(&port);
    }

    /// Looks from now on which of these members of bonds are inactive: nothing is seen there.
    pub fn watch_members(&mut self, members: Vec<Interface>) {
        self.members = Members(members);
        self.tell_members();
    }

    /// Every port has it in its page.
    fn tell_members(&self) {
        let inactive = self.members.inactive();
        for reader in self.ports.values() {
            reader.gate().set_inactive(inactive);
        }
    }

    /// The switch has the port's VM in its table of addresses.
    pub fn switch_knows_vm(&mut self, port: PortId) {
        if let Some(reader) = self.ports.get_mut(&port) {
            reader.switch_knows_vm();
        }
    }

    /// Lets packets of all ports in: `budget` of each at most, if it is given.
    pub fn open(&mut self, budget: Option<u64>) {
        for reader in self.ports.values_mut() {
            reader.open(budget);
        }
    }

    /// The same of one port.
    pub fn open_port(&mut self, port: PortId, budget: Option<u64>) {
        if let Some(reader) = self.ports.get_mut(&port) {
            reader.open(budget);
        }
    }

    /// Makes `mac` one of the port's addresses. `false`: there is no room for it.
    #[must_use]
    pub fn give_address(&self, port: PortId, mac: MacAddr) -> bool {
        self.ports.get(&port).is_some_and(|reader| reader.give_address(mac))
    }

    /// Lets nothing new in. Call [`Collector::sweep`] until nothing is on its way any more.
    pub fn drain(&mut self) {
        self.ports.values_mut().for_each(PortCollector::drain);
    }

    /// The same of one port: then [`Collector::in_flight_of`] says what is on its way.
    pub fn drain_port(&mut self, port: PortId) {
        if let Some(reader) = self.ports.get_mut(&port) {
            reader.drain();
        }
    }

    /// Packets of a port on their way, as of the last sweep.
    #[must_use]
    pub fn in_flight_of(&self, port: PortId) -> u64 {
        self.ports.get(&port).map_or(0, PortCollector::in_flight)
    }

    /// Lets everything by unseen.
    pub fn close(&self) {
        self.ports.values().for_each(PortCollector::close);
    }

    /// The same of one port.
    pub fn close_port(&self, port: PortId) {
        if let Some(reader) = self.ports.get(&port) {
            reader.close();
        }
    }

    /// Lets everything by unseen because hooks are missing: what does not come any more is not lost, but in flight.
    pub fn abandon(&mut self) {
        self.drain();
        self.close();
        self.table.wait_for_ever();
    }

    /// The hooks' programs took this share of one CPU's time, measured just now.
    pub fn cost_was(&mut self, share: f64) {
        self.timing.measured(share);
    }

    /// Whether the programs take more than they were to, and nothing is left to be done about it.
    #[must_use]
    pub fn costs_too_much(&self) -> bool {
        self.timing.is_out_of_reach()
    }

    /// Settles packets that were not seen again in time. Call it several times per time-out.
    pub fn sweep(&mut self) -> Progress {
        let now_ns = monotonic_ns();
        self.tell_members();
        let known = self.ports.iter().filter(|(_, reader)| reader.is_known_to_switch());
        let known: BTreeSet<PortId> = known.map(|(port, _)| *port).collect();
        let mut sweeps = self.table.sweep(now_ns, &known, &mut self.given_up);
        for (port, reader) in &mut self.ports {
            reader.take(&sweeps.of_port(*port), now_ns);
        }
        let packets: Vec<(PortId, u64)> =
            self.ports.iter().map(|(port, reader)| (*port, reader.packets())).collect();
        self.follow_pace(packets.iter().map(|(_, packets)| packets).sum());
        for (port, one_of) in self.timing.moves(packets.into_iter()) {
            if let Some(reader) = self.ports.get_mut(&port) {
                reader.time_one_of(one_of);
            }
        }
        Progress {
            in_flight: self.ports.values().map(PortCollector::in_flight).sum(),
            used_up: !self.ports.is_empty() && self.ports.values().all(PortCollector::has_used_up),
        }
    }

    /// Tells the programs how long packets may wait behind their last hook, where so many have come until now.
    fn follow_pace(&mut self, packets: u64) {
        let waiting = self.pace.look(packets, self.looked.elapsed());
        self.looked = Instant::now();
        self.page.set_waiting_ns(u64::try_from(waiting.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Tells packets that were lost behind a NIC's hook from those that the wire hook was not shown, once the last sweep is
    /// over: `nic_drops` is how many packets of all VMs died there at most. Kernels have been met that do not run a program at a
    /// tracepoint for every packet, without counting that.
    pub fn limit_losses_at_nics(&mut self, nic_drops: u64) {
        for reader in self.ports.values_mut() {
            reader.limit_losses_at_nics(nic_drops);
        }
    }

    /// Keeps the slowest of the packets that were sent, and asks for slower ones only from now on. Packets are told of a trace of one port
    /// only.
    pub fn keep_slowest(&mut self, records: &mut Records) {
        if let Some(reader) = self.ports.get_mut(&PortId::FIRST) {
            reader.keep_slowest(records);
        }
    }

    /// A port's figures as of the last sweep. `tracer` is what tracing cost.
    #[must_use]
    pub fn snapshot(&self, port: PortId, tracer: TracerCost) -> Option<Snapshot> {
        self.ports.get(&port).map(|reader| reader.snapshot(tracer))
    }

    /// Whether packets of a port were seen at wrong ports only, as far as is known.
    #[must_use]
    pub fn has_gone_astray(&self, port: PortId) -> bool {
        self.ports.get(&port).is_some_and(PortCollector::has_gone_astray)
    }

    /// It turned out that an address is behind the port beside the path of `port` with this place in its plan.
    pub fn found_behind(&mut self, port: PortId, place: usize, mac: MacAddr) {
        if let Some(reader) = self.ports.get_mut(&port) {
            reader.found_behind(place, mac);
        }
    }
}
