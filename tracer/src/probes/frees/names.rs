//! Causes in words, from what the running kernel says of itself. Nothing is read before a packet has died.

use std::collections::BTreeMap;

use super::sites::Cause;
use crate::kernel::{Reasons, Symbols};

/// A cause in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// `None`: the kernel gives none.
    pub(super) reason: Option<String>,
    pub(super) subsystem: Option<String>,
    /// A function, or an address where the kernel does not tell.
    pub(super) location: String,
}

/// What is known of the causes seen so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: BTreeMap<Cause, Name>,
    reasons: Option<Reasons>,
}

impl Names {
    /// Looks up those that are new.
    pub(super) fn learn(&mut self, causes: impl Iterator<Item = Cause>) {
        let new: Vec<Cause> = causes.filter(|cause| !self.known.contains_key(cause)).collect();
        if new.is_empty() {
            return;
        }
        let addresses: Vec<u64> = new.iter().map(|cause| cause.location).collect();
        let places = Symbols::resolve(&addresses).unwrap_or_else(|error| {
            log::warn!("the places of drops have no names: /proc/kallsyms: {error}");
            BTreeMap::new()
        });
        let reasons = self.reasons.get_or_insert_with(|| {
            Reasons::read().unwrap_or_else(|error| {
                log::warn!("the reasons of drops have no names: {error}");
                Reasons::default()
            })
        });
        for cause in new {
            let reason = (cause.reason != 0).then(|| reasons.of(cause.reason));
            let location =
                places.get(&cause.location).cloned().unwrap_or_else(|| format!("{:#x}", cause.location));
            let (reason, subsystem) = reason.map_or((None, None), |it| (Some(it.name), it.subsystem));
            self.known.insert(cause, Name { reason, subsystem, location });
        }
    }

    /// A cause in words; its numbers where it was not looked up yet.
    pub(super) fn of(&self, cause: Cause) -> Name {
        self.known.get(&cause).cloned().unwrap_or_else(|| Name {
            reason: None,
            subsystem: None,
            location: format!("{:#x}", cause.location),
        })
    }
}
