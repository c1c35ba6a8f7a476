//! Where programs are attached, and for which ports: one program serves all of them at an interface.

use std::collections::{BTreeMap, BTreeSet};

use aya::{
    Ebpf,
    programs::{SchedClassifier, tc::SchedClassifierLinkId},
};

use super::{AttachError, side::TcSide};
use crate::model::{IfIndex, PortId};

/// One side of an interface, and a program there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) ifindex: IfIndex,
    pub(super) side: TcSide,
    pub(super) program: &'static str,
}

/// A program at a place.
#[derive(Debug)]
struct Hold {
    link: Option<SchedClassifierLinkId>,
    ports: BTreeSet<PortId>,
}

/// All programs at interfaces of paths.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeMap<Place, Hold>);

impl Held {
    /// A port needs a program at a place: attaches it by `attach`, unless it is there for another one.
    pub(super) fn hold(
        &mut self,
        place: Place,
        port: PortId,
        attach: impl FnOnce() -> Result<Option<SchedClassifierLinkId>, AttachError>,
    ) -> Result<(), AttachError> {
        if let Some(hold) = self.0.get_mut(&place) {
            hold.ports.insert(port);
            return Ok(());
        }
        self.0.insert(place, Hold { link: attach()?, ports: BTreeSet::from([port]) });
        Ok(())
    }

    /// A port needs none any more: takes off what no other one needs.
    pub(super) fn release(&mut self, ebpf: &mut Ebpf, port: PortId) {
        for hold in self.0.values_mut() {
            hold.ports.remove(&port);
        }
        let free: Vec<Place> =
            self.0.iter().filter(|(_, hold)| hold.ports.is_empty()).map(|(place, _)| *place).collect();
        for place in free {
            let link = self.0.remove(&place).and_then(|hold| hold.link);
            let program: Option<&mut SchedClassifier> =
                ebpf.program_mut(place.program).and_then(|program| program.try_into().ok());
            if let Some((program, link)) = program.zip(link) {
                // With its interface it is gone by itself.
                program.detach(link).unwrap_or_else(|error| log::info!("taking a program off: {error}"));
            }
        }
    }
}
