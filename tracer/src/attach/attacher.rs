//! Puts a TC program on one side of an interface, in the way the kernel offers.

use std::fs;

use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, tc::TcAttachOptions};

use super::{AttachError, clsact::Clsact};
use crate::model::{Interface, Mechanism, Side};

/// A side of an interface that TC has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TcSide {
    /// Frames the host receives from the interface.
    Ingress,
    /// Frames the host sends to the interface.
    Egress,
}

impl TcSide {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// `None` where it is not TC's.
    pub(super) const fn of(side: Side) -> Option<Self> {
        match side {
            Side::Ingress => Some(Self::Ingress),
            Side::Egress => Some(Self::Egress),
            Side::Xdp(_) | Side::Wire => None,
        }
    }

    /// The same among all sides.
    pub(super) const fn side(self) -> Side {
        match self {
            Self::Ingress => Side::Ingress,
            Self::Egress => Side::Egress,
        }
    }

    pub(super) const fn attach_type(self) -> TcAttachType {
        match self {
            Self::Ingress => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }
}

/// The way, and what has to live as long as the programs are attached. Drop it after them.
pub(super) enum Attacher {
    /// Links that the programs hold.
    Tcx,
    /// Filters.
    Clsact(Box<Clsact>),
    /// Nothing at any interface: see [`super::host_wide`].
    Nowhere,
}

impl Attacher {
    /// Makes ready; nothing is attached yet.
    pub(super) fn start(mechanism: Mechanism) -> Result<Self, AttachError> {
        match mechanism {
            Mechanism::Tcx => Ok(Self::Tcx),
            Mechanism::Clsact => Ok(Self::Clsact(Box::new(Clsact::start()?))),
            Mechanism::Tracepoints => Ok(Self::Nowhere),
        }
    }

    /// First on the way in and last on the way out, so that what others do to the packet is inside what we measure.
    pub(super) fn attach(
        &mut self,
        program: &mut SchedClassifier,
        interface: &Interface,
        side: TcSide,
    ) -> Result<(), AttachError> {
        match self {
            Self::Tcx => attach_link(program, interface, side),
            Self::Clsact(clsact) => clsact.attach(program, interface, side),
            Self::Nowhere => Ok(()),
        }
    }
}

/// Puts a program on one side of an interface of the calling thread's network namespace, with a link.
pub(super) fn attach_link(
    program: &mut SchedClassifier,
    interface: &Interface,
    side: TcSide,
) -> Result<(), AttachError> {
    let order = match side {
        TcSide::Ingress => LinkOrder::first(),
        TcSide::Egress => LinkOrder::last(),
    };
    let options = TcAttachOptions::TcxOrder(order);
    let attached = program.attach_with_options(&interface.ifname, side.attach_type(), options);
    attached.map(drop).map_err(|source| attach_error(&interface.ifname, side.side(), source))
}

/// Why a program is not at an interface: perhaps because that is gone.
pub(crate) fn attach_error(ifname: &str, side: Side, source: ProgramError) -> AttachError {
    if is_gone(ifname) {
        return AttachError::Gone { ifname: ifname.to_owned() };
    }
    AttachError::Attach { ifname: ifname.to_owned(), side: side.name(), source: Box::new(source) }
}

pub(super) fn is_gone(ifname: &str) -> bool {
    fs::exists(format!("/sys/class/net/{ifname}")).is_ok_and(|exists| !exists)
}
