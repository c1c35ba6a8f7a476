//! Whether this host lets us trace, with reasons.

use aya::util::KernelVersion;
use rustix::thread::{CapabilitySet, capabilities};

use super::AttachError;
use crate::model::Mechanism;

/// The oldest kernel that is tested.
const NEEDED: KernelVersion = KernelVersion::new(6, 1, 0);
/// The first kernel with TCX links.
const TCX: KernelVersion = KernelVersion::new(6, 6, 0);

/// What a user wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Where the programs are to be; `None`: where it is best on this kernel.
    pub mechanism: Option<Mechanism>,
    /// Whether the kernel describes its structures, which programs at tracepoints need.
    pub described: bool,
}

/// Asks before anything is touched. Gives where the programs go.
///
/// # Errors
/// When a capability is missing, the kernel is too old, or does not offer what is wanted.
pub fn preflight(wanted: Wanted) -> Result<Mechanism, AttachError> {
    let version = KernelVersion::current().ok();
    let older_than = |needed| version.is_some_and(|version| version < needed);
    let too_old = |needed, why| {
        let found = rustix::system::uname().release().to_string_lossy().into_owned();
        AttachError::Kernel { found, needed, why }
    };
    if older_than(NEEDED) {
        return Err(too_old("6.1", "older ones are not tested"));
    }
    check_capabilities()?;
    match wanted.mechanism {
        Some(Mechanism::Tcx) if older_than(TCX) => Err(too_old("6.6", "it brought TCX")),
        Some(Mechanism::Tracepoints) if !wanted.described => Err(AttachError::Undescribed),
        Some(mechanism) => Ok(mechanism),
        None => Ok(best(older_than(TCX), wanted.described)),
    }
}

/// Where programs go on this kernel by default. One whose version cannot be told is taken for a new one.
#[must_use]
pub fn mechanism() -> Mechanism {
    best(KernelVersion::current().is_ok_and(|version| version < TCX), true)
}

const fn best(before_tcx: bool, described: bool) -> Mechanism {
    match (before_tcx, described) {
        (false, _) => Mechanism::Tcx,
        (true, true) => Mechanism::Tracepoints,
        (true, false) => Mechanism::Clsact,
    }
}

fn check_capabilities() -> Result<(), AttachError> {
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    if effective.contains(CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN) {
        return Ok(());
    }
    let missing: Vec<_> = [
        (CapabilitySet::BPF, "CAP_BPF"),
        (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
        (CapabilitySet::PERFMON, "CAP_PERFMON"),
    ]
    .into_iter()
    .filter(|(capability, _)| !effective.contains(*capability))
    .map(|(_, name)| name)
    .collect();
    if missing.is_empty() { Ok(()) } else { Err(AttachError::Permission { missing: missing.join(", ") }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_grafted_where_it_can_be_helped() {
        assert_eq!(best(false, true), Mechanism::Tcx);
        assert_eq!(best(false, false), Mechanism::Tcx);
        assert_eq!(best(true, true), Mechanism::Tracepoints);
        assert_eq!(best(true, false), Mechanism::Clsact);
    }
}
