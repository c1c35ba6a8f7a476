//! Puts a TC program on one side of an interface, in the way the kernel offers.

use aya::programs::{
    LinkOrder, SchedClassifier,
    tc::{SchedClassifierLinkId, TcAttachOptions},
};

use super::{AttachError, clsact::Clsact, error::attach_error, side::TcSide};
use crate::model::{Interface, Mechanism};

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

    /// First on the way in and last on the way out, so that what others do to the packet is inside what we measure. Gives what takes it off
    /// again; `None`: it is not there.
    pub(super) fn attach(
        &mut self,
        program: &mut SchedClassifier,
        interface: &Interface,
        side: TcSide,
    ) -> Result<Option<SchedClassifierLinkId>, AttachError> {
        match self {
            Self::Tcx => attach_link(program, interface, side).map(Some),
            Self::Clsact(clsact) => clsact.attach(program, interface, side).map(Some),
            Self::Nowhere => Ok(None),
        }
    }
}

/// Puts a program on one side of an interface of the calling thread's network namespace, with a link.
pub(super) fn attach_link(
    program: &mut SchedClassifier,
    interface: &Interface,
    side: TcSide,
) -> Result<SchedClassifierLinkId, AttachError> {
    let order = match side {
        TcSide::Ingress => LinkOrder::first(),
        TcSide::Egress => LinkOrder::last(),
    };
    let options = TcAttachOptions::TcxOrder(order);
    let attached = program.attach_with_options(&interface.ifname, side.attach_type(), options);
    attached.map_err(|source| attach_error(&interface.ifname, side.side(), source))
}
