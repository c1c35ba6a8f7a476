//! Several ports through the programs of one trace (`BPF_PROG_TEST_RUN`), in which ports come and go: each has its own figures.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]
#![allow(clippy::print_stdout, reason = "a measurement's figures")]

mod addresses;
mod host;
mod late;
mod veths;

use std::{rc::Rc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aya::{
    maps::Array,
    programs::{TestRun as _, TestRunOptions},
};
use hoptrace::{
    attach::{self, Attached, LoadOptions, PlanOptions, Plans, PortPlan},
    collect::{CollectOptions, Collector, Maps, Share},
    kernel::{KERNEL_BTF, kernel_btf, skb_layout},
    model::{
        Direction, IfIndex, Ledger, MacAddr, Mechanism, OtherPort, PortId, Role, Room, Tail, Timing,
        TracerCost, XdpMode,
    },
    path::hybrid_hop,
    probes::{Host, Probes, Trace},
};
use hoptrace_common::{config::TraceConfig, skb::SkbLayout};

/// Where `BPF_PROG_TEST_RUN` runs programs: the loopback interface. It is the NIC that all ports share.
const NIC: IfIndex = IfIndex(1);
/// The hooks by their place in each plan: to the wire, and from there.
const WIRE_OUT: usize = 1;
const WIRE_IN: usize = 2;
/// Beside the path: what comes from there.
const FROM_BESIDE: usize = 5;
const TIMEOUT: Duration = Duration::from_millis(300);
const PACKETS: u64 = 50;
const INFLIGHT: u32 = 4_096;

/// A trace of several ports, no program of which is at an interface.
struct Several {
    attached: Attached,
    probes: Probes,
    maps: Rc<Maps>,
    collector: Collector,
    room: Room,
}

fn mac(port: u8) -> [u8; 6] {
    [0xfa, 0x16, 0x3e, 0, 0, port]
}

/// The index of a port's tap.
fn tap_index(port: u8) -> u32 {
    100 + u32::from(port)
}

/// A VM whose tap has a number of its own.
fn planned(port: u8) -> PortPlan {
    let hops = [
        hybrid_hop(Role::Tap, &format!("tap{port}"), IfIndex(tap_index(port))),
        hybrid_hop(Role::Nic, "nic", NIC),
    ];
    let beside = OtherPort { ifname: "beside".to_owned(), ifindex: IfIndex(90), ..OtherPort::default() };
    let options = PlanOptions { neighbours: &[beside], ..PlanOptions::default() };
    PortPlan {
        plan: attach::plan(&hops.each_ref(), options).unwrap(),
        mac: MacAddr(mac(port)).as_number(),
        ipv4: [u32::from_le_bytes([10, 0, 0, port]), 0, 0, 0],
    }
}

fn trace(planned: &PortPlan, share: Share) -> Trace<'_> {
    Trace { plan: &planned.plan, path: None, share, mechanism: Mechanism::Tcx, timeout: TIMEOUT }
}

/// Sizes and settings; hooks at interfaces.
fn options() -> Result<LoadOptions> {
    Ok(LoadOptions {
        inflight_slots: INFLIGHT,
        ring_bytes: 0,
        trace: TraceConfig { timeout_ns: u64::try_from(TIMEOUT.as_nanos())?, ..TraceConfig::default() },
        skb: SkbLayout::default(),
        mechanism: Mechanism::Tcx,
        log_level: 0,
    })
}

impl Several {
    fn start(ports: &[u8], room: u32) -> Result<Self> {
        let ports: Vec<PortPlan> = ports.iter().map(|port| planned(*port)).collect();
        let plans = Plans::several(ports.clone(), Vec::new(), Some(room));
        let (room, mut probes, maps) = (plans.room(), Probes::of(&Host::default()), Rc::new(Maps::default()));
        for (port, planned) in (0..).map(PortId).zip(&ports) {
            probes.planned(&trace(planned, Share { room, port }));
        }
        let mut attached = Attached::load(&plans, &options()?, &mut probes.attachable())?;
        let settings = CollectOptions { room, timeout: TIMEOUT, seed: 1, timing: Timing::Exact };
        let (collector, _) = Collector::new(attached.ebpf_mut(), &maps, settings)?;
        let mut several = Self { attached, probes, maps, collector, room };
        for (port, planned) in (0..).map(PortId).zip(&ports) {
            several.read(port, planned)?;
        }
        several.collector.open(None);
        Ok(several)
    }

