//! hoptrace's own programs, loaded as for a trace and on no interface.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::programs::ProgramFd;
use hoptrace::{
    attach::Attached,
    collect::Collector,
    model::{Direction, PortId, TracerCost},
};
use hoptrace_common::filter::Filter;

use crate::{
    course::{SLICES, ns_per_run},
    packets::Packet,
    support::plan::{TIMEOUT_NS, load, load_options, plan},
};

/// The programs, and what keeps their table clean.
pub(crate) struct Tracer {
    attached: Attached,
    collector: Collector,
    /// Packets that went past all its hooks.
    packets: u64,
}

impl Tracer {
    pub(crate) fn load(filter: Filter) -> Result<Self> {
        let plan = plan()?;
        let timeout = Duration::from_nanos(TIMEOUT_NS);
        let (attached, mut collector) = load(&plan, &load_options(filter, 0), timeout)?;
        collector.open(None);
        Ok(Self { attached, collector, packets: 0 })
    }

    /// The programs of the hooks at `places` of the plan; the two of the way out are the first.
    pub(crate) fn programs(&self, places: [usize; 2]) -> Result<Vec<ProgramFd>> {
        let fd = |place| Ok(self.attached.program(place).context("no such hook")?.fd()?.try_clone()?);
        places.into_iter().map(fd).collect()
    }

    /// One packet past the hook at `place`.
    pub(crate) fn pass(&self, place: usize, packet: &Packet) -> Result<()> {
        ns_per_run(self.attached.program(place).context("no such hook")?, packet, SLICES, || {}).map(drop)
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
        self.sweep();
        let snapshot = self.collector.snapshot(PortId::FIRST, TracerCost::default()).context("no figures")?;
        let ledger = snapshot.directions.get(Direction::Egress).ledger;
        ensure!(ledger.balanced, "the ledger does not balance: {ledger:?}");
        let packets = self.packets;
        let as_expected = ledger.entered == packets && ledger.completed == packets && ledger.ambiguous == 0;
        ensure!(as_expected, "{packets} packets went round, but the ledger says {ledger:?}");
        Ok(packets)
    }
}
