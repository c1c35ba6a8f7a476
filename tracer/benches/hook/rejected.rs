//! What frames of others cost at a NIC that all VMs of a host share: on the way out and in, when nothing is known but the VM's own address,
//! and when the VM has used another one, too.

use anyhow::{Context as _, Result, ensure};
use aya::programs::ProgramFd;
use hoptrace::model::Direction;
use hoptrace_common::filter::Filter;

use crate::{
    course::HOT,
    packets::{FOREIGN_MAC, Kind, packet},
    part::{Figures, Part, Round},
    support::object::classifier,
    support::plan::{mac_number, plan, plan_in},
    tracer::Tracer,
};

/// The NIC's hooks in the plans of both directions.
const NIC_OUT: usize = 1;
const NIC_IN: usize = 2;
/// The tap's hook on the way out.
const TAP_OUT: usize = 0;

/// Which trace the frame comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trace {
    Out,
    /// Its VM has sent a frame from [`Kind::Foreign`]'s address.
    OutAfterForeign,
    In,
    /// Frames to that address are the VM's, too.
    InAfterForeign,
    /// Of two ports, on the way out and in.
    SeveralOut,
    SeveralIn,
}

const ROWS: [(&str, Trace, Kind); 11] = [
    ("rejected", Trace::Out, Kind::Foreign),
    ("rejected_after_foreign", Trace::OutAfterForeign, Kind::Stranger),
    // Another VM has the address that the traced one has used: whose frame it is the table tells alone.
    ("rejected_with_foreign_address", Trace::OutAfterForeign, Kind::Foreign),
    ("rejected_in", Trace::In, Kind::StrangerIn),
    ("rejected_in_after_foreign", Trace::InAfterForeign, Kind::StrangerIn),
    ("rejected_in_group", Trace::In, Kind::GroupIn),
    ("rejected_in_group_after_foreign", Trace::InAfterForeign, Kind::GroupIn),
    ("rejected_in_arp", Trace::In, Kind::ArpIn),
    ("rejected_in_arp_after_foreign", Trace::InAfterForeign, Kind::ArpIn),
    ("rejected_of_several", Trace::SeveralOut, Kind::Stranger),
    ("rejected_of_several_in", Trace::SeveralIn, Kind::StrangerIn),
];

/// The traces, and their figures so far.
pub(crate) struct Rejected {
    out: Tracer,
    out_after_foreign: Tracer,
    back: Tracer,
    back_after_foreign: Tracer,
    several: Tracer,
    figures: [Figures; ROWS.len()],
}

impl Rejected {
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ROWS.into_iter().map(|(name, ..)| name)
    }

    pub(crate) fn load() -> Result<Self> {
        let back_after_foreign = Tracer::load_plan(&plan_in()?, Filter::default())?;
        back_after_foreign.give_address(FOREIGN_MAC)?;
        let out_after_foreign = Tracer::load_plan(&plan()?, Filter::default())?;
        out_after_foreign.pass(TAP_OUT, &packet(Kind::Foreign))?;
        Ok(Self {
            out: Tracer::load_plan(&plan()?, Filter::default())?,
            out_after_foreign,
            back: Tracer::load_plan(&plan_in()?, Filter::default())?,
            back_after_foreign,
            several: Tracer::load_several()?,
            figures: ROWS.map(|(name, ..)| Figures::of(name)),
        })
    }

    fn program(&self, trace: Trace) -> Result<Vec<ProgramFd>> {
        let (tracer, place) = match trace {
            Trace::Out => (&self.out, NIC_OUT),
            Trace::OutAfterForeign => (&self.out_after_foreign, NIC_OUT),
            Trace::In => (&self.back, NIC_IN),
            Trace::InAfterForeign => (&self.back_after_foreign, NIC_IN),
            Trace::SeveralOut => (&self.several, NIC_OUT),
            Trace::SeveralIn => (&self.several, NIC_IN),
        };
        tracer.programs([place; 2])
    }
}

impl Part for Rejected {
    fn round(&mut self, round: &mut Round<'_>) -> Result<()> {
        for (place, (_, trace, kind)) in ROWS.into_iter().enumerate() {
            let driver = classifier(round.others, "course")?;
            let programs = self.program(trace)?;
            let on_course = round.course.ns_per_run(driver, &programs, &packet(kind), HOT, round.runs)?;
            let figures = self.figures.get_mut(place).context("no such row")?;
            figures.ns.push(round.bases.alone_ns(HOT, on_course)?);
        }
        Ok(())
    }

    /// The other address is known, no frame of others is in a ledger, and frames of the VM's own are.
    fn check(&mut self) -> Result<()> {
        for tracer in [&self.out_after_foreign, &self.back_after_foreign] {
            let is_known = tracer.knows(mac_number(FOREIGN_MAC))?;
            ensure!(is_known, "the VM has used another address, and the programs do not know it");
        }
        let (own, own_in) = (packet(Kind::UdpV4), packet(Kind::UdpV4In));
        for tracer in [&mut self.out, &mut self.several] {
            tracer.tells_own(Direction::Egress, NIC_OUT, &own)?;
        }
        for tracer in [&mut self.back, &mut self.back_after_foreign, &mut self.several] {
            tracer.tells_own(Direction::Ingress, NIC_IN, &own_in)?;
        }
        Ok(())
    }

    fn figures(&self) -> &[Figures] {
        &self.figures
    }

    fn figures_mut(&mut self) -> &mut [Figures] {
        &mut self.figures
    }
}
