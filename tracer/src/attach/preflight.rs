//! Whether this host lets us trace, with reasons.

use aya::util::KernelVersion;
use rustix::thread::{CapabilitySet, capabilities};

use super::AttachError;
use crate::model::Mechanism;

/// The oldest kernel that is tested.
const NEEDED: KernelVersion = KernelVersion::new(6, 1, 0);
/// The first kernel with TCX links.
const TCX: KernelVersion = KernelVersion::new(6, 6, 0);

/// What the host offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// How programs get onto interfaces.
    pub mechanism: Mechanism,
}

/// Asks before anything is touched.
///
/// # Errors
/// When a capability is missing or the kernel is too old.
pub fn preflight() -> Result<Preflight, AttachError> {
    let version = KernelVersion::current().ok();
    if version.is_some_and(|version| version < NEEDED) {
        let found = rustix::system::uname().release().to_string_lossy().into_owned();
        return Err(AttachError::Kernel { found, needed: "6.1", why: "older ones are not tested" });
    }
    check_capabilities()?;
    Ok(Preflight { mechanism: mechanism() })
}

/// What this kernel offers. One whose version cannot be told is taken for a new one.
#[must_use]
pub fn mechanism() -> Mechanism {
    let version = KernelVersion::current().ok();
    if version.is_some_and(|version| version < TCX) { Mechanism::Clsact } else { Mechanism::Tcx }
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
