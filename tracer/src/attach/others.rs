//! What is on the path already: other tracers, and what killed ones have left.

use aya::programs::SchedClassifier;

use super::{
    AttachError,
    clsact::{self, is_program},
    host_wide,
    side::TcSide,
};
use crate::model::{Interface, Leftover, Mechanism, Plan, Side};

/// How many of other tracers' programs, or with clsact how many other tracers, are on the path; with tracepoints also those
/// that trace another one, because their programs see each packet, too.
#[must_use]
pub fn other_tracers(plans: &[Plan], mechanism: Mechanism) -> usize {
    let places: Vec<_> = plans.iter().flat_map(Plan::path_places).collect();
    match mechanism {
        Mechanism::Tcx => links(&places),
        Mechanism::Clsact => filters(&places),
        Mechanism::Tracepoints => host_wide::others() + filters(&places),
    }
}

fn filters(places: &[(&Interface, Side)]) -> usize {
    let places: Vec<_> = places.iter().map(|(interface, _)| (*interface).clone()).collect();
    clsact::living_owners(&places).unwrap_or_default()
}

fn links(places: &[(&Interface, Side)]) -> usize {
    let attached = places.iter().filter(|(interface, side)| {
        let Some(side) = TcSide::of(*side) else { return false };
        SchedClassifier::query_tcx(&interface.ifname, side.attach_type()).is_ok_and(|(_, programs)| {
            programs.iter().any(|program| program.name_as_str().is_some_and(is_program))
        })
    });
    attached.count()
}

/// What killed tracers have left on these interfaces: only filters are left.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn leftovers(interfaces: &[Interface]) -> Result<Vec<Leftover>, AttachError> {
    clsact::find_leftovers(interfaces).map_err(|source| AttachError::Leftovers { source })
}

/// Removes exactly those, and gives them.
///
/// # Errors
/// When the kernel refuses.
pub fn remove_leftovers(interfaces: &[Interface]) -> Result<Vec<Leftover>, AttachError> {
    clsact::remove_leftovers(interfaces).map_err(|source| AttachError::Leftovers { source })
}