    fn read(&mut self, port: PortId, planned: &PortPlan) -> Result<()> {
        let trace = trace(planned, Share { room: self.room, port });
        let readings = self.probes.readings(self.attached.ebpf(), &self.maps, &trace)?;
        let object = self.attached.ebpf_mut();
        Ok(self.collector.add(port, planned.plan.clone(), object, readings, Tail::None)?)
    }

    /// Another port comes.
    fn add(&mut self, port: PortId, of: u8) -> Result<()> {
        let planned = planned(of);
        self.probes.planned(&trace(&planned, Share { room: self.room, port }));
        self.attached.add(port, &planned, &mut self.probes.attachable())?;
        self.read(port, &planned)?;
        self.collector.open_port(port, None);
        Ok(())
    }

    /// A port goes, when nothing of it is on its way.
    fn remove(&mut self, port: PortId) -> Result<[Ledger; 2]> {
        self.collector.drain_port(port);
        while self.collector.sweep().in_flight > 0 && self.collector.in_flight_of(port) > 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let ledgers = self.ledgers(port)?;
        self.attached.remove(port, &mut self.probes.attachable());
        self.collector.remove(port);
        Ok(ledgers)
    }

    /// So many datagrams from one VM to another pass the NIC's hook at this place.
    fn pass(&self, place: usize, from: u8, to: u8) -> Result<()> {
        for number in 0..PACKETS {
            self.run(place, &datagram(from, to, number), None)?;
        }
        Ok(())
    }

    /// A frame passes the hook at this place of the plan; without a `context` at the loopback interface.
    fn run(&self, place: usize, frame: &[u8], context: Option<&[u8]>) -> Result<()> {
        let program = self.attached.program(place).context("no such hook")?;
        let options = TestRunOptions { data_in: Some(frame), ctx_in: context, ..TestRunOptions::default() };
        program.test_run(options).context("run a program (BPF_PROG_TEST_RUN)").map(drop)
    }

    /// How many packets that have ended are remembered without a slot.
    fn remembered(&self) -> Result<usize> {
        let map = self.attached.ebpf().map("ENDED").context("no map ENDED")?;
        let words: Array<_, u64> = map.try_into()?;
        Ok(words.iter().filter(|word| matches!(word, Ok(1..))).count())
    }

    /// Out and in.
    fn ledgers(&self, port: PortId) -> Result<[Ledger; 2]> {
        let snapshot =
            self.collector.snapshot(port, TracerCost::default()).context("the port is not read")?;
        Ok(Direction::ALL.map(|way| snapshot.directions.get(way).ledger))
    }
}

/// An Ethernet frame with a UDP datagram whose payload is its own.
fn datagram(from: u8, to: u8, number: u64) -> Vec<u8> {
    let mut frame = [&mac(to)[..], &mac(from), &[8, 0]].concat();
    let ipv4 = [0x45, 0, 0, 60, number.to_le_bytes()[0], from, 0x40, 0, 64, 17, 0, 0];
    frame.extend([&ipv4[..], &[10, 0, 0, from], &[10, 0, 0, to]].concat());
    frame.extend([0x30, 0x39, 0x11, 0x5c, 0, 40, 0, 0]);
    frame.extend([number.to_be_bytes(); 4].concat());
    frame
}

/// The verifier gives up at a million for one program.
const INSTRUCTIONS: u32 = 1_000_000;

