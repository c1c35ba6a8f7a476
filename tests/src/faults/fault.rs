//! A fault.

use anyhow::Result;

use super::{Direction, Expected, Scene};
use crate::lab::Trap;

/// Injects a fault; dropping the traps, the last one first, takes it away.
pub type Inject = fn(&Scene<'_>) -> Result<Vec<Trap>>;
/// Sends into a fault; says how many packets it took.
pub type Traffic = fn(&Scene<'_>) -> Result<Toll>;

/// A fault, the traffic that runs into it, and what must be reported.
#[derive(Debug)]
pub struct Fault {
    /// What it is called in tables and by `--only`.
    pub name: &'static str,
    /// Where it can run.
    pub place: Place,
    /// When it is injected.
    pub moment: Moment,
    /// Whose packets it spares.
    pub innocent: Innocent,
    /// The trace's filter: what the fault's packets and the innocent ones have in common.
    pub filter: &'static str,
    /// Why the report must say that the path ends before the wire; `None`: it must not.
    pub partly: Option<&'static str>,
    /// Injects it.
    pub inject: Inject,
    /// Sends into it.
    pub traffic: Traffic,
    /// What must be reported, by direction.
    pub expected: &'static [Expected],
}

impl Fault {
    /// A fault of the usual kind: injected in a test VM, into a trace of UDP that runs, sparing the same guest's other
    /// packets.
    pub(super) const fn new(
        name: &'static str,
        inject: Inject,
        traffic: Traffic,
        expected: &'static [Expected],
    ) -> Self {
        Self {
            name,
            place: Place::KernelDatapath,
            moment: Moment::WhileTracing,
            innocent: Innocent::SameGuest,
            filter: "udp",
            partly: None,
            inject,
            traffic,
            expected,
        }
    }

    /// The same, wherever the lab is.
    pub(super) const fn anywhere(self) -> Self {
        Self { place: Place::Anywhere, ..self }
    }

    /// The same, there before the trace.
    pub(super) const fn before_trace(self) -> Self {
        Self { moment: Moment::BeforeTrace, ..self }
    }

    /// The same, sparing these.
    pub(super) const fn sparing(self, innocent: Innocent) -> Self {
        Self { innocent, ..self }
    }

    /// The same, in a trace with this filter.
    pub(super) const fn filtered(self, filter: &'static str) -> Self {
        Self { filter, ..self }
    }

    /// The same, where the path ends before the wire, for a reason with these words.
    pub(super) const fn partly(self, why: &'static str) -> Self {
        Self { partly: Some(why), ..self }
    }
}

/// Where a fault can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Wherever the lab is.
    Anywhere,
    /// Where Open vSwitch forwards in the kernel and guests are namespaces: in a test VM.
    KernelDatapath,
}

/// When a fault is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// While the trace runs, and innocent packets went through before it.
    WhileTracing,
    /// Before the trace, so that the datapath has learned its flows: the first packet of a flow is a miss, and has a fate
    /// of its own.
    BeforeTrace,
}

/// Whose packets get through beside a fault, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Innocent {
    /// The same guest's, to other ports.
    SameGuest,
    /// Those of another guest on the same network.
    OtherGuest,
    /// Nobody's.
    Nobody,
}

/// What ran into a fault.
#[derive(Debug, Clone, Copy, Default)]
pub struct Toll {
    egress: Ran,
    ingress: Ran,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ran {
    /// Packets that entered the path, beside the innocent ones.
    pub(super) entered: u64,
    /// Of those: packets that the fault took, by a witness that is not the tracer.
    pub(super) taken: u64,
}

impl Toll {
    /// Both directions: every packet was taken.
    #[must_use]
    pub const fn all(each: u64) -> Self {
        let ran = Ran { entered: each, taken: each };
        Self { egress: ran, ingress: ran }
    }

    /// One direction.
    #[must_use]
    pub fn of(direction: Direction, entered: u64, taken: u64) -> Self {
        Self::default().and(direction, entered, taken)
    }

    /// The same with another direction.
    #[must_use]
    pub const fn and(mut self, direction: Direction, entered: u64, taken: u64) -> Self {
        let ran = Ran { entered, taken };
        match direction {
            Direction::Egress => self.egress = ran,
            Direction::Ingress => self.ingress = ran,
        }
        self
    }

    pub(super) const fn get(&self, direction: Direction) -> Ran {
        match direction {
            Direction::Egress => self.egress,
            Direction::Ingress => self.ingress,
        }
    }
}
