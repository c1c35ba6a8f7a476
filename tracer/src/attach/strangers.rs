//! Tells the programs which MAC addresses are other ports'.

use aya::{Ebpf, maps::HashMap};

use super::AttachError;
use crate::model::MacAddr;

const STRANGERS: &str = "STRANGERS";

/// Adds addresses; those that there is no room for stay unknown.
pub(super) fn introduce(ebpf: &mut Ebpf, macs: impl Iterator<Item = MacAddr>) -> Result<(), AttachError> {
    let map = ebpf.map_mut(STRANGERS).ok_or_else(|| AttachError::Missing(format!("map {STRANGERS}")))?;
    let failed = |source| AttachError::Map { map: STRANGERS, source: Box::new(source) };
    let mut strangers: HashMap<_, u64, u32> = map.try_into().map_err(failed)?;
    for mac in macs {
        if strangers.insert(mac.as_number(), 1, 0).is_err() {
            log::warn!("there are more ports on this host than their addresses can be kept apart");
            break;
        }
    }
    Ok(())
}
