//! Puts a TC program on one side of an interface, in the way the kernel offers.

use std::io;

use aya::programs::{SchedClassifier, tc::SchedClassifierLinkId};

use super::{
    AttachError,
    clsact::Clsact,
    stand_in::{HookPlace, StandIns},
    tcx,
};
use crate::model::Mechanism;

/// The way, and what has to live as long as the programs are attached. Drop it after them.
pub(super) enum Attacher {
    /// Links that the programs hold; at some places there are such already.
    Tcx(StandIns),
    /// Filters.
    Clsact(Box<Clsact>),
    /// Nothing at any interface: see [`super::host_wide`].
    Nowhere,
}

impl Attacher {
    /// Makes ready; nothing is attached yet.
    pub(super) fn start(mechanism: Mechanism) -> Result<Self, AttachError> {
        match mechanism {
            Mechanism::Tcx => Ok(Self::Tcx(StandIns::default())),
            Mechanism::Clsact => Ok(Self::Clsact(Box::new(Clsact::start()?))),
            Mechanism::Tracepoints => Ok(Self::Nowhere),
        }
    }

    /// What stands in for a program is not needed any more.
    pub(super) fn have_attached(&mut self) {
        if let Self::Tcx(stand_ins) = self {
            *stand_ins = StandIns::default();
        }
    }

    /// First on the way in and last on the way out, so that what others do to the packet is inside what we measure. Gives what takes it off
    /// again; `None`: it is not there.
    pub(super) fn attach(
        &mut self,
        program: &mut SchedClassifier,
        place: &HookPlace,
    ) -> Result<Option<SchedClassifierLinkId>, AttachError> {
        let HookPlace { interface, side, namespace, .. } = place;
        match (self, namespace) {
            (Self::Tcx(stand_ins), _) => match stand_ins.take(place) {
                Some(link) => tcx::replace(program, link, place),
                None => tcx::attach(program, place),
            }
            .map(Some),
            (Self::Clsact(clsact), None) => clsact.attach(program, interface, *side).map(Some),
            (Self::Clsact(_), Some(namespace)) => Err(AttachError::Away {
                namespace: namespace.name.clone(),
                source: io::ErrorKind::Unsupported.into(),
            }),
            (Self::Nowhere, _) => Ok(None),
        }
    }
}
