//! Which members of bonds are inactive.

use std::{fs, path::Path};

use hoptrace_common::config::INACTIVE;

use crate::model::Interface;

/// The members that packets are seen at.
#[derive(Debug, Default)]
pub(super) struct Members(pub(super) Vec<Interface>);

impl Members {
    /// The indices of those that are inactive now, and zeros; what does not say is active.
    pub(super) fn inactive(&self) -> [u32; INACTIVE] {
        let is_inactive = |member: &&Interface| {
            let state = Path::new("/sys/class/net").join(&member.ifname).join("bonding_slave/state");
            fs::read_to_string(state).is_ok_and(|state| state.trim() == "backup")
        };
        let mut indices = [0; INACTIVE];
        for (index, member) in indices.iter_mut().zip(self.0.iter().filter(is_inactive)) {
            *index = member.ifindex.0;
        }
        indices
    }
}