#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_verifier_follows_all_programs_in_a_moment() -> Result<()> {
    let btf = kernel_btf(KERNEL_BTF)?;
    for mechanism in [Mechanism::Tcx, Mechanism::Tracepoints] {
        let mut probes =
            Probes::of(&Host { btf: Some(&btf), wire: true, xdp: Some(XdpMode::Native), ..Host::default() });
        let hops = [hybrid_hop(Role::Tap, "tap", IfIndex(100)), hybrid_hop(Role::Nic, "nic", NIC)];
        let beside = OtherPort { ifname: "beside".to_owned(), ifindex: IfIndex(90), ..OtherPort::default() };
        let neighbours = [beside];
        let wishes = probes.wishes(PlanOptions { neighbours: &neighbours, ..PlanOptions::default() });
        let port = PortPlan { plan: attach::plan(&hops.each_ref(), wishes)?, ..planned(1) };
        let plans = Plans::several(vec![port.clone()], Vec::new(), None);
        probes.planned(&trace(&port, Share { room: plans.room(), port: PortId::FIRST }));
        let options = LoadOptions { skb: skb_layout(&btf)?, mechanism, ..options()? };
        let followed = Attached::load(&plans, &options, &mut probes.attachable())?.verified_instructions();
        ensure!(followed < INSTRUCTIONS, "{followed} instructions in all programs together");
    }
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn each_port_has_its_own_packets_at_the_nic_that_they_share() -> Result<()> {
    let mut several = Several::start(&[1, 2], 2)?;
    several.pass(WIRE_OUT, 1, 9)?;
    several.pass(WIRE_OUT, 2, 9)?;
    several.pass(WIRE_OUT, 2, 8)?;
    several.pass(WIRE_IN, 9, 1)?;
    several.pass(WIRE_OUT, 7, 9)?;
    several.collector.sweep();
    let [first, second] = [several.ledgers(PortId(0))?, several.ledgers(PortId(1))?];
    let completed = |ledgers: &[Ledger; 2]| (ledgers[0].joined_midway, ledgers[0].completed);
    ensure!(completed(&first) == (PACKETS, PACKETS), "{first:?}");
    ensure!(completed(&second) == (2 * PACKETS, 2 * PACKETS), "{second:?}");
    ensure!((first[1].entered, second[1].entered) == (PACKETS, 0), "{first:?} {second:?}");
    ensure!(first[1].in_flight == PACKETS, "{first:?}");
    ensure!([first, second].iter().flatten().all(|ledger| ledger.balanced), "{first:?} {second:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn an_interface_with_hooks_of_a_path_is_not_beside_it() -> Result<()> {
    // The NIC is beside the path of a port that ends at a tunnel.
    let several = Several::start(&[1], 2)?;
    several.pass(FROM_BESIDE, 9, 1)?;
    let [out, back] = several.ledgers(PortId(0))?;
    ensure!((back.entered, back.joined_midway, out.entered) == (0, 0, 0), "{out:?} {back:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_packet_from_one_traced_vm_to_another_has_a_way_of_each() -> Result<()> {
    let mut several = Several::start(&[1, 2], 2)?;
    // Through another host: out of the NIC, and in by it again.
    several.pass(WIRE_OUT, 1, 2)?;
    several.pass(WIRE_IN, 1, 2)?;
    several.collector.sweep();
    let [sender, receiver] = [several.ledgers(PortId(0))?, several.ledgers(PortId(1))?];
    ensure!((sender[0].completed, sender[1].entered) == (PACKETS, 0), "{sender:?}");
    ensure!((receiver[0].completed, receiver[1].entered) == (0, PACKETS), "{receiver:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn what_has_ended_is_remembered_of_each_port_where_another_takes_its_slot() -> Result<()> {
    let mut several = Several::start(&[1, 2], 2)?;
    // Nothing has come: what ended may wait for long.
    several.collector.sweep();
    for (of, port) in [(1, PortId(0)), (2, PortId(1))] {
        let before = several.remembered()?;
        for number in 0..u64::from(INFLIGHT) {
            several.run(WIRE_OUT, &datagram(of, 9, number), None)?;
        }
        let ended = several.ledgers(port)?[0].completed;
        // Homes are where chance has them: some 0.37 of the packets had one that was taken.
        let remembered = several.remembered()? - before;
        ensure!(ended == u64::from(INFLIGHT) && remembered > 500, "port {of}: {ended} ended, {remembered}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn ports_come_and_go_while_others_are_traced() -> Result<()> {
    let mut several = Several::start(&[1], 3)?;
    several.pass(WIRE_OUT, 2, 9)?;
    several.add(PortId(1), 2)?;
    several.pass(WIRE_OUT, 1, 9)?;
    several.pass(WIRE_OUT, 2, 9)?;
    several.pass(WIRE_IN, 9, 2)?;
    let [out, back] = several.remove(PortId(1))?;
    ensure!((out.completed, back.entered, back.lost) == (PACKETS, PACKETS, PACKETS), "{out:?} {back:?}");
    ensure!(out.balanced && back.balanced, "{out:?} {back:?}");
    // It is nobody's now.
    several.pass(WIRE_OUT, 2, 9)?;
    several.add(PortId(2), 3)?;
    several.pass(WIRE_OUT, 3, 9)?;
    several.pass(WIRE_OUT, 1, 8)?;
    several.collector.sweep();
    let [first, third] = [several.ledgers(PortId(0))?, several.ledgers(PortId(2))?];
    ensure!((first[0].completed, third[0].completed) == (2 * PACKETS, PACKETS), "{first:?} {third:?}");
    ensure!([first, third].iter().flatten().all(|ledger| ledger.balanced), "{first:?} {third:?}");
    Ok(())
}
