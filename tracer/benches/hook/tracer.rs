//! hoptrace's own programs, loaded as for a trace and on no interface.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::{maps::Array, programs::ProgramFd};
use hoptrace::{
    attach::Attached,
    collect::Collector,
    model::{Direction, Ledger, MacAddr, Plan, PortId, TracerCost},
    probes::Host,
};
use hoptrace_common::{address::Known, config::Control, filter::Filter};

use crate::{
    course::{SLICES, ns_per_run},
    packets::Packet,
    support::plan::{TIMEOUT_NS, load, load_options, load_options_timed_16, load_several, plan},
};

/// The programs, and what keeps their table clean.
pub(crate) struct Tracer {
    attached: Attached,
    collector: Collector,
    /// Packets that went past all its hooks.
    packets: u64,
}

/// How long a packet may stay away.
pub(crate) const TIMEOUT: Duration = Duration::from_nanos(TIMEOUT_NS);

impl Tracer {
    pub(crate) fn load(filter: Filter) -> Result<Self> {
        Self::load_plan(&plan()?, filter)
    }

    /// With these hooks.
    pub(crate) fn load_plan(plan: &Plan, filter: Filter) -> Result<Self> {
        Ok(Self::of(load(plan, &load_options(filter, 0), TIMEOUT)?))
    }

    /// Where one packet of 16 is timed.
    pub(crate) fn load_timed_16(filter: Filter) -> Result<Self> {
        Ok(Self::of(load(&plan()?, &load_options_timed_16(filter), TIMEOUT)?))
    }

    /// For two ports.
    pub(crate) fn load_several() -> Result<Self> {
        Ok(Self::of(load_several(&Host::default(), &load_options(Filter::default(), 0), TIMEOUT)?))
    }

    /// From now on packets are admitted.
    pub(crate) fn of((attached, mut collector): (Attached, Collector)) -> Self {
        collector.open(None);
        Self { attached, collector, packets: 0 }
    }

    /// The programs of the hooks at `places` of the plan; the two of the way out are the first.
    pub(crate) fn programs(&self, places: [usize; 2]) -> Result<Vec<ProgramFd>> {
        let fd = |place| Ok(self.attached.program(place).context("no such hook")?.fd()?.try_clone()?);
        places.into_iter().map(fd).collect()
    }

    /// The kernel's numbers of the two programs of the way out.
    pub(crate) fn program_ids(&self) -> Result<[u32; 2]> {
        let id = |place| {
            Ok::<_, anyhow::Error>(self.attached.program(place).context("no such hook")?.info()?.id())
        };
        Ok([id(0)?, id(1)?])
    }

    /// The loaded programs and maps.
    pub(crate) const fn attached(&mut self) -> &mut Attached {
        &mut self.attached
    }

    /// One packet past the hook at `place`.
    pub(crate) fn pass(&self, place: usize, packet: &Packet) -> Result<()> {
        ns_per_run(self.attached.program(place).context("no such hook")?, packet, SLICES, || {}).map(drop)
    }

    /// The address is the VM's, too, as the host has said.
    pub(crate) fn give_address(&self, mac: [u8; 6]) -> Result<()> {
        let given = self.collector.give_address(PortId::FIRST, MacAddr(mac));
        ensure!(given, "no room for another address");
        Ok(())
    }

    /// Whether the programs know this address, as they compare it, as one that the VM uses.
    pub(crate) fn knows(&self, mac: u64) -> Result<bool> {
        let map = self.attached.ebpf().map("CONTROL").context("no map CONTROL")?;
        let control: Array<_, [u64; size_of::<Control>() / size_of::<u64>()]> = map.try_into()?;
        Ok(control.get(&0, 0)?.iter().any(|word| Known(*word).is_of(mac)))
    }

    /// As during a trace.
    pub(crate) fn sweep(&mut self) {
        self.collector.sweep();
    }

    /// `packets` more went past all its hooks.
    pub(crate) const fn expect(&mut self, packets: u64) {
        self.packets += packets;
    }

    /// Bytes of machine code of one hook's program.
    pub(crate) fn code_bytes(&self) -> Result<u32> {
        Ok(self.attached.program(1).context("no such hook")?.info()?.size_jitted())
    }

    /// Whether the programs did what was measured: all packets passed all hooks, and nothing strange happened. Gives how
    /// many there were.
    pub(crate) fn check(&mut self) -> Result<u64> {
        let ledger = self.ledger(Direction::Egress)?;
        ensure!(ledger.balanced, "the ledger does not balance: {ledger:?}");
        let packets = self.packets;
        let as_expected = ledger.entered == packets && ledger.completed == packets && ledger.ambiguous == 0;
        ensure!(as_expected, "{packets} packets went round, but the ledger says {ledger:?}");
        Ok(packets)
    }

    /// Whether no packet of this direction was followed so far, and `own`, past the hook at `place`, is: so it was not for another reason that
    /// the others were let by.
    pub(crate) fn tells_own(&mut self, direction: Direction, place: usize, own: &Packet) -> Result<()> {
        let followed = |ledger: &Ledger| ledger.entered + ledger.joined_midway;
        let ledger = self.ledger(direction)?;
        ensure!(ledger.balanced && followed(&ledger) == 0, "frames of others are in the ledger: {ledger:?}");
        self.pass(place, own)?;
        let ledger = self.ledger(direction)?;
        ensure!(followed(&ledger) > 0, "the VM's own frames are not in the ledger: {ledger:?}");
        Ok(())
    }

    /// Packets of the VM that died before its first hook on the way in.
    pub(crate) fn died(&mut self) -> Result<u64> {
        self.sweep();
        let snapshot = self.collector.snapshot(PortId::FIRST, TracerCost::default()).context("no figures")?;
        Ok(snapshot.directions.get(Direction::Ingress).early_drops.iter().map(|early| early.count).sum())
    }

    fn ledger(&mut self, direction: Direction) -> Result<Ledger> {
        self.sweep();
        let snapshot = self.collector.snapshot(PortId::FIRST, TracerCost::default()).context("no figures")?;
        Ok(snapshot.directions.get(direction).ledger)
    }
}
