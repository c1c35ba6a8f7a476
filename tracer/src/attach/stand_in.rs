//! A program that does nothing is at the places of hooks while the verifier looks at theirs.
//!
//! Attaching to one side of an interface takes the kernel some ten milliseconds: it waits until no CPU looks at what was there before (TCX,
//! `synchronize_rcu`). To put another program into the place of one that is there it waits for nothing (`BPF_LINK_UPDATE`). So of a start's two long
//! waits one is behind the other no more.

use std::collections::{BTreeMap, BTreeSet};

use aya::programs::{Program, SchedClassifier, tc::SchedClassifierLink};

use super::{side::TcSide, tcx};
use crate::model::{IfIndex, Interface, Namespace};

/// The program.
pub(super) const STAND_IN: &str = "hop_nothing";

/// A place where a program is to be.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) interface: Interface,
    pub(super) side: TcSide,
    /// Where the interface is, if that is not here.
    pub(super) namespace: Option<Namespace>,
}

type Place = (Option<u32>, IfIndex, TcSide);

impl Wanted {
    fn place(&self) -> Place {
        (self.namespace.as_ref().map(|namespace| namespace.inum), self.interface.ifindex, self.side)
    }
}

/// Links that programs of hooks can take over. Those that none takes go with this.
#[derive(Debug, Default)]
pub(super) struct StandIns(BTreeMap<Place, Vec<SchedClassifierLink>>);

impl StandIns {
    /// Attaches the program that does nothing at all these places, once for each program that is to be there. What the kernel refuses is left
    /// to who comes for it.
    pub(super) fn attach(program: &mut Program, wanted: &[(Wanted, &'static str)]) -> Self {
        let mut stand_ins = Self::default();
        let mut done = BTreeSet::new();
        let Ok(program): Result<&mut SchedClassifier, _> = program.try_into() else { return stand_ins };
        if let Err(error) = program.load() {
            log::warn!("programs are attached one after the other: {error}");
            return stand_ins;
        }
        for (wanted, name) in wanted {
            if !done.insert((wanted.place(), name)) {
                continue;
            }
            match tcx::attach(program, wanted).map(|link| program.take_link(link)) {
                Ok(Ok(link)) => stand_ins.0.entry(wanted.place()).or_default().push(link),
                Ok(Err(error)) => log::debug!("{}: {error}", wanted.interface.ifname),
                Err(error) => log::debug!("{error}"),
            }
        }
        stand_ins
    }

    /// A link at this place.
    pub(super) fn take(&mut self, wanted: &Wanted) -> Option<SchedClassifierLink> {
        self.0.get_mut(&wanted.place())?.pop()
    }
}
