//! Programs that do nothing are at the places of hooks while the verifier looks at theirs.
//!
//! Attaching to one side of an interface takes the kernel some ten milliseconds: it waits until no CPU looks at what was there before (TCX,
//! `synchronize_rcu`). To put another program into the place of one that is there it waits for nothing (`BPF_LINK_UPDATE`). So of a start's two long
//! waits one is behind the other no more.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use aya::programs::{Program, SchedClassifier, tc::SchedClassifierLink};

use super::{side::TcSide, tcx};
use crate::model::{IfIndex, Interface, Namespace};

/// The programs: at places of the path, and at those beside it. The kernel takes a program once on one side of an interface, and where a path is
/// beside another one there are two.
pub(super) const STAND_INS: [&str; 2] = ["hop_nothing", "hop_nothing_beside"];

/// A place where a program is to be.
#[derive(Debug, Clone)]
pub(super) struct HookPlace {
    pub(super) interface: Interface,
    pub(super) side: TcSide,
    /// Where the interface is, if that is not here.
    pub(super) namespace: Option<Namespace>,
    /// Whether it is one beside the path.
    pub(super) beside: bool,
}

/// In the order in which they are attached: programs of paths behind those beside paths, because the last one is next to the interface.
type Key = (Option<u32>, IfIndex, TcSide, OnPath);
type OnPath = bool;

impl HookPlace {
    /// One of the path.
    pub(super) const fn on_path(interface: Interface, side: TcSide) -> Self {
        Self { interface, side, namespace: None, beside: false }
    }

    fn key(&self) -> Key {
        let namespace = self.namespace.as_ref().map(|namespace| namespace.inum);
        (namespace, self.interface.ifindex, self.side, !self.beside)
    }
}

/// Places where programs are to be, each once.
#[derive(Debug, Default)]
pub(super) struct HookPlaces(BTreeMap<Key, HookPlace>);

impl HookPlaces {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Extend<HookPlace> for HookPlaces {
    fn extend<T: IntoIterator<Item = HookPlace>>(&mut self, places: T) {
        for place in places {
            self.0.entry(place.key()).or_insert(place);
        }
    }
}

/// Links that programs of hooks can take over. Those that none takes go with this.
#[derive(Debug, Default)]
pub(super) struct StandIns(BTreeMap<Key, SchedClassifierLink>);

impl StandIns {
    /// Attaches them at all these places, until they are not needed any more. What the kernel refuses is left to who comes for it.
    pub(super) fn attach(
        mut programs: [Option<&mut Program>; 2],
        places: &HookPlaces,
        needed: &AtomicBool,
    ) -> Self {
        let mut stand_ins = Self::default();
        let mut loaded = [false; 2];
        for (key, place) in &places.0 {
            if !needed.load(Ordering::Relaxed) {
                break;
            }
            let which = usize::from(place.beside);
            let Some((program, loaded)) = programs.get_mut(which).zip(loaded.get_mut(which)) else {
                continue;
            };
            let Some(Ok(program)) =
                program.as_mut().map(|program| <&mut SchedClassifier>::try_from(&mut **program))
            else {
                continue;
            };
            if !*loaded && let Err(error) = program.load() {
                log::warn!("programs are attached one after the other: {error}");
                break;
            }
            *loaded = true;
            match tcx::attach(program, place).map(|link| program.take_link(link)) {
                Ok(Ok(link)) => drop(stand_ins.0.insert(*key, link)),
                Ok(Err(error)) => log::debug!("{}: {error}", place.interface.ifname),
                Err(error) => log::debug!("{error}"),
            }
        }
        stand_ins
    }

    /// The link at this place.
    pub(super) fn take(&mut self, place: &HookPlace) -> Option<SchedClassifierLink> {
        self.0.remove(&place.key())
    }
}
