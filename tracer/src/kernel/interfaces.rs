//! Interfaces by their names, from `/sys/class/net`.

use std::{fs, path::Path};

use crate::model::IfIndex;

/// The index of the interface with that name in this network namespace.
#[must_use]
pub fn interface_index(ifname: &str) -> Option<IfIndex> {
    let path = Path::new("/sys/class/net").join(ifname).join("ifindex");
    Some(IfIndex(fs::read_to_string(path).ok()?.trim().parse().ok()?))
}
